"""Structured logging with structlog, stamped by the run's clock: people read lines, programs read JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from bot.core.events import Fill, Notice
from bot.history.fields import iso_utc


def run_logger(as_json: bool = False, **context: Any) -> Any:
    """Return a logger to stderr with `context` bound; coloured lines at a terminal, one JSON object a line otherwise.

    structlog is imported here, when a log is asked for, so that other commands start without it.
    """
    import structlog

    renderer = (
        structlog.processors.JSONRenderer() if as_json or not sys.stderr.isatty() else structlog.dev.ConsoleRenderer()
    )
    logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr), processors=[structlog.processors.add_log_level, renderer]
    )
    return logger.bind(**context)


def log_run(logger: Any, fills: Iterable[Fill], notices: Iterable[Notice]) -> None:
    """Log what happened in a run in the order of its clock: fills and notices, amounts with their units."""
    events: list[tuple[int, str, dict[str, Any]]] = [(fill.time_ns, "fill", fill._asdict()) for fill in fills]
    events += [(notice.time_ns, notice.kind, {"user": notice.user, "text": notice.text}) for notice in notices]
    for time_ns, kind, fields in sorted(events, key=lambda event: event[0]):
        logger.info(kind, time=iso_utc(time_ns), **{k: v for k, v in fields.items() if k != "time_ns"})
