"""``previewops dlq list`` and ``previewops dlq show``."""

from __future__ import annotations

import json
from typing import Any

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.dlq.selection import build_filter, group_by_cause, selection_options
from previewops.cli.output import print_err, print_json, print_out, print_unreadable
from previewops.cli.shared_options import json_option, limit_option
from previewops.cli.status import format_job
from previewops.clock import iso_from_ms
from previewops.disclosure import payload_for_display
from previewops.errors import PreviewopsError
from previewops.formatting import format_age, format_table
from previewops.queue import Queue
from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
from previewops.queue.dead_letters import DeadLetters
from previewops.queue.records import JobRecord
from previewops.queue.tolerant_values import NO_UNREADABLE_KEYS, UnreadableKeys
from previewops.states import JobState


@click.command(
    "list",
    epilog="""\b
Examples:
  previewops dlq list
  previewops dlq list --groups
  previewops dlq list --error asset-missing --older-than 1h --json
""",
)
@selection_options
@click.option("--groups", is_flag=True, help="One line per group with the same error.")
@limit_option
@json_option
@pass_context
def list_(context: Context, /, groups: bool, limit: int, as_json: bool, **options: Any) -> None:
    """List dead letters, newest first. A dead letter has to match all filters."""
    selection = build_filter(**options, required=False)
    if groups:
        dead_groups, now_ms = context.call_with_time(lambda queue: _groups(queue, selection, limit))
        _print_groups(dead_groups, now_ms, as_json)
    else:
        found: list[UnreadableKeys] = []
        records, now_ms = context.call_with_time(
            lambda queue: DeadLetters(queue.redis, queue.settings).newest(
                selection, limit=limit + 1, on_unreadable=found.append
            )
        )
        _print_records(records, limit, now_ms, as_json, found[0] if found else NO_UNREADABLE_KEYS)


@click.command(
    epilog="""\b
Examples:
  previewops dlq show lesson-1
  previewops dlq show lesson-1 --json
"""
)
@click.argument("job_id", metavar="JOB")
@json_option
@pass_context
def show(context: Context, job_id: str, as_json: bool) -> None:
    """Show a dead letter: error, attempts with tracebacks, payload.

    Addresses are shown without their query. `previewops dlq export --payloads` writes whole payloads.
    """
    record, now_ms = context.call_with_time(lambda queue: queue.status(job_id))
    if record.state is not JobState.DEAD:
        raise PreviewopsError(
            f"job {job_id} is {record.state.value}, not a dead letter", hint=f"previewops status {job_id}"
        )
    if as_json:
        print_json({**record.as_json(), "payload": payload_for_display(record.payload)})
        return
    print_out(format_job(record, now_ms))
    for number, attempt in record.numbered_history:
        if attempt.traceback:
            print_out(["", f"Traceback of attempt {number}"])
            print_out(f"  {line}" for line in attempt.traceback.rstrip().splitlines())
    print_out(["", "Payload"])
    print_out(
        f"  {line}"
        for line in json.dumps(payload_for_display(record.payload), indent=2, ensure_ascii=False).splitlines()
    )


async def _groups(queue: Queue, selection: DeadLetterFilter, limit: int) -> tuple[DeadLetterGroup, ...]:
    dead_letters = DeadLetters(queue.redis, queue.settings)
    if selection == DeadLetterFilter():
        return await dead_letters.groups(limit=limit)
    records = await dead_letters.newest(selection, limit=await dead_letters.count(selection))
    return group_by_cause(records)[:limit]


def _print_groups(groups: tuple[DeadLetterGroup, ...], now_ms: int, as_json: bool) -> None:
    if as_json:
        print_json({"groups": [_group_json(group) for group in groups]})
        return
    if not groups:
        print_err("no dead letters")
        return
    rows = [
        (
            group.fingerprint,
            group.count,
            group.example.code or group.example.error_class or "",
            format_age(group.last_ms, now_ms),
            group.example.job_id,
            group.example.reason or "",
        )
        for group in groups
    ]
    print_out(
        format_table(
            ("GROUP", "COUNT", "ERROR", "LAST", "EXAMPLE", "REASON"),
            rows,
            right=("COUNT",),
            flexible="REASON",
        )
    )


def _group_json(group: DeadLetterGroup) -> dict[str, Any]:
    return {
        "fingerprint": group.fingerprint,
        "count": group.count,
        "firstAt": iso_from_ms(group.first_ms),
        "lastAt": iso_from_ms(group.last_ms),
        "example": group.example.as_json(),
    }


def _print_records(
    records: tuple[JobRecord, ...], limit: int, now_ms: int, as_json: bool, unreadable: UnreadableKeys
) -> None:
    shown, more = records[:limit], len(records) > limit
    if as_json:
        print_json(
            {
                "deadLetters": [record.as_json() for record in shown],
                "more": more,
                "unreadable": unreadable.as_json(),
            }
        )
        return
    print_unreadable(unreadable)
    if not shown:
        print_err("no dead letters")
        return
    rows = [
        (
            record.job_id,
            record.project_id,
            record.code or record.error_class or "",
            format_age(record.finished_ms, now_ms),
            record.reason or "",
        )
        for record in shown
    ]
    print_out(format_table(("JOB", "PROJECT", "ERROR", "DIED", "REASON"), rows, flexible="REASON"))
    if more:
        print_err(f"more dead letters than --limit {limit}; see also --groups")
