"""Lists of the core for machine code, of whole numbers, structs or records. They lie in the arena and grow there."""

from __future__ import annotations

import operator
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.extending import register_model
from numba.core.imputils import RefType, iternext_impl, lower_builtin
from numba.extending import overload, overload_method

from backtests.compiled_engine.shapes import (
    Struct,
    address_of,
    arena_at,
    at_address,
    define_attributes,
    set_value_at,
    set_word_at,
    value_at,
    word_at,
    words,
    words_of,
)
from bot.core.order import no_orders

WORD: Final = 8
FIRST: Final = 8
"""A list has room for so many items when it first needs any."""


class List(Struct, types.IterableType):  # type: ignore[misc]
    """A list of `item`: a struct of how many there are, how many there is room for, and where they lie."""

    def __init__(self, item: Any) -> None:
        super().__init__(f"List({item})", {"count": types.int64, "room": types.int64, "items_at": types.int64})
        self.item = item

    @property
    def iterator_type(self) -> Any:
        """What goes through it."""
        return ListIterator(self)


class ListIterator(types.SimpleIteratorType):  # type: ignore[misc]
    """Goes through a list; what is added on the way comes too, as in Python."""

    def __init__(self, of: List) -> None:
        super().__init__(f"iter({of})", of.item)
        self.of = of


@register_model(List)
class _ListModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.IntType(8).as_pointer())


define_attributes(List)


@register_model(ListIterator)
class _IteratorModel(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("of", kind.of), ("at", types.EphemeralPointer(types.int64))])


@lower_builtin("getiter", List)  # type: ignore[untyped-decorator]
def _begin(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    made = context.make_helper(builder, signature.return_type)
    made.of = args[0]
    made.at = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(64), 0))
    return made._getvalue()


@lower_builtin("iternext", ListIterator)  # type: ignore[untyped-decorator]
@iternext_impl(RefType.UNTRACKED)  # type: ignore[untyped-decorator]
def _next(context: Any, builder: Any, signature: Any, args: Any, result: Any) -> None:
    kind = signature.args[0]
    going = context.make_helper(builder, kind, value=args[0])
    at = builder.load(going.at)
    place = builder.bitcast(going.of, ir.IntType(64).as_pointer())
    there = builder.icmp_signed("<", at, builder.load(place))
    result.set_valid(there)
    with builder.if_then(there):
        builder.store(builder.add(at, ir.Constant(ir.IntType(64), 1)), going.at)
        items_at = builder.load(builder.gep(place, [ir.Constant(ir.IntType(64), 2)]))
        offset = builder.mul(at, ir.Constant(ir.IntType(64), WORD * words(kind.of.item)))
        item_at = builder.add(items_at, offset)
        result.yield_(_value(context, builder, kind.of.item, item_at))


def _value(context: Any, builder: Any, kind: Any, address: Any) -> Any:
    from backtests.compiled_engine.shapes import _load

    return _load(context, builder, kind, builder.inttoptr(address, ir.IntType(64).as_pointer()), 0)


def allotted(count: int) -> int:
    """Return where so many words lie that are free in the arena; all of them are 0. Raises MemoryError beyond its end.

    Compiled code only.
    """
    arena = arena_at()
    free = word_at(arena)
    after = free + WORD * count
    if after > word_at(arena + WORD):
        raise MemoryError
    set_word_at(arena, after)
    for at in range(free, after, WORD):
        set_word_at(at, 0)
    return free  # type: ignore[no-any-return]


@overload(allotted, strict=False)  # type: ignore[untyped-decorator]
def _allotted(count: Any) -> Any:
    return allotted


def _item_methods(name: str) -> Any:
    return overload_method(List, name, strict=False)


def _make_room(of: Any, size: int) -> None:
    raise NotImplementedError


@overload(_make_room, strict=False)  # type: ignore[untyped-decorator]
def _room(of: Any, size: Any) -> Any:
    def make(of: Any, size: int) -> None:
        room = max(2 * of.room, FIRST)
        items_at = allotted(room * size)
        for k in range(of.count * size):
            set_word_at(items_at + WORD * k, word_at(of.items_at + WORD * k))
        of.room, of.items_at = room, items_at

    return make


