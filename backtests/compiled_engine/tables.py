"""A strategy's tables in machine code: looked for on the shelf of the run, fetched from Python where they are not."""

from __future__ import annotations

import operator
from typing import Any, Final

from numba import int64, types
from numba.core.errors import TypingError
from numba.extending import overload

from backtests.compiled_engine import shelf as python
from backtests.compiled_engine.calling import called
from backtests.compiled_engine.lists import WORD
from backtests.compiled_engine.makers import as_kind
from backtests.compiled_engine.shapes import (
    Struct,
    address_of,
    arena_at,
    at_address,
    compiles,
    set_word_at,
    shape,
    use_arena,
    word_at,
)
from strategies.table import Table


class Row:
    """Stands for a table that was looked up: where its numbers lie, and how many."""


ROW: Final = shape(Row, {"entries_at": types.CPointer(types.float64), "size": int64})
SHELF: Final = shape(python.Shelf, dict.fromkeys(python.HEAD, int64))
PARAMS: Final = "Params"
"""The name of the struct of parameters, whose first word says where the shelf is."""
SLOTS: Final = python.SLOTS
MANY: Final = python.MANY
KEY: Final = WORD * len(python.ROW)
FAILURE: Final = WORD * python.HEAD.index("failure")
SPREAD: Final = 0x2545F4914F6CDD1D
"""An odd number of many bits: see xorshift*, whose last step this is."""


def make_room(params_at: int) -> None:
    """Empty a shelf that is half full: before the strategy is asked, when it holds no row of it."""
    shelf_at = word_at(params_at)
    if shelf_at != 0:
        shelf = at_address(SHELF, shelf_at)
        if shelf.count >= MANY:
            shelf.count = 0
            for place in range(SLOTS):
                set_word_at(slot_of(shelf, place), 0)


def slot_of(shelf: Any, place: int) -> int:
    """Return where a slot of a shelf lies."""
    width = shelf.width
    return shelf.key_at + WORD * (width - len(python.ROW) + width * place)  # type: ignore[no-any-return]


def looked_up(params: Any, key: Any) -> Any:
    """Return the row at `key`, the table's number first. Raises LookupError where the plain engine must say why."""
    shelf = at_address(SHELF, word_at(address_of(params)))
    spread = 0
    for k in range(len(key)):
        spread = (spread ^ key[k]) * SPREAD
        spread ^= spread >> 32
    place = spread & (SLOTS - 1)
    while True:
        slot_at = slot_of(shelf, place)
        if word_at(slot_at) == 0:
            return fetched(shelf, key, slot_at)
        if is_at(slot_at, key):
            return at_address(ROW, slot_at)
        place = (place + 1) & (SLOTS - 1)


def is_at(slot_at: int, key: Any) -> bool:
    """Return whether what lies in a slot is what a key asks for."""
    same = True
    for k in range(len(key)):
        same = same and word_at(slot_at + KEY + WORD * k) == key[k]
    return same


def fetched(shelf: Any, key: Any, slot_at: int) -> Any:
    """Return the row that Python computes for a key, put into a slot that is free."""
    if shelf.failure != 0:
        raise LookupError  # again, if the strategy catches what is raised
    for k in range(len(key)):
        set_word_at(shelf.key_at + WORD * k, key[k])
    arena = arena_at()
    fine = called(shelf.fetch, address_of(shelf) + FAILURE)
    use_arena(arena)  # another run may have gone on meanwhile, in another thread or within the table
    if not fine:
        raise LookupError
    set_word_at(slot_at, shelf.found_at)
    set_word_at(slot_at + WORD, shelf.size)
    for k in range(len(key)):
        set_word_at(slot_at + KEY + WORD * k, key[k])
    shelf.count += 1
    return at_address(ROW, slot_at)


for _part in (make_room, slot_of, looked_up, is_at, fetched):
    compiles(_part)


def stand_in(table: Table, number: int) -> Any:
    """Return what compiled code calls in place of `table`, which is the strategy's `number`th."""

    def stub(params: Any, *key: Any) -> Any:
        raise NotImplementedError

    keys = "".join(f"as_kind(int64, key[{k}]), " for k in range(len(table.keys)))
    text = f"def make(params, *key):\n    return looked_up(params, (as_kind(int64, {number}), {keys}))\n"
    scope: dict[str, Any] = {"as_kind": as_kind, "int64": int64, "looked_up": looked_up}
    exec(text, scope)  # noqa: S102 - one place for each whole number

    @overload(stub, strict=False)  # type: ignore[untyped-decorator]
    def choose(params: Any, *key: Any) -> Any:
        of = key[0] if len(key) == 1 and isinstance(key[0], types.BaseTuple) else key
        if not isinstance(params, Struct) or params.name != PARAMS or len(of) != len(table.keys):
            raise TypingError(f"{table.__name__} is asked with {', '.join(('params', *table.keys))}, in this order")
        for name, given in zip(table.keys, of, strict=True):
            if not isinstance(given, types.Integer):
                raise TypingError(f"{name} is {given}, not a whole number: round it")
        return scope["make"]

    return stub


@overload(operator.getitem, strict=False)  # type: ignore[untyped-decorator]
def _entry(of: Any, place: Any) -> Any:
    if not isinstance(of, type(ROW)) or not isinstance(place, types.Integer):
        return None

    def entry(of: Any, place: int) -> Any:
        at = as_kind(int64, place)
        if at < 0:
            at += of.size
        if at < 0 or at >= of.size:
            raise IndexError
        return of.entries_at[at]

    return entry


@overload(len, strict=False)  # type: ignore[untyped-decorator]
def _size(of: Any) -> Any:
    return (lambda of: of.size) if isinstance(of, type(ROW)) else None
