"""How long a project waits for its turn, whatever the others do."""

from __future__ import annotations

import asyncio
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from previewops.queue.leases import Claim, Leases
from previewops.queue.projects import set_project_limits
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from tests.queue_support import QueueFixture, completed_job, payload
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis

PROJECTS = ("a", "b", "c", "d")
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"

weights = st.sampled_from([1, 1, 2, 3, 5, 100])
maxima = st.sampled_from([None, None, 1, 3])
operations = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(PROJECTS), st.integers(1, 8)),
    st.tuples(st.just("claim"), st.integers(1, 4), st.integers(0, 4)),
    st.tuples(st.just("finish"), st.integers(1, 4), st.integers(0, 3)),
    st.tuples(st.just("release"), st.integers(1, 3), st.just(0)),
    st.tuples(st.just("come and go"), st.sampled_from(PROJECTS), st.integers(2, 12)),
)


@dataclass
class ProjectState:
    """What one project waits for and runs; ``passed`` are the turns of others since its oldest job may be claimed."""

    weight: int
    max_active: int | None
    waiting: list[int] = field(default_factory=list)
    active: dict[str, int] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)

    @property
    def may_be_claimed(self) -> bool:
        within = self.max_active is None or len(self.active) < self.max_active
        return bool(self.waiting) and within


class Observer:
    """Follows what is claimed, and checks the bounds at each claim."""

    def __init__(self, limits: list[tuple[int, int | None]]) -> None:
        self.projects = {name: ProjectState(*values) for name, values in zip(PROJECTS, limits, strict=True)}
        self.claims: list[Claim] = []

    @property
    def has_work(self) -> bool:
        return bool(self.claims) or any(project.waiting for project in self.projects.values())

    def submitted(self, name: str, numbers: range) -> None:
        project = self.projects[name]
        if not project.waiting:
            project.passed.clear()
        project.waiting += numbers

    def claimed(self, claims: tuple[Claim, ...]) -> None:
        for claim in claims:
            project = self.projects[claim.project]
            assert project.may_be_claimed, "a project has no more active jobs than its maximum"
            number = int(claim.job_id[1:])
            assert number == min(project.waiting), "first in, first out within a project"
            for name, other in self.projects.items():
                if name != claim.project and other.may_be_claimed:
                    other.passed[claim.project] += 1
                    bound = math.ceil(project.weight / other.weight) + 1
                    assert other.passed[claim.project] <= bound
            project.waiting.remove(number)
            project.active[claim.job_id] = number
            project.passed.clear()
            self.claims.append(claim)

    def ended(self, claims: list[Claim], *, released: bool) -> None:
        for claim in claims:
            project = self.projects[claim.project]
            could = project.may_be_claimed
            number = project.active.pop(claim.job_id)
            if released:
                project.waiting.append(number)
                for other in self.projects.values():
                    other.passed[claim.project] -= other.passed[claim.project] > 0
            if not could:
                project.passed.clear()
            self.claims.remove(claim)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as shared:
        yield shared


@profile(
    max_examples=2_000 if DEEP else 40,
    derandomize=not DEEP,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(
    limits=st.lists(st.tuples(weights, maxima), min_size=len(PROJECTS), max_size=len(PROJECTS)),
    steps=st.lists(operations, min_size=10, max_size=40),
)
def test_every_project_has_its_turn_within_a_bound(
    redis_server: RedisProcess,
    runner: asyncio.Runner,
    limits: list[tuple[int, int | None]],
    steps: list[tuple[Any, ...]],
) -> None:
    runner.run(follow(redis_server.url, limits, steps))


async def follow(url: str, limits: list[tuple[int, int | None]], steps: list[tuple[Any, ...]]) -> None:
    client = connect(url, role="test")
    await client.flushall()
    b = QueueFixture(client, Settings(queue_max=1_000_000, lease_ms=600_000))
    worker, observer = b.worker(), Observer(limits)
    for name, (weight, max_active) in zip(PROJECTS, limits, strict=True):
        if (weight, max_active) != (1, None):  # without any limits, one project has a way of its own
            await set_project_limits(
                client, b.settings, name, weight=weight, max_active=max_active or 0, who="ann"
            )
    submitted = 0

    async def submit(project: str, count: int) -> None:
        nonlocal submitted
        jobs = range(submitted, submitted + count)
        submitted += count
        await b.queue.submit_many([payload(f"{project}{number}", project=project) for number in jobs])
        observer.submitted(project, jobs)

    for kind, first, second in steps:
        if kind == "submit":
            await submit(first, second)
        elif kind == "come and go":  # the project has never more than one job
            for _ in range(second):
                if not observer.projects[first].waiting:
                    await submit(first, 1)
                await finish(worker, observer, observer.claims[:1], 1)
        elif kind == "claim":
            observer.claimed((await worker.claim(first, second)).claims)
        elif kind == "finish":
            await finish(worker, observer, observer.claims[:first], second)
        else:
            back = observer.claims[-first:]
            await worker.release(back)
            observer.ended(back, released=True)
    while observer.has_work:
        await finish(worker, observer, list(observer.claims), 2)
    await client.aclose()


async def finish(worker: Leases, observer: Observer, done: list[Claim], count: int) -> None:
    _, claims, _ = await worker.finish([completed_job(claim) for claim in done], count)
    observer.ended(done, released=False)
    observer.claimed(claims)
    assert claims or not count or not any(p.may_be_claimed for p in observer.projects.values())
