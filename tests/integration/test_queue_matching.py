"""Counting and cancelling all jobs that match, in any pending state."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from previewops.queue import matching_jobs
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.filter_query import parse_filter
from previewops.queue.job_search import search_jobs
from previewops.queue.job_selection import (
    ENDED_STATES,
    PENDING_STATES,
    JobsChanged,
    JobSelection,
    MatchedJobs,
)
from previewops.queue.matching_jobs import MatchingJobs
from previewops.queue.retry import FailureCounter
from previewops.states import JobState, ScriptResult
from tests.integration.cli_program import Program
from tests.queue_support import (
    QueueFixture,
    attempt_json,
    completed_job,
    payload,
    queue_fixture,
    stock_pool,
)

pytestmark = pytest.mark.redis

PENDING = JobSelection(PENDING_STATES)


def matching(text: str, *states: JobState) -> JobSelection:
    return JobSelection(states or PENDING_STATES, parse_filter(text))


async def fill(b: QueueFixture) -> None:
    """``kids-…``: 1 active, 1 delayed, 5 waiting of three priorities; ``other-…``: 3 waiting; 1 completed of each."""
    await b.queue.submit_many([payload(f"{name}-done", project=name) for name in ("kids", "other")])
    for claim in (await b.worker().claim(2)).claims:
        await b.worker().finish([completed_job(claim)], 0)
    await b.queue.submit_many([payload(f"kids-{name}", project="kids") for name in ("later", "runs")])
    later, _runs = (await b.worker().claim(2)).claims
    await b.worker().retry(
        later,
        delay_ms=3_600_000,
        counter=FailureCounter.ATTEMPTS,
        attempt_json=attempt_json(),
        message="x",
    )
    priorities = ("high", "normal", "low", "normal", "low")
    await b.queue.submit_many(
        [payload(f"kids-{n}", project="kids", priority=priority) for n, priority in enumerate(priorities)]
    )
    await b.queue.submit_many([payload(f"other-{n}", project="other") for n in range(3)])


async def cancel(b: QueueFixture, selection: JobSelection, **options: object) -> JobsChanged:
    jobs = MatchingJobs(b.redis, b.settings)
    matched = MatchedJobs(selection, await jobs.count(selection))
    return await jobs.cancel(matched, who="ana", **options)  # type: ignore[arg-type]


async def states(b: QueueFixture) -> dict[str, list[str]]:
    by_state: dict[str, list[str]] = {}
    for record in await b.list_all():
        by_state.setdefault(record.state.value, []).append(record.job_id)
    return {state: sorted(ids) for state, ids in by_state.items()}


@pytest.fixture
def small_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets each call examine and cancel few jobs, so that cursors matter."""
    monkeypatch.setattr(matching_jobs, "EXAMINED_PER_CALL", 3)
    monkeypatch.setattr(matching_jobs, "CANCELLED_PER_CALL", 2)


@pytest.mark.usefixtures("small_calls")
async def test_matches_are_counted_by_state_with_a_sample(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b)
        jobs = MatchingJobs(b.redis, b.settings)
        examined: list[int] = []

        async def note(count: int) -> None:
            examined.append(count)

        count = await jobs.count(matching("project:=kids"), note, sample=2)
        assert count.by_state == {JobState.WAITING: 5, JobState.DELAYED: 1, JobState.ACTIVE: 1}
        assert count.sample == {
            JobState.WAITING: ("kids-0", "kids-1"),
            JobState.DELAYED: ("kids-later",),
            JobState.ACTIVE: ("kids-runs",),
        }, "the oldest"
        assert examined == sorted(examined)
        assert examined[-1] == 10, "all pending jobs, and only they"
        everything = await jobs.count(JobSelection(query=parse_filter("kids")))
        assert (everything.total, everything.by_state[JobState.COMPLETED]) == (8, 1)
        found = [job_id async for job_id in jobs.ids(matching("kids", JobState.COMPLETED))]
        assert found == ["kids-done"]


