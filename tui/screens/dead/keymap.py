"""The keys of the screen of dead letters."""

from __future__ import annotations

from previewops.tui.keymap import KeyAction

KEY_ACTIONS: tuple[KeyAction, ...] = (
    KeyAction("requeue", "r", "r", "Requeue", "Give what is chosen a new life.", mutates=True),
    KeyAction("discard", "x", "x", "Discard", "Delete what is chosen for good; asks first.", mutates=True),
    KeyAction("mark", "space", "space", "Mark", "Mark the row under the cursor, or take its mark away."),
    KeyAction(
        "filter",
        "slash",
        "/",
        "Filter",
        "Show only what matches: words, error:…, !not-this; of jobs project:… too.",
    ),
    KeyAction("flat", "f", "f", "All/causes", "Change between the causes and the list of all dead letters."),
    KeyAction("edit", "e", "e", "Edit", "Edit the payload of the job and requeue it.", mutates=True),
    KeyAction(
        "requeue_as",
        "R",
        "R",
        "Requeue as",
        "Give what is chosen a new life with another priority.",
        mutates=True,
    ),
    KeyAction("mark_all", "a", "a", "Mark page", "Mark all rows of the page, or take their marks away."),
    KeyAction(
        "choose_all", "A", "A", "Choose all", "Choose all that match, beyond the page; counts them first."
    ),
    KeyAction("export", "w", "w", "Export", "Write what is chosen into a file, one JSON object a line."),
    KeyAction("details", "v", "v", "Details", "Show or hide the panel of the one under the cursor."),
    KeyAction("filter_out", "exclamation_mark", "!", "", "Show only what does not match."),
    KeyAction("copy", "c", "c", "", "Copy the id of the job, or the fingerprint of the cause."),
    KeyAction("page(1)", "right_square_bracket", "]", "", "Go to the next page."),
    KeyAction("page(-1)", "left_square_bracket", "[", "", "Go to the page before."),
)

SELECTION_ACTIONS = frozenset({"requeue", "requeue_as", "discard", "export"})
"""Those that apply to what is chosen."""
