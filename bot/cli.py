"""The command line: parse, call bot.app, print. No logic, and nothing heavy is imported before a command needs it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from bot.arguments import build_parser

INTERRUPTED = 130
TERMINATED = 143
CANNOT_WRITE = 8


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM, made into an exception so that what is half written is cleared away."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error that a user can mend is printed without a traceback."""
    options = build_parser().parse_args(arguments)
    # OpenBLAS starts a thread for every core as numpy is imported, half of what that takes; no run multiplies matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with contextlib.suppress(ValueError):  # only the main thread may, and no other has to
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(options)
    except _TerminatedError:
        _tell("terminated: nothing was left half written")
        return TERMINATED
    except KeyboardInterrupt:
        _tell("interrupted: nothing was left half written")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone (`| head`): not an error. Python must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        _tell(f"fairhash: {error.filename or 'output'}: {error.strerror or error}")
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CANNOT_WRITE


def _run(options: Any) -> int:
    from bot.errors import FairhashError

    if sys.stdout is None:
        _tell("fairhash: standard output is closed, so there is nowhere to print the result")
        return CANNOT_WRITE
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a test's stand-in has not
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is still shown
    try:
        from bot import app

        with contextlib.redirect_stdout(sys.stderr):  # what a strategy prints is no part of the result
            outcome = app.COMMANDS[(options.command, getattr(options, "action", None))](options)
        print(outcome.as_json() if options.json else outcome.text)
    except FairhashError as error:
        _refuse(error, options.json)
        sys.stdout.flush()
        return int(error.exit_code)
    sys.stdout.flush()
    return int(outcome.exit_code)


def _terminate(number: int, frame: object) -> None:
    raise _TerminatedError


def _tell(text: str) -> None:
    """Print to standard error, which may be closed or full too: then nobody listens."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _refuse(error: Any, as_json: bool) -> None:
    if as_json:
        import json

        problems = [str(problem) for problem in getattr(error, "problems", [error])]
        print(json.dumps({"error": type(error).__name__, "exit_code": error.exit_code, "problems": problems}, indent=2))
    else:
        _tell(f"fairhash: {error}")


if __name__ == "__main__":
    sys.exit(main())
