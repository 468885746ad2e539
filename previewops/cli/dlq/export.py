"""``previewops dlq export``."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.dlq.choice import choice_options, chosen
from previewops.cli.output import json_text, say_json, tell
from previewops.errors import PreviewopsError
from previewops.text import plural

if TYPE_CHECKING:
    from previewops.deadletters import DeadFilter

Sink = Callable[[dict[str, Any]], None]

_MODE = 0o600  # payloads may be nobody else's business


class ExportFailed(PreviewopsError):
    """The file could not be written."""

    code = "export-failed"


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

    count = 0
    async with context.redis() as redis:
        with _file(target) if target else _stdout() as write:
            async for record in DeadLetters(redis, context.settings).export(which):
                write({**record.as_json(), "payload": record.payload})
                count += 1
    return count


@contextmanager
def _stdout() -> Iterator[Sink]:
    yield lambda record: say_json(record, indent=None)


@contextmanager
def _file(target: Path) -> Iterator[Sink]:
    """A file beside ``target`` that takes its name once everything is written."""
    draft = target.parent / f".{target.name}.{secrets.token_hex(4)}.part"
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise _failed(target, error) from error
    file = os.fdopen(handle, "w", encoding="ascii")

    def write(record: dict[str, Any]) -> None:
        try:
            file.write(json_text(record) + "\n")
        except OSError as error:
            raise _failed(target, error) from error

    try:
        yield write
        _keep(file, draft, target)
    finally:
        with suppress(OSError):  # what it could not store has been told
            file.close()
        with suppress(FileNotFoundError):
            draft.unlink()


def _keep(file: TextIO, draft: Path, target: Path) -> None:
    try:
        file.flush()
        os.fsync(file.fileno())
        draft.rename(target)
    except OSError as error:
        raise _failed(target, error) from error


def _failed(target: Path, error: OSError) -> ExportFailed:
    return ExportFailed(f"{target} cannot be written: {error.strerror or error}")
