"""Paged job listing: every job once, in order, at a bounded cost, while the queue changes."""

from __future__ import annotations

import itertools
import random

import pytest

from previewops.queue.filter_query import FilterQuery, parse_filter
from previewops.queue.pages import Cursor
from previewops.queue.records import RECORD_FIELDS, JobRecord
from previewops.queue.retry import FailureCounter
from previewops.queue.scripts import ScriptName, script_text
from previewops.states import JobState, Priority
from tests.queue_support import (
    HOUR_MS,
    QueueFixture,
    attempt_json,
    completed_job,
    dead_letter_reason,
    payload,
    queue_fixture,
    stock_pool,
)

pytestmark = pytest.mark.redis

ALL = FilterQuery()


def ids(records: tuple[JobRecord, ...]) -> list[str]:
    return [record.job_id for record in records]


async def add_one_of_each(b: QueueFixture) -> None:
    """Creates a job in every state, named after it; the ended ones end in this order."""
    for state in ("completed", "dead", "cancelled", "delayed", "active"):
        await b.queue.submit(payload(state, project=f"of-{state}"))
        claim = await b.claim_one() if state != "cancelled" else None
        if state == "cancelled":
            await b.queue.cancel("cancelled", who="ann", reason="a mistake")
        elif claim is not None and state == "completed":
            await b.worker().finish([completed_job(claim)], 0)
        elif claim is not None and state == "dead":
            await b.worker().move_to_dead_letters(
                claim,
                counter=FailureCounter.ATTEMPTS,
                attempt_json=attempt_json(),
                reason=dead_letter_reason("corrupt-image", "Bad JPEG"),
            )
        elif claim is not None and state == "delayed":
            await b.worker().retry(
                claim,
                delay_ms=HOUR_MS,
                counter=FailureCounter.ATTEMPTS,
                attempt_json=attempt_json(),
                message="no answer",
            )
    await b.queue.submit(payload("waiting", project="of-waiting", priority="low"))


