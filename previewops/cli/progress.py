"""Progress display of a few jobs: bars in a terminal, one line per change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from previewops.cli.output import print_status
from previewops.formatting import clean
from previewops.queue.records import JobRecord
from previewops.states import JobState

_STATE_TEXT = {
    JobState.WAITING: "waiting",
    JobState.DELAYED: "retry scheduled",
    JobState.ACTIVE: "rendering",
    JobState.COMPLETED: "done",
    JobState.DEAD: "dead letter",
    JobState.CANCELLED: "cancelled",
}


class ProgressDisplay(Protocol):
    """Display of watched jobs."""

    def update(self, records: Iterable[JobRecord]) -> None:
        """Shows changed jobs."""
        ...

    def note(self, line: str) -> None:
        """Prints a line beside the jobs."""
        ...


def show_progress(*, ended_reasons: bool = True) -> AbstractContextManager[ProgressDisplay]:
    """Shows bars if standard output is a terminal, lines otherwise.

    Without ``ended_reasons`` lines do not say why a job ended: the caller reports it.
    """
    return _show_bars() if sys.stdout.isatty() else nullcontext(_LineProgress(ended_reasons=ended_reasons))


class NoProgress:
    """Display that shows nothing."""

    def update(self, records: Iterable[JobRecord]) -> None:
        """Does nothing."""

    def note(self, line: str) -> None:
        """Does nothing."""


class _LineProgress:
    def __init__(self, *, ended_reasons: bool) -> None:
        self._ended_reasons = ended_reasons
        self._shown: dict[str, tuple[JobState, int]] = {}

    def update(self, records: Iterable[JobRecord]) -> None:
        for record in records:
            state = (record.state, record.attempts + record.crashes)
            if self._shown.get(record.job_id) != state:
                self._shown[record.job_id] = state
                print_status(f"{clean(record.job_id)}: {_describe(record, self._ended_reasons)}")

    def note(self, line: str) -> None:
        print_status(line)


def _state_text(record: JobRecord) -> str:
    if record.state is JobState.DELAYED and not record.attempts + record.crashes:
        return "starts later"
    return _STATE_TEXT[record.state]


def _describe(record: JobRecord, ended_reasons: bool) -> str:
    text = _state_text(record)
    ended = (JobState.DEAD, JobState.CANCELLED) if ended_reasons else ()
    if record.state in (JobState.DELAYED, *ended) and record.reason:
        return f"{text}: {clean(record.reason)}"
    return text


@contextmanager
def _show_bars() -> Iterator[ProgressDisplay]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    class Bars:
        def __init__(self, progress: Progress) -> None:
            self._progress = progress
            self._tasks: dict[str, TaskID] = {}

        def update(self, records: Iterable[JobRecord]) -> None:
            for record in records:
                task = self._tasks.get(record.job_id)
                if task is None:
                    task = self._progress.add_task(clean(record.job_id), total=1.0, start=False, text="")
                    self._tasks[record.job_id] = task
                if record.state is JobState.ACTIVE:
                    self._progress.start_task(task)
                elif not record.state.pending:
                    self._progress.stop_task(task)
                completed = record.fraction if record.state.pending else 1.0
                self._progress.update(task, completed=completed, text=_describe_briefly(record))

        def note(self, line: str) -> None:
            self._progress.console.print(line, markup=False, highlight=False)

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(), refresh_per_second=8) as progress:
        yield Bars(progress)


def _describe_briefly(record: JobRecord) -> str:
    if record.state is JobState.ACTIVE and record.phase:
        return clean(record.phase)
    if record.state is JobState.DEAD and record.code:
        return f"dead letter ({clean(record.code)})"
    return _state_text(record)
