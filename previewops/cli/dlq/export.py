"""``previewops dlq export``."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

from previewops.atomic_files import open_jsonl_atomically
from previewops.cli.context import Context, pass_context
from previewops.cli.dlq.selection import build_filter, selection_options
from previewops.cli.output import print_err, print_json, print_unreadable
from previewops.errors import EXIT_FAILED
from previewops.formatting import pluralize
from previewops.queue import Queue
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.dead_letters import DeadLetters


@click.command(
    epilog="""\b
Examples:
  previewops dlq export > dead.jsonl
  previewops dlq export --project lessons -o dead.jsonl
  previewops dlq export --payloads --error disk-full -o retry.jsonl
  previewops dlq export | jq -r .failedReason
"""
)
@selection_options
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Write to FILE atomically instead of standard output.",
)
@click.option("--payloads", is_flag=True, help="Only payloads, for `previewops submit --jsonl`.")
@pass_context
def export(context: Context, /, output: str | None, payloads: bool, **options: Any) -> int:
    """Write dead letters as JSON Lines, newest first, with payloads and attempts.

    Without a filter, all dead letters are exported. Payloads of --payloads can be submitted to another Redis, or
    to this one after the dead letters are discarded.
    """
    selection = build_filter(**options, required=False)
    target = None if output in (None, "-") else Path(str(output))
    exported, skipped = context.call(lambda queue: _export(queue, selection, target, payloads=payloads))
    records = pluralize(len(exported) - len(skipped), "payload" if payloads else "dead letter")
    print_err(f"exported {records}" + (f" to {target}" if target else ""))
    if skipped:
        print_err(f"skipped, payload missing: {', '.join(skipped)}")
    if missing := selection.missing_ids(exported):
        print_err(f"not dead letters: {', '.join(missing)}")
    return EXIT_FAILED if skipped or missing else 0


async def _export(
    queue: Queue, selection: DeadLetterFilter, target: Path | None, *, payloads: bool
) -> tuple[set[str], list[str]]:
    """Returns the ids of all exported dead letters, and the ids that were skipped as their payload is missing."""
    exported: set[str] = set()
    skipped: list[str] = []
    with open_jsonl_atomically(target) if target else nullcontext(partial(print_json, indent=None)) as write:
        async for record in DeadLetters(queue.redis, queue.settings).export(
            selection, on_unreadable=print_unreadable
        ):
            exported.add(record.job_id)
            if not payloads:
                write({**record.as_json(), "payload": record.payload})
            elif record.payload is not None:
                write(record.payload)
            else:
                skipped.append(record.job_id)
    return exported, skipped