async def test_running_jobs_first_then_by_time(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_one_of_each(b)
        # The server's clock may have stood still for a millisecond, so the times are set here.
        now_ms = await b.now_ms()
        for back, state in enumerate(("cancelled", "dead", "completed"), 1):
            await b.redis.zadd(f"{b.keys.queue}:{state}", {state: now_ms - back * 1_000})
        assert ids(await b.list_all()) == ["active", "delayed", "waiting", "cancelled", "dead", "completed"]
        backwards = await b.list_all(newest_first=False)
        assert ids(backwards) == ["active", "completed", "dead", "cancelled", "waiting", "delayed"]


@pytest.mark.parametrize("state", list(JobState))
async def test_listing_of_one_state_has_all_record_fields(redis_url: str, state: JobState) -> None:
    async with queue_fixture(redis_url) as b:
        await add_one_of_each(b)
        page = await b.list.page(state=state, query=ALL)
        (record,) = page.rows
        assert (page.cursor, page.examined) == (None, 1)
        record_with_payload = await b.queue.status(state.value)
        for name in JobRecord.__dataclass_fields__:
            if name not in ("payload", "digest", "result", "history"):
                assert getattr(record, name) == getattr(record_with_payload, name), name
        assert (record.payload, record.digest, record.result, record.history) == (None, "", None, ())


def test_lua_record_fields_match_python() -> None:
    text = script_text(ScriptName.LIST_JOBS)
    listed = text.split("local RECORD_FIELDS = {")[1].split("}")[0]
    lua_fields = [word.strip().strip("'") for word in listed.split(",") if word.strip()]
    assert lua_fields == [name.decode() for name in RECORD_FIELDS]


@pytest.mark.parametrize("newest_first", [True, False])
async def test_running_jobs_are_in_claim_order(redis_url: str, newest_first: bool) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload(f"job-{n}") for n in range(5)])
        claims = [await b.claim_one() for _ in range(5)]
        await b.worker().heartbeat("{}", [(claims[2], 0.5, "frames")])
        expected = [claim.job_id for claim in claims]
        if newest_first:
            expected.reverse()
        records = await b.list_all(JobState.ACTIVE, limit=2, newest_first=newest_first)
        assert ids(records) == expected


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize(("limit", "budget"), [(7, 2000), (2000, 11), (1, 1), (250, 250)])
async def test_pages_have_every_job_once_in_order(
    redis_url: str, newest_first: bool, limit: int, budget: int
) -> None:
    async with queue_fixture(redis_url) as b:
        rng = random.Random(7)
        now_ms = await b.now_ms()
        placed: list[tuple[float, int, str]] = []
        names = [f"job-{n:03}" for n in range(240)]
        await b.queue.submit_many(
            [payload(name, priority=rng.choice(list(Priority)).value) for name in names[:90]]
        )
        sources = [
            b.keys.waiting(Priority.HIGH),
            b.keys.waiting(Priority.NORMAL),
            b.keys.waiting(Priority.LOW),
        ]
        for number, index in enumerate(sources):
            for raw in await b.redis.zrange(index, 0, -1):
                at_ms = now_ms - rng.randrange(12)
                await b.redis.zadd(index, {raw: at_ms * 1000})
                placed.append((at_ms, number, raw.decode()))
        ended = (("completed", b.keys.completed), ("cancelled", b.keys.cancelled), ("dead", b.keys.dead))
        for name in names[90:]:
            number = rng.randrange(3)
            state, index = ended[number]
            at_ms = now_ms - rng.randrange(12)
            fields = {"state": state, "priority": "normal", "project": "p", "accepted": 1, "finished": at_ms}
            await b.redis.hset(b.keys.job_prefix + name, mapping=fields)
            await b.redis.zadd(index, {name: at_ms})
            placed.append((at_ms, 3 + number, name))
        if newest_first:
            # At equal times, sources come by number, and ids of one source in descending order.
            order = sorted(placed, key=lambda job: job[2], reverse=True)
            order.sort(key=lambda job: (-job[0], job[1]))
        else:
            order = sorted(placed)
        records = await b.list_all(newest_first=newest_first, limit=limit, budget=budget)
        assert ids(records) == [name for _, _, name in order]


