"""The checks of ``previewops health``, live."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.errors import PreviewopsError
from previewops.health import CHECKS, Check
from previewops.tui.commands.commands import (
    AcknowledgeDataLoss,
    EndSilence,
    ResendWebhooks,
    SilenceCheck,
)
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import SCREEN_KEYS
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.dialogs.confirm import ConfirmDialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.screens.dialogs.silence import SilenceDialog
from previewops.tui.screens.text_viewer import TextViewer
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.confirmation import TYPED_WORD_FROM, ConfirmationLevel
from previewops.tui.viewmodel.health import checks, silences, webhooks
from previewops.tui.widgets.block_list import BlockList
from previewops.tui.widgets.diffed_lines import DiffedLines
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.scroll_text import ScrollText


class HealthScreen(OperatorScreen):
    """Shows the overall result, every check with its silence and advice, and the figures."""

    MODE = "health"
    CSS_PATH = "health.tcss"
    WIDE_COLUMNS = 150
    KEY_ACTIONS = SCREEN_KEYS["health"]
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def compose_body(self) -> ComposeResult:
        yield DiffedLines(id="verdict", fit_height=True)
        with Container(id="parts"):
            yield Panel("Checks", BlockList(id="checks"), id="checks-panel")
            yield Panel("Figures", ScrollText(id="figures"), id="figures-panel")

    def draw_view(self, view: QueueView) -> None:
        health = view.health
        now_ms = self._now_ms
        figures = health.figures if health is not None else ()
        self.query_one("#verdict", DiffedLines).draw(
            lambda columns, _: checks.format_verdict_lines(view, columns)
        )
        self._checks.show(lambda columns: checks.format_check_blocks(health, now_ms, columns))
        self.query_one("#figures", ScrollText).write(
            lambda columns: checks.format_figure_lines(figures, columns)
        )
        self.draw_keys()

    @property
    def _checks(self) -> BlockList:
        return self.query_one("#checks", BlockList)

    @property
    def _now_ms(self) -> int:
        snapshot = self.operator_app.view.snapshot
        return snapshot.now_ms if snapshot is not None else 0

    @property
    def _check(self) -> Check | None:
        """The check at the cursor, if it is one of the queue's: results about the connection cannot be silenced."""
        name = self._checks.cursor_key
        return checks.find_check(self.operator_app.view.health, name) if name in CHECKS else None

    def on_block_list_cursor_moved(self, _message: BlockList.CursorMoved) -> None:
        self.draw_keys()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not super().check_action(action, parameters):
            return False
        match action:
            case "acknowledge":
                return self._alarm
            case "silence":
                return self.composed and self._check is not None
            case "end_silence":
                return self.composed and self._check is not None and self._check.silence is not None
            case "webhooks":
                return self._has_webhooks
        return True

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
            await self.show_dialog(TextViewer("Webhooks", lines))
            return
        level = ConfirmationLevel.WORD if failed.total >= TYPED_WORD_FROM else ConfirmationLevel.DIALOG
        dialog = ConfirmDialog("Resend failed webhooks", lines, verb="resend", level=level, dangerous=False)
        if await self.show_dialog(dialog):
            self.operator_app.start_command(ResendWebhooks(failed.total))

    @work(group="ask")
    async def action_silence(self) -> None:
        check = self._check
        if check is None:
            return
        terms = await self.show_dialog(SilenceDialog(check, self._now_ms))
        if terms is not None:
            command = SilenceCheck(check.name, terms.for_ms, terms.level, terms.reason)
            self.operator_app.start_command(command)

    @work(group="ask")
    async def action_end_silence(self) -> None:
        check = self._check
        if check is None or check.silence is None:
            return
        lines = silences.format_end_lines(check, check.silence, self._now_ms)
        dialog = PromptDialog(
            f"End the silence of {check.name}", lines, "end silence", hint="stored with the event"
        )
        reason = await self.show_dialog(dialog)
        if reason is not None:
            self.operator_app.start_command(EndSilence(check.name, reason))

    @work(group="ask")
    async def action_acknowledge(self) -> None:
        title, level = "Acknowledge the data loss", ConfirmationLevel.DIALOG
        dialog = ConfirmDialog(title, checks.DATA_LOSS_LINES, verb="acknowledge", level=level)
        if await self.show_dialog(dialog):
            self.operator_app.start_command(AcknowledgeDataLoss())