@pytest.mark.usefixtures("small_calls")
async def test_all_that_match_are_cancelled_in_any_pending_state(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b)
        progress: list[int] = []

        async def note(done: int) -> None:
            progress.append(done)

        result = await cancel(b, matching("project:=kids"), reason="a wrong import", progress=note)
        assert result == JobsChanged(7, 0)
        assert progress[-1] == 7
        assert all(later - earlier <= 2 for earlier, later in pairwise(progress))
        kids = ["kids-0", "kids-1", "kids-2", "kids-3", "kids-4", "kids-later", "kids-runs"]
        assert await states(b) == {
            "cancelled": kids,
            "completed": ["kids-done", "other-done"],
            "waiting": ["other-0", "other-1", "other-2"],
        }
        record = await b.queue.status("kids-runs")
        assert record.reason == "cancelled by ana: a wrong import"
        snapshot = await b.snapshots.read(events=100)
        assert snapshot.unaccounted == 0
        (event,) = [event for event in snapshot.events if event.kind == "cancelled"]
        assert event.fields == {
            "who": "ana",
            "why": "a wrong import",
            "done": "7",
            "skipped": "0",
            "states": "waiting, delayed, active",
            "filter": "project:=kids",
        }


async def test_a_running_job_that_is_cancelled_with_others_loses_its_token(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("runs"))
        claim = await b.claim_one()
        assert (await cancel(b, matching("", JobState.ACTIVE))).done == 1
        (code,), _, _ = await b.worker().finish([completed_job(claim)], 0)
        assert code is ScriptResult.STALE


async def test_only_chosen_states_are_cancelled(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b)
        assert (await cancel(b, matching("kids", JobState.DELAYED))).done == 1
        assert (await states(b))["cancelled"] == ["kids-later"]


async def test_a_job_that_was_submitted_after_the_count_stays(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("before"))
        jobs = MatchingJobs(b.redis, b.settings)
        count = await jobs.count(PENDING)
        while await b.now_ms() <= count.cut_off_ms:
            pass
        await b.queue.submit(payload("after"))
        result = await jobs.cancel(MatchedJobs(PENDING, count), who="ana")
        assert result == JobsChanged(1, 0)
        assert await states(b) == {"cancelled": ["before"], "waiting": ["after"]}


@pytest.mark.usefixtures("small_calls")
async def test_a_job_that_is_claimed_during_a_bulk_cancel_is_cancelled_too(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload(f"job-{n}") for n in range(6)])

        async def claim(done: int) -> None:
            if done == 2:
                await b.worker().claim(2)

        assert (await cancel(b, PENDING, progress=claim)) == JobsChanged(6, 0)


@pytest.mark.usefixtures("small_calls")
async def test_an_interrupted_bulk_cancel_records_what_was_done(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload(f"job-{n}") for n in range(9)])

        async def interrupt(done: int) -> None:
            if done == 4:
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await cancel(b, PENDING, progress=interrupt)
        assert len((await states(b))["waiting"]) == 5
        (event,) = [event for event in (await b.snapshots.read(events=9)).events if event.kind == "cancelled"]
        assert (event.fields["done"], event.fields["left"]) == ("4", "5")


