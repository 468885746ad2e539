"""All key bindings: action, keys, where they are shown and whether they change anything.

Bindings, footer, command palette, help and hints are built from these tables, so they always name the same keys. Text
that names a key gets it from ``key_of`` or ``key_span``: a key written by hand may act when the operator follows it.
"""

from __future__ import annotations

from collections.abc import Mapping

from previewops.tui.key_action import KeyAction, with_ids, with_ids_of_parts

SCREENS: tuple[tuple[str, str], ...] = (
    ("overview", "Overview"),
    ("jobs", "Jobs"),
    ("job", "Job"),
    ("dead", "Dead letters"),
    ("workers", "Workers"),
    ("events", "Events"),
    ("health", "Health"),
    ("projects", "Projects"),
)
"""(mode, title) of every screen, in the order of the number keys."""

GLOBAL: tuple[KeyAction, ...] = with_ids(
    "app",
    (
        *(
            KeyAction(f"show('{mode}')", str(number), "", f"Go to {title}.")
            for number, (mode, title) in enumerate(SCREENS, 1)
        ),
        KeyAction("help", "?", "Help", "Show the keys of this screen."),
        KeyAction(
            "commands",
            ":,ctrl+p",
            "Commands",
            "Find an action by name, or a job by its id, requestId or title.",
        ),
        KeyAction("choose_queue", "@", "", "Switch to another queue or context."),
        KeyAction("pause", "p", "Pause", "Pause the queue, or resume it.", mutates=True),
        KeyAction("freeze", "z", "Freeze", "Freeze the display, or unfreeze it. The queue is not affected."),
        KeyAction("choose_filter", "apostrophe", "", "Choose one of the saved filters for this list."),
        KeyAction("save_filter", "quotation_mark", "", "Save the active filter under a name."),
        KeyAction("faster", "+,=", "", "Poll the queue more often."),
        KeyAction("slower", "-", "", "Poll the queue less often."),
        KeyAction(
            "enlarge", "m", "", "Maximize the focused panel, or each panel in turn; again, restore it."
        ),
        KeyAction("cancel_command", "ctrl+x", "", "Cancel the running command after its current batch."),
        KeyAction("local_time", "U", "", "Switch clock times between UTC and local time."),
        KeyAction("next_theme", "t", "", "Switch to the next theme."),
        KeyAction("back", "escape", "", "Go back: clear the filter or close what is open."),
        KeyAction("quit", "q,ctrl+q,ctrl+c", "Quit", "Quit the screen."),
    ),
)

