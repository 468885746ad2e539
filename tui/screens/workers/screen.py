"""The fleet, and commands to supervisors."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.snapshot.fleet import WorkerCountRange
from previewops.tui.commands.commands import FleetActionCommand, Scale
from previewops.tui.keymap import KeyAction
from previewops.tui.screens.base import OperatorScreen, bindings
from previewops.tui.screens.dialogs.confirm import ConfirmDialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.confirmation import ConfirmationLevel, confirmation_level
from previewops.tui.viewmodel.fleet import command_targets, detail, table
from previewops.tui.viewmodel.fleet.table import FleetRow
from previewops.tui.viewmodel.queue_status import queue_status
from previewops.tui.viewmodel.spans import Line, Span
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.scroll_text import Paper

WIDE_COLUMNS = 150
"""From this width on the panels are side by side."""


class WorkersScreen(OperatorScreen):
    """Lists hosts and their workers, with the running jobs of the row at the cursor."""

    MODE = "workers"
    CSS_PATH = "workers.tcss"
    KEY_ACTIONS: ClassVar[tuple[KeyAction, ...]] = (
        KeyAction("scale", "S", "S", "Scale", "Change the number of workers of the host.", mutates=True),
        KeyAction(
            "drain",
            "d",
            "d",
            "Drain",
            "Finish the jobs of the worker or host, then stop claiming.",
            mutates=True,
        ),
        KeyAction(
            "restart",
            "r",
            "r",
            "Restart",
            "Replace the worker, or all workers of the host one by one.",
            mutates=True,
        ),
        KeyAction(
            "reset",
            "u",
            "u",
            "Reset",
            "Restart workers that have stopped, back off or are drained.",
            mutates=True,
        ),
        KeyAction("open_run(0)", "enter", "enter", "Job", "Open the first running job."),
        KeyAction(
            "copy_id", "c", "c", "Copy id", "Copy the id of the worker or supervisor."
        ),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._posts: dict[str, FleetRow] = {}
        self._differ = False

    def compose_body(self) -> ComposeResult:
        with Container(id="fleet"):
            yield Panel("Workers", Grid(table.columns(differ=False), id="table"), id="table-panel")
            yield Panel("Running jobs", Paper(id="detail"), id="detail-panel")

    def on_resize(self) -> None:
        self.set_class(self.app.size.width >= WIDE_COLUMNS, "-wide")

    # -- drawing ----------------------------------------------------------------------------------------

    def draw_view(self, picture: QueueView) -> None:
        snapshot = picture.snapshot
        grid = self.query_one("#table", Grid)
        if snapshot is None:
            state = queue_status(picture)
            grid.show((), empty=[(Span(f"{state.mark} {state.words}", state.tone),), (Span(state.more),)])
            return
        posts = table.fleet_rows(snapshot)
        self._posts = {post.key: post for post in posts}
        differ = len(table.versions(snapshot)) > 1
        if differ is not self._differ:
            self._differ = differ
            grid.set_columns(table.columns(differ=differ))
        runs = table.runs_by_id(snapshot.running_jobs)
        now_ms = snapshot.now_ms
        grid.show(
            [Row(post.key, table.cells(post, now_ms, runs, differ=differ)) for post in posts],
            empty=table.empty_lines(snapshot),
        )
        self.query_one("#table-panel", Panel).label(subtitle=table.summary(snapshot) if posts else "")
        self.query_one("#detail-panel", Panel).display = bool(posts)
        self._draw_detail()

    def _draw_detail(self) -> None:
        snapshot = self.operator_app.view.snapshot
        post = self._post
        self.query_one("#detail-panel", Panel).label(detail.title_of(post))
        pane = self.query_one("#detail", Paper)
        if snapshot is None or post is None:
            pane.write(lambda _columns: ())
        else:
            jobs = self._jobs()
            runs = table.runs_by_id(snapshot.running_jobs)
            pane.write(lambda columns: detail.detail_lines(post, jobs, snapshot, runs, columns))
        self.draw_keys()

    @property
    def _post(self) -> FleetRow | None:
        return self._posts.get(self.query_one("#table", Grid).cursor_key)

    def _jobs(self) -> tuple[str, ...]:
        snapshot, post = self.operator_app.view.snapshot, self._post
        if snapshot is None or post is None:
            return ()
        return detail.jobs_of(post, snapshot, tuple(self._posts.values()))

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
                return command_targets.scalable_supervisor(self._post) is not None
            case "drain" | "restart" | "reset":
                return self._target(action) is not None
            case "open_run":
                return bool(self._jobs())
            case "copy_id":
                return bool(self._copied())
        return True

    def _target(self, act: str) -> command_targets.CommandTarget | None:
        return command_targets.find_target(act, self._post, tuple(self._posts.values()))

    def action_open_run(self, place: int) -> None:
        jobs = self._jobs()
        if place < len(jobs):
            self.operator_app.open_job(jobs[place])

    def _copied(self) -> str:
        post = self._post
        if post is None:
            return ""
        return post.worker_id or (post.supervisor.supervisor_id if post.supervisor is not None else "")

    def action_copy_id(self) -> None:
        copied = self._copied()
        self.app.copy_to_clipboard(copied)
        self.notify(copied, title="copied")

    @work(group="ask")
    async def action_scale(self) -> None:
        view = command_targets.scalable_supervisor(self._post)
        if view is None:
            return
        typed = await self.show_dialog(
            PromptDialog(
                f"Scale {view.state.host}",
                command_targets.scale_prompt(view),
                "scale",
                initial=str(view.state.worker_range),
                hint="4 or 1-8",
                check=command_targets.check_worker_range,
            )
        )
        bounds = WorkerCountRange.parse(typed) if typed is not None else None
        if bounds is None:
            return
        gone = command_targets.count_surplus_workers(view, bounds)
        if gone and not await self._agreed(
            "Scale down", command_targets.scale_down_lines(view, bounds), "scale", gone
        ):
            return
        self.operator_app.start_command(Scale(view.supervisor_id, bounds))

    @work(group="ask")
    async def action_drain(self) -> None:
        await self._order("drain")

    @work(group="ask")
    async def action_restart(self) -> None:
        await self._order("restart")

    @work(group="ask")
    async def action_reset(self) -> None:
        await self._order("reset")

    async def _order(self, act: str) -> None:
        target = self._target(act)
        if target is None:
            return
        title = f"{act.capitalize()} {target.label}"
        lines = command_targets.confirmation_lines(target)
        if not await self._agreed(title, lines, act, target.affected):
            return
        why = ""
        if act != "reset":
            asked = (
                "Why? The reason is recorded."
                if target.affected > 1
                else f"{command_targets.join_text(lines)} Why?"
            )
            why = await self.show_dialog(PromptDialog(title, asked, act))
        if why is not None:
            self.operator_app.start_command(
                FleetActionCommand(act, target.supervisor_id, target.worker_id, why)
            )

    async def _agreed(self, title: str, lines: list[Line], verb: str, hits: int) -> bool:
        """Asks for a confirmation that depends on the number of workers; a single one needs none."""
        asked = confirmation_level(hits, reversible=True)
        if asked is ConfirmationLevel.NONE:
            return True
        return bool(await self.show_dialog(ConfirmDialog(title, lines, verb=verb, level=asked)))
