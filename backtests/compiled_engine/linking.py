"""Machine code of many functions is made once, when all of them are in one module, and not at each step there.

numba optimises every function with all that it calls in turn, makes machine code of that and wrappers for Python,
though none but the outermost is ever called from there: with calls ten deep, as the core's are, that takes minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import _dynfunc
from numba.core.codegen import CPUCodeLibrary
from numba.core.cpu import CPUContext


@contextmanager
def made_at_once(name: str, inlined: Iterable[Callable[..., Any]] = ()) -> Iterator[None]:
    """Make machine code of the function `name` alone, with all that it calls in it, while this lasts.

    A call of those that are `inlined` is no call: LLVM thinks them too long for that, but each bar goes through them.
    """
    begins = tuple(map(_mangled, inlined))

    def only(of: type, method: str, else_: Callable[..., Any], place: int) -> None:
        whole = getattr(of, method)
        before.append((of, method, whole))

        def chosen(*args: Any, **kwargs: Any) -> Any:
            if args[place].name == name and method == "_optimize_final_module":
                _inline(args[place], begins)
            return (whole if args[place].name == name else else_)(*args, **kwargs)

        setattr(of, method, chosen)

    before: list[tuple[type, str, Any]] = []
    only(CPUCodeLibrary, "_optimize_functions", _nothing, 0)
    only(CPUCodeLibrary, "_optimize_final_module", _nothing, 0)
    only(CPUCodeLibrary, "_finalize_final_module", _finish, 0)
    only(CPUContext, "create_cfunc_wrapper", _nothing, 1)
    only(CPUContext, "get_executable", _no_entry, 1)
    try:
        yield
    finally:
        for of, method, whole in before:
            setattr(of, method, whole)


def _mangled(function: Callable[..., Any]) -> str:
    """Return how LLVM's names of a function begin."""
    parts = (*function.__module__.split("."), *function.__qualname__.split("."))
    return "_ZN" + "".join(f"{len(part)}{part}" for part in parts) + "B"


def _inline(library: Any, begins: tuple[str, ...]) -> None:
    for function in library._final_module.functions:
        if not function.is_declaration and function.name.startswith(begins):
            function.add_function_attribute("alwaysinline")


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _no_entry(_: Any, library: Any, described: Any, environment: Any) -> Any:
    """Return what stands for a function in Python, where numba knows it by its identity; nobody calls it from there."""
    named = described.qualname.split(".")[-1]
    return _dynfunc.make_function(described.lookup_module(), named, "", 0, environment, (library,))


def _finish(library: Any) -> None:
    library._finalize_dynamic_globals()
    library._finalized = True