SCREEN_KEYS: Mapping[str, tuple[KeyAction, ...]] = with_ids_of_parts(
    {
        "overview": (
            KeyAction("period", "d", "Hour/day", "Switch the charts between the last hour and the last day."),
        ),
        "jobs": (
            KeyAction("filter(False)", "/", "Filter", "Show matching jobs."),
            KeyAction("filter(True)", "!", "", "Show jobs that do not match."),
            KeyAction("step_state(1)", "s", "State", "Show the jobs of the next state."),
            KeyAction("step_state(-1)", "S", "", "Show the jobs of the previous state."),
            KeyAction("turn_page(1)", "]", "", "Go to the next page."),
            KeyAction("turn_page(-1)", "[", "", "Go to the previous page."),
            KeyAction(
                "cancel", "x", "Cancel", "Cancel the selected jobs, or the job at the cursor.", mutates=True
            ),
            KeyAction(
                "discard",
                "x",
                "Discard",
                "Delete the selected dead letters permanently, or the one at the cursor.",
                mutates=True,
            ),
            KeyAction(
                "requeue",
                "r",
                "Requeue",
                "Requeue the selected dead letters, or the one at the cursor.",
                mutates=True,
            ),
            KeyAction(
                "run_again",
                "r",
                "Run again",
                "Render the selected completed or cancelled jobs again, or the one at the cursor.",
                mutates=True,
            ),
            KeyAction(
                "delete",
                "D",
                "Delete",
                "Delete the selected completed or cancelled jobs with their bundles, or the one at the cursor.",
                mutates=True,
            ),
            KeyAction(
                "priority",
                "P",
                "Priority",
                "Change the priority of the marked waiting or delayed jobs, or of the one at the cursor.",
                mutates=True,
            ),
            KeyAction(
                "run_now",
                "R",
                "Run now",
                "Let the marked delayed jobs run now, or the one at the cursor.",
                mutates=True,
            ),
            KeyAction("mark", "space", "Mark", "Mark or unmark the job at the cursor."),
            KeyAction("mark_all", "a", "Mark page", "Mark or unmark all jobs of the page."),
            KeyAction(
                "choose_all", "A", "Select all", "Select all matching jobs, including those beyond the page."
            ),
            KeyAction("order", "o", "Order", "Show the oldest jobs first, or the newest."),
            KeyAction("sort", "O", "Sort", "Sort by the next column, or end that after the last."),
            KeyAction("reverse_sort", "I", "", "Reverse the sort."),
            KeyAction("copy", "c", "Copy id", "Copy the id of the job at the cursor, or the marked ones."),
            KeyAction("refresh_page", "f5", "", "Refresh this page."),
        ),
        "job": (
            KeyAction("picture(1)", "n", "Next", "Show the next image."),
            KeyAction("picture(-1)", "N", "", "Show the previous image."),
            KeyAction("switch", "v", "View", "Switch between payload, failed attempts and artifacts."),
            KeyAction("requeue", "r", "Requeue", "Requeue this dead letter.", mutates=True),
            KeyAction(
                "run_again", "r", "Run again", "Render this completed or cancelled job again.", mutates=True
            ),
            KeyAction(
                "delete",
                "D",
                "Delete",
                "Delete this completed or cancelled job with its bundle.",
                mutates=True,
            ),
            KeyAction("edit", "e", "Edit", "Edit the payload and requeue the job.", mutates=True),
            KeyAction("cancel", "x", "Cancel", "Cancel this job.", mutates=True),
            KeyAction(
                "priority", "P", "Priority", "Change the priority of this job while it waits.", mutates=True
            ),
            KeyAction("run_now", "R", "Run now", "Let this delayed job run now.", mutates=True),
            KeyAction("copy", "c", "Copy id", "Copy the job's id to the clipboard."),
            KeyAction("copy_path", "C", "Copy path", "Copy the path of the job's bundle to the clipboard."),
        ),
        "dead": (
            KeyAction("requeue", "r", "Requeue", "Requeue the selection.", mutates=True),
            KeyAction(
                "discard",
                "x",
                "Discard",
                "Delete the selection permanently, after a confirmation.",
                mutates=True,
            ),
            KeyAction("mark", "space", "Mark", "Mark or unmark the row at the cursor."),
            KeyAction(
                "filter(False)", "/", "Filter", "Filter by words, error:…, !excluded; jobs by project:… too."
            ),
            KeyAction(
                "facets",
                "i",
                "Inside",
                "Show what is in the group: its dead letters by project, host and hour; filter by one of them.",
            ),
            KeyAction(
                "flat", "f", "All/groups", "Switch between the groups and the list of all dead letters."
            ),
            KeyAction("edit", "e", "Edit", "Edit the payload of the job and requeue it.", mutates=True),
            KeyAction(
                "requeue_as", "R", "Requeue as", "Requeue the selection with another priority.", mutates=True
            ),
            KeyAction("mark_all", "a", "Mark page", "Mark or unmark all rows of the page."),
            KeyAction(
                "choose_all", "A", "Select all", "Select all matching jobs, including those beyond the page."
            ),
            KeyAction("export", "w", "Export", "Write the selection to a file, one JSON object per line."),
            KeyAction("details", "v", "Details", "Show or hide the detail panel."),
            KeyAction("filter(True)", "!", "", "Show only rows that do not match."),
            KeyAction("copy", "c", "", "Copy the id of the job, or the fingerprint of the group."),
            KeyAction("page(1)", "]", "", "Go to the next page."),
            KeyAction("page(-1)", "[", "", "Go to the previous page."),
        ),
        "workers": (
            KeyAction("scale", "S", "Scale", "Change the number of workers of the host.", mutates=True),
            KeyAction(
                "drain",
                "d",
                "Drain",
                "Finish the jobs of the worker or host, then stop claiming.",
                mutates=True,
            ),
            KeyAction(
                "restart",
                "r",
                "Restart",
                "Replace the worker, or all workers of the host one by one.",
                mutates=True,
            ),
            KeyAction(
                "reset",
                "u",
                "Reset",
                "Restart workers that have stopped, back off or are drained.",
                mutates=True,
            ),
            KeyAction(
                "log", "L", "Log", "Show the last lines of the worker's log, on whatever host it runs."
            ),
            KeyAction("open_run(0)", "enter", "Job", "Open the first running job."),
            KeyAction("copy_id", "c", "Copy id", "Copy the id of the worker or supervisor."),
        ),
        "events": (
            KeyAction("filter(False)", "/", "Filter", "Show matching events: kind:dead who:ada timeout."),
            KeyAction("filter(True)", "!", "Inverse", "Show events that do not match."),
            KeyAction("follow", "f", "Follow", "Follow new events, or stop at the current rows."),
            KeyAction("operators_only", "o", "Operators", "Show only operator actions, or all events."),
            KeyAction("toggle_burst", "enter", "Unfold", "List the events of a burst, or fold them again."),
            KeyAction("fold", "b", "Bursts", "Fold bursts of events of one kind, or list every event."),
            KeyAction("open", "enter", "Job", "Open the event's job."),
            KeyAction("copy_id", "c", "Copy id", "Copy the id of the event's job, worker or host."),
        ),
        "projects": (
            KeyAction(
                "dimension", "b", "By", "Show the ended jobs by project, output format or priority in turn."
            ),
            KeyAction(
                "open_jobs", "enter", "Jobs", "Open the jobs of the project or priority at the cursor."
            ),
            KeyAction(
                "weight",
                "w",
                "Weight",
                "Change the weight of the project at the cursor: its share of turns.",
                mutates=True,
            ),
            KeyAction(
                "maximum",
                "M",
                "Maximum",
                "Change how many jobs of the project at the cursor may be active at once.",
                mutates=True,
            ),
            KeyAction("sort", "O", "Sort", "Sort by the next column."),
            KeyAction("reverse_sort", "I", "", "Reverse the sorted rows."),
        ),
        "health": (
            KeyAction("silence", "s", "Silence", "Silence the check at the cursor for a time.", mutates=True),
            KeyAction(
                "end_silence", "u", "Unsilence", "End the silence of the check at the cursor.", mutates=True
            ),
            KeyAction(
                "acknowledge",
                "a",
                "Acknowledge",
                "End the alarm about lost data, after submitting the pending jobs again.",
                mutates=True,
            ),
            KeyAction(
                "webhooks", "w", "Webhooks", "List webhooks that failed or wait, and resend the failed ones."
            ),
        ),
    }
)
"""Key actions of each screen, by mode."""

