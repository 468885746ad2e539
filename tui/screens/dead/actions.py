"""Commands on dead letters: counted, confirmed depending on the count, and passed to the app."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from textual.worker import Worker, WorkerError

from previewops.clock import iso_from_ms
from previewops.errors import PreviewopsError
from previewops.formatting import pluralize
from previewops.states import JobState, Priority
from previewops.tui.commands.commands import Discard, Export, OperatorCommand, Requeue, RequeueWithPayload
from previewops.tui.protocols import ExaminedCallback
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.dialogs.confirm import ConfirmWithReasonDialog
from previewops.tui.screens.dialogs.lazy import edit_payload
from previewops.tui.screens.dialogs.priority import ask_for_priority
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.viewmodel.confirmation import ConfirmationLevel, confirmation_level
from previewops.tui.viewmodel.dead.dialog_text import (
    CountPreview,
    format_count_lines,
    format_discard_lines,
    format_requeue_lines,
    requeue_title,
)
from previewops.tui.viewmodel.dead.selection import DeadSelection
from previewops.tui.viewmodel.spans import Line, Span, clean_span

Result = TypeVar("Result")


class DeadLetterActions:
    """Starts commands on dead letters.

    ``preview`` counts a selection and reports the number examined so far. ``counting`` receives that number, 0 at the
    start and None at the end. ``done`` is called after a command on a selection.
    """

    def __init__(
        self,
        screen: OperatorScreen,
        preview: Callable[[DeadSelection, ExaminedCallback], Awaitable[CountPreview]],
        *,
        counting: Callable[[int | None], None],
        done: Callable[[DeadSelection], None],
    ) -> None:
        self._screen = screen
        self._preview = preview
        self._counting = counting
        self._counts = 0  # running: a replaced count ends after the next one has started
        self._done = done

    async def requeue(self, selection: DeadSelection, priority: Priority | None = None) -> None:
        """Requeues a visible job immediately. Counts and confirms several jobs, or one that is not visible, first."""
        if selection.seen_ms is not None and not selection.hidden_count:
            self._start(Requeue(selection.filters[0], 1, priority, cut_off_ms=selection.seen_ms), selection)
            return
        preview = await self._count(selection)
        if preview is None:
            return
        level = confirmation_level(preview.count, reversible=True)
        reason: str | None = ""
        if level is not ConfirmationLevel.NONE or selection.hidden_count:
            snapshot = self._screen.operator_app.view.snapshot
            lines = format_requeue_lines(preview, priority, paused=snapshot is not None and snapshot.paused)
            reason = await self._confirm(requeue_title(preview.count, priority), lines, "requeue", level)
        if reason is not None:
            first, *others = selection.filters
            command = Requeue(first, preview.count, priority, reason, tuple(others), preview.cut_off_ms)
            self._start(command, selection)

    async def requeue_as(self, selection: DeadSelection) -> None:
        """Requeues the selection with another priority, which a dialog asks for."""
        lines: list[Line] = [(clean_span(f"Requeue {selection.label} with which priority?"),)]
        priority = await ask_for_priority(
            self._screen, "Another priority", lines, initial=Priority.NORMAL, verb="continue"
        )
        if priority is not None:
            await self.requeue(selection, priority)

    async def discard(self, selection: DeadSelection) -> None:
        """Deletes the selection permanently, after a confirmation."""
        preview = await self._count(selection)
        if preview is None:
            return
        title = f"Discard {pluralize(preview.count, 'dead letter')}"
        level = confirmation_level(preview.count, reversible=False)
        reason = await self._confirm(title, format_discard_lines(preview), "discard", level, dangerous=True)
        if reason is not None:
            first, *others = selection.filters
            self._start(Discard(first, preview.count, reason, tuple(others), preview.cut_off_ms), selection)

    async def export(self, selection: DeadSelection) -> None:
        """Writes the selection to a file, whose path a dialog asks for."""
        preview = await self._count(selection)
        if preview is None:
            return
        question = Span("Write to which file? It includes payloads and attempts.")
        lines = [*format_count_lines(preview), (), (question,)]
        title = f"Export {pluralize(preview.count, 'dead letter')}"
        dialog = PromptDialog(title, lines, "export", initial=self._default_path(), check=path_problem)
        path = await self._screen.show_dialog(dialog)
        if path is None:
            return
        first, *others = selection.filters
        # The selection stays: operators often discard what they have exported.
        self._screen.operator_app.start_command(Export(first, preview.count, path_of(path), tuple(others)))

    async def edit(self, selection: DeadSelection) -> None:
        """Edits the payload of one job and requeues it."""
        record = await self.fetch(self._screen.operator_app.source.job(selection.single_job_id))
        if record is None:
            return
        if record.state is not JobState.DEAD:
            self._warn(f"{record.job_id} is not a dead letter any more: it is {record.state.value}.")
            return
        dialog = edit_payload(record.job_id, record.payload or {"jobId": record.job_id})
        payload = await self._screen.show_dialog(dialog)
        if payload is not None:
            self._start(RequeueWithPayload(record.job_id, payload, record.digest), selection)

    async def fetch(self, call: Awaitable[Result]) -> Result | None:
        """The awaited result, or None after an error, which is shown."""
        self._counts += 1
        self._counting(0)
        try:
            return await call
        except PreviewopsError as error:
            self._screen.notify(error.message, title="Failed", severity="error")
            return None
        finally:
            self._counts -= 1
            if not self._counts:
                self._counting(None)

    def _start(self, command: OperatorCommand, selection: DeadSelection) -> None:
        worker = self._screen.operator_app.start_command(command)
        self._screen.run_worker(self._wait(worker, selection), name="dead-afterwards", group="afterwards")

    async def _wait(self, worker: Worker[None], selection: DeadSelection) -> None:
        with suppress(WorkerError):  # cancelled; the command runner reports it
            await worker.wait()
        self._done(selection)

    async def _count(self, selection: DeadSelection) -> CountPreview | None:
        preview = await self.fetch(self._preview(selection, self._counting))
        if preview is None or preview.count:
            return preview
        if selection.seen_ms is None:
            self._warn("None of them is a dead letter any more.")
        else:
            self._warn(f"{selection.single_job_id} has changed: it is not dead any more, or died again.")
        return None

    async def _confirm(
        self, title: str, lines: list[Line], verb: str, level: ConfirmationLevel, *, dangerous: bool = False
    ) -> str | None:
        dialog = ConfirmWithReasonDialog(title, lines, verb=verb, level=level, dangerous=dangerous)
        reason: str | None = await self._screen.show_dialog(dialog)
        return reason

    def _warn(self, message: str) -> None:
        self._screen.notify(message, title="Not executed", severity="warning")

    def _default_path(self) -> str:
        view = self._screen.operator_app.view
        snapshot = view.snapshot
        clock = "" if snapshot is None else re.sub(r"[-:]", "", iso_from_ms(snapshot.now_ms)[:19]) + "Z"
        queue = re.sub(r"[^A-Za-z0-9._-]", "-", view.queue_name)
        return f"dead-letters-{queue}-{clock}.jsonl"


def path_of(text: str) -> Path:
    """The typed path, with ``~`` expanded."""
    return Path(text).expanduser()


def path_problem(text: str) -> str:
    """The reason why a file cannot be created at the path, "" if none is known."""
    if not text:
        return "Enter a file name."
    if not text.isprintable():
        return "The file name contains invalid characters."
    try:
        path = path_of(text)
        if path.exists():
            return f"{path} exists already. Enter another name."
        if not path.parent.is_dir():
            return f"Folder {path.parent} does not exist."
    except (OSError, ValueError, RuntimeError) as error:
        return f"Invalid path {text}: {error}"
    return ""
