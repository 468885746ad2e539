"""Dialogs that save the active filter, and that choose a saved one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from previewops.errors import PreviewopsError
from previewops.tui.screens.dialogs.pick import PickDialog, Picked, PickOption
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp


async def save_filter(app: OperatorApp) -> None:
    """Asks for a name and saves the filter of the visible list under it."""
    line = app.front_screen.filter_line if app.front_screen is not None else None
    if line is None or not line.text:
        return
    saved, text = app.options.saved_filters, line.text
    question: list[Line] = [(clean_span(text, Tone.STRONG),), (), (Span("Name of this filter:"),)]
    dialog = PromptDialog(
        "Save the filter", question, "save", hint="such as: night shift", check=saved.problem_of_name
    )
    name: str | None = await app.show_dialog(dialog)
    if name is None:
        return
    try:
        replaced = saved.save(name, text)
    except PreviewopsError as error:
        _report(app, error)
    else:
        app.notify(text, title=f"{'replaced' if replaced else 'saved'} as {name}")


async def choose_saved_filter(app: OperatorApp) -> None:
    """Lists the saved filters, removes those that the operator wants removed, and applies the chosen one."""
    place = 0
    while True:
        try:
            filters = app.options.saved_filters.all()
        except PreviewopsError as error:
            _report(app, error)
            return
        if not filters:
            keys = key_hint("save_filter", "saves the active filter under a name.")
            app.notify("".join(span.text for span in keys), title="no filter is saved")
            return
        options = [PickOption(saved.name, saved.text, saved.removable) for saved in filters]
        removable = any(option.removable for option in options)
        lines = [key_hint("remove", "removes a filter that was saved here.", "pick")] if removable else []
        initial = min(place, len(options) - 1)
        picked: Picked | None = await app.show_dialog(
            PickDialog("Saved filters", lines, options, verb="use", initial=initial)
        )
        if picked is None:
            return
        place = picked.place
        if not picked.remove:
            front = app.front_screen
            if front is not None and front.filter_line is not None:
                front.filter_line.keep(filters[place].text)
            return
        try:
            app.options.saved_filters.remove(filters[place].name)
        except PreviewopsError as error:
            _report(app, error)
            return


def _report(app: OperatorApp, error: PreviewopsError) -> None:
    message = f"{error.message}\n{error.hint}" if error.hint else error.message
    app.notify(message, title="Not executed", severity="error", timeout=10)
