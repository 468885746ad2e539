"""Commands on dead letters: counted, confirmed depending on the count, and passed to the app."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual.worker import Worker, WorkerError

from previewops.clock import iso_from_ms
from previewops.errors import PreviewopsError
from previewops.formatting import pluralize
from previewops.states import JobState, Priority
from previewops.tui.commands.commands import Discard, Export, OperatorCommand, Requeue, RequeueWithPayload
from previewops.tui.screens.dialogs.choose import ChoiceDialog, ChoiceOption
from previewops.tui.screens.dialogs.confirm import ConfirmWithReasonDialog
from previewops.tui.screens.dialogs.lazy import edit_payload
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.viewmodel.confirmation import ConfirmationLevel, confirmation_level
from previewops.tui.viewmodel.dead.dialog_text import (
    CountPreview,
    count_lines,
    discard_lines,
    requeue_lines,
    requeue_title,
)
from previewops.tui.viewmodel.dead.selection import DeadSelection
from previewops.tui.viewmodel.spans import Line, Span, clean_span

if TYPE_CHECKING:
    from previewops.tui.protocols import ExaminedCallback
    from previewops.tui.screens.base import OperatorScreen

Counted = TypeVar("Counted")

_WAYS = (
    (Priority.HIGH, "before all others"),
    (Priority.NORMAL, "as most jobs"),
    (Priority.LOW, "when nothing else waits, or after a while"),
)


class DeadLetterActions:
    """Starts commands on dead letters.

    ``tally`` counts a selection and reports the number examined so far. ``counting`` receives that number, 0 at the
    start and None at the end. ``done`` is called after a command on a selection.
    """

    def __init__(
        self,
        screen: OperatorScreen,
        tally: Callable[[DeadSelection, ExaminedCallback], Awaitable[CountPreview]],
        *,
        counting: Callable[[int | None], None],
        done: Callable[[DeadSelection], None],
    ) -> None:
        self._screen = screen
        self._tally = tally
        self._counting = counting
        self._counts = 0  # running: a replaced count ends after the next one has started
        self._done = done

    async def requeue(self, selection: DeadSelection, priority: Priority | None = None) -> None:
        """Requeues the selection. Several jobs, or one that is not visible, are counted and confirmed first."""
        tally = await self._counted(selection)
        if tally is None:
            return
        why: str | None = ""
        care = confirmation_level(tally.count, reversible=True)
        if selection.hidden_count and care is ConfirmationLevel.NONE:
            care = ConfirmationLevel.DIALOG  # one that is not visible requires a confirmation
        if care is not ConfirmationLevel.NONE:
            snapshot = self._screen.operator_app.view.snapshot
            paused = snapshot is not None and snapshot.paused
            lines = requeue_lines(tally, priority, paused=paused)
            why = await self._deliberated(requeue_title(tally.count, priority), lines, "requeue", care)
        if why is None:
            return
        first, *also = selection.filters
        self._carry_out(Requeue(first, tally.count, priority, why, tuple(also), tally.cut_off_ms), selection)

    async def requeue_as(self, selection: DeadSelection) -> None:
        """Requeues the selection with another priority, which a dialog asks for."""
        ways = [ChoiceOption(priority.value, sense) for priority, sense in _WAYS]
        lines: list[Line] = [(clean_span(f"Requeue {selection.label} with which priority?"),)]
        answer = await self._screen.show_dialog(
            ChoiceDialog("Another priority", lines, ways, verb="continue", initial=Priority.NORMAL.value)
        )
        if answer is not None:
            await self.requeue(selection, Priority(answer))

    async def discard(self, selection: DeadSelection) -> None:
        """Deletes the selection permanently, after a confirmation."""
        tally = await self._counted(selection)
        if tally is None:
            return
        title = f"Discard {pluralize(tally.count, 'dead letter')}"
        care = confirmation_level(tally.count, reversible=False)
        why = await self._deliberated(title, discard_lines(tally), "discard", care, dangerous=True)
        if why is None:
            return
        first, *also = selection.filters
        self._carry_out(Discard(first, tally.count, why, tuple(also), tally.cut_off_ms), selection)

    async def export(self, selection: DeadSelection) -> None:
        """Writes the selection to a file, whose path a dialog asks for."""
        tally = await self._counted(selection)
        if tally is None:
            return
        lines = [*count_lines(tally), (), (Span("Write to which file? It includes payloads and attempts."),)]
        path = await self._screen.show_dialog(
            PromptDialog(
                f"Export {pluralize(tally.count, 'dead letter')}",
                lines,
                "export",
                initial=self._default_path(),
                check=path_problem,
            )
        )
        if path is None:
            return
        first, *also = selection.filters
        # The selection stays: operators often discard what they have exported.
        self._screen.operator_app.start_command(Export(first, tally.count, path_of(path), tuple(also)))

    async def edit(self, selection: DeadSelection) -> None:
        """Edits the payload of one job and requeues it."""
        record = await self.counted(self._screen.operator_app.source.job(selection.single_job_id))
        if record is None:
            return
        if record.state is not JobState.DEAD:
            self._tell(f"{record.job_id} is not a dead letter any more: it is {record.state.value}.")
            return
        payload = await self._screen.show_dialog(
            edit_payload(record.job_id, record.payload or {"jobId": record.job_id})
        )
        if payload is not None:
            self._carry_out(RequeueWithPayload(record.job_id, payload, record.digest), selection)

    async def counted(self, counting: Awaitable[Counted]) -> Counted | None:
        """The awaited result, or None after an error, which is shown."""
        self._counts += 1
        self._counting(0)
        try:
            return await counting
        except PreviewopsError as error:
            self._screen.notify(error.message, title="Failed", severity="error")
            return None
        finally:
            self._counts -= 1
            if not self._counts:
                self._counting(None)

    def _carry_out(self, command: OperatorCommand, selection: DeadSelection) -> None:
        act = self._screen.operator_app.start_command(command)
        self._screen.run_worker(self._afterwards(act, selection), name="dead-afterwards", group="afterwards")

    async def _afterwards(self, act: Worker[None], selection: DeadSelection) -> None:
        with suppress(WorkerError):  # cancelled; the command runner reports it
            await act.wait()
        self._done(selection)

    async def _counted(self, selection: DeadSelection) -> CountPreview | None:
        tally = await self.counted(self._tally(selection, self._counting))
        if tally is not None and not tally.count:
            gone = "None of them is a dead letter any more."
            if selection.seen_ms is not None:
                gone = f"{selection.single_job_id} is not as shown any more.\nIt has left, or died again."
            self._tell(gone)
            return None
        return tally

    async def _deliberated(
        self, title: str, lines: list[Line], verb: str, care: ConfirmationLevel, *, dangerous: bool = False
    ) -> str | None:
        dialog = ConfirmWithReasonDialog(title, lines, verb=verb, level=care, dangerous=dangerous)
        answer: str | None = await self._screen.show_dialog(dialog)
        return answer

    def _tell(self, words: str) -> None:
        self._screen.notify(words, title="Not executed", severity="warning")

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
