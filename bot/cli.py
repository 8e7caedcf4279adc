"""The command line: parse, call bot.app, print. No logic, and nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from bot.arguments import build_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error that a user can mend is printed without a traceback."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    from bot.errors import FairhashError

    try:
        from bot import app

        outcome = app.COMMANDS[(options.command, getattr(options, "action", None))](options)
        print(outcome.as_json() if options.json else outcome.text)
        sys.stdout.flush()
    except FairhashError as error:
        return _refuse(error, options.json)
    except KeyboardInterrupt:
        print("interrupted: nothing was left half written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe has gone (`| head`): not an error. Python must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _refuse(error: Any, as_json: bool) -> int:
    if as_json:
        import json

        problems = [str(problem) for problem in getattr(error, "problems", [error])]
        print(json.dumps({"error": type(error).__name__, "exit_code": error.exit_code, "problems": problems}, indent=2))
    else:
        print(f"fairhash: {error}", file=sys.stderr)
    return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
