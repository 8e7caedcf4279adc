"""The moody strategy of the random histories as a module that a journal's configuration can name."""

from __future__ import annotations

from dataclasses import dataclass

from bot.fields import Integer, setting
from strategies.view import Target, View
from tests.parity.histories import Mind, moody


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Those of `Mind`; `raises_at` is the view's time at which it fails, 0 for never."""

    seed: int = setting(Integer(), default="1", doc="What its moods are drawn from.")
    patience_ns: int = setting(Integer(), default="3600000000000", doc="How long a mood lasts.")
    lots: int = setting(Integer(), default="40", doc="The largest position it wants.")
    raises_at: int = setting(Integer(), default="0", doc="When it fails.")


def decide(view: View, params: Params) -> Target:
    """Return what `moody` wants."""
    if params.raises_at and view.time_ns >= params.raises_at:
        raise RuntimeError("as it was told")
    return moody(view, Mind(params.seed, params.patience_ns, params.lots))
