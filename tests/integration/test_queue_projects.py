"""Turns, weights and maxima of projects, and how they heal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from previewops.doctor.doctor import Doctor
from previewops.errors import UsageError
from previewops.project_limits import ProjectLimits
from previewops.queue.due_time import NOW
from previewops.queue.leases import Claim
from previewops.queue.projects import (
    EffectiveLimits,
    ProjectLoad,
    project_loads,
    set_project_limits,
    store_deployment_limits,
)
from previewops.queue.retry import FailureCounter
from previewops.queue.submit_options import SubmitOptions
from previewops.states import Priority
from tests.queue_support import (
    QUEUE,
    QueueFixture,
    attempt_json,
    completed_job,
    dead_letter_reason,
    payload,
    queue_fixture,
    stock_pool,
)

pytestmark = pytest.mark.redis

TURNS = [f"{QUEUE}:turns:{priority}" for priority in Priority]


async def submit(b: QueueFixture, *ids: str, priority: str | None = None) -> None:
    """Submits jobs; the first letter of an id is its project."""
    await b.queue.submit_many([payload(job_id, project=job_id[0], priority=priority) for job_id in ids])


def numbered(project: str, count: int) -> list[str]:
    return [f"{project}{number}" for number in range(count)]


async def limit(b: QueueFixture, project: str, **limits: Any) -> EffectiveLimits:
    return await set_project_limits(b.redis, b.settings, project, who="ann", **limits)


async def claim(b: QueueFixture, count: int, ahead: int = 0) -> list[Claim]:
    return list((await b.worker().claim(count, ahead)).claims)


async def claimed_ids(b: QueueFixture, count: int, ahead: int = 0) -> list[str]:
    return [claimed.job_id for claimed in await claim(b, count, ahead)]


async def keys_of_projects(b: QueueFixture) -> list[str]:
    names = [key.decode().removeprefix(QUEUE) for key in await b.redis.keys(f"{QUEUE}:*")]
    return sorted(name for name in names if "project" in name or "turns" in name)


# ---------------------------------------------------------------- turns


async def test_projects_take_turns_and_keep_their_own_order(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, *numbered("a", 1_000))
        await submit(b, "b0", "b1", "c0")
        assert (await claimed_ids(b, 8)) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3", "a4"]


async def test_a_weight_is_a_share_of_the_turns(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await limit(b, "a", weight=3)
        await submit(b, *numbered("b", 20), *numbered("a", 20))
        ids = await claimed_ids(b, 16)
        assert sum(job_id[0] == "a" for job_id in ids) == 12
        assert "aaaa" not in "".join(job_id[0] for job_id in ids[1:]), "one by one, not in one go"


async def test_a_job_beside_ten_thousand_of_another_project_is_next(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, *numbered("a", 10_000))
        await submit(b, "b0")
        assert "b0" in await claimed_ids(b, 2)


async def test_leaving_and_entering_again_gains_no_turn(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, *numbered("b", 50))
        ids: list[str] = []
        for number in range(40):  # the project has never more than one job
            if not ids or ids[-1][0] == "a":
                await submit(b, f"a{number}")
            ids += await claimed_ids(b, 1)
        assert sum(job_id[0] == "b" for job_id in ids) == 20


async def test_priorities_come_before_turns(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, *numbered("a", 3), priority="high")
        await submit(b, "b0", priority="low")
        assert await claimed_ids(b, 4) == ["a0", "a1", "a2", "b0"]


@pytest.mark.parametrize("ids", [["p1"], ["a0", "b0", "c0", "a1"]])
async def test_nothing_is_left_of_projects_when_no_job_waits(redis_url: str, ids: list[str]) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, *ids)
        assert await keys_of_projects(b)
        await claim(b, len(ids))
        assert await keys_of_projects(b) == []


async def test_jobs_without_a_valid_project_share_one_turn(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as stock:
        hostile = ["", "x" * 5_000, "a:b", "\u0000", "a b"]
        for number, project in enumerate(hostile):
            body = {"jobId": f"h{number}", "projectId": project}
            await stock.enqueue_job("render_preview", body, _job_id=f"h{number}")
        await submit(b, "b0", "b1", "b2")
        await b.worker().maintain()
        assert await keys_of_projects(b) == [
            ":project-waiting:normal:",
            ":project-waiting:normal:b",
            ":turns:normal",
        ]
        assert "".join(job_id[0] for job_id in await claimed_ids(b, 6)) in ("bhbhbh", "hbhbhb")


# ---------------------------------------------------------------- maxima


async def test_a_project_at_its_maximum_is_held_and_others_go_on(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await limit(b, "a", max_active=2)
        await submit(b, *numbered("a", 5), "b0", "b1", "b2")
        claims = await claim(b, 8)
        assert [c.job_id for c in claims] == ["a0", "b0", "a1", "b1", "b2"]
        assert await claimed_ids(b, 8) == []
        assert await b.redis.zrange(f"{QUEUE}:held-projects", 0, -1) == [b"a"]
        _, claims, _ = await b.worker().finish([completed_job(claims[0])], 8)
        assert [c.job_id for c in claims] == ["a2"]


async def test_claims_ahead_keep_a_maximum(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await limit(b, "a", max_active=2)
        await submit(b, *numbered("a", 20), *numbered("b", 20))
        ids = await claimed_ids(b, 2, ahead=10)
        assert sorted(job_id for job_id in ids if job_id[0] == "a") == ["a0", "a1"]
        assert len(ids) == 12


async def test_a_held_project_wakes_no_worker(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await limit(b, "a", max_active=1)
        await submit(b, *numbered("a", 3))
        await claim(b, 3)
        await b.redis.delete(f"{QUEUE}:wake")
        assert await claimed_ids(b, 3) == []
        assert await b.redis.llen(f"{QUEUE}:wake") == 0


Ending = Callable[[QueueFixture, Claim], Awaitable[Any]]


async def _retry(b: QueueFixture, c: Claim) -> None:
    await b.worker().retry(
        c, delay_ms=60_000, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), message="again"
    )


async def _die(b: QueueFixture, c: Claim) -> None:
    await b.worker().move_to_dead_letters(
        c, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=dead_letter_reason()
    )


async def _expire(b: QueueFixture, c: Claim) -> None:
    await b.worker().maintain()
    await b.expire_leases(c.job_id)
    await b.worker().maintain()


async def _replace(b: QueueFixture, c: Claim) -> None:
    new = payload(c.job_id, project="a", title="another")
    await b.queue.submit_many([new], options=[SubmitOptions("ann")])


ENDINGS: dict[str, Ending] = {
    "finish": lambda b, c: b.worker().finish([completed_job(c)], 0),
    "retry": _retry,
    "dead letter": _die,
    "release": lambda b, c: b.worker().release([c]),
    "release unknown": lambda b, c: b.worker().release_unknown_claims([]),
    "worker exit": lambda b, c: b.worker().deregister_worker("w1", "killed", lost=True),
    "lease": _expire,
    "cancel": lambda b, c: b.queue.cancel(c.job_id, who="ann"),
    "deletion": lambda b, c: b.queue.begin_deletion(c.job_id, who="ann"),
    "replacement": _replace,
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_every_end_of_a_run_lets_a_held_project_go_on(redis_url: str, ending: str) -> None:
    async with queue_fixture(redis_url) as b:
        await limit(b, "a", max_active=1)
        await submit(b, "a0", "a1", "a2")
        (running, *_) = await claim(b, 3)
        await b.redis.delete(f"{QUEUE}:wake")
        assert await claimed_ids(b, 1) == []
        await ENDINGS[ending](b, running)
        assert await b.redis.llen(f"{QUEUE}:wake") == 1, "an idle worker has to learn of it"
        assert len(await claim(b, 3)) == 1


async def test_limits_that_change_apply_to_what_runs_already(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, *numbered("a", 6))
        running = await claim(b, 2)
        assert await limit(b, "a", max_active=2) == EffectiveLimits(1, 2, changed=True)
        assert await claimed_ids(b, 6) == []
        await limit(b, "a", max_active=3)
        assert await claimed_ids(b, 6) == ["a2"]
        await limit(b, "a", max_active=0)
        assert await claimed_ids(b, 2) == ["a3", "a4"]
        await limit(b, "a", max_active=None)
        assert await keys_of_projects(b) == [":project-waiting:normal:a", ":turns:normal"]
        await b.worker().finish([completed_job(c) for c in running], 0)


async def test_a_project_wins_over_all_and_an_operator_over_the_deployment(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:

        async def effective(project: str) -> tuple[int, int | None]:
            limits = await limit(b, project)
            return limits.weight, limits.max_active

        deployment = (("a", ProjectLimits(5, 5)), ("*", ProjectLimits(2, 9)))
        assert await store_deployment_limits(b.redis, b.settings, deployment) == ("*", "a")
        assert await store_deployment_limits(b.redis, b.settings, deployment) == ()
        assert (await effective("a"), await effective("b")) == ((5, 5), (2, 9))
        await limit(b, "*", weight=3)
        assert (await effective("a"), await effective("b")) == ((5, 5), (3, 9))
        await limit(b, "a", max_active=0)
        assert await effective("a") == (5, None)
        await store_deployment_limits(b.redis, b.settings, ())
        assert (await effective("a"), await effective("b")) == ((3, None), (3, None))
        await limit(b, "a", weight=None, max_active=None)
        await limit(b, "*", weight=None, max_active=None)
        assert await keys_of_projects(b) == []
        events = [
            event for event in (await b.snapshots.read(events=20)).events if event.kind == "project-limits"
        ]
        assert [dict(event.fields)["project"] for event in events] == [
            "*",
            "a",
            "*",
            "a",
            "*",
            "a",
            "a",
            "*",
        ]
        assert {dict(event.fields)["who"] for event in events} == {"ann", "PREVIEW_PROJECT_LIMITS"}


@pytest.mark.parametrize(
    ("project", "limits"),
    [("", {"weight": 1}), ("a b", {"weight": 1}), ("a", {"weight": 0}), ("a", {"weight": 101})],
)
async def test_invalid_limits_are_rejected(redis_url: str, project: str, limits: dict[str, int]) -> None:
    async with queue_fixture(redis_url) as b:
        with pytest.raises(UsageError, match=r"found .*, allowed "):
            await limit(b, project, **limits)


async def test_loads_report_who_waits_and_who_is_held(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await limit(b, "a", weight=2, max_active=1)
        await limit(b, "z", weight=4)
        await submit(b, *numbered("a", 3), "b0")
        await b.queue.submit(payload("a-low", project="a", priority="low"))
        await b.make_older("a1", by_ms=5_000)
        await b.worker().maintain()
        await claim(b, 9)
        loads = await project_loads(b.redis, b.settings)
        a, b_load, z = loads.projects
        assert a.oldest_wait_ms is not None
        assert a == ProjectLoad("a", 3, 1, 2, 1, held=True, oldest_wait_ms=a.oldest_wait_ms)
        assert b_load == ProjectLoad("b", 0, 1, 1, None, held=False, oldest_wait_ms=None)
        assert z == ProjectLoad("z", 0, 0, 4, None, held=False, oldest_wait_ms=None)
        assert loads.others == EffectiveLimits(1, None)
        of_b = await project_loads(b.redis, b.settings, projects=["b"])
        assert ([load.project for load in of_b.projects], of_b.waiting_projects) == (["b"], 0)


# ---------------------------------------------------------------- drift


async def forget_turns(b: QueueFixture) -> None:
    """Leaves the queue as a version without turns does."""
    await b.redis.delete(*TURNS, *await b.redis.keys(f"{QUEUE}:project-waiting:*"))


async def test_jobs_of_an_older_version_are_claimed_and_take_turns(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, *numbered("a", 300), *numbered("b", 5))
        await forget_turns(b)
        await submit(b, "c0", "c1")
        ids = await claimed_ids(b, 4)
        assert sorted(ids) == ["a0", "a1", "c0", "c1"], "c is known at once, a by its oldest jobs"
        for _ in range(2):  # maintenance looks at 200 jobs each time
            await b.worker().maintain()
        assert (await Doctor(b.redis, b.settings).examine()).count == 0
        assert {"b0", "b1"} <= set(await claimed_ids(b, 5))


async def test_a_claim_finds_what_an_older_version_has_submitted(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, *numbered("a", 3))
        await forget_turns(b)
        await submit(b, *numbered("b", 9), *numbered("c", 9))
        assert "a0" in [job_id for _ in range(3) for job_id in await claimed_ids(b, 1)]


async def test_a_worker_of_an_older_version_takes_jobs_out_of_turn(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, *numbered("a", 8), *numbered("b", 8))
        for job_id in [*numbered("a", 4), *numbered("b", 8)]:  # it knows WAITING alone
            await b.redis.zrem(f"{QUEUE}:waiting:normal", job_id)
            await b.redis.hset(f"{QUEUE}:job:{job_id}", "state", "active")
            await b.redis.zadd(f"{QUEUE}:active", {job_id: await b.now_ms() + 60_000})
        assert await claimed_ids(b, 9) == ["a4", "a5", "a6", "a7"]
        assert await keys_of_projects(b) == []


async def test_a_run_that_an_older_version_ended_holds_no_project(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await limit(b, "a", max_active=2)
        await submit(b, *numbered("a", 6))
        for job_id in [c.job_id for c in await claim(b, 6)]:  # it knows the index of active jobs alone
            await b.redis.zrem(f"{QUEUE}:active", job_id)
            await b.redis.hset(f"{QUEUE}:job:{job_id}", "state", "completed")
        assert await claimed_ids(b, 6) == [], "held, and nothing says that its runs have ended"
        await b.worker().maintain()
        assert await claimed_ids(b, 6) == ["a2", "a3"]


async def test_more_surplus_entries_than_one_claim_removes(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a0", "b0")
        surplus = {f"gone{number}": number for number in range(250)}
        await b.redis.zadd(f"{QUEUE}:project-waiting:normal:a", surplus)
        await b.redis.delete(f"{QUEUE}:wake")
        ids = []
        while "a0" not in ids:
            ids += await claimed_ids(b, 1)
            if "a0" not in ids:
                assert await b.redis.lpop(f"{QUEUE}:wake") is not None, "the next call goes on"
        assert sorted([*ids, *await claimed_ids(b, 1)]) == ["a0", "b0"]


DAMAGE: dict[str, Callable[[QueueFixture], Awaitable[Any]]] = {
    "no turns": forget_turns,
    "a missing job": lambda b: b.redis.zrem(f"{QUEUE}:project-waiting:normal:a", "a2"),
    "a wrong order": lambda b: b.redis.zadd(f"{QUEUE}:project-waiting:normal:a", {"a2": 5}),
    "a surplus job": lambda b: b.redis.zadd(f"{QUEUE}:project-waiting:normal:a", {"b1": 5}),
    "a surplus project": lambda b: b.redis.zadd(f"{QUEUE}:project-waiting:low:x", {"x": 5}),
    "a turn without jobs": lambda b: b.redis.zadd(f"{QUEUE}:turns:low", {"x": 5}),
    "a turn far away": lambda b: b.redis.zadd(f"{QUEUE}:turns:normal", {"b": 9e14}),
    "a negative turn": lambda b: b.redis.zadd(f"{QUEUE}:turns:normal", {"b": -9e14}),
    "a held project": lambda b: b.redis.zadd(f"{QUEUE}:held-projects", {"b": 5}),
    "a missing active job": lambda b: b.redis.delete(f"{QUEUE}:project-active:a"),
    "a surplus active job": lambda b: b.redis.zadd(f"{QUEUE}:project-active:a", {"b0": 5}),
    "active jobs of a project without a maximum": lambda b: b.redis.zadd(
        f"{QUEUE}:project-active:b", {"b0": 5}
    ),
    "a limit that is none": lambda b: b.redis.hset(f"{QUEUE}:project-limits", "set:b", "many"),
    "a limit that is too large": lambda b: b.redis.hset(f"{QUEUE}:project-limits", "set:b", f"{10**20}:"),
    "a limit that is a number": lambda b: b.redis.hset(f"{QUEUE}:project-limits", "set:b", 5),
    "a number of limits": lambda b: b.redis.hset(f"{QUEUE}:meta", "project_limits", 7),
    "no number of limits": lambda b: b.redis.hdel(f"{QUEUE}:meta", "project_limits"),
    "turns of another type": lambda b: b.redis.set(f"{QUEUE}:turns:low", "x"),
    "jobs of another type": lambda b: b.redis.set(f"{QUEUE}:project-waiting:low:x", "x"),
    "limits of another type": lambda b: b.redis.execute_command(
        "COPY", "text", f"{QUEUE}:project-limits", "REPLACE"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_doctor_finds_and_repairs_damage(redis_url: str, damage: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.set("text", "another program's")
        await limit(b, "a", max_active=2)
        await submit(b, *numbered("a", 4), *numbered("b", 4))
        await claim(b, 2)
        doctor = Doctor(b.redis, b.settings)
        assert (await doctor.examine()).count == 0
        await DAMAGE[damage](b)
        before = await b.dump()
        assert (await doctor.examine()).count > 0
        assert await b.dump() == before, "examining changes nothing"
        assert (await doctor.repair()).left == 0
        assert (await doctor.examine()).count == 0
        await claim(b, 8)
        expected = 2 if damage != "limits of another type" else 0
        waiting = await b.redis.zcard(f"{QUEUE}:waiting:normal")
        assert waiting == expected, "every job but those of the held project"


@pytest.mark.parametrize("damage", DAMAGE)
async def test_claims_and_maintenance_heal_damage(redis_url: str, damage: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.set("text", "another program's")
        await submit(b, *numbered("a", 4), *numbered("b", 4))
        await DAMAGE[damage](b)
        ids: list[str] = []
        for _ in range(4):
            await b.worker().maintain()
            ids += await claimed_ids(b, 3)
        assert sorted(ids) == sorted(numbered("a", 4) + numbered("b", 4))


# ---------------------------------------------------------------- transitions in and out of waiting


async def test_a_rescheduled_job_takes_the_turns_of_its_new_priority(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a0", "a1", "b0", priority="low")
        await b.queue.reschedule("a1", priority=Priority.HIGH, who="ann")
        assert await keys_of_projects(b) == [
            ":project-waiting:high:a",
            ":project-waiting:low:a",
            ":project-waiting:low:b",
            ":turns:high",
            ":turns:low",
        ]
        await b.queue.reschedule("a0", due=NOW, who="ann")
        await b.queue.cancel("b0", who="ann")
        assert await claimed_ids(b, 3) == ["a1", "a0"]
        assert await keys_of_projects(b) == []


async def test_released_claims_are_next_in_their_projects_turns(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, *numbered("a", 9), *numbered("b", 9))
        claims = await claim(b, 12)
        await b.worker().release([c for c in claims if c.project == "a"])
        ids = await claimed_ids(b, 6)
        assert [job_id for job_id in ids if job_id[0] == "a"] == ["a0", "a1", "a2"]
        assert [job_id for job_id in ids if job_id[0] == "b"] == ["b6", "b7", "b8"]
