"""``previewops status``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, json_option, pass_context, server_now_ms
from previewops.cli.output import say, say_json
from previewops.text import age, fields, size, span, table, wrapped

if TYPE_CHECKING:
    from previewops.records import Attempt, JobRecord


@click.command(
    epilog="""\b
Examples:
  previewops status lesson-1
  previewops status lesson-1 --json
"""
)
@click.argument("job_id", metavar="JOB")
@json_option
@pass_context
def status(context: Context, job_id: str, as_json: bool) -> None:
    """Show one job: its state, what it made, and every attempt that failed."""
    record, now_ms = asyncio.run(_read(context, job_id))
    if as_json:
        say_json(record.as_json())
    else:
        say(job_lines(record, now_ms))


async def _read(context: Context, job_id: str) -> tuple[JobRecord, int]:
    from previewops.queue import Queue

    async with context.redis() as redis:
        return await Queue(redis, context.settings).status(job_id), await server_now_ms(redis)


def job_lines(record: JobRecord, now_ms: int) -> list[str]:
    """All of a job but its payload, for a person."""
    result = record.result or {}
    lines = fields(
        [
            ("job", record.job_id),
            ("project", record.project_id),
            ("state", record.state.value),
            ("priority", record.priority.value),
            ("accepted", age(record.accepted_ms, now_ms)),
            ("started", record.claimed_ms and age(record.claimed_ms, now_ms)),
            ("ended", record.finished_ms and age(record.finished_ms, now_ms)),
            ("progress", _progress(record)),
            ("worker", record.worker),
            ("attempts", _counts(record)),
            ("reason", record.reason),
            ("error", " / ".join(filter(None, (record.error_class, record.code)))),
            ("cause", record.cause),
            ("group", record.fingerprint),
            ("bundle", result.get("bundle")),
        ]
    )
    artifacts = result.get("artifacts")
    if isinstance(artifacts, list) and artifacts:
        lines += ["", *_artifact_lines(artifacts)]
    if record.history:
        lines += ["", "Failed attempts"]
        for number, attempt in enumerate(record.history, 1):
            lines += _attempt_lines(number, attempt, now_ms)
    return lines


def _progress(record: JobRecord) -> str | None:
    if record.state.value != "active":
        return None
    phase = f" ({record.phase})" if record.phase else ""
    return f"{(record.progress or 0) * 100:.0f} %{phase}"


def _counts(record: JobRecord) -> str | None:
    parts = [
        f"{count} {word}"
        for count, word in (
            (record.attempts, "failed"),
            (record.crashes, "crashed"),
            (record.requeues, "requeued"),
        )
        if count
    ]
    return ", ".join(parts) or None


def _artifact_lines(artifacts: list[object]) -> list[str]:
    rows = [
        (each.get("path", ""), each.get("mediaType", ""), size(int(each.get("bytes", 0))))
        for each in artifacts
        if isinstance(each, dict)
    ]
    return table(("FILE", "TYPE", "SIZE"), rows, right=("SIZE",))


def _attempt_lines(number: int, attempt: Attempt, now_ms: int) -> list[str]:
    head = f"  {number}. {age(attempt.at_ms, now_ms)}, after {span(attempt.duration_ms)}, on {attempt.worker}"
    said = f"{attempt.error_class} / {attempt.code}: {attempt.message}"
    return [head, *wrapped(said, first="     ", rest="     ")]
