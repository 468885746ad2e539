"""The dialog to choose a priority."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.states import Priority
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.dialogs.choose import ChoiceDialog, ChoiceOption
from previewops.tui.viewmodel.spans import Line

_DESCRIPTIONS = {
    Priority.HIGH: "before all others",
    Priority.NORMAL: "as most jobs",
    Priority.LOW: "when nothing else waits, or after a while",
}


async def ask_for_priority(
    screen: OperatorScreen, title: str, lines: Sequence[Line], *, initial: Priority, verb: str
) -> Priority | None:
    """The chosen priority; None if the operator cancels."""
    options = [ChoiceOption(priority.value, text) for priority, text in _DESCRIPTIONS.items()]
    dialog = ChoiceDialog(title, lines, options, verb=verb, initial=initial.value)
    choice = await screen.show_dialog(dialog)
    return None if choice is None else Priority(choice)
