"""What stands in for the core's constructors in machine code: a struct in the arena, a tuple of fixed types."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from numba import boolean, int64, types
from numba.core.extending import intrinsic
from numba.extending import overload

from backtests.compiled_engine.lists import made
from backtests.compiled_engine.names import STANDS_FOR, number, numbered
from backtests.compiled_engine.shapes import Struct


@intrinsic  # type: ignore[untyped-decorator]
def as_kind(typing_context: Any, kind: Any, value: Any) -> Any:
    """Return `value` as one of a type that it can be cast to (compiled code only)."""
    wanted = kind.instance_type

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.cast(builder, args[1], signature.args[1], wanted)

    return wanted(kind, value), codegen


def tuple_of(cls: Any, **kinds: Any) -> Any:
    """Return the numba type of a named tuple of ours whose fields are whole numbers or names, but for `kinds`.

    In machine code, calling its class gives one of that type.
    """
    of = {name: kinds.get(name, _plain(text)) for name, text in cls.__annotations__.items()}
    made_type = types.BaseTuple.from_types(tuple(of.values()), cls)
    _stand_in(cls, cls, of, "return cls({})", {"cls": cls})
    return made_type


def _plain(text: Any) -> Any:
    return boolean if getattr(text, "__forward_arg__", text) in ("bool", bool) else int64


def makes(cls: Any, struct: Struct) -> None:
    """Let calling `cls` in machine code make a struct in the arena: each argument is a field, or goes to __init__."""
    own = cls.__init__
    if "__dataclass_fields__" in vars(cls):
        fields = [name for name in inspect.signature(cls).parameters if name in struct.fields]
        lines = (
            "it = made(struct)\n" + "".join(f"        it.{name} = {name}\n" for name in fields) + "        return it"
        )
        _stand_in(cls, cls, dict.fromkeys(inspect.signature(cls).parameters), lines, {"struct": struct, "made": made})
        return
    first, *names = list(inspect.signature(own).parameters)
    scope = {"struct": struct, "made": made, "init": _declared(own)}
    lines = f"it = made(struct)\n        init(it, {', '.join(names)})\n        return it"
    _stand_in(cls, own, dict.fromkeys(names), lines, scope, skip=first)


def _declared(function: Callable[..., Any]) -> Any:
    def stub(*args: Any) -> Any:
        raise NotImplementedError

    def choose(*args: Any) -> Any:
        return numbered(function)

    choose.__signature__ = stub.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    overload(stub, strict=False)(choose)
    return stub


def _stand_in(cls: Any, called: Any, of: dict[str, Any], body: str, scope: dict[str, Any], skip: str = "") -> None:
    """Declare a function with the signature of a class that does `body`, and let it stand for the class."""
    parameters = [p for name, p in inspect.signature(called).parameters.items() if name != skip]
    scope = dict(scope, as_kind=as_kind)
    given, casts = [], []
    for parameter in parameters:
        name, default = parameter.name, parameter.default
        if default is inspect.Parameter.empty:
            given.append(name)
        else:
            scope[f"default_{name}"] = number(default) if type(default) is str else default
            given.append(f"{name}=default_{name}")
        scope[f"kind_{name}"] = of.get(name)
        casts.append(f"as_kind(kind_{name}, {name})")
    listed = ", ".join(given)
    text = f"def stub({listed}):\n    raise NotImplementedError\n"
    text += (
        f"def choose({listed}):\n    def make({listed}):\n        {body.format(', '.join(casts))}\n    return make\n"
    )
    exec(text, scope)  # noqa: S102 - names of our own fields, one line for each, as dataclasses does
    overload(scope["stub"], strict=False)(scope["choose"])
    STANDS_FOR[id(cls)] = scope["stub"]
