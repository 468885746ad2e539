"""The live data source and executor over a real queue: pages of jobs, one job, cancelling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from previewops.cli import tui as command
from previewops.errors import BundleNotFound, JobNotFound
from previewops.queue.filter_query import parse_filter
from previewops.queue.job_selection import JobSelection, MatchedJobs
from previewops.queue.queue import Queue
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.states import JobState, Priority
from previewops.stores.folder.store import FolderStore
from previewops.tui.app import OperatorApp, Options
from previewops.tui.commands.commands import Cancel, Delete, EndSilence, Reschedule, RunAgain, SilenceCheck
from previewops.tui.data.live.connection import QueueConnection
from previewops.tui.data.live.executor import LiveExecutor
from previewops.tui.data.live.source import LiveSource
from previewops.tui.protocols import JobQuery, SnapshotQuery
from previewops.tui.screens.jobs.fetch_page import fetch_page
from previewops.tui.viewmodel.jobs.list_state import JobListState
from tests.queue_support import payload

pytestmark = pytest.mark.redis

JOBS = 450


@pytest.fixture
async def link(redis_url: str, tmp_path: Path) -> AsyncIterator[QueueConnection]:
    """A connection to a queue with waiting jobs ``job-0`` …, every ninth of project "chess"."""
    settings = Settings(queue_max=1_000, data_dir=tmp_path)
    redis = connect(redis_url, role="test")
    try:
        jobs = [
            payload(f"job-{number}", project="chess" if number % 9 == 0 else "p") for number in range(JOBS)
        ]
        await Queue(redis, settings).submit_many(jobs)
        link = QueueConnection(redis_url, settings, who="ada@ops")
        yield link
        await link.aclose()
    finally:
        await redis.aclose()


async def nobody(_done: int, _total: int) -> None:
    """Ignores progress."""


async def test_pages_go_through_all_jobs_once(link: QueueConnection) -> None:
    source, listing, seen = LiveSource(link), JobListState(), []
    while True:
        listing = listing.with_page(await fetch_page(source, listing, lambda _examined: True))
        seen += [record.job_id for record in listing.rows or ()]
        if listing.next_cursor is None:
            break
        listing = listing.next_page()
    assert seen == [f"job-{number}" for number in reversed(range(JOBS))]
    assert listing.number == 3


async def test_a_filter_fills_its_page_in_as_many_calls_as_it_takes(link: QueueConnection) -> None:
    listing = JobListState(JobState.WAITING, parse_filter("project:chess"))
    page = await fetch_page(LiveSource(link), listing, lambda _examined: True)
    assert len(page.rows) == JOBS // 9
    assert page.cursor is None
    assert page.examined == JOBS


async def test_the_oldest_come_first_on_request(link: QueueConnection) -> None:
    page = await LiveSource(link).jobs(JobQuery(JobState.WAITING, newest_first=False, limit=2))
    assert [record.job_id for record in page.rows] == ["job-0", "job-1"]


async def test_one_job_with_payload_and_a_bundle_elsewhere(link: QueueConnection) -> None:
    source = LiveSource(link)
    record = await source.job("job-7")
    assert record.payload == payload("job-7").raw
    with pytest.raises(BundleNotFound):
        source.artifact(record, "poster.webp")
    with pytest.raises(JobNotFound):
        await source.job("nobody")


async def test_jobs_are_cancelled_and_those_that_have_ended_skipped(link: QueueConnection) -> None:
    executor, source = LiveExecutor(link), LiveSource(link)
    assert (await executor.execute(Cancel(("job-1",), "twice"), nobody)).complete
    outcome = await executor.execute(Cancel(("job-1", "job-2"), "twice"), nobody)
    assert outcome.message == "cancelled 1, skipped 1"
    record = await source.job("job-2")
    assert record.state is JobState.CANCELLED
    page = await source.jobs(JobQuery(JobState.CANCELLED))
    assert {record.job_id for record in page.rows} == {"job-1", "job-2"}


async def test_all_jobs_that_match_are_cancelled_run_again_and_deleted(link: QueueConnection) -> None:
    executor, source = LiveExecutor(link), LiveSource(link)
    assert FolderStore(link.settings.data_dir).identify(create=True) is not None
    steps: list[tuple[int, int]] = []

    async def progress(done: int, total: int) -> None:
        steps.append((done, total))

    async def count(*states: JobState) -> MatchedJobs:
        selection = JobSelection(states, parse_filter("project:=chess"))
        return MatchedJobs(selection, await source.count_jobs(selection, sample=2))

    waiting = await count(JobState.WAITING)
    assert (waiting.count.total, waiting.count.sample_ids(2)) == (50, ("job-0", "job-9"))
    outcome = await executor.execute(Cancel((), "twice", waiting), progress)
    assert (outcome.message, outcome.complete) == ("cancelled 50, skipped 0", True)
    assert steps[-1] == (50, 50)
    cancelled = await count(JobState.CANCELLED)
    async with link.redis() as redis:
        await Queue(redis, link.settings).run_again("job-9", who="bob")
    outcome = await executor.execute(RunAgain((), "", cancelled), progress)
    assert (outcome.message, outcome.complete) == ("run again 49, skipped 1", False)
    await executor.execute(Cancel((), "", await count(JobState.WAITING)), progress)
    steps.clear()
    outcome = await executor.execute(Delete((), "", await count(JobState.CANCELLED)), progress)
    assert (outcome.message, outcome.complete) == ("deleted 50, skipped 0", True)
    assert steps[-1] == (50, 50)
    assert (await count()).count.total == 0
    outcome = await executor.execute(RunAgain(("job-1",)), nobody)
    assert outcome.message == "cannot run again job job-1: it is waiting"


async def test_priorities_change_and_delayed_jobs_run_now_as_actions_of_the_operator(
    link: QueueConnection,
) -> None:
    executor, source = LiveExecutor(link), LiveSource(link)
    outcome = await executor.execute(Reschedule(("job-1",), Priority.HIGH), nobody)
    assert outcome.message == "job-1 has priority high."
    assert (await source.job("job-1")).priority is Priority.HIGH
    both = Reschedule(("job-1", "nobody"), Priority.LOW, reason="later")
    outcome = await executor.execute(both, nobody)
    assert (outcome.message, outcome.complete) == ("changed 1, skipped 1", False)
    async with link.redis() as redis:
        await redis.zadd(Queue(redis, link.settings).keys.schedule, {"job-delayed": 4_000_000_000_000})
    outcome = await executor.execute(Reschedule(("job-delayed",), now=True, reason="due"), nobody)
    assert outcome.message == "job-delayed waits now."
    outcome = await executor.execute(Reschedule(("job-2",), now=True), nobody)
    assert outcome.message == "job-2 was waiting already."
    events = (await source.actions(None, 10)).events
    assert [(event.kind, event.fields["job"]) for event in events] == [
        ("rescheduled", "job-2"),
        ("rescheduled", "job-delayed"),
        ("rescheduled", "job-1"),
        ("rescheduled", "job-1"),
    ]


async def test_a_check_is_silenced_and_heard_again_as_actions_of_the_operator(link: QueueConnection) -> None:
    executor, source = LiveExecutor(link), LiveSource(link)
    outcome = await executor.execute(SilenceCheck("depth", 3_600_000, "warning", "import"), nobody)
    assert outcome.message.startswith("depth is silenced up to warning until 2")
    (silence,) = (await source.collect(SnapshotQuery())).silences
    assert (silence.check, silence.who, silence.reason) == ("depth", "ada@ops", "import")
    assert (await executor.execute(EndSilence("depth", "over"), nobody)).message == "depth counts again."
    assert (await executor.execute(EndSilence("depth"), nobody)).message == "depth was not silenced."
    events = (await source.actions(None, 10)).events
    assert [(event.kind, event.fields["why"]) for event in events] == [
        ("unsilenced", "over"),
        ("silenced", "import"),
    ]


async def test_first_calls_at_once_share_a_client(link: QueueConnection) -> None:
    async def client() -> Redis:
        async with link.redis() as redis:
            return redis

    one, *others = await asyncio.gather(*(client() for _ in range(5)))
    assert all(other is one for other in others)


@pytest.mark.parametrize("failure", [None, RuntimeError("a fault of the screen")])
def test_the_command_closes_the_connections_of_its_screen(redis_url: str, failure: Exception | None) -> None:
    link = QueueConnection(redis_url, Settings(), who="ada@ops")

    class Screen(OperatorApp):
        async def run_async(self, **_options: object) -> int:
            async with link.redis() as redis:
                await redis.ping()
            assert "previewops-tui" in clients(redis_url)
            self.failure = failure
            return 3

    screen = Screen(LiveSource(link), LiveExecutor(link), Options(queue_name="q"))
    screen.close_queue = link.aclose
    if failure is None:
        assert command._run(screen) == 3
    else:
        with pytest.raises(RuntimeError, match="a fault of the screen"):
            command._run(screen)
    assert "previewops-tui" not in clients(redis_url)


def clients(url: str) -> set[str]:
    with SyncRedis.from_url(url) as redis:
        return {client["name"] for client in redis.client_list()}
