"""Commands for who works on strategies or on fairhash itself: new-strategy, docs."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bot.app.outcome import Outcome
from bot.errors import ConfigError, Problem


def new_strategy(options: Namespace) -> Outcome:
    """Write a strategy module to start from."""
    from bot.new_strategy import write_module

    path = write_module(options.dir, options.name)
    text = f"{path}: written\nuse it in a configuration with `use: {path.parent.name}.{path.stem}`"
    return Outcome(text, {"file": str(path)})


def docs(options: Namespace) -> Outcome:
    """Remake the generated pages, or with --check fail if one is out of date."""
    from bot.pages import remake

    if not Path("docs").is_dir() or not Path("bot").is_dir():
        raise ConfigError([Problem(str(Path.cwd()), "is not the repository, whose pages these are", "go there first")])
    changed = [str(path) for path in remake(Path(), check_only=options.check)]
    text = "\n".join(f"{path}: written" for path in changed) or "every generated page is up to date"
    return Outcome(text, {"changed": changed})
