"""What machine code sees of the core's objects: structs with their fields, and the core's own methods compiled on them.

`shape` declares a struct type for a class of ours and hangs the functions of that class on it, as they stand; plain
functions are registered likewise with `compiles`. No rule is written down here a second time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numba import types
from numba.core import imputils
from numba.core.datamodel import default_manager, models
from numba.core.extending import infer_getattr, lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.experimental import structref
from numba.extending import overload, overload_attribute, overload_method


def shape(
    cls: type[Any], fields: Mapping[str, Any], methods: Sequence[str] = (), properties: Sequence[str] = ()
) -> Any:
    """Return a struct type that stands for `cls`: `fields` are name to numba type, the rest names in `cls`."""
    struct: Any = type(f"{cls.__name__}Shape", (types.StructRef,), {})
    default_manager.register(struct, models.StructRefModel)
    _define_attributes(struct)
    for name in methods:
        function = getattr(cls, name)
        overload_method(struct, name, strict=False)(always(function))
    for name in properties:
        overload_attribute(struct, name)(always(getattr(cls, name).fget))
    return struct(list(fields.items()))


def compiles(function: Callable[..., Any]) -> None:
    """Let compiled code call `function`, compiled as it stands."""
    overload(function, strict=False)(always(function))


def always(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what numba wants of an overload: a function that chooses an implementation; here it is always the same."""

    def choose(*args: Any, **kwargs: Any) -> Callable[..., Any]:
        return function

    choose.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return choose


def _define_attributes(struct: Any) -> None:
    """Let fields be read and written; unlike numba.experimental.structref's own, with leading underscores too."""

    class Attributes(AttributeTemplate):  # type: ignore[misc]
        key = struct

        def generic_resolve(self, shaped: Any, name: str) -> Any:
            return shaped.field_dict.get(name)

    infer_getattr(Attributes)

    def payload(context: Any, builder: Any, shaped: Any, value: Any, name: str) -> tuple[Any, int]:
        fields = structref._Utils(context, builder, shaped).get_data_struct(value)
        return fields, fields._datamodel.get_field_position(name)

    @lower_getattr_generic(struct)  # type: ignore[untyped-decorator]
    def read(context: Any, builder: Any, shaped: Any, value: Any, name: str) -> Any:
        fields, place = payload(context, builder, shaped, value, name)
        return imputils.impl_ret_borrowed(context, builder, shaped.field_dict[name], fields[place])

    @lower_setattr_generic(struct)  # type: ignore[untyped-decorator]
    def write(context: Any, builder: Any, signature: Any, args: Any, name: str) -> None:
        shaped, given = signature.args
        fields, place = payload(context, builder, shaped, args[0], name)
        kind = shaped.field_dict[name]
        value = context.cast(builder, args[1], given, kind)
        before = fields[place]
        context.nrt.incref(builder, kind, value)
        context.nrt.decref(builder, kind, before)  # last, in case it is the same object
        fields[place] = value
