"""A page of sections in the report's dress, without its script: one HTML document that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

_TEMPLATES: Final = Path(__file__).parent / "templates"


class Section(NamedTuple):
    """A heading and the HTML below it, whose texts are escaped already."""

    title: str
    html: str


def page(title: str, facts: Sequence[str], banner: str, sections: Sequence[Section]) -> str:
    """Return the document; `title` and `facts` are texts, `banner` (may be empty) and the sections' bodies are HTML."""
    body = "".join(f"<section><h2>{escape(one.title)}</h2>{one.html}</section>" for one in sections)
    return Template((_TEMPLATES / "plain.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        style=(_TEMPLATES / "report.css").read_text(encoding="utf-8"),
        facts="".join(f"<span>{escape(fact)}</span>" for fact in facts),
        banner=f'<p class="banner" role="note">{banner}</p>' if banner else "",
        body=body,
    )
