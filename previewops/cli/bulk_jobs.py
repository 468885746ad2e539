"""Runs a command on jobs: on named ones one after the other, or on all that match after a count and a question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from previewops.cli.context import Context
from previewops.cli.job_selection_options import confirm_bulk, preview_selection, show_done
from previewops.cli.output import print_err, print_json, print_out
from previewops.errors import EXIT_FAILED, PreviewopsError, RedisUnavailable
from previewops.queue.job_selection import JobsChanged, JobSelection, MatchedJobs
from previewops.queue.matching_jobs import MatchingJobs, ProgressCallback
from previewops.queue.queue import Queue
from previewops.redis_server.connection import redis_errors
from previewops.states import JobState


class ChangeMatched(Protocol):
    """Changes all jobs that match, for an operator and a reason."""

    def __call__(
        self,
        jobs: MatchingJobs,
        matched: MatchedJobs,
        /,
        *,
        who: str,
        reason: str,
        progress: ProgressCallback | None,
    ) -> Awaitable[JobsChanged]: ...


@dataclass(frozen=True, slots=True)
class BulkCommand:
    """A command on jobs: its words, the state of a changed job, and what changes one job or all that match.

    ``change_one`` gets the queue, a job's id, the operator and the reason, and returns the state before.
    """

    verb: str
    past_tense: str
    consequence: str
    new_state: JobState
    change_one: Callable[[Queue, str, str, str], Awaitable[JobState]]
    change_matched: ChangeMatched

    def run_named(self, context: Context, job_ids: Iterable[str], reason: str, *, as_json: bool) -> int:
        """Changes named jobs, and reports each. Returns the exit code: 1 if one could not be changed."""
        ids, url = tuple(dict.fromkeys(job_ids)), context.redis_url()

        async def run(queue: Queue) -> bool:
            failed = False
            for job_id in ids:
                try:
                    async with redis_errors(url):
                        before = await self.change_one(queue, job_id, context.operator, reason)
                except RedisUnavailable:
                    raise
                except PreviewopsError as error:
                    if len(ids) == 1:
                        raise
                    failed = True
                    if as_json:
                        print_json({"jobId": job_id, **error.as_json()}, indent=None)
                    print_err(error.message)
                else:
                    self._report_one(job_id, before, as_json=as_json)
            return failed

        return EXIT_FAILED if context.change(run) else 0

    def _report_one(self, job_id: str, before: JobState, *, as_json: bool) -> None:
        if as_json:
            print_json({"jobId": job_id, "status": self.new_state.value, "was": before.value}, indent=None)
        else:
            print_out(f"{self.past_tense} {job_id}; it was {before.value}")

    def run_matching(
        self,
        context: Context,
        selection: JobSelection,
        reason: str,
        *,
        dry_run: bool,
        yes: bool,
        as_json: bool,
    ) -> int:
        """Counts what matches, asks, changes it, and reports the number."""

        async def run(queue: Queue) -> JobsChanged:
            jobs = MatchingJobs(queue.redis, queue.settings)
            count = await preview_selection(jobs, selection, self.verb)
            if dry_run or not count.total:
                return JobsChanged(0, count.total)
            if not yes:
                confirm_bulk(self.verb, self.past_tense, count.total, self.consequence)
            with show_done(self.past_tense, count.total) as progress:
                return await self.change_matched(
                    jobs,
                    MatchedJobs(selection, count),
                    who=context.operator,
                    reason=reason,
                    progress=progress,
                )

        result = context.change(run)
        if as_json:
            matched = result.done + result.skipped
            skipped = 0 if dry_run else result.skipped
            print_json({"matched": matched, "done": result.done, "skipped": skipped, "dryRun": dry_run})
        elif dry_run:
            print_out(f"would {self.verb} {result.skipped:,}")
        else:
            print_out(f"{self.past_tense} {result.done:,}, skipped {result.skipped:,}")
        return 0
