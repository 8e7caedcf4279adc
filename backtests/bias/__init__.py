"""Whether a decision depends on what came after it: the same run with another future must decide the same before it.

`future` changes all that becomes known after an instant, `files` writes it as the run's own input files, `redirect`
leads whoever opens those files to the changed ones, `decisions` records what a strategy answers and finds what moved.
"""

from backtests.bias.decisions import Decision, Moved, decisions_of, first_moved
from backtests.bias.future import KINDS, Change, with_other_future

__all__ = ["KINDS", "Change", "Decision", "Moved", "decisions_of", "first_moved", "with_other_future"]
