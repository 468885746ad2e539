"""``previewops dlq export``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.dlq.choice import choice_options, chosen
from previewops.cli.output import say_json, tell
from previewops.text import plural

if TYPE_CHECKING:
    from previewops.exporting import Write
    from previewops.listviews import DeadFilter


@click.command(
    epilog="""\b
Examples:
  previewops dlq export > dead.jsonl
  previewops dlq export --project lessons -o dead.jsonl
  previewops dlq export | jq -r .failedReason
"""
)
@choice_options
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Write FILE, whole or not at all, instead of standard output.",
)
@pass_context
def export(context: Context, /, output: str | None, **choice: Any) -> None:
    """Write dead letters as JSON lines, newest first: all of each, payload and attempts included.

    Without a filter, all of them.
    """
    which = chosen(**choice, needed=False)
    target = None if output in (None, "-") else Path(str(output))
    count = asyncio.run(_export(context, which, target))
    tell(f"exported {plural(count, 'dead letter')}" + (f" to {target}" if target else ""))


async def _export(context: Context, which: DeadFilter, target: Path | None) -> int:
    from previewops.deadletters import DeadLetters
    from previewops.exporting import export_file

    count = 0
    async with context.redis() as redis:
        with export_file(target) if target else _stdout() as write:
            async for record in DeadLetters(redis, context.settings).export(which):
                write({**record.as_json(), "payload": record.payload})
                count += 1
    return count


@contextmanager
def _stdout() -> Iterator[Write]:
    yield lambda record: say_json(record, indent=None)