async def test_jobs_of_stock_clients_are_cancelled_by_filter(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as stock:
        await stock.enqueue_job("render_preview", payload("stock-now").raw, _job_id="stock-now")
        await stock.enqueue_job(
            "render_preview", payload("stock-later").raw, _job_id="stock-later", _defer_by=3600
        )
        count = await MatchingJobs(b.redis, b.settings).count(matching("id:stock"))
        assert count.by_state == {JobState.WAITING: 1, JobState.DELAYED: 1}
        assert (await cancel(b, matching("id:stock"))).done == 2
        assert await states(b) == {"cancelled": ["stock-later", "stock-now"]}


async def test_the_payload_is_searched_by_request_and_title(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b)
        await b.queue.submit(payload("a", request="req-1", title='Größe "XL"'))
        await b.queue.submit(payload("b", request="req-12", title="Nine Men's Morris"))
        claim = next(claim for claim in (await b.worker().claim(9)).claims if claim.job_id == "a")
        await b.worker().finish([completed_job(claim)], 0)
        await b.add_dead_letter("c", request="req-1", title="Größe M", priority="high")
        for text, found in (
            ("request:=REQ-1", ["a", "c"]),
            ("request:req-1", ["a", "b", "c"]),
            ('title:"größe ""xl"""', ["a"]),
            ("title:Größe !state:dead", ["a"]),
            ("title:morris", ["b"]),
            ("morris", []),
            ("! title:morris request:=req-12 !project:p", ["a", "b", "c"]),
        ):
            wanted = [record.job_id for record in await b.list_all(text=text) if record.job_id in "abc"]
            assert sorted(wanted) == found, text
        letters = DeadLetterFilter(query=parse_filter("request:=req-1"))
        assert [record.job_id async for record in b.dead.export(letters)] == ["c"]


async def test_jobs_are_found_by_id_request_or_title(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b)
        await b.queue.submit(payload("needle", request="r", title="x"))
        await b.queue.submit(payload("a", request="NEEDLE"))
        await b.queue.submit(payload("b", title="A needle in a haystack"))
        await b.queue.submit(payload("c", request="needle-2", title="ne edle"))
        await b.queue.submit(payload("d", title="Größe"))

        async def found(text: str, limit: int = 9) -> tuple[list[str], bool]:
            async def ignore(_examined: int) -> None: ...

            records, more = await search_jobs(b.queue, text, limit=limit, on_examined=ignore)
            return [record.job_id for record in records], more

        assert await found("needle") == (["needle", "b", "a"], False)
        assert await found("needle", 2) == (["needle", "b"], True)
        assert await found("GRÖßE") == ([], False), "only a to z match in either case"
        assert await found("Größe") == (["d"], False)
        assert await found("nowhere") == ([], False)
        await b.queue.submit(payload("f", title="a pin"))
        others = [record.job_id for record in await b.list_all(text="! !title:haystack title:pin")]
        assert "f" not in others, "its payload is read, although it has no haystack"
        assert "kids-0" in others
        assert [record.job_id for record in await b.list_all(text="! !title:haystack !id:kids-0")] == [
            "b",
            "kids-0",
        ]


async def test_find_from_the_command_line(program: Program, redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b)
        await b.queue.submit(payload("a", request="req-7", title="Nine Men's Morris"))
    done = program.run("find", "men's MORRIS")
    assert done.code == 0
    assert done.out.splitlines()[1].split()[:3] == ["a", "waiting", "p"]
    assert "req-7" in done.out
    found = program.run("find", "req-7", "--json").json
    assert [(job["jobId"], job["requestId"], job["title"]) for job in found["jobs"]] == [
        ("a", "req-7", "Nine Men's Morris")
    ]
    done = program.run("find", "never")
    assert (done.code, done.out) == (1, "")
    assert program.run("find", " ").code == 2


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


async def test_cancel_by_filter_from_the_command_line(program: Program, redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b)
        dry = program.run("cancel", "--project", "kids", "--dry-run")
        assert (dry.code, dry.out) == (0, "would cancel 7\n")
        assert "cancel 7 jobs: 5 waiting, 1 delayed, 1 active" in dry.err
        assert "kids-0" in dry.err
        assert program.run("cancel", "--filter", "kids", "--dry-run", "--json").json == {
            "matched": 7,
            "done": 0,
            "skipped": 0,
            "dryRun": True,
        }
        refused = program.run("cancel", "--all")
        assert refused.code == 2
        assert "10 jobs would be cancelled" in refused.err
        assert "cancelled" not in await states(b)
        done = program.run("cancel", "--project", "kid", "--filter", "id:kids", "--yes")
        assert (done.out, done.err) == ("cancelled 0, skipped 0\n", "no job matches\n"), "--project is exact"
        done = program.run("cancel", "--state", "delayed", "--state", "active", "--filter", "kids", "--yes")
        assert done.out == "cancelled 2, skipped 0\n"
        done = program.run("cancel", "kids-0", "never", "kids-1", "--reason", "no", "--json")
        assert done.code == 1
        assert [line["jobId"] for line in done.json_lines] == ["kids-0", "never", "kids-1"]
        assert (await b.queue.status("kids-1")).reason is not None
        done = program.run("cancel", "--all", "--yes", "--json")
        assert done.json == {"matched": 6, "done": 6, "skipped": 0, "dryRun": False}
        assert set(await states(b)) == {"cancelled", "completed"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no jobs selected"),
        (["--filter", ""], "--filter is empty"),
        (["--project", ""], "--project is empty"),
        (["a", "--filter", "b"], "found JOB together with a filter"),
        (["--all", "--state", "waiting"], "--all cannot be combined"),
        (["--filter", "foo:bar"], "unknown filter field"),
        (["--project", "p", "--filter", "! x"], "negated as a whole"),
        (["--state", "dead"], "'dead' is not one of"),
    ],
)
def test_an_unclear_selection_is_rejected(program: Program, arguments: list[str], message: str) -> None:
    done = program.run("cancel", *arguments)
    assert done.code == 2
    assert message in done.err


