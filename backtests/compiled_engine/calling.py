"""Calls from machine code to what is known by its address only: a strategy, a function of Python."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def asked(
    typing_context: Any, function_at: Any, view_at: Any, params_at: Any, answer_at: Any, at: Any, end: Any
) -> Any:
    """Call numba's code at `function_at`, asking.answer for a strategy; return what it returns, -1 if it raised."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        convention = context.call_conv
        of = (types.int64,) * 5
        kind = convention.get_function_type(types.int64, of)
        function = builder.inttoptr(args[0], kind.as_pointer())
        result = cgutils.alloca_once(builder, ir.IntType(64))
        raised = cgutils.alloca_once(builder, kind.args[1].pointee, zfill=True)
        status = builder.call(function, [result, raised, *args[1:]])
        fine = builder.icmp_signed("==", status, ir.Constant(status.type, 0))
        return builder.select(fine, builder.load(result), ir.Constant(ir.IntType(64), -1))

    return types.int64(*(types.int64,) * 6), codegen


@intrinsic  # type: ignore[untyped-decorator]
def called(typing_context: Any, function: Any, failure_at: Any) -> Any:
    """Call a Python function of no arguments, known by its object's address; return whether it did not raise.

    What it raised, if it did, lies at `failure_at` in three words: for PyErr_Restore, once machine code has ended, for
    nothing can be raised through it. Who runs machine code holds Python's lock.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, nothing = ir.IntType(8).as_pointer(), ir.VoidType()

        def python(name: str, result: Any, *given: Any) -> Any:
            kind = ir.FunctionType(result, [value.type for value in given])
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given)

        result = python("PyObject_CallNoArgs", pointer, builder.inttoptr(args[0], pointer))
        fine = cgutils.is_not_null(builder, result)
        with builder.if_else(fine) as (returned, raised):
            with returned:
                python("Py_DecRef", nothing, result)
            with raised:
                first = builder.inttoptr(args[1], pointer.as_pointer())
                python(
                    "PyErr_Fetch", nothing, *(builder.gep(first, [ir.Constant(ir.IntType(32), k)]) for k in range(3))
                )
        return fine

    return types.boolean(types.int64, types.int64), codegen
