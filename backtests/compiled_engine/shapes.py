"""What machine code sees of the core's objects: structs with their fields, and the core's own methods compiled on them.

`shape` declares a struct type for a class of ours and hangs the functions of that class on it, as they stand; plain
functions are registered likewise with `compiles`. No rule is written down here a second time.

A struct lives in the frame of the function that makes it (`new`) and is passed by reference. It must not outlive that
frame, so functions fill structs and never return them; in return no references are
counted, and what is inlined stays in registers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, imputils
from numba.core.datamodel import models
from numba.core.extending import infer_getattr, intrinsic, lower_getattr_generic, lower_setattr_generic, register_model
from numba.core.typing.templates import AttributeTemplate
from numba.extending import overload, overload_attribute, overload_method


class Struct(types.Type):  # type: ignore[misc]
    """A struct passed by reference; `fields` are name to numba type, in order."""

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        super().__init__(name=name)
        self.fields = dict(fields)


class _Reference(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.IntType(8).as_pointer())


def shape(cls: Any, fields: Mapping[str, Any], methods: Sequence[str] = (), properties: Sequence[str] = ()) -> Any:
    """Return a struct type that stands for `cls`: `fields` are name to numba type, the rest names in `cls`."""
    struct = type(f"{cls.__name__}Shape", (Struct,), {})
    register_model(struct)(_Reference)
    _define_attributes(struct)
    for name in methods:
        overload_method(struct, name, strict=False)(always(getattr(cls, name)))
    for name in properties:
        overload_attribute(struct, name)(always(getattr(cls, name).fget))
    return struct(cls.__name__, fields)


def compiles(function: Callable[..., Any]) -> None:
    """Let compiled code call `function`, compiled as it stands."""
    overload(function, strict=False)(always(function))


def always(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what numba wants of an overload: a function that chooses an implementation; here it is always the same."""

    def choose(*args: Any, **kwargs: Any) -> Callable[..., Any]:
        return function

    choose.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return choose


def _payload(context: Any, struct: Struct) -> Any:
    managers = context.data_model_manager
    return ir.LiteralStructType([managers[kind].get_data_type() for kind in struct.fields.values()])


@intrinsic  # type: ignore[untyped-decorator]
def new(typing_context: Any, struct: Any) -> Any:
    """Return a struct of zeros in the frame of the calling function (compiled code only)."""
    made = struct.instance_type

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        payload = _payload(context, made)
        place = cgutils.alloca_once(builder, payload)
        builder.store(ir.Constant(payload, None), place)
        return builder.bitcast(place, ir.IntType(8).as_pointer())

    return made(struct), codegen


@intrinsic  # type: ignore[untyped-decorator]
def at_address(typing_context: Any, struct: Any, address: Any) -> Any:
    """Return the struct that lies at `address`, where somebody keeps it alive (compiled code only)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[1], ir.IntType(8).as_pointer())

    return struct.instance_type(struct, types.int64), codegen


def _define_attributes(struct: Any) -> None:
    class Attributes(AttributeTemplate):  # type: ignore[misc]
        key = struct

        def generic_resolve(self, shaped: Any, name: str) -> Any:
            return shaped.fields.get(name)

    infer_getattr(Attributes)

    def field_of(context: Any, builder: Any, shaped: Any, value: Any, name: str) -> tuple[Any, Any]:
        place = builder.bitcast(value, _payload(context, shaped).as_pointer())
        field = cgutils.gep_inbounds(builder, place, 0, list(shaped.fields).index(name))
        return context.data_model_manager[shaped.fields[name]], field

    @lower_getattr_generic(struct)  # type: ignore[untyped-decorator]
    def read(context: Any, builder: Any, shaped: Any, value: Any, name: str) -> Any:
        model, field = field_of(context, builder, shaped, value, name)
        return imputils.impl_ret_borrowed(
            context, builder, shaped.fields[name], model.from_data(builder, builder.load(field))
        )

    @lower_setattr_generic(struct)  # type: ignore[untyped-decorator]
    def write(context: Any, builder: Any, signature: Any, args: Any, name: str) -> None:
        shaped, given = signature.args
        model, field = field_of(context, builder, shaped, args[0], name)
        value = context.cast(builder, args[1], given, shaped.fields[name])
        builder.store(model.as_data(builder, value), field)
