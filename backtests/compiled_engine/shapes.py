"""What machine code sees of the core's objects: structs with their fields, and the core's own methods compiled on them.

`shape` declares a struct type for a class of ours and hangs the functions of that class on it, as they stand; plain
functions are registered likewise with `compiles`. No rule is written down here a second time.

A struct is a row of 64-bit words, known by its address. Most lie in the arena, a stretch of memory that belongs to one
run: what the core makes in a run (an order, a loan) is cut off it and nothing is given back before the run ends.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, imputils
from numba.core.datamodel import models
from numba.core.extending import infer_getattr, intrinsic, lower_getattr_generic, lower_setattr_generic, register_model
from numba.core.typing.templates import AttributeTemplate
from numba.extending import overload, overload_attribute, overload_method

from backtests.compiled_engine.names import learn, numbered
from backtests.compiled_engine.wide import Wide

WORD = ir.IntType(64)


class Struct(types.Type):  # type: ignore[misc]
    """A struct passed by reference; `fields` are name to numba type, in order.

    A `constant` one is written before machine code runs and never in it: what was read of it need not be read again.
    """

    def __init__(self, name: str, fields: Mapping[str, Any], constant: bool = False) -> None:
        super().__init__(name=name)
        self.constant = constant
        self.fields = dict(fields)
        self.places: dict[str, int] = {}
        """How many words of the struct lie before each field."""
        self.size = 0
        for field, kind in self.fields.items():
            self.places[field] = self.size
            self.size += words(kind)


class _Reference(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.IntType(8).as_pointer())


def shape(
    cls: Any,
    fields: Mapping[str, Any],
    methods: Sequence[str] = (),
    properties: Sequence[str] = (),
    constant: bool = False,
) -> Any:
    """Return a struct type that stands for `cls`: `fields` are name to numba type, the rest names in `cls`."""
    struct = type(f"{cls.__name__}Shape", (Struct,), {})
    register_model(struct)(_Reference)
    define_attributes(struct)
    for name in methods:
        method(struct, name, getattr(cls, name))
    for name in properties:
        attribute(struct, name, getattr(cls, name).fget)
    return struct(cls.__name__, fields, constant)


def method(struct: Any, name: str, function: Callable[..., Any]) -> None:
    """Let compiled code call `function` as a method of a struct's class."""
    overload_method(struct, name, strict=False)(always(function))


def attribute(struct: Any, name: str, function: Callable[..., Any]) -> None:
    """Let compiled code have what `function` returns as an attribute of a struct's class."""
    overload_attribute(struct, name)(always(function))


def compiles(function: Callable[..., Any], by: Callable[..., Any] | None = None) -> None:
    """Let compiled code call `function`, compiled as it stands, or what stands in for it."""
    overload(function, strict=False)(always(by or function))