SELECTION_ACTIONS = frozenset({"requeue", "requeue_as", "discard", "export"})
"""Actions on the selection of the dead-letter screen."""

PART_KEYS: Mapping[str, tuple[KeyAction, ...]] = with_ids_of_parts(
    {
        "grid": (KeyAction("choose", "enter", "", "Open the row at the cursor."),),
        "list": (
            KeyAction("move(-1)", "up,k", "", "Go to the previous row."),
            KeyAction("move(1)", "down,j", "", "Go to the next row."),
            KeyAction("page(-1)", "pageup,ctrl+b", "", "Go back by a page."),
            KeyAction("page(1)", "pagedown,ctrl+f", "", "Go forward by a page."),
            KeyAction("edge(-1)", "home,g", "", "Go to the first row."),
            KeyAction("edge(1)", "end,G", "", "Go to the last row."),
        ),
        "picture": (
            KeyAction("step(1)", "right,down,j", "", "Show the next image."),
            KeyAction("step(-1)", "left,up,k", "", "Show the previous image."),
        ),
        "dialog": (
            KeyAction("leave", "escape", "", "Close the dialog without an effect."),
            KeyAction("app.focus_previous", "left,up", "", "Go to the previous field or button."),
            KeyAction("app.focus_next", "right,down", "", "Go to the next field or button."),
        ),
        "choice": (
            KeyAction("focused_list('down')", "j", "", "Go to the next option."),
            KeyAction("focused_list('up')", "k", "", "Go to the previous option."),
        ),
        "pick": (
            KeyAction("step(1)", "j", "", "Go to the next entry."),
            KeyAction("step(-1)", "k", "", "Go to the previous entry."),
            KeyAction("remove", "x,delete", "", "Remove the entry from the list."),
        ),
        "viewer": (KeyAction("leave", "escape,q,enter", "", "Close the text."),),
        "help": (KeyAction("leave", "escape,question_mark,q,enter", "", "Close the help."),),
        "editor": (
            KeyAction("send", "ctrl+s", "", "Validate the payload and requeue the job."),
            KeyAction("next_violation", "ctrl+n,f8", "", "Go to the next violation."),
        ),
    }
)
"""Keys of parts of a screen and of dialogs. They are named in hints, and are not in footer and palette."""

