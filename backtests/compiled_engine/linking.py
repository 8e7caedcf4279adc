"""Machine code of many functions is optimised once, when all of them are in one module, and not at each step there.

numba optimises the module of every function that a function calls, and theirs, each with all that it calls in turn:
with calls ten deep, as the core's are, that is most of the time that compiling takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from numba.core.codegen import CPUCodeLibrary


@contextmanager
def optimised_once(name: str) -> Iterator[None]:
    """Let only the library of the function `name` be optimised as a whole while this lasts."""
    whole = CPUCodeLibrary._optimize_final_module

    def optimise(library: CPUCodeLibrary) -> None:
        if library.name == name:
            whole(library)

    CPUCodeLibrary._optimize_final_module = optimise
    try:
        yield
    finally:
        CPUCodeLibrary._optimize_final_module = whole
