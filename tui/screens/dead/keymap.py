"""Key actions of the dead-letter screen."""

from __future__ import annotations

from previewops.tui.keymap import KeyAction

KEY_ACTIONS: tuple[KeyAction, ...] = (
    KeyAction("requeue", "r", "Requeue", "Requeue the selection.", mutates=True),
    KeyAction(
        "discard", "x", "Discard", "Delete the selection permanently, after a confirmation.", mutates=True
    ),
    KeyAction("mark", "space", "Mark", "Mark or unmark the row at the cursor."),
    KeyAction("filter", "/", "Filter", "Filter by words, error:…, !excluded; jobs by project:… too."),
    KeyAction("flat", "f", "All/groups", "Switch between the groups and the list of all dead letters."),
    KeyAction("edit", "e", "Edit", "Edit the payload of the job and requeue it.", mutates=True),
    KeyAction("requeue_as", "R", "Requeue as", "Requeue the selection with another priority.", mutates=True),
    KeyAction("mark_all", "a", "Mark page", "Mark or unmark all rows of the page."),
    KeyAction("choose_all", "A", "Select all", "Select all matching jobs, including those beyond the page."),
    KeyAction("export", "w", "Export", "Write the selection to a file, one JSON object per line."),
    KeyAction("details", "v", "Details", "Show or hide the detail panel."),
    KeyAction("filter_out", "!", "", "Show only rows that do not match."),
    KeyAction("copy", "c", "", "Copy the id of the job, or the fingerprint of the group."),
    KeyAction("page(1)", "]", "", "Go to the next page."),
    KeyAction("page(-1)", "[", "", "Go to the previous page."),
)

SELECTION_ACTIONS = frozenset({"requeue", "requeue_as", "discard", "export"})
"""Actions on the selection."""
