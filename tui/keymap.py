"""Every key there is: what it does, where it is shown, and whether it is dangerous. Bindings, footer, palette and
help are made from these, so that none of them can know of an action that the others do not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyAction:
    """One action and its keys.

    ``keys`` are Textual's names, separated by commas; ``shown`` is what the footer calls the key; ``label`` one or
    two words for the footer ("" keeps it out of there); ``help`` one sentence for the help and the palette.
    ``dangerous`` ones change the queue or the fleet: a read-only screen has none of them.
    """

    action: str
    keys: str
    key_label: str
    label: str
    help: str
    mutates: bool = False


SCREENS: tuple[tuple[str, str], ...] = (
    ("overview", "Overview"),
    ("jobs", "Jobs"),
    ("job", "Job"),
    ("dead", "Dead letters"),
    ("workers", "Workers"),
    ("events", "Events"),
    ("health", "Health"),
)
"""(mode, title) of every screen, in the order of their number keys."""

GLOBAL: tuple[KeyAction, ...] = (
    *(
        KeyAction(f"show('{mode}')", str(number), str(number), "", f"Go to {title}.")
        for number, (mode, title) in enumerate(SCREENS, 1)
    ),
    KeyAction("help", "question_mark", "?", "Help", "Say what the keys of this screen do."),
    KeyAction("commands", "colon,ctrl+p", ":", "Commands", "Find an action by its name."),
    KeyAction(
        "pause",
        "p",
        "p",
        "Pause",
        "Stop workers from taking jobs, or let them take jobs again.",
        mutates=True,
    ),
    KeyAction("freeze", "z", "z", "Freeze", "Hold the display still; the queue goes on."),
    KeyAction("faster", "plus,equals_sign", "+", "", "Look at the queue more often."),
    KeyAction("slower", "minus", "-", "", "Look at the queue less often."),
    KeyAction("enlarge", "m", "m", "", "Give one panel the whole screen, or give it back."),
    KeyAction("stop_acts", "ctrl+x", "^x", "", "Stop what is being carried out, after its present batch."),
    KeyAction("next_theme", "t", "t", "", "Change to the next theme."),
    KeyAction("back", "escape", "esc", "", "Go back; clear the filter; close what is open."),
    KeyAction("quit", "q,ctrl+q,ctrl+c", "q", "Quit", "Leave the screen."),
)

REPLAY: tuple[KeyAction, ...] = (
    KeyAction("hold", "h", "h", "Hold", "Stop at this moment of the recording, or play on."),
    KeyAction("seek(-10)", "comma", ",", "-10 s", "Go 10 s back in the recording."),
    KeyAction("seek(10)", "full_stop", ".", "+10 s", "Go 10 s on in the recording."),
    KeyAction("seek(-300)", "less_than_sign", "<", "-5 min", "Go 5 min back in the recording."),
    KeyAction("seek(300)", "greater_than_sign", ">", "+5 min", "Go 5 min on in the recording."),
    KeyAction("speed(-1)", "left_parenthesis", "(", "Slower", "Play the recording more slowly."),
    KeyAction("speed(1)", "right_parenthesis", ")", "Faster", "Play the recording faster."),
    KeyAction("to_start", "left_curly_bracket,ctrl+home", "{", "Start", "Go to the start of the recording."),
    KeyAction("to_end", "right_curly_bracket,ctrl+end", "}", "End", "Go to the end of the recording."),
)
"""What there is beside these while a recording is replayed."""


def is_app_action(deed: KeyAction) -> bool:
    """Whether a deed is the app's and not one screen's."""
    return deed in GLOBAL or deed in REPLAY


def namespaced_action(deed: KeyAction) -> str:
    """The action with the name of whose it is, as clicks and the palette need it."""
    return f"{'app' if is_app_action(deed) else 'screen'}.{deed.action}"


def action_name(deed: KeyAction) -> str:
    """The action's name without its parameters, as ``check_action`` gets it."""
    return parse_action_name(deed.action)


def parse_action_name(action: str) -> str:
    """The name of an action without its parameters and without whose it is."""
    return action.partition("(")[0].rpartition(".")[2]
