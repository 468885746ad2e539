"""Workers of a queue that several projects share."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any

import pytest

from previewops.project_limits import ProjectLimits
from previewops.queue.projects import set_project_limits
from previewops.worker.engine import worker as worker_module
from tests.integration.worker_support import (
    PATIENCE_S,
    JobLog,
    make_settings,
    make_worker,
    poll_until,
    running_worker,
)
from tests.queue_support import QueueFixture, payload, queue_fixture

pytestmark = pytest.mark.redis

WEIGHTS = {"flood": 1, "heavy": 3, "small": 1}
JOBS = {"flood": 240, "heavy": 240, "small": 12}


async def jobs_by_claim(b: QueueFixture) -> list[tuple[int, int, str]]:
    """Every job as (moment of its last claim, moment of its submit, project), by claim; of one sequence in Redis."""
    ids = [f"{project}-{number}" for project, count in JOBS.items() for number in range(count)]
    async with b.redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hmget(f"{b.keys.job_prefix}{job_id}", "token", "order", "project")
        rows = await pipe.execute()
    return sorted((int(token), int(order), project.decode()) for token, order, project in rows)


@pytest.mark.parametrize("maximum", [None, 2])
async def test_two_projects_that_flood_wait_within_their_bounds(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, maximum: int | None
) -> None:
    monkeypatch.setattr(worker_module, "HOLD_LIMIT_S", PATIENCE_S)  # a job that is released is claimed twice
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def render_preview(_ctx: dict[Any, Any], body: dict[str, Any]) -> None:
        project = body["projectId"]
        running[project] += 1
        most[project] = max(most[project], running[project])
        await asyncio.sleep(0)
        running[project] -= 1

    async def flood(b: QueueFixture, project: str, batch: int) -> None:
        for start in range(0, JOBS[project], batch):
            numbers = range(start, min(start + batch, JOBS[project]))
            jobs = [payload(f"{project}-{number}", project=project) for number in numbers]
            await b.queue.submit_many(jobs)

    async with queue_fixture(redis_url) as b:
        log = JobLog()
        await set_project_limits(b.redis, b.settings, "heavy", weight=3, who="ann")
        if maximum is not None:
            await set_project_limits(b.redis, b.settings, "flood", max_active=maximum, who="ann")
        settings = make_settings(b, worker_concurrency=4)
        workers = [
            make_worker(redis_url, settings, render_preview, worker_id=f"w{n}", after_job_end=log.record)
            for n in range(2)
        ]
        async with running_worker(workers[0]), running_worker(workers[1]):
            await asyncio.gather(flood(b, "flood", 40), flood(b, "heavy", 40), flood(b, "small", 1))
            await log.wait_for(sum(JOBS.values()))
        claims = await jobs_by_claim(b)
    assert maximum is None or most["flood"] <= maximum
    last_claim: dict[str, int] = {}
    for token, order, project in claims:
        waits_since = max(order, last_claim.get(project, 0))
        last_claim[project] = token
        passed = Counter(other for moment, _, other in claims if waits_since < moment < token)
        for other, count in passed.items():
            bound = math.ceil(WEIGHTS[other] / WEIGHTS[project]) + 1
            assert count <= bound or (project == "flood" and maximum is not None), (project, other)


async def test_a_worker_stores_the_limits_of_its_deployment(redis_url: str) -> None:
    async def render_preview(_ctx: dict[Any, Any], _body: Any) -> None:
        return None

    async with queue_fixture(redis_url) as b:
        for limits in (
            (("a", ProjectLimits(3, 4)), ("*", ProjectLimits(None, 8))),
            (("a", ProjectLimits(2)),),
        ):
            settings = make_settings(b, project_limits=limits)
            stored = {
                f"env:{name}".encode(): f"{one.weight or ''}:{one.max_active or ''}".encode()
                for name, one in limits
            }

            async def is_stored(expected: dict[bytes, bytes] = stored) -> bool:
                return bool(await b.redis.hgetall(b.keys.project_limits) == expected)

            async with running_worker(make_worker(redis_url, settings, render_preview)):
                await poll_until(is_stored)
