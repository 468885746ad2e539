"""The dialog before a health check is silenced."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from previewops.health import Check
from previewops.tui.screens.dialogs.confirm import compose_labelled_input
from previewops.tui.screens.dialogs.dialog import Dialog
from previewops.tui.screens.dialogs.pause import reason_problem
from previewops.tui.viewmodel.health.silences import (
    DEFAULT_DURATION,
    DURATION_HINT,
    LEVEL_DESCRIPTIONS,
    duration_ms,
    duration_problem,
    format_question_lines,
    initial_level,
)
from previewops.tui.widgets.choice_list import ChoiceList


@dataclass(frozen=True, slots=True)
class SilenceTerms:
    """How long a check is silenced (ms), up to which level, and why."""

    for_ms: int
    level: str
    reason: str


class SilenceDialog(Dialog[SilenceTerms]):
    """Asks for how long, up to which level and why a check is silenced. Enter goes to the next field."""

    def __init__(self, check: Check, now_ms: int) -> None:
        super().__init__(f"Silence {check.name}", format_question_lines(check, now_ms), verb="silence")
        self._level = initial_level(check)

    def compose_fields(self) -> ComposeResult:
        duration = Input(
            DEFAULT_DURATION, id="duration", placeholder=DURATION_HINT, compact=True, max_length=20
        )
        yield from compose_labelled_input("for how long", duration)
        width = max(map(len, LEVEL_DESCRIPTIONS))
        texts = {
            level: Content(f"up to {level:<{width}}  {text}") for level, text in LEVEL_DESCRIPTIONS.items()
        }
        yield ChoiceList(
            *(Option(text, id=level) for level, text in texts.items()), id="choices", compact=True
        )
        reason = Input(
            id="reason", placeholder="shown with the check to everybody", compact=True, max_length=500
        )
        yield from compose_labelled_input("reason", reason)
        yield Label("", id="rejected", markup=False)

    def on_mount(self) -> None:
        self._levels.highlighted = list(LEVEL_DESCRIPTIONS).index(self._level)
        self.query_one("#duration", Input).focus()

    @property
    def _levels(self) -> OptionList:
        return self.query_one("#choices", OptionList)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "reason":
            self.submit()
        else:
            self.focus_next()

    def on_option_list_option_selected(self, _event: OptionList.OptionSelected) -> None:
        self.focus_next()

    def submit(self) -> None:
        duration, reason = (self.query_one(name, Input) for name in ("#duration", "#reason"))
        for widget, problem in (
            (duration, duration_problem(duration.value)),
            (reason, reason_problem(reason.value)),
        ):
            if problem:
                self.query_one("#rejected", Label).update(problem)
                widget.focus()
                return
        for_ms, highlighted = duration_ms(duration.value), self._levels.highlighted
        if for_ms is not None and highlighted is not None:
            level = list(LEVEL_DESCRIPTIONS)[highlighted]
            self.dismiss(SilenceTerms(for_ms, level, reason.value.strip()))
