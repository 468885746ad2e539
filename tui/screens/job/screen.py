"""The screen of one job."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.worker import WorkerError

from previewops.errors import PreviewopsError
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.job_selection import ENDED_STATES
from previewops.queue.records import JobRecord
from previewops.states import JobState
from previewops.tui.commands.commands import Cancel, OperatorCommand, Requeue, RequeueWithPayload
from previewops.tui.data.error_boundary import wrap_errors
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import SCREEN_KEYS
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.coalesced_fetch import CoalescedFetch
from previewops.tui.screens.dialogs.lazy import edit_payload
from previewops.tui.screens.job.details import PARTS, DetailPanels
from previewops.tui.screens.job.preview import PreviewPanel
from previewops.tui.screens.jobs.cancel_dialog import ask_to_cancel
from previewops.tui.screens.jobs.ended_dialogs import ask_to_delete, ask_to_run_again
from previewops.tui.screens.jobs.reschedule_dialogs import ask_to_change_priority, ask_to_run_now
from previewops.tui.screens.text_viewer import TextViewer
from previewops.tui.state.queue_view import QueueView
from previewops.tui.terminal.bundle_images import find_bundle, read_bundle
from previewops.tui.viewmodel.attempts import format_attempt_lines
from previewops.tui.viewmodel.job.artifacts import BundleContents, parse_artifacts
from previewops.tui.viewmodel.job.facts import format_fact_lines, format_no_job_lines, preview_placeholder
from previewops.tui.viewmodel.jobs.rows import merge_running_job
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span
from previewops.tui.viewmodel.wrap import wrap_lines
from previewops.tui.widgets.grid import Grid
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.scroll_text import ScrollText

_SMALL_COLUMNS = 110
_SMALL_ROWS = 34
_WIDE_COLUMNS = 170
_LOADING: list[Line] = [(Span("loading …", Tone.DIM),)]


class JobScreen(OperatorScreen):
    """Shows a job's preview, facts, payload, attempts and artifacts."""

    MODE = "job"
    AVAILABLE_IN_REPLAY = False
    CSS_PATH = "job.tcss"
    KEY_ACTIONS = SCREEN_KEYS["job"]
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEY_ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._record: JobRecord | None = None
        self._job_id = ""
        self._bundle_run: object = None
        self._bundle = BundleContents()
        self._bundle_error: PreviewopsError | None = None
        self._error: PreviewopsError | None = None
        self._record_fetch = CoalescedFetch(self, "job", self._fetch)
        self._bundle_fetch = CoalescedFetch(self, "bundle", self._fetch_bundle)

    def compose_body(self) -> ComposeResult:
        yield ScrollText(id="nothing")
        with Horizontal(id="upper"):
            yield Panel("job", ScrollText(id="facts"), id="facts-panel")
            yield PreviewPanel(self.operator_app.source, self.operator_app.options.images, id="preview")
        yield DetailPanels(id="lower")

    def on_resize(self) -> None:
        size = self.app.size
        self.set_class(size.width < _SMALL_COLUMNS or size.height < _SMALL_ROWS, "-small")
        self.set_class(size.width >= _WIDE_COLUMNS and size.height >= _SMALL_ROWS, "-wide")
        self._draw()

    # -- fetching ---------------------------------------------------------------------------------------

    def draw_view(self, view: QueueView) -> None:
        requested = self.operator_app.job_id
        if requested != self._job_id:
            self._open(requested)
        elif requested and not view.fetching_paused and self._may_differ:
            self._record_fetch.request()
        self._draw()

    @property
    def _may_differ(self) -> bool:
        return self._record is None or self._record.state.pending or self._error is not None

    def on_screen_resume(self) -> None:
        if self._record is not None and not self.operator_app.view.fetching_paused:
            self._record_fetch.request()

    def _open(self, job_id: str) -> None:
        self._job_id = job_id
        self._record, self._bundle_run, self._error = None, None, None
        self._bundle, self._bundle_error = BundleContents(), None
        self.query_one(DetailPanels).chosen = PARTS[0]
        self._record_fetch.request()

    async def _fetch(self) -> None:
        job_id = self._job_id
        if not job_id:
            return
        try:
            record = await self.operator_app.source.job(job_id)
        except PreviewopsError as error:
            self._error = error
        else:
            if job_id != self._job_id or not self.composed:
                return
            first = self._record is None
            self._record, self._error = record, None
            self._update_bundle(record)
            if first:
                self._begin(record)
        self._draw()
        self.draw_keys()

    def _begin(self, record: JobRecord) -> None:
        """Selects the first panel: the attempts of a failed job, the artifacts of a completed one."""
        lower = self.query_one(DetailPanels)
        lower.chosen = (
            "attempts" if record.history else "artifacts" if parse_artifacts(record.result) else PARTS[0]
        )
        lower.show(record, parse_artifacts(record.result), self._now_ms())
        self.call_after_refresh(self.query_one(f"#{lower.chosen}").focus)

    def _update_bundle(self, record: JobRecord) -> None:
        if _run_key(record) != self._bundle_run:
            self._bundle_run = _run_key(record)
            self._bundle, self._bundle_error = BundleContents(parse_artifacts(record.result)), None
            # The preview belongs to another bundle.
            self.query_one(PreviewPanel).show_text(_LOADING)
            self._bundle_fetch.request()

    async def _fetch_bundle(self) -> None:
        record = self._record
        if record is None or not parse_artifacts(record.result):
            self._draw_preview()
            return
        bundle, bundle_error = BundleContents(parse_artifacts(record.result)), None
        try:
            with wrap_errors():
                bundle = await asyncio.to_thread(read_bundle, self.operator_app.source, record)
        except PreviewopsError as error:
            bundle_error = error
        if _run_key(record) != self._bundle_run or not self.composed:
            return
        self._bundle, self._bundle_error = bundle, bundle_error
        if bundle.pictures and bundle_error is None:
            self.query_one(PreviewPanel).show(record, bundle)
        self._draw()
        self.draw_keys()

    # -- drawing ----------------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        snapshot = self.operator_app.view.snapshot
        return snapshot.now_ms if snapshot is not None else 0

    def _draw(self) -> None:
        if not self.composed:
            return
        self.set_class(self._record is None, "-nothing")
        if self._record is None:
            lines = self._format_placeholder_lines()
            self.query_one("#nothing", ScrollText).write(lambda columns: wrap_lines(lines, columns))
            return
        record, now_ms = self._with_progress(self._record), self._now_ms()
        self.query_one("#facts", ScrollText).write(lambda columns: format_fact_lines(record, now_ms, columns))
        self.query_one("#facts-panel", Panel).label(record.job_id, self._freshness_text(record))
        self.query_one(DetailPanels).show(record, self._bundle.artifacts, now_ms)
        self._draw_preview()

    def _with_progress(self, record: JobRecord) -> JobRecord:
        """The record with the snapshot's progress, which is more recent."""
        snapshot = self.operator_app.view.snapshot
        if snapshot is None or not record.state.pending:
            return record
        runs = (run for run in snapshot.running_jobs if run.job_id == record.job_id)
        return merge_running_job(record, next(runs, None))

    def _draw_preview(self) -> None:
        record, panel = self._record, self.query_one(PreviewPanel)
        if record is None:
            return
        if self._bundle_error is not None:
            panel.show_text(_format_error_lines(self._bundle_error))
        elif not self._bundle.pictures:
            latest, width = self._with_progress(record), max(20, panel.content_size.width)
            panel.show_text(preview_placeholder(latest, width))

    def _freshness_text(self, record: JobRecord) -> str:
        view, pending = self.operator_app.view, record.state.pending
        if self._error is not None:
            return f"not updated: {self._error.message}"
        if view.connection_error and pending:
            return f"not updated: {view.connection_error}"
        if view.frozen:
            return "frozen"
        return "live" if pending else ""

    def _format_placeholder_lines(self) -> list[Line]:
        if not self._job_id:
            return format_no_job_lines()
        if self._error is not None:
            return [*_format_error_lines(self._error), (), *format_no_job_lines()[2:]]
        return _LOADING

    # -- navigation -------------------------------------------------------------------------------------

    def back(self) -> bool:
        self.operator_app.action_show(self.operator_app.opened_from)
        return True

    def action_picture(self, step: int) -> None:
        self.query_one(PreviewPanel).action_step(step)

    def action_switch(self) -> None:
        lower = self.query_one(DetailPanels)
        lower.choose(PARTS[(PARTS.index(lower.chosen) + 1) % len(PARTS)])

    def on_grid_row_selected(self, message: Grid.RowSelected) -> None:
        if message.grid.id == "artifacts":
            self.query_one(PreviewPanel).show_file(message.key)
        elif self._record is not None:
            number = int(message.key)
            lines = format_attempt_lines(dict(self._record.numbered_history)[number])
            self.app.push_screen(TextViewer(f"attempt {number} of {self._record.job_id}", lines))

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._job_id)
        self.notify(f"{self._job_id} copied")

    @work(group="copy")
    async def action_copy_path(self) -> None:
        record = self._record
        if record is None:
            return
        path, note = str((record.result or {}).get("bundle", "")), " (on the worker's machine)"
        with suppress(PreviewopsError):
            file = await asyncio.to_thread(find_bundle, self.operator_app.source, record)
            path, note = file or path, ""
        self.app.copy_to_clipboard(path)
        self.notify(f"{path} copied{note}")

    # -- commands ---------------------------------------------------------------------------------------

    @work(group="ask")
    async def action_cancel(self) -> None:
        record = self._record
        if record is None:
            return
        active = self._with_progress(record).state is JobState.ACTIVE
        reason = await ask_to_cancel(self, (record.job_id,), active=int(active))
        if reason is not None:
            await self._execute(Cancel((record.job_id,), reason))

    @work(group="ask")
    async def action_priority(self) -> None:
        record = self._record
        if record is None:
            return
        command = await ask_to_change_priority(self, (record.job_id,), current=record.priority)
        if command is not None:
            await self._execute(command)

    @work(group="ask")
    async def action_run_now(self) -> None:
        record = self._record
        if record is None:
            return
        command = await ask_to_run_now(self, (record.job_id,))
        if command is not None:
            await self._execute(command)

    @work(group="ask")
    async def action_run_again(self) -> None:
        command = await ask_to_run_again(self, (self._job_id,))
        if command is not None:
            await self._execute(command)

    @work(group="ask")
    async def action_delete(self) -> None:
        command = await ask_to_delete(self, (self._job_id,))
        if command is not None:
            await self._execute(command)

    @work(group="ask")
    async def action_requeue(self) -> None:
        record = self._record
        if record is not None:
            # It is requeued without a dialog, so only the displayed death is affected.
            letter = DeadLetterFilter(job_ids=(record.job_id,))
            await self._execute(Requeue(letter, 1, cut_off_ms=record.finished_ms))

    @work(group="ask")
    async def action_edit(self) -> None:
        record = self._record
        if record is None or record.payload is None:
            return
        payload = await self.show_dialog(edit_payload(record.job_id, record.payload))
        if payload is not None:
            await self._execute(RequeueWithPayload(record.job_id, payload, record.digest))

    async def _execute(self, command: OperatorCommand) -> None:
        with suppress(WorkerError):  # the command runner reports errors
            await self.operator_app.start_command(command).wait()
        self._record_fetch.request()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not super().check_action(action, parameters):
            return False
        record = self._record
        state = None if record is None else self._with_progress(record).state
        possible = {
            "picture": self.composed and self.query_one(PreviewPanel).many,
            "switch": record is not None and self.has_class("-small"),
            "copy": record is not None,
            "copy_path": record is not None and bool((record.result or {}).get("bundle")),
            "cancel": state is not None and state.pending,
            "priority": state in (JobState.WAITING, JobState.DELAYED),
            "run_now": state is JobState.DELAYED,
            "requeue": record is not None and record.state is JobState.DEAD,
            "run_again": state in ENDED_STATES,
            "delete": state in ENDED_STATES,
            "edit": record is not None and record.state is JobState.DEAD and record.payload is not None,
        }
        return possible.get(action, True)


def _run_key(record: JobRecord) -> tuple[str, int, int | None]:
    """Identifies a finished run of a job: each may have another bundle."""
    return record.job_id, record.requeues, record.finished_ms


def _format_error_lines(error: PreviewopsError) -> list[Line]:
    return [(clean_span(error.message, Tone.WARN),), (clean_span(error.hint or "", Tone.DIM),)]
