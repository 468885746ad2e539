"""The active filter as text: always whole, because operators read it before an action on all jobs that match."""

from __future__ import annotations

from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, width_of
from previewops.tui.viewmodel.wrap import wrap

MAX_FILTER_CHARACTERS = 500

_LABEL = "active filter: "


def kept_filter_lines(text: str, mode: str, columns: int) -> list[Line]:
    """The filter in as many rows as it needs, then the keys that change it, if they fit into the last row.

    ``mode`` is the screen whose keys are named.
    """
    rows = wrap((Span(_LABEL, Tone.WARN), clean_span(text, Tone.WARN)), columns)
    keys: Line = (
        Span("  "),
        *key_hint("filter(False)", "edits it, ", mode),
        *key_hint("filter(True)", "negates it, ", mode),
        *key_hint("back", "clears it"),
    )
    if rows and width_of(rows[-1]) + width_of(keys) <= columns:
        gap = columns - width_of(rows[-1]) - width_of(keys)
        rows[-1] = (*rows[-1], Span(" " * gap), *keys)
    return rows
