"""The moody strategy of the random histories as a module that a journal's configuration can name."""

from __future__ import annotations

from dataclasses import dataclass

from bot.fields import Integer, setting
from strategies.view import Target, View
from tests.parity.histories import Mind, moody


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Those of `Mind`; from `raises_at` or `nonsense_at` on it fails, 0 for never."""

    seed: int = setting(Integer(), default="1", doc="What its moods are drawn from.")
    patience_ns: int = setting(Integer(), default="3600000000000", doc="How long a mood lasts.")
    lots: int = setting(Integer(), default="40", doc="The largest position it wants.")
    raises_at: int = setting(Integer(), default="0", doc="When it raises.")
    nonsense_at: int = setting(Integer(), default="0", doc="When it answers nonsense.")


def decide(view: View, params: Params) -> Target:
    """Return what `moody` wants."""
    if params.raises_at and view.time_ns >= params.raises_at:
        raise RuntimeError("as it was told")
    if params.nonsense_at and view.time_ns >= params.nonsense_at:
        return Target(1, limit_price_sat=-5)
    return moody(view, Mind(params.seed, params.patience_ns, params.lots))
