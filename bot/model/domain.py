"""The one refusal of the model: an input for which there is no value, named with its bound and what to do."""

from __future__ import annotations

from bot.errors import InputError, Problem


class ModelError(InputError):
    """An input outside the range in which the model has a value, or knowledge that the model lacks."""


def refused(name: str, what: str, remedy: str) -> ModelError:
    """Return the error that says input `name` was refused: `what` carries value and bound.

    >>> str(refused("term_days", "-1 is below 0", "give the days left"))
    'term_days: -1 is below 0 (give the days left)'
    """
    return ModelError([Problem(name, what, remedy)])


def checked(name: str, value: float, low: float, high: float, remedy: str) -> float:
    """Return `value` if low <= value <= high (NaN is not), else raise ModelError naming it.

    >>> checked("fee", 0.03, 0.0, 1.0, "")
    0.03
    """
    if not low <= value <= high:
        raise refused(name, f"{value!r} is outside {low!r}..{high!r}", remedy)
    return value
