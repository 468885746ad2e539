"""Acts on dead letters: counted first, then asked for as carefully as they are wide, then handed to the app."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual.worker import Worker, WorkerError

from previewops.clock import iso_from_ms
from previewops.errors import PreviewopsError
from previewops.states import JobState, Priority
from previewops.text import plural
from previewops.tui.intents import Discard, Export, Intent, Requeue, RequeueEdited
from previewops.tui.screens.dialogs.choose import Choose, Way
from previewops.tui.screens.dialogs.confirm import Deliberate
from previewops.tui.screens.dialogs.late import edit_payload
from previewops.tui.screens.dialogs.reason import Reason
from previewops.tui.shape.bulk import (
    Tally,
    discard_lines,
    requeue_lines,
    requeue_title,
    tally_lines,
)
from previewops.tui.shape.choice import Choice
from previewops.tui.shape.radius import Caution, caution
from previewops.tui.shape.spans import Line, Span, said

if TYPE_CHECKING:
    from previewops.tui.ports import Looked
    from previewops.tui.screens.base import OperatorScreen

Counted = TypeVar("Counted")

_WAYS = (
    (Priority.HIGH, "before all others"),
    (Priority.NORMAL, "as most jobs"),
    (Priority.LOW, "when nothing else waits, or after a while"),
)


class Acts:
    """What can be done to dead letters.

    ``tally`` counts a choice and tells how many it has looked at. ``counting`` is told that, 0 when it begins and
    None when it ends; ``done`` when something has been done to a choice.
    """

    def __init__(
        self,
        screen: OperatorScreen,
        tally: Callable[[Choice, Looked], Awaitable[Tally]],
        *,
        counting: Callable[[int | None], None],
        done: Callable[[Choice], None],
    ) -> None:
        self._screen = screen
        self._tally = tally
        self._counting = counting
        self._counts = 0  # under way: one that is replaced ends after the next has begun
        self._done = done

    async def requeue(self, choice: Choice, priority: Priority | None = None) -> None:
        """A new life; asked for if it is for several, or for one that is out of sight."""
        tally = await self._counted(choice)
        if tally is None:
            return
        why: str | None = ""
        care = caution(tally.count, reversible=True)
        if choice.unseen and care is Caution.NONE:
            care = Caution.DIALOG  # one that is not looked at is not done unasked
        if care is not Caution.NONE:
            snapshot = self._screen.operator.picture.snapshot
            paused = snapshot is not None and snapshot.paused
            lines = requeue_lines(tally, priority, paused=paused)
            why = await self._deliberated(requeue_title(tally.count, priority), lines, "requeue", care)
        if why is None:
            return
        first, *also = choice.filters
        self._carry_out(Requeue(first, tally.count, priority, why, tuple(also), tally.cut_off_ms), choice)

    async def requeue_as(self, choice: Choice) -> None:
        """A new life with another priority, which is chosen first."""
        ways = [Way(priority.value, sense) for priority, sense in _WAYS]
        lines: list[Line] = [(said(f"Requeue {choice.words} with which priority?"),)]
        answer = await self._screen.ask_for(
            Choose("Another priority", lines, ways, verb="go on", initial=Priority.NORMAL.value)
        )
        if answer is not None:
            await self.requeue(choice, Priority(answer))

    async def discard(self, choice: Choice) -> None:
        """Deletion for good; always asked for."""
        tally = await self._counted(choice)
        if tally is None:
            return
        title = f"Discard {plural(tally.count, 'dead letter')}"
        care = caution(tally.count, reversible=False)
        why = await self._deliberated(title, discard_lines(tally), "discard", care, dangerous=True)
        if why is None:
            return
        first, *also = choice.filters
        self._carry_out(Discard(first, tally.count, why, tuple(also), tally.cut_off_ms), choice)

    async def export(self, choice: Choice) -> None:
        """A file with all of each, whose path is asked for."""
        tally = await self._counted(choice)
        if tally is None:
            return
        lines = [*tally_lines(tally), (), (Span("Into which file? Payloads and attempts are in it."),)]
        path = await self._screen.ask_for(
            Reason(
                f"Export {plural(tally.count, 'dead letter')}",
                lines,
                "export",
                initial=self._default_path(),
                check=path_problem,
            )
        )
        if path is None:
            return
        first, *also = choice.filters
        # What was chosen stays so: to delete what is in a file now is often the next thing.
        self._screen.operator.carry_out(Export(first, tally.count, path_of(path), tuple(also)))

    async def edit(self, choice: Choice) -> None:
        """Another payload and a new life for one job."""
        record = await self.counted(self._screen.operator.source.job(choice.one_job))
        if record is None:
            return
        if record.state is not JobState.DEAD:
            self._tell(f"{record.job_id} is no dead letter any more: it is {record.state.value}.")
            return
        payload = await self._screen.ask_for(
            edit_payload(record.job_id, record.payload or {"jobId": record.job_id})
        )
        if payload is not None:
            self._carry_out(RequeueEdited(record.job_id, payload, record.digest), choice)

    async def counted(self, counting: Awaitable[Counted]) -> Counted | None:
        """What is counted or looked up, or None after saying why it could not be."""
        self._counts += 1
        self._counting(0)
        try:
            return await counting
        except PreviewopsError as error:
            self._screen.notify(error.message, title="not done", severity="error")
            return None
        finally:
            self._counts -= 1
            if not self._counts:
                self._counting(None)

    def _carry_out(self, intent: Intent, choice: Choice) -> None:
        act = self._screen.operator.carry_out(intent)
        self._screen.run_worker(self._afterwards(act, choice), name="dead-afterwards", group="afterwards")

    async def _afterwards(self, act: Worker[None], choice: Choice) -> None:
        with suppress(WorkerError):  # it was stopped; how far it came is told elsewhere
            await act.wait()
        self._done(choice)

    async def _counted(self, choice: Choice) -> Tally | None:
        tally = await self.counted(self._tally(choice, self._counting))
        if tally is not None and not tally.count:
            gone = "None of them is a dead letter any more."
            if choice.seen_ms is not None:
                gone = f"{choice.one_job} is not as shown any more.\nIt has left, or died again."
            self._tell(gone)
            return None
        return tally

    async def _deliberated(
        self, title: str, lines: list[Line], verb: str, care: Caution, *, dangerous: bool = False
    ) -> str | None:
        dialog = Deliberate(title, lines, verb=verb, caution=care, dangerous=dangerous)
        answer: str | None = await self._screen.ask_for(dialog)
        return answer

    def _tell(self, words: str) -> None:
        self._screen.notify(words, title="nothing was done", severity="warning")

    def _default_path(self) -> str:
        picture = self._screen.operator.picture
        snapshot = picture.snapshot
        clock = "" if snapshot is None else re.sub(r"[-:]", "", iso_from_ms(snapshot.now_ms)[:19]) + "Z"
        queue = re.sub(r"[^A-Za-z0-9._-]", "-", picture.place)
        return f"dead-letters-{queue}-{clock}.jsonl"


def path_of(text: str) -> Path:
    """A path as people type it, ``~`` included."""
    return Path(text).expanduser()


def path_problem(text: str) -> str:
    """Why a file cannot be written there, "" when it can as far as a look tells."""
    if not text:
        return "Say which file."
    if not text.isprintable():
        return "It has characters that no file name should have."
    try:
        path = path_of(text)
        if path.exists():
            return f"{path} exists already; choose another name."
        if not path.parent.is_dir():
            return f"There is no folder {path.parent}."
    except (OSError, ValueError, RuntimeError) as error:
        return f"{text} cannot be used: {error}"
    return ""
