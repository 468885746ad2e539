"""Every key there is: what it does, where it is shown, and whether it is dangerous. Bindings, footer, palette and
help are made from these, so that none of them can know of an action that the others do not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deed:
    """One action and its keys.

    ``keys`` are Textual's names, separated by commas; ``shown`` is what the footer calls the key; ``label`` one or
    two words for the footer ("" keeps it out of there); ``help`` one sentence for the help and the palette.
    ``dangerous`` ones change the queue or the fleet: a read-only screen has none of them.
    """

    action: str
    keys: str
    shown: str
    label: str
    help: str
    dangerous: bool = False


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

EVERYWHERE: tuple[Deed, ...] = (
    *(
        Deed(f"show('{mode}')", str(number), str(number), "", f"Go to {title}.")
        for number, (mode, title) in enumerate(SCREENS, 1)
    ),
    Deed("help", "question_mark", "?", "Help", "Say what the keys of this screen do."),
    Deed("commands", "colon,ctrl+p", ":", "Commands", "Find an action by its name."),
    Deed(
        "pause",
        "p",
        "p",
        "Pause",
        "Stop workers from taking jobs, or let them take jobs again.",
        dangerous=True,
    ),
    Deed("freeze", "z", "z", "Freeze", "Hold the display still; the queue goes on."),
    Deed("faster", "plus,equals_sign", "+", "", "Look at the queue more often."),
    Deed("slower", "minus", "-", "", "Look at the queue less often."),
    Deed("enlarge", "m", "m", "", "Give one panel the whole screen, or give it back."),
    Deed("stop_acts", "ctrl+x", "^x", "", "Stop what is being carried out, after its present batch."),
    Deed("next_theme", "t", "t", "", "Change to the next theme."),
    Deed("back", "escape", "esc", "", "Go back; clear the filter; close what is open."),
    Deed("quit", "q,ctrl+q,ctrl+c", "q", "Quit", "Leave the screen."),
)

REPLAYING: tuple[Deed, ...] = (
    Deed("hold", "h", "h", "Hold", "Stop at this moment of the recording, or play on."),
    Deed("seek(-10)", "comma", ",", "-10 s", "Go 10 s back in the recording."),
    Deed("seek(10)", "full_stop", ".", "+10 s", "Go 10 s on in the recording."),
    Deed("seek(-300)", "less_than_sign", "<", "-5 min", "Go 5 min back in the recording."),
    Deed("seek(300)", "greater_than_sign", ">", "+5 min", "Go 5 min on in the recording."),
    Deed("speed(-1)", "left_parenthesis", "(", "Slower", "Play the recording more slowly."),
    Deed("speed(1)", "right_parenthesis", ")", "Faster", "Play the recording faster."),
    Deed("to_start", "left_curly_bracket,ctrl+home", "{", "Start", "Go to the start of the recording."),
    Deed("to_end", "right_curly_bracket,ctrl+end", "}", "End", "Go to the end of the recording."),
)
"""What there is beside these while a recording is replayed."""


def on_every_screen(deed: Deed) -> bool:
    """Whether a deed is the app's and not one screen's."""
    return deed in EVERYWHERE or deed in REPLAYING


def whole_action(deed: Deed) -> str:
    """The action with the name of whose it is, as clicks and the palette need it."""
    return f"{'app' if on_every_screen(deed) else 'screen'}.{deed.action}"


def action_name(deed: Deed) -> str:
    """The action's name without its parameters, as ``check_action`` gets it."""
    return name_of(deed.action)


def name_of(action: str) -> str:
    """The name of an action without its parameters and without whose it is."""
    return action.partition("(")[0].rpartition(".")[2]
