"""The dialog that lists contexts and queues, to switch to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from previewops.errors import PreviewopsError
from previewops.formatting import clean
from previewops.tui.protocols import QueueChoice
from previewops.tui.queue_switch import switch_queue
from previewops.tui.screens.dialogs.pick import PickDialog, Picked, PickOption
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp


async def choose_queue(app: OperatorApp) -> None:
    """Lists the contexts, and the queues of the present server, and switches to the chosen one."""
    opener = app.queue_opener
    if opener is None:
        return
    view = app.view
    lines: list[Line] = [
        (Span("Now: "), clean_span(view.queue_name, Tone.STRONG), Span(f" on {clean(view.address)}"))
    ]
    names: tuple[str, ...] = ()
    try:
        found = await app.source.queues()
        names = found.names
        if not found.complete:
            lines.append((Span("This server has many keys: it may have more queues.", Tone.WARN),))
    except PreviewopsError as error:
        lines.append((clean_span(f"The queues of this server are not known: {error.message}", Tone.WARN),))
    contexts = opener.contexts
    here = [QueueChoice(view.context, name) for name in dict.fromkeys((*names, view.queue_name))]
    choices = [*contexts, *here]
    options = [
        *map(_context_option, contexts),
        *(PickOption(choice.queue, "on this server") for choice in here),
    ]
    initial = choices.index(QueueChoice(view.context, view.queue_name))
    picked: Picked | None = await app.show_dialog(
        PickDialog("Queues and contexts", lines, options, verb="switch", initial=initial)
    )
    if picked is not None and app.screen is app.front_screen:
        await open_queue(app, choices[picked.place])


def _context_option(choice: QueueChoice) -> PickOption:
    environment = f"{choice.environment.upper()}  " if choice.environment else ""
    name = choice.context or "(command line)"
    return PickOption(name, f"{environment}{choice.queue} on {choice.address}")


async def open_queue(app: OperatorApp, choice: QueueChoice) -> None:
    """Switches to a queue, or reports why that is not possible."""
    try:
        await switch_queue(app, choice)
    except PreviewopsError as error:
        message = f"{error.message}\n{error.hint}" if error.hint else error.message
        app.notify(message, title="Not executed", severity="warning")
    else:
        app.notify(f"{app.options.queue_name} on {app.options.address}", title="switched")
