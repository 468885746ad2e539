"""The loop of ``previewops render --watch``: renders, shows, waits for a change, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from previewops.cli.file_watch import FileWatch
from previewops.errors import PreviewopsError
from previewops.message_formatting import format_path

MAX_LISTED = 3
"""Changed files that are named."""


def watch_and_render(
    *,
    files: Callable[[], Sequence[Path]],
    render: Callable[[], None],
    watch: FileWatch,
    report: Callable[[str], None],
    report_error: Callable[[PreviewopsError], None],
) -> int:
    """Calls ``render`` now and after every change of ``files``, which are asked for again before each render.

    An error is reported and waited out: the next change may correct it. Returns the exit code 0 on Ctrl-C.
    """
    try:
        while True:
            before = watch.read(files())
            try:
                render()
            except PreviewopsError as error:
                report_error(error)
            report("waiting for changes; press Ctrl-C to end")
            report(f"changed: {format_changes(watch.wait(before))}")
    except KeyboardInterrupt:
        report("")  # the terminal has echoed ^C
        return 0


def format_changes(paths: Sequence[Path]) -> str:
    """Names the first ``paths``, and counts the others."""
    names = [format_path(path.name) for path in paths[:MAX_LISTED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