@_item_methods("append")  # type: ignore[untyped-decorator]
def _append(self: Any, item: Any) -> Any:
    size = words(self.item)

    def append(self: Any, item: Any) -> None:
        if self.count == self.room:
            _make_room(self, size)
        set_value_at(self.items_at + WORD * size * self.count, item)
        self.count += 1

    return append


@_item_methods("insert")  # type: ignore[untyped-decorator]
def _insert(self: Any, place: Any, item: Any) -> Any:
    size = words(self.item)

    def insert(self: Any, place: int, item: Any) -> None:
        if self.count == self.room:
            _make_room(self, size)
        for k in range(self.count * size - 1, place * size - 1, -1):
            set_word_at(self.items_at + WORD * (k + size), word_at(self.items_at + WORD * k))
        set_value_at(self.items_at + WORD * size * place, item)
        self.count += 1

    return insert


def _take_out(of: Any, size: int, place: int) -> None:
    for k in range(place * size, (of.count - 1) * size):
        set_word_at(of.items_at + WORD * k, word_at(of.items_at + WORD * (k + size)))
    of.count -= 1


@overload(_take_out, strict=False)  # type: ignore[untyped-decorator]
def _taken_out(of: Any, size: Any, place: Any) -> Any:
    return _take_out


@overload(operator.getitem, strict=False)  # type: ignore[untyped-decorator]
def _getitem(of: Any, place: Any) -> Any:
    if not isinstance(of, List) or not isinstance(place, types.Integer):
        return None
    kind, size = of.item, words(of.item)

    def getitem(of: Any, place: int) -> Any:
        if place < 0:
            place += of.count
        return value_at(kind, of.items_at + WORD * size * place)

    return getitem


@overload(operator.setitem, strict=False)  # type: ignore[untyped-decorator]
def _setitem(of: Any, place: Any, item: Any) -> Any:
    if not isinstance(of, List):
        return None
    size = words(of.item)

    def setitem(of: Any, place: int, item: Any) -> None:
        set_value_at(of.items_at + WORD * size * place, item)

    return setitem


@overload(len, strict=False)  # type: ignore[untyped-decorator]
def _len(of: Any) -> Any:
    if isinstance(of, List):
        return lambda of: of.count
    return None


@overload(bool, strict=False)  # type: ignore[untyped-decorator]
def _bool(of: Any) -> Any:
    if isinstance(of, List):
        return lambda of: of.count > 0
    return None


@_item_methods("pop")  # type: ignore[untyped-decorator]
def _pop(self: Any, place: Any) -> Any:
    kind, size = self.item, words(self.item)

    def pop(self: Any, place: int) -> Any:
        item = value_at(kind, self.items_at + WORD * size * place)
        _take_out(self, size, place)
        return item

    return pop


@_item_methods("clear")  # type: ignore[untyped-decorator]
def _clear(self: Any) -> Any:
    def clear(self: Any) -> None:
        self.count = 0

    return clear


@_item_methods("remove")  # type: ignore[untyped-decorator]
def _remove(self: Any, item: Any) -> Any:
    if isinstance(self.item, Struct):

        def remove(self: Any, item: Any) -> None:
            wanted = address_of(item)
            for place in range(self.count):
                if word_at(self.items_at + WORD * place) == wanted:
                    _take_out(self, 1, place)
                    return
            raise ValueError

    else:

        def remove(self: Any, item: Any) -> None:
            for place in range(self.count):
                if word_at(self.items_at + WORD * place) == item:
                    _take_out(self, 1, place)
                    return
            raise ValueError

    return remove


def made(kind: Any) -> Any:
    """Return a struct of `kind` in the arena, all of it 0 (compiled code only)."""
    raise NotImplementedError


@overload(no_orders, strict=False)  # type: ignore[untyped-decorator]
def _no_orders(among: Any) -> Any:
    kind = among
    return lambda among: made(kind)


@overload(made, strict=False)  # type: ignore[untyped-decorator]
def _made(kind: Any) -> Any:
    def make(kind: Any) -> Any:
        return at_address(kind, allotted(words_of(kind)))

    return make
