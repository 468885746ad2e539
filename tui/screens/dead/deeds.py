"""The keys of the screen of dead letters."""

from __future__ import annotations

from previewops.tui.deeds import Deed

DEEDS: tuple[Deed, ...] = (
    Deed("requeue", "r", "r", "Requeue", "Give what is chosen a new life.", dangerous=True),
    Deed("discard", "x", "x", "Discard", "Delete what is chosen for good; asks first.", dangerous=True),
    Deed("mark", "space", "space", "Mark", "Mark the row under the cursor, or take its mark away."),
    Deed(
        "filter",
        "slash",
        "/",
        "Filter",
        "Show only what matches: words, error:…, !not-this; of jobs project:… too.",
    ),
    Deed("flat", "f", "f", "All/causes", "Change between the causes and the list of all dead letters."),
    Deed("edit", "e", "e", "Edit", "Edit the payload of the job and requeue it.", dangerous=True),
    Deed(
        "requeue_as",
        "R",
        "R",
        "Requeue as",
        "Give what is chosen a new life with another priority.",
        dangerous=True,
    ),
    Deed("mark_all", "a", "a", "Mark page", "Mark all rows of the page, or take their marks away."),
    Deed("choose_all", "A", "A", "Choose all", "Choose all that match, beyond the page; counts them first."),
    Deed("export", "w", "w", "Export", "Write what is chosen into a file, one JSON object a line."),
    Deed("details", "v", "v", "Details", "Show or hide the panel of the one under the cursor."),
    Deed("filter_out", "exclamation_mark", "!", "", "Show only what does not match."),
    Deed("copy", "c", "c", "", "Copy the id of the job, or the fingerprint of the cause."),
    Deed("page(1)", "right_square_bracket", "]", "", "Go to the next page."),
    Deed("page(-1)", "left_square_bracket", "[", "", "Go to the page before."),
)

ON_A_CHOICE = frozenset({"requeue", "requeue_as", "discard", "export"})
"""Those that apply to what is chosen."""
