"""A call from machine code to machine code that is known by its address only: the kernel's to the strategy."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def asked(typing_context: Any, function_at: Any, view_at: Any, params_at: Any, answer_at: Any) -> Any:
    """Call numba's code at `function_at`, a function of three addresses; return its status, 0 if it did not raise."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        convention = context.call_conv
        of = (types.int64, types.int64, types.int64)
        kind = convention.get_function_type(types.int64, of)
        function = builder.inttoptr(args[0], kind.as_pointer())
        result = cgutils.alloca_once(builder, ir.IntType(64))
        raised = cgutils.alloca_once(builder, kind.args[1].pointee, zfill=True)
        status = builder.call(function, [result, raised, *args[1:]])
        return builder.sext(status, ir.IntType(64))

    return types.int64(*(types.int64,) * 4), codegen
