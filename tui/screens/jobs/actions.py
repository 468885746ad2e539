"""Commands on the jobs that are selected in the list: asked for, confirmed, and passed to the app."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from textual.worker import WorkerError

from previewops.queue.job_selection import ENDED_STATES, PENDING_STATES, MatchedJobs
from previewops.queue.records import JobRecord
from previewops.states import JobState, Priority
from previewops.tui.commands.commands import Cancel, OperatorCommand
from previewops.tui.protocols import ExaminedCallback
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.dead.actions import DeadLetterActions
from previewops.tui.screens.dead.count_preview import count_selection
from previewops.tui.screens.jobs.cancel_dialog import ask_to_cancel, ask_to_cancel_matched
from previewops.tui.screens.jobs.ended_dialogs import ask_to_delete, ask_to_run_again
from previewops.tui.screens.jobs.reschedule_dialogs import ask_to_change_priority, ask_to_run_now
from previewops.tui.viewmodel.dead.dialog_text import CountPreview
from previewops.tui.viewmodel.dead.selection import DeadSelection
from previewops.tui.viewmodel.jobs.selection import NOT_STARTED, SelectedJobs, dead_query, select_dead


class JobActions:
    """Starts commands on selected jobs.

    ``counting`` receives the number examined by a slow count, None at its end. ``done`` is called after a command.
    """

    def __init__(
        self,
        screen: OperatorScreen,
        *,
        counting: Callable[[int | None], None],
        done: Callable[[], None],
    ) -> None:
        self._screen = screen
        self._done = done
        self._selected = SelectedJobs()
        self.dead = DeadLetterActions(
            screen, self._preview, counting=counting, done=lambda _selection: self._done()
        )

    async def requeue(self, selected: SelectedJobs, rows: Sequence[JobRecord]) -> None:
        self._selected = selected
        await self.dead.requeue(select_dead(selected, rows))

    async def discard(self, selected: SelectedJobs, rows: Sequence[JobRecord]) -> None:
        self._selected = selected
        await self.dead.discard(select_dead(selected, rows))

    async def cancel(self, selected: SelectedJobs, rows: Sequence[JobRecord]) -> None:
        if selected.matched is not None:
            pending = selected.matched.within(PENDING_STATES)
            others = selected.matched.count.total - pending.count.total
            reason = await ask_to_cancel_matched(self._screen, pending, others=others)
            if reason is not None:
                await self._execute(Cancel((), reason, pending))
            return
        ids = selected.ids_in(PENDING_STATES)
        active = sum(record.state is JobState.ACTIVE for record in rows if record.job_id in ids)
        reason = await ask_to_cancel(self._screen, ids, active=active, ended=len(selected.job_ids) - len(ids))
        if reason is not None:
            await self._execute(Cancel(ids, reason))

    async def change_priority(self, selected: SelectedJobs, rows: Sequence[JobRecord]) -> None:
        ids = selected.ids_in(NOT_STARTED)
        current = next((record.priority for record in rows if record.job_id in ids), Priority.NORMAL)
        others = len(selected.job_ids) - len(ids)
        command = await ask_to_change_priority(self._screen, ids, current=current, others=others)
        if command is not None:
            await self._execute(command)

    async def run_now(self, selected: SelectedJobs, _rows: Sequence[JobRecord]) -> None:
        ids = selected.ids_in((JobState.DELAYED,))
        command = await ask_to_run_now(self._screen, ids, others=len(selected.job_ids) - len(ids))
        if command is not None:
            await self._execute(command)

    async def run_again(self, selected: SelectedJobs, _rows: Sequence[JobRecord]) -> None:
        ids, matched, others = _ended(selected)
        command = await ask_to_run_again(self._screen, ids, matched=matched, others=others)
        if command is not None:
            await self._execute(command)

    async def delete(self, selected: SelectedJobs, _rows: Sequence[JobRecord]) -> None:
        ids, matched, others = _ended(selected)
        command = await ask_to_delete(self._screen, ids, matched=matched, others=others)
        if command is not None:
            await self._execute(command)

    async def _preview(self, selection: DeadSelection, examined: ExaminedCallback) -> CountPreview:
        query = dead_query(self._selected)
        return await count_selection(self._screen.operator_app.source, selection, query, (), examined)

    async def _execute(self, command: OperatorCommand) -> None:
        with suppress(WorkerError):  # the command runner reports errors
            await self._screen.operator_app.start_command(command).wait()
        self._done()


def _ended(selected: SelectedJobs) -> tuple[tuple[str, ...], MatchedJobs | None, int]:
    """The completed and cancelled jobs among the selected: ids, or all that match; and the number of others."""
    if selected.matched is None:
        ids = selected.ids_in(ENDED_STATES)
        return ids, None, len(selected.job_ids) - len(ids)
    matched = selected.matched.within(ENDED_STATES)
    return (), matched, selected.matched.count.total - matched.count.total