def always(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what numba wants of an overload: a function that chooses an implementation; here it is always the same."""
    known: list[Any] = []
    learn(function)

    def choose(*args: Any, **kwargs: Any) -> Callable[..., Any]:
        if not known:
            known.append(numbered(function))  # when it is first wanted: all that it names is declared by then
        return known[0]  # type: ignore[no-any-return]

    parameters = [p.replace(annotation=p.empty) for p in inspect.signature(function).parameters.values()]
    choose.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return choose


# Words ------------------------------------------------------------------------------------------------------


def words(kind: Any) -> int:
    """Return how many words a value of `kind` takes."""
    if isinstance(kind, types.BaseTuple):
        return sum(map(words, kind))
    if isinstance(kind, types.Optional):
        return words(kind.type) + (not isinstance(kind.type, Struct))
    return 2 if isinstance(kind, Wide) else 1


def _load(context: Any, builder: Any, kind: Any, place: Any, at: int) -> Any:
    """Return the value of `kind` that lies `at` words after `place`."""
    word_type = context.get_value_type(kind)
    if isinstance(kind, types.BaseTuple):
        values = []
        for part in kind:
            values.append(_load(context, builder, part, place, at))
            at += words(part)
        return context.make_tuple(builder, kind, values)
    if isinstance(kind, types.Optional):
        if isinstance(kind.type, Struct):
            value = _load(context, builder, kind.type, place, at)
            there = builder.not_(cgutils.is_null(builder, value))
        else:
            there = builder.trunc(_word(builder, place, at), ir.IntType(1))
            value = _load(context, builder, kind.type, place, at + 1)
        made = context.make_helper(builder, kind)
        made.data, made.valid = value, there
        return made._getvalue()
    word = _word(builder, place, at)
    if isinstance(kind, Wide):
        high = builder.shl(builder.zext(_word(builder, place, at + 1), word_type), ir.Constant(word_type, 64))
        return builder.or_(high, builder.zext(word, word_type))
    if isinstance(word_type, ir.PointerType):
        return builder.inttoptr(word, word_type)
    if isinstance(kind, types.Float):
        return builder.bitcast(word, word_type)
    return builder.trunc(word, word_type) if word_type.width < 64 else word


def _store(context: Any, builder: Any, kind: Any, place: Any, at: int, value: Any) -> None:
    """Let the value of `kind` lie `at` words after `place`."""
    value_type = context.get_value_type(kind)
    if isinstance(kind, types.BaseTuple):
        for part, item in zip(kind, cgutils.unpack_tuple(builder, value), strict=True):
            _store(context, builder, part, place, at, item)
            at += words(part)
        return
    if isinstance(kind, types.Optional):
        given = context.make_helper(builder, kind, value=value)
        if isinstance(kind.type, Struct):
            kept = builder.select(given.valid, given.data, ir.Constant(given.data.type, None))
            _store(context, builder, kind.type, place, at, kept)
            return
        _set_word(builder, place, at, builder.zext(given.valid, WORD))
        _store(context, builder, kind.type, place, at + 1, given.data)
    elif isinstance(kind, Wide):
        _set_word(builder, place, at, builder.trunc(value, WORD))
        high = builder.lshr(value, ir.Constant(value_type, 64))
        _set_word(builder, place, at + 1, builder.trunc(high, WORD))
    elif isinstance(value_type, ir.PointerType):
        _set_word(builder, place, at, builder.ptrtoint(value, WORD))
    elif isinstance(kind, types.Float):
        _set_word(builder, place, at, builder.bitcast(value, WORD))
    else:
        _set_word(builder, place, at, builder.zext(value, WORD) if value_type.width < 64 else value)


def _word(builder: Any, place: Any, at: int) -> Any:
    return builder.load(_at(builder, place, at))


def is_never_written(builder: Any, load: Any) -> Any:
    """Return what was read, which LLVM may then read once for all."""
    load.set_metadata("invariant.load", builder.module.add_metadata([]))
    return load


def _set_word(builder: Any, place: Any, at: int, word: Any) -> None:
    builder.store(word, _at(builder, place, at))


def _at(builder: Any, place: Any, at: int) -> Any:
    return builder.gep(builder.bitcast(place, WORD.as_pointer()), [ir.Constant(WORD, at)], inbounds=True)


def define_attributes(struct: Any) -> None:
    class Attributes(AttributeTemplate):  # type: ignore[misc]
        key = struct

        def generic_resolve(self, shaped: Any, name: str) -> Any:
            return shaped.fields.get(name)

    infer_getattr(Attributes)

    @lower_getattr_generic(struct)  # type: ignore[untyped-decorator]
    def read(context: Any, builder: Any, shaped: Any, value: Any, name: str) -> Any:
        kind = shaped.fields[name]
        if shaped.constant:
            word = is_never_written(builder, _word(builder, value, shaped.places[name]))
            word_type = context.get_value_type(kind)
            return builder.inttoptr(word, word_type) if isinstance(word_type, ir.PointerType) else word
        return imputils.impl_ret_borrowed(
            context, builder, kind, _load(context, builder, kind, value, shaped.places[name])
        )

    @lower_setattr_generic(struct)  # type: ignore[untyped-decorator]
    def write(context: Any, builder: Any, signature: Any, args: Any, name: str) -> None:
        shaped, given = signature.args
        kind = shaped.fields[name]
        value = context.cast(builder, args[1], given, kind)
        _store(context, builder, kind, args[0], shaped.places[name], value)


# Columns ----------------------------------------------------------------------------------------------------


class Column(types.Type):  # type: ignore[misc]
    """An array of `item`, which is written before machine code runs and never in it, known by its address."""

    def __init__(self, item: Any) -> None:
        super().__init__(name=f"Column({item})")
        self.item = item


@register_model(Column)
class _ColumnModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, manager.lookup(kind.item).get_value_type().as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def _entry(typing_context: Any, column: Any, place: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return is_never_written(builder, builder.load(builder.gep(args[0], [args[1]], inbounds=True)))

    return column.item(column, types.int64), codegen


@overload(operator.getitem, strict=False)  # type: ignore[untyped-decorator]
def _entry_of(column: Any, place: Any) -> Any:
    if isinstance(column, Column):
        return lambda column, place: _entry(column, place)
    return None


# Where structs lie ------------------------------------------------------------------------------------------


@intrinsic  # type: ignore[untyped-decorator]
def at_address(typing_context: Any, struct: Any, address: Any) -> Any:
    """Return the struct that lies at `address`, where somebody keeps it alive (compiled code only)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[1], ir.IntType(8).as_pointer())

    return struct.instance_type(struct, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def address_of(typing_context: Any, struct: Any) -> Any:
    """Return the address of a struct (compiled code only)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], WORD)

    return types.int64(struct), codegen


@intrinsic  # type: ignore[untyped-decorator]
def word_at(typing_context: Any, address: Any) -> Any:
    """Return the word at `address` (compiled code only)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], WORD.as_pointer()))

    return types.int64(types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def set_word_at(typing_context: Any, address: Any, word: Any) -> Any:
    """Let `word` lie at `address` (compiled code only)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], WORD.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def value_at(typing_context: Any, kind: Any, address: Any) -> Any:
    """Return the value of a type that lies at `address` (compiled code only)."""
    made = kind.instance_type

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(context, builder, made, builder.inttoptr(args[1], WORD.as_pointer()), 0)

    return made(kind, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def set_value_at(typing_context: Any, address: Any, value: Any) -> Any:
    """Let `value` lie at `address` (compiled code only)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.inttoptr(args[0], WORD.as_pointer())
        _store(context, builder, signature.args[1], place, 0, args[1])
        return context.get_dummy_value()

    return types.void(types.int64, value), codegen


@intrinsic  # type: ignore[untyped-decorator]
def words_of(typing_context: Any, kind: Any) -> Any:
    """Return how many words a type takes, a struct's own (compiled code only)."""
    made = kind.instance_type
    count = made.size if isinstance(made, Struct) else words(made)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(WORD, count)

    return types.int64(kind), codegen


def _global_word(builder: Any, name: str) -> Any:
    module = builder.module
    known = module.globals.get(name)
    if known is None:
        known = ir.GlobalVariable(module, WORD, name)
        known.linkage, known.initializer = "common", ir.Constant(WORD, None)
    return known


@intrinsic  # type: ignore[untyped-decorator]
def arena_at(typing_context: Any) -> Any:
    """Return the address of the arena of the run that goes on (compiled code only)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_global_word(builder, "fairhash_arena"))

    return types.int64(), codegen


@intrinsic  # type: ignore[untyped-decorator]
def use_arena(typing_context: Any, address: Any) -> Any:
    """Let the arena at `address` be that of the run that goes on; its first two words say what is free, and its end."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[0], _global_word(builder, "fairhash_arena"))
        return context.get_dummy_value()

    return types.void(types.int64), codegen