async def end_jobs(b: QueueFixture) -> None:
    """``kids-0`` and ``kids-1`` completed, ``kids-2`` cancelled, ``kids-3`` waiting; ``other-0`` completed."""
    await b.queue.submit_many([payload(name, project=name[:-2]) for name in ("kids-0", "kids-1", "other-0")])
    for claim in (await b.worker().claim(3)).claims:
        await b.worker().finish([completed_job(claim)], 0)
    await b.queue.submit_many([payload(name, project="kids") for name in ("kids-2", "kids-3")])
    await b.queue.cancel("kids-2", who="ana")


@pytest.mark.usefixtures("small_calls")
async def test_all_that_match_and_have_ended_run_again_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching_jobs, "RUN_AGAIN_PER_CALL", 1)
    async with queue_fixture(redis_url) as b:
        await end_jobs(b)
        await b.wait_for_next_ms()
        jobs, selection = MatchingJobs(b.redis, b.settings), matching("kids", *ENDED_STATES)
        matched = MatchedJobs(selection, await jobs.count(selection))
        await b.wait_for_next_ms()

        async def complete(_done: int) -> None:
            for claim in (await b.worker().claim(9)).claims:
                await b.worker().finish([completed_job(claim)], 0)

        result = await jobs.run_again(matched, who="ana", reason="a new font", progress=complete)
        assert result == JobsChanged(3, 0), "those that ended again meanwhile do not run a third time"
        assert (await states(b))["completed"] == ["kids-0", "kids-1", "kids-2", "kids-3", "other-0"]
        snapshot = await b.snapshots.read(events=99)
        (event,) = [event for event in snapshot.events if event.kind == "run-again"]
        assert (event.fields["done"], event.fields["filter"]) == ("3", "kids")
        assert snapshot.unaccounted == 0


async def test_run_again_from_the_command_line(program: Program, redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await end_jobs(b)
        done = program.run("run-again", "kids-0", "--reason", "a new font")
        assert (done.code, done.out) == (0, "run again kids-0; it was completed\n")
        done = program.run("run-again", "kids-3")
        assert done.code == 1
        assert "cannot run again job kids-3: it is waiting" in done.err
        done = program.run("run-again", "--project", "kids", "--dry-run")
        assert done.out == "would run again 2\n"
        assert "run again 2 jobs: 1 completed, 1 cancelled" in done.err
        done = program.run("run-again", "--all", "--yes", "--json")
        assert done.json == {"matched": 3, "done": 3, "skipped": 0, "dryRun": False}
        assert set(await states(b)) == {"waiting"}
