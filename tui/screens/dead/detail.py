"""The panel with the details of the dead letter or group at the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from previewops.errors import PreviewopsError
from previewops.tui.screens.coalesced_fetch import CoalescedFetch
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.dead.rows import format_group_lines, format_job_lines
from previewops.tui.viewmodel.durations import age_step
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span
from previewops.tui.viewmodel.wrap import wrap_lines
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.scroll_text import ScrollText

if TYPE_CHECKING:
    from previewops.queue.dead_letter_filter import DeadLetterGroup
    from previewops.queue.records import JobRecord
    from previewops.tui.app import OperatorApp


class DeadDetailPanel(Panel):
    """Fetches a job, and shows its reason and each attempt with its traceback."""

    def __init__(self, *, id: str) -> None:
        super().__init__("Details", ScrollText(id="detail"), id=id)
        self._renewal = CoalescedFetch(self, "dead-detail", self._fetch)
        self._job_id = ""
        self._group: DeadLetterGroup | None = None
        self._record: JobRecord | None = None
        self._fetch_error = ""
        self._drawn: tuple[object, ...] = ()

    def on_show(self) -> None:
        self.draw()
        self.refetch()

    def set_subject(self, job_id: str, group: DeadLetterGroup | None) -> None:
        """Changes to another job, which is the newest one of ``group`` if given."""
        if (job_id, group) == (self._job_id, self._group):
            return
        other = job_id != self._job_id
        self._job_id, self._group = job_id, group
        if other:
            self._fetch_error = ""
            self.query_one(ScrollText).scroll_home(animate=False)
        self.draw()

    def refetch(self) -> None:
        """Fetches the job, unless the panel is hidden or fetching is paused."""
        if self.display and self._job_id and not self._view.fetching_paused:
            self._renewal.request()

    async def _fetch(self) -> None:
        job_id = self._job_id
        try:
            record = await cast("OperatorApp", self.app).source.job(job_id)
        except PreviewopsError as error:
            if job_id == self._job_id:
                self._fetch_error = error.message
        else:
            if job_id == self._job_id:
                self._record, self._fetch_error = record, ""
        self.draw()

    @property
    def _view(self) -> QueueView:
        return cast("OperatorApp", self.app).view

    def draw(self) -> None:
        """Draws the panel if anything in it has changed."""
        view = self._view
        snapshot = view.snapshot
        if snapshot is None or not self.display or not self.app.is_running:
            return
        now_ms, dead = snapshot.now_ms, snapshot.dead
        group = self._group
        record = self._record if self._record is not None and self._record.job_id == self._job_id else None
        # The list's frame shows a connection loss: the details stay where they are read.
        fetch_error = self._fetch_error or (view.connection_error if record is None else "")
        newest_ms = group.last_ms if group is not None else record.finished_ms if record is not None else None
        drawn = (self._job_id, group, record, fetch_error, dead, age_step(now_ms, newest_ms))
        if drawn == self._drawn:
            return
        self._drawn = drawn
        waits = bool(self._job_id) and record is None and not fetch_error

        def lines(columns: int) -> Sequence[Line]:
            rows = [] if group is None else format_group_lines(group, dead, now_ms, columns)
            if fetch_error:
                rows += wrap_lines([(clean_span(f"not updated: {fetch_error}", Tone.WARN),)], columns)
            if record is not None:
                rows += format_job_lines(record, now_ms, columns)
            return [*rows, (Span("loading …", Tone.DIM),)] if waits else rows

        self.query_one(ScrollText).write(lines)
