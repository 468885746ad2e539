"""The first screen."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from previewops.snapshot.history import History, Period
from previewops.snapshot.model import Snapshot
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import SCREEN_KEYS
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.clock_text import ClockZone, zone_at
from previewops.tui.viewmodel.empty_states import ACTING_ROWS
from previewops.tui.viewmodel.overview import charts, panels
from previewops.tui.widgets.diffed_lines import DiffedLines
from previewops.tui.widgets.panel import Panel

_TALL_ROWS = 50
"""From this height on the charts of hour and day are shown together."""

_FEW_ALARMS = ((24, 1), (27, 2))
"""In fewer rows than the first number, the panels leave room for the second number of alarms."""

_WORDS = {Period.HOUR: "about an hour", Period.DAY: "about a day"}


class OverviewScreen(OperatorScreen):
    """Shows the queue's status, depth, workers, charts and latest events."""

    MODE = "overview"
    CSS_PATH = "overview.tcss"
    KEY_ACTIONS = SCREEN_KEYS["overview"]
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._period = Period.HOUR
        self._tall = False
        self._drawn: dict[Period, tuple[History, Snapshot | None, ClockZone]] = {}

    def compose_body(self) -> ComposeResult:
        yield DiffedLines(id="headline", fit_height=True)
        with Horizontal(id="now"):
            yield Panel("Waiting", DiffedLines(id="depth"), id="depth-panel")
            yield Panel("Workers", DiffedLines(id="fleet"), id="fleet-panel")
        for period in Period:
            with Horizontal(id=f"charts-{period}", classes="charts"):
                yield Panel("Jobs a minute", DiffedLines(id=f"throughput-{period}"))
                yield Panel(
                    "Wait and render time", DiffedLines(id=f"latency-{period}"), id=f"latency-panel-{period}"
                )
        yield Panel("Latest events", DiffedLines(id="events"), id="events-panel")

    def draw_view(self, view: QueueView) -> None:
        rows = self.app.size.height
        most = next((alarms for below, alarms in _FEW_ALARMS if rows < below), panels.MAX_ALARMS)
        self.query_one("#headline", DiffedLines).draw(lambda columns, _: panels.headline(view, columns, most))
        self.query_one("#depth", DiffedLines).draw(
            lambda columns, _: panels.format_depth_lines(view, columns)
        )
        self.query_one("#fleet", DiffedLines).draw(partial(panels.format_worker_lines, view))
        for period in Period:
            if period is self._period or self._tall:
                self._draw_charts(view, period)
        self.query_one("#events", DiffedLines).draw(partial(panels.format_event_lines, view))

    def _draw_charts(self, view: QueueView, period: Period) -> None:
        snapshot = view.snapshot
        zone = zone_at(snapshot.now_ms if snapshot is not None else 0, local=view.local_time)
        drawn_history, drawn_snapshot, drawn_zone = self._drawn.get(period, (None, None, None))
        if drawn_history is view.history and drawn_snapshot is snapshot and drawn_zone == zone:
            return  # the age and the results of health checks, which change more often, are not in the charts
        self._drawn[period] = (view.history, snapshot, zone)
        throughput = partial(charts.format_throughput_lines, view, period, zone=zone)
        self.query_one(f"#throughput-{period}", DiffedLines).draw(throughput)
        latency = partial(charts.format_latency_lines, view, period, zone=zone)
        self.query_one(f"#latency-{period}", DiffedLines).draw(latency)

    def on_mount(self) -> None:
        for period in Period:
            for panel in self.query_one(f"#charts-{period}").query(Panel):
                panel.label(subtitle=_WORDS[period])
        self._arrange()

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        """Shows both periods if there is room, else the chosen one."""
        rows = self.app.size.height
        self._tall = rows >= _TALL_ROWS
        for period in Period:
            chosen = self._tall or period is self._period
            self.query_one(f"#charts-{period}").display = chosen and rows >= ACTING_ROWS

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return False if action == "period" and self._tall else super().check_action(action, parameters)

    def action_period(self) -> None:
        self._period = Period.DAY if self._period is Period.HOUR else Period.HOUR
        self._arrange()
        self.draw_view(self.operator_app.view)
