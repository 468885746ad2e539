"""The fleet, and commands to supervisors."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.errors import PreviewopsError
from previewops.snapshot.fleet import WorkerCountRange
from previewops.snapshot.hosts import Fleet
from previewops.tui.commands.commands import FleetActionCommand, Scale
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import SCREEN_KEYS
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.dialogs.confirm import ConfirmDialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.screens.text_viewer import TextViewer
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.confirmation import ConfirmationLevel, confirmation_level
from previewops.tui.viewmodel.fleet import command_targets, detail, table
from previewops.tui.viewmodel.fleet.log_lines import format_log_lines
from previewops.tui.viewmodel.fleet.table import FleetRow
from previewops.tui.viewmodel.queue_status import format_empty_lines
from previewops.tui.viewmodel.spans import Line
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.scroll_text import ScrollText


class WorkersScreen(OperatorScreen):
    """Lists hosts and their workers, with the running jobs of the row at the cursor."""

    MODE = "workers"
    CSS_PATH = "workers.tcss"
    WIDE_COLUMNS = 150
    KEY_ACTIONS = SCREEN_KEYS["workers"]
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, FleetRow] = {}
        self._differ = False

    def compose_body(self) -> ComposeResult:
        with Container(id="fleet"):
            yield Panel(
                "Workers",
                Grid(table.columns(differ=False), list_name="workers", id="table"),
                id="table-panel",
            )
            yield Panel("Running jobs", ScrollText(id="detail"), id="detail-panel")

    # -- drawing ----------------------------------------------------------------------------------------

    def draw_view(self, view: QueueView) -> None:
        snapshot = view.snapshot
        grid = self.query_one("#table", Grid)
        if snapshot is None:
            grid.show((), empty=format_empty_lines(view))
            return
        rows = table.fleet_rows(snapshot)
        self._rows = {row.key: row for row in rows}
        differ = len(table.versions(snapshot)) > 1
        if differ is not self._differ:
            self._differ = differ
            grid.set_columns(table.columns(differ=differ))
        runs = table.runs_by_id(snapshot.running_jobs)
        now_ms = snapshot.now_ms
        fleet = Fleet.of(snapshot.workers)
        shown = [Row(row.key, table.cells(row, now_ms, runs, fleet, differ=differ)) for row in rows]
        grid.show(shown, empty=table.format_empty_lines(snapshot))
        self.query_one("#table-panel", Panel).label(subtitle=table.summary(snapshot) if rows else "")
        self.query_one("#detail-panel", Panel).set_class(not rows, "-empty")
        self._draw_detail()

    def _draw_detail(self) -> None:
        snapshot = self.operator_app.view.snapshot
        row = self._row
        self.query_one("#detail-panel", Panel).label(detail.title_of(row))
        pane = self.query_one("#detail", ScrollText)
        if snapshot is None or row is None:
            pane.write(lambda _columns: ())
        else:
            jobs = self._jobs()
            runs = table.runs_by_id(snapshot.running_jobs)
            pane.write(lambda columns: detail.format_detail_lines(row, jobs, snapshot, runs, columns))
        self.draw_keys()

    @property
    def _row(self) -> FleetRow | None:
        return self._rows.get(self.query_one("#table", Grid).cursor_key)

    def _jobs(self) -> tuple[str, ...]:
        snapshot, row = self.operator_app.view.snapshot, self._row
        if snapshot is None or row is None:
            return ()
        return detail.jobs_of(row, snapshot, tuple(self._rows.values()))

    def on_grid_cursor_moved(self, _event: Grid.CursorMoved) -> None:
        self._draw_detail()

    def on_grid_row_selected(self, _event: Grid.RowSelected) -> None:
        self.action_open_run(0)

    # -- actions ----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted or super().check_action(action, parameters) is False:
            return False
        match action:
            case "scale":
                return command_targets.scalable_supervisor(self._row) is not None
            case "drain" | "restart" | "reset":
                return self._target(action) is not None
            case "open_run":
                return bool(self._jobs())
            case "log" | "copy_id":
                return bool(self._log_worker if action == "log" else self._id_to_copy())
        return True

    def _target(self, kind: str) -> command_targets.CommandTarget | None:
        return command_targets.find_target(kind, self._row, tuple(self._rows.values()))

    def action_open_run(self, index: int) -> None:
        jobs = self._jobs()
        if index < len(jobs):
            self.operator_app.open_job(jobs[index])

    def _id_to_copy(self) -> str:
        row = self._row
        if row is None:
            return ""
        return row.worker_id or (row.supervisor.supervisor_id if row.supervisor is not None else "")

    def action_copy_id(self) -> None:
        text = self._id_to_copy()
        self.app.copy_to_clipboard(text)
        self.notify(text, title="copied")

    @property
    def _log_worker(self) -> str:
        """The worker at the cursor, if its supervisor answers; "" else."""
        row = self._row
        return row.worker_id if row is not None and row.accepts_commands else ""

    @work(group="ask", exclusive=True)
    async def action_log(self) -> None:
        worker_id = self._log_worker
        try:
            text = await self.operator_app.source.worker_log(worker_id)
        except PreviewopsError as error:
            self.notify(error.message, title="Failed", severity="error")
            return
        await self.show_dialog(TextViewer(f"Log of {worker_id}", format_log_lines(text), at_end=True))

    @work(group="ask")
    async def action_scale(self) -> None:
        supervisor = command_targets.scalable_supervisor(self._row)
        if supervisor is None:
            return
        typed = await self.show_dialog(
            PromptDialog(
                f"Scale {supervisor.state.host}",
                command_targets.scale_prompt(supervisor),
                "scale",
                initial=str(supervisor.state.worker_range),
                hint="4 or 1-8",
                check=command_targets.check_worker_range,
            )
        )
        worker_range = WorkerCountRange.parse(typed) if typed is not None else None
        if worker_range is None:
            return
        surplus = command_targets.count_surplus_workers(supervisor, worker_range)
        lines = command_targets.format_scale_down_lines(supervisor, worker_range)
        if surplus and not await self._confirm("Scale down", lines, "scale", surplus):
            return
        self.operator_app.start_command(Scale(supervisor.supervisor_id, worker_range))

    def action_drain(self) -> None:
        self._send("drain")

    def action_restart(self) -> None:
        self._send("restart")

    def action_reset(self) -> None:
        self._send("reset")

    @work(group="ask")
    async def _send(self, kind: str) -> None:
        target = self._target(kind)
        if target is None:
            return
        title = f"{kind.capitalize()} {target.label}"
        lines = command_targets.format_confirmation_lines(target)
        if not await self._confirm(title, lines, kind, target.affected):
            return
        reason = ""
        if kind != "reset":
            question = f"{command_targets.join_text(lines)} Why?"
            if target.affected > 1:
                question = "Why? The reason is recorded."
            reason = await self.show_dialog(PromptDialog(title, question, kind))
        if reason is not None:
            command = FleetActionCommand(kind, target.supervisor_id, target.worker_id, reason)
            self.operator_app.start_command(command)

    async def _confirm(self, title: str, lines: list[Line], verb: str, hits: int) -> bool:
        """Asks for a confirmation that depends on the number of workers; a single one needs none."""
        level = confirmation_level(hits, reversible=True)
        if level is ConfirmationLevel.NONE:
            return True
        return bool(await self.show_dialog(ConfirmDialog(title, lines, verb=verb, level=level)))
