"""Structured logs on standard error: readable lines on a terminal, JSON elsewhere, entries in systemd's journal.

Event names are constant; varying values are fields. docs/logs.md lists all events.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog

from previewops.logs.destination import LogDestination, LogWriter, with_fields
from previewops.logs.redaction import sanitize
from previewops.settings import LogFormat, Settings

log = structlog.get_logger()


@dataclass(slots=True)
class JobLogContext:
    """Fields of every log line about one attempt at a job. ``payload`` is None until it has been read."""

    job_id: str
    attempt: int
    worker: str
    payload: Mapping[str, Any] | None = None

    def fields(self) -> dict[str, Any]:
        """Returns the fields by their contract names."""
        fields: dict[str, Any] = {"jobId": self.job_id, "attempt": self.attempt, "worker": self.worker}
        if self.payload is not None:
            fields |= {name: self.payload.get(name) for name in ("projectId", "requestId")}
        return fields


# One variable, expanded when a line is written: a job that logs nothing pays only for setting it.
_JOB: ContextVar[JobLogContext | None] = ContextVar("previewops_job_lines", default=None)


@contextmanager
def job_log_context(job: JobLogContext) -> Iterator[None]:
    """Adds the fields of ``job`` to every log line of this task, and of tasks it starts, inside the block."""
    token = _JOB.set(job)
    try:
        yield
    finally:
        _JOB.reset(token)


def bind_payload(payload: object) -> None:
    """Adds the payload's projectId and requestId to the log lines of the current job."""
    job = _JOB.get()
    if job is not None and isinstance(payload, Mapping):
        job.payload = payload


def configure_logging(settings: Settings, *, verbose: bool = False) -> None:
    """Configures logging of this process from PREVIEW_LOG_LEVEL and _FORMAT, including the standard library's.

    ``verbose`` selects debug, whatever the level.
    """
    writer = LogWriter(LogDestination(sys.stderr, os.environ))
    level = logging.DEBUG if verbose else logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _add_job,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _sanitize,
            with_fields(_renderer(settings.log_format)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for handler in [old for old in root.handlers if isinstance(old, _LibraryHandler)]:
        root.removeHandler(handler)
    # Not lower: arq logs each job with its arguments, which are payloads.
    root.addHandler(_LibraryHandler(max(level, logging.WARNING)))


def _renderer(chosen: LogFormat) -> structlog.typing.Processor:
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if chosen is LogFormat.JSON or (chosen is LogFormat.AUTO and not terminal):
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=terminal, pad_event_to=24)


def _add_job(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    job = _JOB.get()
    return event if job is None else {**job.fields(), **event}


def _sanitize(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    first = {name: event[name] for name in ("event", "level", "timestamp") if name in event}
    return sanitize({**first, **event})


class _LibraryHandler(logging.Handler):
    """Writes log records of libraries as structured lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            log.log(
                min(record.levelno // 10 * 10, logging.CRITICAL),  # structlog has no levels in between
                "library.logged",
                logger=record.name,
                message=record.getMessage(),
                exc_info=record.exc_info,
            )
        except Exception:
            self.handleError(record)
