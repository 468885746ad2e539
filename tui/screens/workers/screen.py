"""The fleet, and the orders to it."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.fleetviews import Bounds
from previewops.tui.deeds import Deed
from previewops.tui.intents import FleetAct, Scale
from previewops.tui.picture import Picture
from previewops.tui.screens.base import OperatorScreen, bindings
from previewops.tui.screens.dialogs.confirm import Confirm
from previewops.tui.screens.dialogs.reason import Reason
from previewops.tui.shape import fleet, fleetdetail, fleetorders
from previewops.tui.shape.fleet import Post
from previewops.tui.shape.radius import Caution, caution
from previewops.tui.shape.spans import Line, Span
from previewops.tui.shape.state import state_of
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.paper import Paper

WIDE_COLUMNS = 150
"""From so many columns on the panels stand side by side."""


class WorkersScreen(OperatorScreen):
    """Hosts and their workers; below or beside them what the row under the cursor is at."""

    MODE = "workers"
    CSS_PATH = "workers.tcss"
    DEEDS: ClassVar[tuple[Deed, ...]] = (
        Deed("scale", "S", "S", "Scale", "Have the host run another number of workers.", dangerous=True),
        Deed(
            "drain",
            "d",
            "d",
            "Drain",
            "Have the worker, or all of the host, end its jobs and stay away.",
            dangerous=True,
        ),
        Deed(
            "restart",
            "r",
            "r",
            "Restart",
            "Replace the worker, or all of the host one by one.",
            dangerous=True,
        ),
        Deed(
            "reset",
            "u",
            "u",
            "Reset",
            "Start again what is given up, backing off or drained.",
            dangerous=True,
        ),
        Deed("open_run(0)", "enter", "enter", "Job", "Open the first job that it is at."),
        Deed("copy_id", "c", "c", "Copy id", "Copy the id of the worker or supervisor to the clipboard."),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(DEEDS)

    def __init__(self) -> None:
        super().__init__()
        self._posts: dict[str, Post] = {}
        self._differ = False

    def body(self) -> ComposeResult:
        with Container(id="fleet"):
            yield Panel("Workers", Grid(fleet.columns(differ=False), id="table"), id="table-panel")
            yield Panel("At work", Paper(id="detail"), id="detail-panel")

    def on_resize(self) -> None:
        self.set_class(self.app.size.width >= WIDE_COLUMNS, "-wide")

    # -- drawing ----------------------------------------------------------------------------------------

    def draw_picture(self, picture: Picture) -> None:
        snapshot = picture.snapshot
        grid = self.query_one("#table", Grid)
        if snapshot is None:
            state = state_of(picture)
            grid.show((), empty=[(Span(f"{state.mark} {state.words}", state.tone),), (Span(state.more),)])
            return
        posts = fleet.posts(snapshot)
        self._posts = {post.key: post for post in posts}
        differ = len(fleet.versions(snapshot)) > 1
        if differ is not self._differ:
            self._differ = differ
            grid.set_columns(fleet.columns(differ=differ))
        runs = fleet.runs_by_id(snapshot.runs)
        now_ms = snapshot.now_ms
        grid.show(
            [Row(post.key, fleet.cells(post, now_ms, runs, differ=differ)) for post in posts],
            empty=fleet.nobody(snapshot),
        )
        self.query_one("#table-panel", Panel).label(subtitle=fleet.summary(snapshot) if posts else "")
        self.query_one("#detail-panel", Panel).display = bool(posts)
        self._draw_detail()

    def _draw_detail(self) -> None:
        snapshot = self.operator.picture.snapshot
        post = self._post
        self.query_one("#detail-panel", Panel).label(fleetdetail.title_of(post))
        detail = self.query_one("#detail", Paper)
        if snapshot is None or post is None:
            detail.write(lambda _columns: ())
        else:
            jobs = self._jobs()
            runs = fleet.runs_by_id(snapshot.runs)
            detail.write(lambda columns: fleetdetail.detail_lines(post, jobs, snapshot, runs, columns))
        self.draw_keys()

    @property
    def _post(self) -> Post | None:
        return self._posts.get(self.query_one("#table", Grid).cursor_key)

    def _jobs(self) -> tuple[str, ...]:
        snapshot, post = self.operator.picture.snapshot, self._post
        if snapshot is None or post is None:
            return ()
        return fleetdetail.jobs_of(post, snapshot, tuple(self._posts.values()))

    def on_grid_moved(self, _event: Grid.Moved) -> None:
        self._draw_detail()

    def on_grid_chosen(self, _event: Grid.Chosen) -> None:
        self.action_open_run(0)

    # -- deeds ------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted or super().check_action(action, parameters) is False:
            return False
        match action:
            case "scale":
                return fleetorders.scalable(self._post) is not None
            case "drain" | "restart" | "reset":
                return self._target(action) is not None
            case "open_run":
                return bool(self._jobs())
            case "copy_id":
                return bool(self._copied())
        return True

    def _target(self, act: str) -> fleetorders.Target | None:
        return fleetorders.target_of(act, self._post, tuple(self._posts.values()))

    def action_open_run(self, place: int) -> None:
        jobs = self._jobs()
        if place < len(jobs):
            self.operator.open_job(jobs[place])

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
        view = fleetorders.scalable(self._post)
        if view is None:
            return
        typed = await self.ask_for(
            Reason(
                f"Scale {view.state.host}",
                fleetorders.scale_question(view),
                "scale",
                initial=str(view.state.bounds),
                hint="4 or 1-8",
                check=fleetorders.bounds_refusal,
            )
        )
        bounds = Bounds.parse(typed) if typed is not None else None
        if bounds is None:
            return
        gone = fleetorders.dismissed(view, bounds)
        if gone and not await self._agreed("Scale down", fleetorders.dismissal(view, bounds), "scale", gone):
            return
        self.operator.carry_out(Scale(view.supervisor_id, bounds))

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
        title = f"{act.capitalize()} {target.whom}"
        lines = fleetorders.question(target)
        if not await self._agreed(title, lines, act, target.hits):
            return
        why = ""
        if act != "reset":
            asked = "Why? It goes on record." if target.hits > 1 else f"{fleetorders.in_words(lines)} Why?"
            why = await self.ask_for(Reason(title, asked, act))
        if why is not None:
            self.operator.carry_out(FleetAct(act, target.supervisor_id, target.worker_id, why))

    async def _agreed(self, title: str, lines: list[Line], verb: str, hits: int) -> bool:
        """Asks for agreement, as hard as the order is wide; one worker is not asked for."""
        asked = caution(hits, reversible=True)
        if asked is Caution.NONE:
            return True
        return bool(await self.ask_for(Confirm(title, lines, verb=verb, caution=asked)))
