"""Formats values as terminal-safe text: tables, fields, ages, durations, sizes. Prints nothing."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

from previewops.message_formatting import escape_unprintable

DEFAULT_COLUMNS = 80
_MIN_FLEXIBLE = 12
_GAP = "  "
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGES = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))
MAX_DURATION_MS = 36_500 * _UNIT_MS["d"]


def clean(text: object) -> str:
    """Returns ``text`` on one line, with all control characters escaped.

    All text for the terminal passes through here: job ids, messages and reasons may come from an untrusted client.
    """
    return escape_unprintable(str(text))


def display_width(text: str) -> int:
    """Returns how many terminal columns ``text`` takes."""
    if text.isascii():
        return len(text)
    spacing = (character for character in text if not unicodedata.combining(character))
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in spacing)


def truncate(text: str, columns: int) -> str:
    """Returns ``text`` in at most ``columns`` columns, with an ellipsis where it is truncated."""
    if display_width(text) <= columns:
        return text
    kept = text[:columns]
    while display_width(kept) > columns - 1:
        kept = kept[:-1]
    return kept + "…"


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - display_width(text))


def format_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    flexible: str | None = None,
    columns: int | None = None,
) -> list[str]:
    """Formats an aligned table, one string per line.

    ``right`` names the right-aligned columns. ``flexible`` names the column to truncate so that lines fit ``columns``
    (None: the terminal's width; nothing is truncated in a pipe or a file, where nobody could see the rest). Other
    columns, such as identifiers, are never truncated.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    columns_of_cells = zip(headers, *cells, strict=True)
    widths = [max(map(display_width, column)) for column in columns_of_cells]
    columns = columns or output_columns()
    if flexible is not None and columns is not None:
        index = list(headers).index(flexible)
        others = sum(widths) - widths[index] + len(_GAP) * (len(widths) - 1)
        widths[index] = min(widths[index], max(_MIN_FLEXIBLE, columns - others))
        for row in cells:
            row[index] = truncate(row[index], widths[index])
    return [_line(headers, widths, headers, right)] + [_line(row, widths, headers, right) for row in cells]


def _line(cells: Sequence[str], widths: Sequence[int], headers: Sequence[str], right: Sequence[str]) -> str:
    parts = [
        " " * (size - display_width(cell)) + cell if header in right else _padded(cell, size)
        for cell, size, header in zip(cells, widths, headers, strict=True)
    ]
    return _GAP.join(parts).rstrip()


def format_fields(
    pairs: Iterable[tuple[str, object | None]], *, indent: str = "", columns: int | None = None
) -> list[str]:
    """Formats aligned ``name  value`` lines; pairs whose value is None or empty are omitted.

    Long values are wrapped at spaces to fit ``columns`` (None: the terminal's width, or 80).
    """
    shown = [(name, clean(value)) for name, value in pairs if value is not None and value != ""]
    size = max((display_width(name) for name, _ in shown), default=0)
    lines: list[str] = []
    for name, value in shown:
        first = f"{indent}{_padded(name, size)}{_GAP}"
        lines += wrap_text(value, first=first, rest=" " * display_width(first), columns=columns)
    return lines


def wrap_text(text: str, *, first: str, rest: str, columns: int | None = None) -> list[str]:
    """Escapes ``text`` and wraps it at spaces to ``columns``.

    ``first`` precedes its first line, ``rest`` the others. Words are never split, so paths can be copied.
    """
    return textwrap.wrap(
        clean(text),
        columns or terminal_columns(),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def output_columns() -> int | None:
    """Returns the columns that standard output has: COLUMNS, the terminal's width, or None for a pipe or a file."""
    if os.environ.get("COLUMNS") or (sys.stdout is not None and sys.stdout.isatty()):
        return terminal_columns()
    return None


def terminal_columns() -> int:
    """Returns the width of the terminal, from COLUMNS, or 80."""
    return shutil.get_terminal_size((DEFAULT_COLUMNS, 24)).columns


def format_age(then_ms: int | None, now_ms: int) -> str:
    """Formats the time since ``then_ms``: "just now", "42 s ago", "4 min ago", "3 h ago", "2 d ago", or "-"."""
    if then_ms is None:
        return "-"
    passed = now_ms - then_ms
    for unit_ms, name in _AGES:
        if passed >= unit_ms:
            return f"{passed // unit_ms} {name} ago"
    return "just now"


def format_duration(ms: float | None) -> str:
    """Formats a duration: "830 ms", "2.4 s", "3 min 20 s", "2 h 5 min", "4 d 2 h", or "-"."""
    if ms is None:
        return "-"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    total_s = round(seconds)
    if total_s < 3600:
        return f"{total_s // 60} min {total_s % 60} s"
    if total_s < 86_400:
        return f"{total_s // 3600} h {total_s % 3600 // 60} min"
    return f"{total_s // 86_400} d {total_s % 86_400 // 3600} h"


def format_bytes(count: int) -> str:
    """Formats bytes: "512 B", "12.3 KiB", "4.0 MiB" or "1.2 GiB"."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB"):
        value /= 1024
        if value < 1023.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} GiB"


def pluralize(count: int, one: str, many: str | None = None) -> str:
    """Formats a count with its noun: "1 job", "3 jobs"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def parse_age_ms(text: str) -> int | None:
    """Parses "30s", "15m", "2h" or "7d" to ms; None for other text."""
    match = re.fullmatch(r"([0-9]{1,12})([smhd])", text.strip())
    if match is None:
        return None
    ms = int(match[1]) * _UNIT_MS[match[2]]
    return ms if ms <= MAX_DURATION_MS else None
