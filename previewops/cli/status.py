"""``previewops status``."""

from __future__ import annotations

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_json, print_out
from previewops.cli.shared_options import json_option
from previewops.clock import optional_iso
from previewops.formatting import (
    format_age,
    format_bytes,
    format_duration,
    format_fields,
    format_table,
    pluralize,
    wrap_text,
)
from previewops.queue.records import Attempt, JobRecord
from previewops.states import JobState


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
    """Show one job: state, result and failed attempts."""
    record, now_ms = context.call_with_time(lambda queue: queue.status(job_id))
    if as_json:
        print_json(record.as_json())
    else:
        print_out(format_job(record, now_ms))


def format_job(record: JobRecord, now_ms: int) -> list[str]:
    """Formats a job record without its payload."""
    result = record.result or {}
    lines = format_fields(
        [
            ("job", record.job_id),
            ("project", record.project_id),
            ("batch", record.batch_id),
            ("state", record.state.value),
            ("priority", record.priority.value),
            ("accepted", format_age(record.accepted_ms, now_ms)),
            ("started", record.claimed_ms and format_age(record.claimed_ms, now_ms)),
            ("due", optional_iso(record.due_ms)),
            ("ended", record.finished_ms and format_age(record.finished_ms, now_ms)),
            ("progress", _progress(record)),
            ("worker", record.worker),
            ("attempts", _counts(record)),
            ("reason", record.reason),
            ("error", " / ".join(filter(None, (record.error_class, record.code)))),
            ("cause", record.cause),
            ("group", record.fingerprint),
            ("bundle", result.get("bundle")),
            ("readers see", _previous(record, now_ms)),
        ]
    )
    artifacts = result.get("artifacts")
    if isinstance(artifacts, list) and artifacts:
        lines += ["", *_format_artifact_lines(artifacts)]
    if record.history:
        lines += ["", "Failed attempts"]
        for index, (number, attempt) in enumerate(record.numbered_history):
            if index == 1 and record.attempts_dropped:
                lines.append(f"  … and {pluralize(record.attempts_dropped, 'earlier attempt')}, not kept")
            lines += _format_attempt_lines(number, attempt, now_ms)
    return lines


def _progress(record: JobRecord) -> str | None:
    if record.state is not JobState.ACTIVE:
        return None
    phase = f" ({record.phase})" if record.phase else ""
    return f"{record.fraction * 100:.0f} %{phase}"


def _previous(record: JobRecord, now_ms: int) -> str | None:
    if record.previous_ms is None:
        return None
    return f"the bundle of the payload before, completed {format_age(record.previous_ms, now_ms)}"


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


def _format_artifact_lines(artifacts: list[object]) -> list[str]:
    rows = [
        (artifact.get("path", ""), artifact.get("mediaType", ""), format_bytes(artifact["bytes"]))
        for artifact in artifacts
        if isinstance(artifact, dict) and isinstance(artifact.get("bytes"), int)
    ]
    return format_table(("FILE", "TYPE", "SIZE"), rows, right=("SIZE",))


def _format_attempt_lines(number: int, attempt: Attempt, now_ms: int) -> list[str]:
    age, duration = format_age(attempt.at_ms, now_ms), format_duration(attempt.duration_ms)
    head = f"  {number}. {age}, after {duration}, on {attempt.worker}"
    text = f"{attempt.error_class} / {attempt.code}: {attempt.message}"
    return [head, *wrap_text(text, first="     ", rest="     ")]