async def test_changes_between_pages_do_not_shift_them(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        names = [f"job-{n:02}" for n in range(30)]
        await b.queue.submit_many([payload(name) for name in names])
        await b.redis.zadd(b.keys.waiting(Priority.NORMAL), dict.fromkeys(names, 1_000_000_000))
        first = await b.list.page(state=JobState.WAITING, query=ALL, limit=10)
        assert ids(first.rows) == names[:19:-1]
        # The last job of the page goes, and so do its neighbours; a newer one arrives.
        for name in ("job-20", "job-21", "job-19"):
            await b.queue.cancel(name, who="ann")
        await b.queue.submit(payload("new"))
        second = await b.list.page(state=JobState.WAITING, query=ALL, limit=10, cursor=first.cursor)
        assert ids(second.rows) == names[18:8:-1]
        assert second.cursor is not None
        third = await b.list.page(state=JobState.WAITING, query=ALL, limit=50, cursor=second.cursor)
        assert (ids(third.rows), third.cursor) == (names[8::-1], None)


async def test_page_stops_at_its_budget(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many(
            [payload(f"job-{n:03}", project="rare" if n == 5 else "p") for n in range(100)]
        )
        cursor: Cursor | None = None
        pages = []
        while not pages or cursor is not None:
            page = await b.list.page(state=None, query=parse_filter("project:rare"), budget=40, cursor=cursor)
            pages.append(page)
            cursor = page.cursor
        assert [page.examined for page in pages] == [40, 40, 20]
        assert [ids(page.rows) for page in pages] == [[], [], ["job-005"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state:dead", {"dead"}),
        ("corrupt-image", {"dead"}),
        ("error:jpeg", {"dead"}),
        ("error:answer", {"delayed"}),
        ("!error:e", {"active", "completed", "waiting"}),
        ("worker:W1 !state:active", {"completed", "dead", "delayed"}),
        ("priority:low", {"waiting"}),
        ("project:of-w", {"waiting"}),
        ("id:completed", {"completed"}),
        ("! project:of", set()),
        ("! state:e", {"waiting"}),
    ],
)
async def test_filter_query_covers_every_field(redis_url: str, text: str, expected: set[str]) -> None:
    async with queue_fixture(redis_url) as b:
        await add_one_of_each(b)
        assert set(ids(await b.list_all(None, text))) == expected


async def test_unadmitted_jobs_of_stock_clients_are_listed(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        for name, defer_by in (("due", None), ("later", 3600)):
            raw = payload(name, priority="high", project="shop").raw
            await pool.enqueue_job("render_preview", raw, _job_id=name, _defer_by=defer_by)
        await b.make_due("due")
        await b.queue.submit(payload("ours"))
        assert set(ids(await b.list_all())) == {"due", "later", "ours"}
        (due, later) = sorted(await b.list_all(None, "project:shop"), key=lambda record: record.job_id)
        assert (due.state, later.state) == (JobState.WAITING, JobState.DELAYED)
        assert (due.priority, due.attempts) == (Priority.HIGH, 0)
        assert set(ids(await b.list_all(JobState.WAITING))) == {"due", "ours"}
        assert ids(await b.list_all(JobState.DELAYED)) == ["later"]
        assert due.accepted_ms == (await b.queue.status("due")).accepted_ms


async def test_job_enqueued_again_is_listed_once(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await b.queue.submit(payload("a"))
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        await b.redis.delete("arq:result:a")
        assert (
            await pool.enqueue_job("render_preview", payload("a").raw, _job_id="a", _defer_by=60) is not None
        )
        assert ids(await b.list_all()) == ["a"]


async def test_reading_a_body_costs_more_budget(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        for n in range(9):
            await pool.enqueue_job(
                "render_preview", payload(f"job-{n}").raw, _job_id=f"job-{n}", _defer_by=60
            )
        page = await b.list.page(state=None, query=ALL, budget=63)
        assert (len(page.rows), page.examined) == (3, 3)
        assert len(await b.list_all(budget=63)) == 9


async def test_undecodable_id_is_listed(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("good"))
        await b.redis.zadd(b.keys.schedule, {b"\xff\xfe": await b.now_ms() + HOUR_MS})
        assert set(ids(await b.list_all(limit=1))) == {"good", "\ufffd\ufffd"}


async def test_page_cost_is_independent_of_depth(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        serial = itertools.count()

        async def fill(count: int) -> None:
            names = [f"job-{next(serial)}" for _ in range(3 * count)]
            await b.queue.submit_many([payload(name) for name in names])
            claims = (await b.worker().claim(2 * count)).claims
            await b.worker().finish([completed_job(claim) for claim in claims[:count]], 0)
            for claim in claims[count:]:
                await b.worker().move_to_dead_letters(
                    claim,
                    counter=FailureCounter.ATTEMPTS,
                    attempt_json=attempt_json(),
                    reason=dead_letter_reason(),
                )

        async def cost(cursor: Cursor | None) -> dict[str, int]:
            before = await b.calls()
            page = await b.list.page(state=None, query=parse_filter("no such job"), budget=30, cursor=cursor)
            assert page.examined == 30
            after = await b.calls()
            spent = {name: count - before.get(name, 0) for name, count in after.items()}
            return {name: count for name, count in spent.items() if count and name != "info"}

        await fill(40)
        await b.list.page(state=None, query=ALL)
        middle = (await b.list.page(state=None, query=ALL, limit=50)).cursor
        shallow = [await cost(None), await cost(middle)]
        await fill(700)
        deep = [await cost(None), await cost(middle)]
        assert [calls["evalsha"] for calls in deep] == [1, 1]
        assert deep[0] == shallow[0]
        assert sum(deep[1].values()) <= sum(shallow[1].values()) + 10
        assert not {"keys", "scan", "zscan", "hgetall", "lrange", "zrangebyscore"} & {*deep[0], *deep[1]}