KEEP_FILTER = KeyAction("keep", "enter", "", "Keep the filter.")
"""Has no id: a text input handles its key itself."""

REPLAY: tuple[KeyAction, ...] = with_ids(
    "replay",
    (
        KeyAction("hold", "h", "Hold", "Pause the replay, or continue it."),
        KeyAction("go_to_time", "T", "Go to", "Go to a time of the recording, or on by a time such as +5m."),
        KeyAction("go_to_alarm(1)", "*", "Next alarm", "Go to the next change of the queue's health."),
        KeyAction(
            "go_to_alarm(-1)",
            "#",
            "Previous",
            "Go back to the previous change of the queue's health.",
        ),
        KeyAction("seek(-10)", "comma", "-10 s", "Go back 10 s in the recording."),
        KeyAction("seek(10)", ".", "+10 s", "Go forward 10 s in the recording."),
        KeyAction("seek(-300)", "<", "-5 min", "Go back 5 min in the recording."),
        KeyAction("seek(300)", ">", "+5 min", "Go forward 5 min in the recording."),
        KeyAction("speed(-1)", "(", "Slower", "Play the recording more slowly."),
        KeyAction("speed(1)", ")", "Faster", "Play the recording faster."),
        KeyAction("to_start", "{,ctrl+home", "Start", "Go to the start of the recording."),
        KeyAction("to_end", "},ctrl+end", "End", "Go to the end of the recording."),
    ),
)
"""Additional key actions while a recording is replayed."""


def is_app_action(key_action: KeyAction) -> bool:
    """Whether the action belongs to the app and not to one screen."""
    return key_action in GLOBAL or key_action in REPLAY


def namespaced_action(key_action: KeyAction) -> str:
    """The action with its namespace ("app." or "screen."), as clicks and the palette need it."""
    return f"{'app' if is_app_action(key_action) else 'screen'}.{key_action.action}"


def find_key_action(action: str, where: str = "") -> KeyAction:
    """The key action with exactly this action (with its parameters).

    ``where`` is a screen's mode or a part of ``PART_KEYS``; "" searches what is available everywhere.

    Raises:
        KeyError: there is none.
    """
    tables = {"": (*GLOBAL, *REPLAY), **SCREEN_KEYS, **PART_KEYS}
    for key_action in tables[where]:
        if key_action.action == action:
            return key_action
    raise KeyError(f"key action: found {action!r} on {where or 'every screen'!r}, allowed one of the key map")


def key_of(action: str, where: str = "") -> str:
    """The key of an action for a sentence; arguments and errors as for ``find_key_action``."""
    return find_key_action(action, where).key_word
