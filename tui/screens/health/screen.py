"""The checks of ``previewops health``, live."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.errors import PreviewopsError
from previewops.tui.commands.commands import AcknowledgeDataLoss, ResendWebhooks
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import SCREEN_KEYS
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.dialogs.confirm import ConfirmDialog
from previewops.tui.screens.job.traceback import TracebackScreen
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.confirmation import TYPED_WORD_FROM, ConfirmationLevel
from previewops.tui.viewmodel.health import checks, webhooks
from previewops.tui.widgets.diffed_lines import DiffedLines
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.scroll_text import ScrollText


class HealthScreen(OperatorScreen):
    """Shows the overall result, every check with its advice, and the figures."""

    MODE = "health"
    CSS_PATH = "health.tcss"
    WIDE_COLUMNS = 150
    KEY_ACTIONS = SCREEN_KEYS["health"]
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def compose_body(self) -> ComposeResult:
        yield DiffedLines(id="verdict", fit_height=True)
        with Container(id="parts"):
            yield Panel("Checks", ScrollText(id="checks"), id="checks-panel")
            yield Panel("Figures", ScrollText(id="figures"), id="figures-panel")

    def draw_view(self, view: QueueView) -> None:
        health = view.health
        figures = health.figures if health is not None else ()
        self.query_one("#verdict", DiffedLines).draw(
            lambda columns, _: checks.format_verdict_lines(view, columns)
        )
        self.query_one("#checks", ScrollText).write(
            lambda columns: checks.format_check_lines(health, columns)
        )
        self.query_one("#figures", ScrollText).write(
            lambda columns: checks.format_figure_lines(figures, columns)
        )
        self.draw_keys()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "acknowledge" and not self._alarm:
            return False
        if action == "webhooks" and not self._has_webhooks:
            return False
        return super().check_action(action, parameters)

    @property
    def _alarm(self) -> bool:
        snapshot = self.operator_app.view.snapshot
        return snapshot is not None and snapshot.data_lost_ms is not None

    @property
    def _has_webhooks(self) -> bool:
        health = self.operator_app.view.health
        return health is not None and any(check.name == "webhooks" for check in health.checks)

    @work(group="ask")
    async def action_webhooks(self) -> None:
        source = self.operator_app.source
        try:
            failed = await source.webhooks(failed=True, limit=webhooks.LISTED)
            waiting = await source.webhooks(failed=False, limit=webhooks.LISTED)
        except PreviewopsError as error:
            self.notify(error.message, title="Failed", severity="error")
            return
        lines = webhooks.format_webhook_lines(failed, waiting)
        if not failed.total or self.operator_app.options.read_only:
            await self.show_dialog(TracebackScreen("Webhooks", lines))
            return
        level = ConfirmationLevel.WORD if failed.total >= TYPED_WORD_FROM else ConfirmationLevel.DIALOG
        dialog = ConfirmDialog("Resend failed webhooks", lines, verb="resend", level=level, dangerous=False)
        if await self.show_dialog(dialog):
            self.operator_app.start_command(ResendWebhooks(failed.total))

    @work(group="ask")
    async def action_acknowledge(self) -> None:
        title, level = "Acknowledge the data loss", ConfirmationLevel.DIALOG
        dialog = ConfirmDialog(title, checks.DATA_LOSS_LINES, verb="acknowledge", level=level)
        if await self.show_dialog(dialog):
            self.operator_app.start_command(AcknowledgeDataLoss())
