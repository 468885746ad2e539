"""All key bindings: action, keys, where they are shown and whether they change anything.

Bindings, footer, command palette and help are built from these tables, so they always list the same actions.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyAction:
    """One action and its keys.

    ``keys`` are characters or Textual key names, separated by commas. ``label`` is the footer text of one or two
    words ("" hides it there); ``help`` is one sentence for the help and the palette. ``mutates`` marks actions that
    change the queue or the fleet: a read-only screen hides them.
    """

    action: str
    keys: str
    label: str
    help: str
    mutates: bool = False

    @property
    def key_label(self) -> str:
        """The first key as the footer and the help name it."""
        key = self.keys.partition(",")[0]
        return {"escape": "esc", "ctrl+x": "^x", "f5": "F5", "comma": ","}.get(key, key)


SCREENS: tuple[tuple[str, str], ...] = (
    ("overview", "Overview"),
    ("jobs", "Jobs"),
    ("job", "Job"),
    ("dead", "Dead letters"),
    ("workers", "Workers"),
    ("events", "Events"),
    ("health", "Health"),
)
"""(mode, title) of every screen, in the order of the number keys."""

GLOBAL: tuple[KeyAction, ...] = (
    *(
        KeyAction(f"show('{mode}')", str(number), "", f"Go to {title}.")
        for number, (mode, title) in enumerate(SCREENS, 1)
    ),
    KeyAction("help", "?", "Help", "Show the keys of this screen."),
    KeyAction("commands", ":,ctrl+p", "Commands", "Find an action by name."),
    KeyAction("pause", "p", "Pause", "Pause the queue, or resume it.", mutates=True),
    KeyAction("freeze", "z", "Freeze", "Freeze the display, or unfreeze it. The queue is not affected."),
    KeyAction("faster", "+,=", "", "Poll the queue more often."),
    KeyAction("slower", "-", "", "Poll the queue less often."),
    KeyAction("enlarge", "m", "", "Maximize one panel, or restore it."),
    KeyAction("cancel_command", "ctrl+x", "", "Cancel the running command after its current batch."),
    KeyAction("next_theme", "t", "", "Switch to the next theme."),
    KeyAction("back", "escape", "", "Go back: clear the filter or close what is open."),
    KeyAction("quit", "q,ctrl+q,ctrl+c", "Quit", "Quit the screen."),
)

REPLAY: tuple[KeyAction, ...] = (
    KeyAction("hold", "h", "Hold", "Pause the replay, or continue it."),
    KeyAction("seek(-10)", "comma", "-10 s", "Go back 10 s in the recording."),
    KeyAction("seek(10)", ".", "+10 s", "Go forward 10 s in the recording."),
    KeyAction("seek(-300)", "<", "-5 min", "Go back 5 min in the recording."),
    KeyAction("seek(300)", ">", "+5 min", "Go forward 5 min in the recording."),
    KeyAction("speed(-1)", "(", "Slower", "Play the recording more slowly."),
    KeyAction("speed(1)", ")", "Faster", "Play the recording faster."),
    KeyAction("to_start", "{,ctrl+home", "Start", "Go to the start of the recording."),
    KeyAction("to_end", "},ctrl+end", "End", "Go to the end of the recording."),
)
"""Additional key actions while a recording is replayed."""


def is_app_action(key_action: KeyAction) -> bool:
    """Whether the action belongs to the app and not to one screen."""
    return key_action in GLOBAL or key_action in REPLAY


def namespaced_action(key_action: KeyAction) -> str:
    """The action with its namespace ("app." or "screen."), as clicks and the palette need it."""
    return f"{'app' if is_app_action(key_action) else 'screen'}.{key_action.action}"


def action_name(key_action: KeyAction) -> str:
    """The action's name without its parameters, as ``check_action`` receives it."""
    return parse_action_name(key_action.action)


def parse_action_name(action: str) -> str:
    """The name of an action without its parameters and namespace."""
    return action.partition("(")[0].rpartition(".")[2]
