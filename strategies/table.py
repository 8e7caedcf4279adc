"""Tables: what a strategy computes at great cost from its parameters and whole numbers, once for many events.

    @table
    def leave_below(params: Params, swap_steps: int) -> list[float]: ...

    def decide(view: View, params: Params) -> Target:
        boundary = leave_below(params, round(view.swap_rate_ppb_day() / 1e6))[view.to_expiry_ns // NS_PER_DAY]

The function is plain Python, whatever it calls. Every engine has that function called, so all of them read the same
numbers; the compiled engine finds those that a run has had in machine code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache, update_wrapper
from typing import Any, Final

KEPT: Final = 4_096
"""So many results of each table are kept, those that were used last."""
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Table:
    """A function of (params, whole numbers) whose results, rows of numbers, are kept. Made by `table`."""

    __name__: str
    __qualname__: str

    def __init__(self, compute: Callable[..., Sequence[float]]) -> None:
        parameters = list(inspect.signature(compute).parameters.values())
        if not parameters or any(p.kind not in _POSITIONAL or p.default is not p.empty for p in parameters):
            what = "a table is a function of (params, whole numbers), none of them with a default"
            raise TypeError(f"{compute.__qualname__}: {what}")
        self.compute = compute
        self.keys = tuple(parameter.name for parameter in parameters[1:])
        """The names of the whole numbers that it is looked up by."""
        self._kept = lru_cache(KEPT)(self._row)
        update_wrapper(self, compute)

    def __call__(self, params: Any, /, *key: int) -> tuple[float, ...]:
        """Return the table at `key`, at least one number.

        Raises TypeError for a key that is no whole number, ValueError for an empty table, and what the function raises.
        """
        return self._kept(params, *key)

    def _row(self, params: Any, *key: int) -> tuple[float, ...]:
        for name, number in zip(self.keys, key, strict=False):  # too many or too few: the function says so
            if type(number) is not int:
                raise TypeError(f"{self.__qualname__}: {name} is {number!r}, not a whole number: round it")
        row = tuple(map(float, self.compute(params, *key)))
        if not row:
            raise ValueError(f"{self.__qualname__}{key}: a table has one number at least")
        return row

    def __repr__(self) -> str:
        return f"<table {self.__module__}.{self.__qualname__}>"

    def __reduce__(self) -> str:
        return self.__qualname__  # as functions are: by name


def table(compute: Callable[..., Sequence[float]]) -> Table:
    """Let a strategy look up what `compute(params, *whole numbers)` returns: a decorator for functions of a module.

    What is computed must follow from the parameters and the numbers alone: the last KEPT results are kept.
    """
    return Table(compute)
