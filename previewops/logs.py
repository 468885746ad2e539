"""Structured logs: lines for a person on a terminal, JSON for everything else."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(*, verbose: bool = False, json_lines: bool | None = None) -> None:
    """Sets logging up for this process, on standard error.

    ``json_lines`` None means: JSON unless standard error is a terminal.
    """
    as_json = (not sys.stderr.isatty()) if json_lines is None else json_lines
    level = logging.DEBUG if verbose else logging.INFO
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
