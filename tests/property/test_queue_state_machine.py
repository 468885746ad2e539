"""All queue operations in random order, compared with a plain model.

HYPOTHESIS_PROFILE=deep runs many more and longer sequences, different ones each time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import redis
from arq.connections import ArqRedis
from arq.jobs import Job
from hypothesis import HealthCheck, Phase, assume, note
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from previewops.contract import Payload
from previewops.errors import JobConflict, JobNotFound, PayloadExpired, QueueFull, WrongState
from previewops.metrics.lifetime_counters import (
    DEAD_LETTER_CAUSES,
    FAILURE_CAUSES,
    RETRY_CAUSES,
    LifetimeCounters,
)
from previewops.queue.batch_errors import BatchClosed, BatchConflict, BatchNotFound
from previewops.queue.batches import Batches
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.due_time import NOW, DueTime
from previewops.queue.filter_query import FilterQuery, FilterTerm
from previewops.queue.job_selection import PENDING_STATES, JobsChanged, JobSelection, MatchedJobs
from previewops.queue.keys import ARQ_GUARD, ARQ_GUARD_SCORE
from previewops.queue.leases import WORKER_LOST_FINGERPRINT, Claim, Leases
from previewops.queue.matching_jobs import MatchingJobs
from previewops.queue.projects import set_project_limits
from previewops.queue.queue import Receipt
from previewops.queue.retry import FailureCounter
from previewops.queue.submit_options import SubmitOptions
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.states import JobState, Priority, ScriptResult
from tests.property.queue_model import FULL_TURN, PRIORITIES, Model, ModelBatch, ModelJob
from tests.queue_support import (
    HOUR_MS,
    QUEUE,
    QueueFixture,
    attempt_json,
    completed_job,
    dead_letter_reason,
    json_bytes,
    payload,
)
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis

T = TypeVar("T")

IDS = [f"job-{n}" for n in range(9)]
PROJECTS = ("a", "b", "c")
PROJECT_OF = {job_id: PROJECTS[number % len(PROJECTS)] for number, job_id in enumerate(IDS)}
WORKERS = ["w1", "w2", "w3"]
SETTINGS = Settings(queue_name=QUEUE, queue_max=6, keep_completed=3, max_crashes=2, lease_ms=600_000)
NEVER_AGED_MS, ALWAYS_AGED_MS = 86_400_000, 0
CAUSES = [dead_letter_reason("one", "first cause"), dead_letter_reason("two", "second cause")]
CAUSE_OF = {reason.code: reason for reason in CAUSES}
ENDED = {"completed", "cancelled", "dead"}

job_ids = st.sampled_from(IDS)
workers = st.sampled_from(WORKERS)
priorities = st.sampled_from(PRIORITIES)
titles = st.sampled_from(["a", "b"])
wants = st.integers(1, 3)
picks = st.integers(0, 10_000)
BATCHES = ["b1", "b2", "b3"]
batch_choices = st.sampled_from([None, *BATCHES])


class SharedServer:
    """Shared by all examples: a server, an event loop and connections."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.Runner()
        self.sync = redis.Redis.from_url(url)
        self.arq = ArqRedis(
            unix_socket_path=url.removeprefix("unix://"),
            job_serializer=json_bytes,
            default_queue_name=QUEUE,
        )
        self.client = connect(url, role="test")
        self.fixture = QueueFixture(self.client, SETTINGS)

    def run(self, call: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await call

        return self._loop.run(awaited())

    def close(self) -> None:
        self.run(self.client.aclose())
        self.run(self.arq.aclose(close_connection_pool=True))
        self.sync.close()
        self._loop.close()


class QueueMachine(RuleBasedStateMachine):
    def __init__(self, shared: SharedServer) -> None:
        super().__init__()
        self.shared = shared
        self.run = shared.run
        self.redis = shared.sync
        self.fixture = shared.fixture
        self.keys = shared.fixture.keys
        self.redis.flushall()
        self.model = Model(SETTINGS.queue_max, SETTINGS.max_crashes)
        self.claims: list[Claim] = []
        self.batches = Batches(shared.client, SETTINGS)
        self.redis.hset(self.keys.meta, mapping={"webhooks_until": 2**50, "webhook_all": 1})

    # ------------------------------------------------------------ helpers

    def leases(self, worker: str, aged: bool = False) -> Leases:
        ageing = ALWAYS_AGED_MS if aged else NEVER_AGED_MS
        return Leases(self.shared.client, replace(SETTINGS, ageing_ms=ageing), worker)

    def now_ms(self) -> int:
        return self.run(self.fixture.now_ms())

    def claim_of(self, pick: int) -> Claim:
        return self.claims[-1 - pick % len(self.claims)]

    def claims_of(self, chosen_picks: list[int]) -> list[Claim]:
        claims = [self.claim_of(pick) for pick in chosen_picks] if self.claims else []
        return list({claim.token: claim for claim in claims}.values())

    def read_turns(self) -> None:
        """Follows the moments of the turns, which depend on the order in which projects entered."""
        for priority in Priority:
            turns = self.redis.zrange(self.keys.turns(priority), 0, -1, withscores=True)
            self.model.turns[priority.value] = {name.decode(): int(turn) for name, turn in turns}
        self.model.held = {name.decode() for name in self.redis.zrange(self.keys.held_projects, 0, -1)}

    def payload(self, job_id: str, priority: str, title: str) -> Payload:
        return payload(job_id, priority=priority, title=title, project=PROJECT_OF[job_id])

    def read_order(self, job: ModelJob) -> None:
        raw = self.redis.hget(self.keys.job_prefix + job.job_id, "order")
        assert raw is not None
        order = int(raw)
        assert order > self.model.last_order, "admission order increases"
        job.order = self.model.last_order = order

    def check_claims(self, claims: tuple[Claim, ...], expected: list[ModelJob], worker: str) -> None:
        assert [claim.job_id for claim in claims] == [job.job_id for job in expected]
        for claim, job in zip(claims, expected, strict=True):
            assert int(claim.token) > self.model.last_token, "tokens increase"
            self.model.last_token = int(claim.token)
            assert (claim.attempts, claim.crashes) == (job.attempts, job.crashes)
            assert claim.priority.value == job.priority
            assert (claim.body is None) == job.body_lost
            assert claim.ahead == job.ahead
            job.token, job.worker, job.lease_expired = claim.token, worker, False
            self.claims.append(claim)

    # ------------------------------------------------------------ producers

    def batch_problem(self, batch: str | None, project: str) -> str | None:
        known = self.model.batches.get(batch or "")
        if known is None:
            return None
        return "other project" if known.project != project else "closed" if known.closed else None

    def join(self, job: ModelJob, batch: str | None) -> None:
        if batch is not None:
            self.model.batches.setdefault(batch, ModelBatch(PROJECT_OF[job.job_id]))
            job.batch = batch

    def accept(self, job_id: str, priority: str, title: str, batch: str | None = None) -> str:
        """Returns the expected result of a submit."""
        known = self.model.jobs.get(job_id)
        body = f"{priority} {title}"
        if known is not None and (known.on_record or not known.body_lost):
            lost = known.foreign and known.body_lost
            return known.state if known.body == body and not lost else "conflict"
        if self.model.backlog >= SETTINGS.queue_max:
            return "full"
        if problem := self.batch_problem(batch, PROJECT_OF[job_id]):
            return problem
        job = self.model.jobs[job_id] = ModelJob(job_id, priority, body, project=PROJECT_OF[job_id])
        self.join(job, batch)
        self.model.count("accepted")
        return "new"

    @rule(jobs=st.lists(st.tuples(job_ids, priorities, titles), min_size=1, max_size=3))
    def submit(self, jobs: list[tuple[str, str, str]]) -> None:
        expected = [self.accept(*job) for job in jobs]
        note(f"expected {expected}")
        replies = self.run(
            self.fixture.queue.submit_many(
                [self.payload(job_id, priority, title) for job_id, priority, title in jobs]
            )
        )
        now_ms = self.now_ms()
        for (job_id, _, _), expectation, reply in zip(jobs, expected, replies, strict=True):
            if expectation == "conflict":
                assert isinstance(reply, JobConflict)
            elif expectation == "full":
                assert isinstance(reply, QueueFull)
            else:
                assert isinstance(reply, Receipt)
                assert reply.new is (expectation == "new")
                due_ms = self.model.jobs[job_id].due_ms
                early = "delayed" if due_ms > now_ms else "waiting"
                assert reply.state.value == {"new": "waiting", "unadmitted": early}.get(
                    expectation, expectation
                )
            if expectation == "new":
                self.read_order(self.model.jobs[job_id])

    @rule(
        job_id=job_ids,
        priority=priorities,
        title=titles,
        hours=st.sampled_from([None, 0, 1]),
        batch=batch_choices,
    )
    def submit_with_batch_or_for_later(
        self, job_id: str, priority: str, title: str, hours: int | None, batch: str | None
    ) -> None:
        self.submit_with_options(job_id, priority, title, False, hours, batch)

    @precondition(lambda self: self.model.jobs)
    @rule(
        pick=picks,
        ended=st.booleans(),
        priority=priorities,
        title=st.sampled_from(["a", "b", "c"]),
        hours=st.sampled_from([None, None, 0, 1]),
        batch=batch_choices,
    )
    def submit_in_place_of_another(
        self, pick: int, ended: bool, priority: str, title: str, hours: int | None, batch: str | None
    ) -> None:
        known = (self.model.of(*ENDED) if ended else []) or list(self.model.jobs.values())
        self.submit_with_options(known[pick % len(known)].job_id, priority, title, True, hours, batch)

    def submit_with_options(
        self, job_id: str, priority: str, title: str, replaces: bool, hours: int | None, batch: str | None
    ) -> None:
        job = self.model.jobs.get(job_id)
        before = None if job is None or (job.body_lost and not job.on_record) else replace(job)
        admitted = replaces and before is not None and before.project_known
        if admitted and before is not None and before.body != f"{priority} {title}":
            expected = self.replace_body(job_id, priority, f"{priority} {title}", batch)
        else:
            expected = self.accept(job_id, priority, title, batch)
        options = SubmitOptions(
            "ann" if replaces else None,
            None if hours is None else DueTime(hours * HOUR_MS, relative=True),
            batch,
        )
        (reply,) = self.run(
            self.fixture.queue.submit_many([self.payload(job_id, priority, title)], options=[options])
        )
        note(f"expected {expected}, reply {reply}")
        if expected == "conflict":
            assert isinstance(reply, JobConflict)
        elif expected == "full":
            assert isinstance(reply, QueueFull)
        elif expected == "closed":
            assert isinstance(reply, BatchClosed)
        elif expected == "other project":
            assert isinstance(reply, BatchConflict)
        else:
            assert isinstance(reply, Receipt)
            assert reply.new is (expected in ("new", "replaced"))
            assert (reply.replaced is not None) is (expected == "replaced")
            if expected == "new":
                self.place_job(self.model.jobs[job_id], hours, None)
            elif expected == "replaced":
                self.place_job(self.model.jobs[job_id], hours, before)

    def replace_body(self, job_id: str, priority: str, body: str, batch: str | None) -> str:
        """Replaces the body of a job in the model. Returns the expected result."""
        job, model = self.model.jobs[job_id], self.model
        joins = batch not in (None, job.batch)
        if joins and (problem := self.batch_problem(batch, PROJECT_OF[job_id])):
            return problem
        if job.state in ENDED and model.backlog >= SETTINGS.queue_max:
            return "full"
        if joins:
            self.join(job, batch)
        if job.state == "dead":
            job.requeues += 1
            model.count("requeued")
        elif job.state in ("completed", "cancelled", "unadmitted"):
            model.count("accepted")
        job.body, job.priority, job.foreign, job.body_lost = body, priority, False, False
        job.token, job.fingerprint, job.lease_expired = None, None, False
        job.ahead = job.uncounted = False
        return "replaced"

    def place_job(self, job: ModelJob, hours: int | None, before: ModelJob | None) -> None:
        """Follows where a submit has put the job, which was ``before``, or is new."""
        early = before is not None and before.state in ("delayed", "unadmitted")
        keeps_time = early and hours is None and job.attempts + job.crashes == 0
        keeps_place = before is not None and before.state == "waiting"
        if before is not None and before.state == "unadmitted" and before.due_ms <= self.now_ms():
            keeps_time, keeps_place = False, True
            job.order = before.due_ms * 1000
        job.attempts = job.crashes = 0
        if hours or (keeps_time and before is not None and before.due_ms > self.now_ms()):
            job.state, job.due_ms = "delayed", int(self.redis.zscore(QUEUE, job.job_id))
            assert keeps_time is False or before is None or before.due_ms == job.due_ms
            return
        job.state = "waiting"
        if not keeps_place:
            self.read_order(job)

    @rule(job_id=job_ids, priority=priorities, title=titles, hours=st.sampled_from([0, 0, 1]))
    def enqueue_by_stock_client(self, job_id: str, priority: str, title: str, hours: int) -> None:
        known = self.model.jobs.get(job_id)
        assume(known is None or not known.on_record or not known.body_lost or known.state in ENDED)
        raw = self.payload(job_id, priority, title).raw
        job = self.run(
            self.shared.arq.enqueue_job(
                "render_preview", raw, _job_id=job_id, _defer_by=hours * 3600 if hours else None
            )
        )
        if known is not None and (known.state in ENDED or not known.body_lost):
            assert job is None
            return
        assert job is not None
        due_ms = int(self.redis.zscore(QUEUE, job_id))
        # arq rounds its clock to the nearest ms and Redis cuts it, so "now" may be due in half a ms.
        while not hours and self.now_ms() < due_ms:
            pass
        self.model.jobs[job_id] = ModelJob(
            job_id,
            priority,
            f"{priority} {title}",
            state="unadmitted",
            foreign=True,
            due_ms=due_ms,
            project=PROJECT_OF[job_id],
        )

    # ------------------------------------------------------------ workers

    @rule(worker=workers, count=wants, ahead=st.integers(0, 3), aged=st.booleans())
    def claim(self, worker: str, count: int, ahead: int, aged: bool) -> None:
        if self.model.paused:
            # A claim during a pause may admit due jobs or not; after this, none are due.
            self.maintain()
        self.read_turns()
        self.model.admit(self.now_ms(), count + 8)
        expected = self.model.choose(count, aged, ahead)
        claims = self.run(self.leases(worker, aged).claim(count, ahead))
        self.model.woken_workers.discard(worker)
        self.check_claims(claims.claims, expected, worker)

    @precondition(lambda self: self.claims)
    @rule(
        worker=workers,
        chosen_picks=st.lists(picks, min_size=1, max_size=3),
        count=st.integers(0, 2),
        ahead=st.integers(0, 2),
        started_picks=st.lists(picks, max_size=2),
    )
    def finish(
        self, worker: str, chosen_picks: list[int], count: int, ahead: int, started_picks: list[int]
    ) -> None:
        # A finish may admit due jobs or not; after this, none are due.
        self.maintain()
        claims = self.claims_of(chosen_picks)
        started = self.claims_of(started_picks)
        codes = []
        self.read_turns()
        for claim in claims:
            codes.append(self.model.check_token(claim.job_id, claim.token))
            if codes[-1] == "OK":
                self.model.stop_running(self.model.jobs[claim.job_id], "completed")
                self.model.jobs[claim.job_id].ahead = False
                self.model.count("completed")
        for claim in started:
            self.model.start(claim.job_id, claim.token)
        expected = self.model.choose(count, aged=False, ahead=ahead)
        before_ms = self.now_ms()
        replies, following, paused = self.run(
            self.leases(worker).finish(
                [completed_job(claim) for claim in claims], count, max_ahead=ahead, started=started
            )
        )
        assert paused == self.model.paused
        assert [code.name for code in replies] == codes
        ended = [claim.job_id for claim, code in zip(claims, codes, strict=True) if code == "OK"]
        for job_id in ended:
            at = self.redis.hget(self.keys.job_prefix + job_id, "finished")
            self.model.jobs[job_id].finished_ms = int(at) if at else before_ms
        self.forget(len(ended))
        if count or ahead:
            self.model.woken_workers.discard(worker)
        self.check_claims(following, expected, worker)

    def forget(self, ended: int) -> None:
        """Removes completed jobs beyond the retention, the oldest first."""
        completed = self.model.of("completed")
        surplus = max(0, min(len(completed) - SETTINGS.keep_completed, ended * 2))
        gone = [job for job in completed if not self.redis.exists(self.keys.job_prefix + job.job_id)]
        kept = [job for job in completed if job not in gone]
        assert len(gone) == surplus
        if gone and kept:
            assert max(job.finished_ms for job in gone) <= min(job.finished_ms for job in kept)
        for job in gone:
            if job.batch is not None:
                self.model.batches[job.batch].forgotten += 1
            del self.model.jobs[job.job_id]

    def job_of_reply(self, claim: Claim, reply: ScriptResult) -> ModelJob | None:
        """Checks the reply to the end of ``claim``; returns the job if the claim held it."""
        expected = self.model.check_token(claim.job_id, claim.token)
        assert reply.name == expected
        return self.model.jobs[claim.job_id] if expected == "OK" else None

    @precondition(lambda self: self.claims)
    @rule(pick=picks, counter=st.sampled_from(FailureCounter))
    def retry(self, pick: int, counter: FailureCounter) -> None:
        claim = self.claim_of(pick)
        before_ms = self.now_ms()
        reply = self.run(
            self.leases("w1").retry(
                claim, delay_ms=HOUR_MS, counter=counter, attempt_json=attempt_json(), message="again"
            )
        )
        job = self.job_of_reply(claim, reply)
        if job is not None:
            self.fail(job, counter)
            job.state, job.ahead = "delayed", False
            job.due_ms = int(self.redis.zscore(QUEUE, job.job_id))
            assert before_ms + HOUR_MS <= job.due_ms <= self.now_ms() + HOUR_MS
            self.model.count("crashed" if counter is FailureCounter.CRASHES else "retried")
            assert self.redis.llen(self.keys.wake) == 1, "an idle worker has to learn of the new due time"

    @precondition(lambda self: self.claims)
    @rule(pick=picks, counter=st.sampled_from(FailureCounter), reason=st.sampled_from(CAUSES))
    def move_to_dead_letters(self, pick: int, counter: FailureCounter, reason: Any) -> None:
        claim = self.claim_of(pick)
        reply = self.run(
            self.leases("w1").move_to_dead_letters(
                claim, counter=counter, attempt_json=attempt_json(), reason=reason
            )
        )
        job = self.job_of_reply(claim, reply)
        if job is not None:
            self.fail(job, counter)
            self.model.move_to_dead_letters(job, reason.fingerprint)
            if counter is FailureCounter.CRASHES:
                self.model.count("crashed")

    def fail(self, job: ModelJob, counter: FailureCounter) -> None:
        job.failures += 1
        if counter is FailureCounter.CRASHES:
            job.crashes += 1
        else:
            job.attempts += 1

    @precondition(lambda self: self.claims)
    @rule(worker=workers, chosen_picks=st.lists(picks, min_size=1, max_size=3))
    def release(self, worker: str, chosen_picks: list[int]) -> None:
        claims = self.claims_of(chosen_picks)
        replies = self.run(self.leases(worker).release(claims))
        for claim, reply in zip(claims, replies, strict=True):
            job = self.job_of_reply(claim, reply)
            if job is not None:
                self.model.return_to_waiting(job)

    @rule(worker=workers, chosen_picks=st.lists(picks, max_size=3), waiting_picks=st.lists(picks, max_size=2))
    def heartbeat(self, worker: str, chosen_picks: list[int], waiting_picks: list[int]) -> None:
        running = self.claims_of(chosen_picks)
        waiting = [claim for claim in self.claims_of(waiting_picks) if claim not in running]
        call = self.leases(worker).heartbeat("{}", [(claim, 0.5, "frames") for claim in running], waiting)
        reply = self.run(call)
        for claim in running:
            self.model.start(claim.job_id, claim.token)
        claims = [*running, *waiting]
        expectations = [(claim, self.model.check_token(claim.job_id, claim.token)) for claim in claims]
        assert reply.lost_job_ids == tuple(
            claim.job_id for claim, expectation in expectations if expectation != "OK"
        )
        for claim, expectation in expectations:
            if expectation == "OK":
                self.model.jobs[claim.job_id].lease_expired = False

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def renew(self, pick: int) -> None:
        claim = self.claim_of(pick)
        job = self.job_of_reply(claim, self.run(self.leases("w1").renew(claim)))
        if job is not None:
            job.lease_expired = False
            job.ahead = False

    @rule(worker=workers)
    def take_wake_up(self, worker: str) -> None:
        if self.redis.lpop(self.keys.wake) is not None:
            self.model.woken_workers.add(worker)

    @precondition(lambda self: self.model.of("active"))
    @rule(pick=picks)
    def lease_runs_out(self, pick: int) -> None:
        active = self.model.of("active")
        job = active[pick % len(active)]
        self.run(self.fixture.expire_leases(job.job_id))
        job.lease_expired = True

    @precondition(lambda self: self.model.of("delayed", "unadmitted"))
    @rule(pick=picks)
    def delay_passes(self, pick: int) -> None:
        later = self.model.of("delayed", "unadmitted")
        job = later[pick % len(later)]
        self.run(self.fixture.make_due(job.job_id))
        job.due_ms = int(self.redis.zscore(QUEUE, job.job_id))

    @precondition(lambda self: self.model.of("unadmitted"))
    @rule(pick=picks)
    def stock_body_expires(self, pick: int) -> None:
        foreign = self.model.of("unadmitted")
        job = foreign[pick % len(foreign)]
        self.redis.delete(f"arq:job:{job.job_id}")
        # The body that named its priority is gone.
        job.body_lost, job.priority, job.project = True, "normal", ""

    @rule()
    def maintain(self) -> None:
        over = [job for job in self.model.of("active") if job.lease_expired]
        for job in over:
            self.model.recover(job, WORKER_LOST_FINGERPRINT)
        admitted = self.model.admit(self.now_ms(), 100)
        result = self.run(self.leases("w1").maintain())
        assert (result.recovered, result.admitted) == (len(over), admitted)
        delayed = self.model.of("delayed", "unadmitted")
        assert (result.next_due_ms is None) == (not delayed)
        assert (result.next_expiry_ms is None) == (not self.model.of("active"))

    @rule(worker=workers)
    def worker_dies(self, worker: str) -> None:
        running = [job for job in self.model.of("active") if job.worker == worker]
        for job in running:
            self.model.recover(job, WORKER_LOST_FINGERPRINT)
        self.model.woken_workers.discard(worker)
        ids = self.run(self.leases("w9").deregister_worker(worker, "killed by SIGKILL", lost=True))
        assert sorted(ids) == sorted(job.job_id for job in running)
        # The worker's wake-up is lost with it; maintenance puts it back.
        self.redis.lpush(self.keys.wake, "1")
        self.redis.ltrim(self.keys.wake, 0, 0)

    @rule(worker=workers, chosen_picks=st.lists(picks, max_size=2))
    def release_unknown_claims(self, worker: str, chosen_picks: list[int]) -> None:
        known = self.claims_of(chosen_picks)
        tokens = {claim.token for claim in known}
        lost = [job for job in self.model.of("active") if job.worker == worker and job.token not in tokens]
        ids = self.run(self.leases(worker).release_unknown_claims(known))
        assert sorted(ids) == sorted(job.job_id for job in lost)
        for job in lost:
            job.token = None
            self.model.return_to_waiting(job)

    # ------------------------------------------------------------ operators

    @rule(job_id=job_ids)
    def cancel(self, job_id: str) -> None:
        job = self.model.jobs.get(job_id)

        def call() -> JobState:
            return self.run(self.fixture.queue.cancel(job_id, who="ann", reason="not needed"))

        if job is None:
            with pytest.raises(JobNotFound):
                call()
        elif job.state in ENDED:
            with pytest.raises(WrongState):
                call()
        else:
            early = "delayed" if job.due_ms > self.now_ms() else "waiting"
            assert call().value == (early if job.state == "unadmitted" else job.state)
            self.cancel_job(job)

    def cancel_job(self, job: ModelJob) -> None:
        if job.state == "unadmitted":
            self.model.count("accepted")
        job.state, job.token, job.lease_expired, job.ahead = "cancelled", None, False, False
        self.model.count("cancelled")

    @rule(
        states=st.sets(st.sampled_from(PENDING_STATES), min_size=1),
        priority=st.none() | priorities,
    )
    def cancel_matching(self, states: set[JobState], priority: str | None) -> None:
        now_ms = self.now_ms()

        def state_of(job: ModelJob) -> str:
            early = "delayed" if job.due_ms > now_ms else "waiting"
            return early if job.state == "unadmitted" else job.state

        chosen = [
            job
            for job in self.model.jobs.values()
            if state_of(job) in states and priority in (None, job.priority)
        ]
        terms = () if priority is None else (FilterTerm(priority, "priority", exact=True),)
        selection = JobSelection(tuple(states), FilterQuery(terms))
        matching = MatchingJobs(self.shared.client, SETTINGS)
        count = self.run(matching.count(selection, sample=len(IDS)))
        assert sorted(count.sample_ids(len(IDS))) == sorted(job.job_id for job in chosen)
        assert count.total == len(chosen)
        result = self.run(matching.cancel(MatchedJobs(selection, count), who="ann"))
        assert result == JobsChanged(len(chosen), 0)
        for job in chosen:
            self.cancel_job(job)

    @rule(job_id=job_ids)
    def run_again(self, job_id: str) -> None:
        job = self.model.jobs.get(job_id)

        def call() -> JobState:
            return self.run(self.fixture.queue.run_again(job_id, who="ann", reason="a new font"))

        if job is None or not job.on_record:
            with pytest.raises(JobNotFound):
                call()
        elif job.state not in ("completed", "cancelled"):
            with pytest.raises(WrongState):
                call()
        elif job.body_lost:
            with pytest.raises(PayloadExpired):
                call()
        else:
            assert call().value == job.state
            job.state, job.token = "waiting", None
            job.attempts = job.crashes = 0
            job.uncounted = False
            self.model.count("accepted")
            self.read_order(job)

    @precondition(lambda self: self.model.of("waiting", "delayed", "unadmitted"))
    @rule(pick=picks, places=st.integers(0, 2), hours=st.sampled_from([None, 0, 1]))
    def reschedule(self, pick: int, places: int, hours: int | None) -> None:
        pending = self.model.of("waiting", "delayed", "unadmitted")
        job = pending[pick % len(pending)]
        if job.state == "unadmitted":
            job.state = "delayed" if job.due_ms > self.now_ms() else "waiting"
            job.order = job.due_ms * 1000
            self.model.count("accepted")
        job.priority = PRIORITIES[(PRIORITIES.index(job.priority) + places) % 3]
        call = self.fixture.queue.reschedule(
            job.job_id,
            priority=Priority(job.priority) if places else None,
            due=None if hours is None else DueTime(hours * HOUR_MS, relative=True),
            who="ann",
        )
        assert self.run(call).value == job.state
        if hours:
            job.state, job.due_ms = "delayed", int(self.redis.zscore(QUEUE, job.job_id))
        elif hours == 0 and job.state == "delayed":
            job.state = "waiting"
            self.read_order(job)

    @rule(job_id=job_ids)
    def reschedule_another(self, job_id: str) -> None:
        job = self.model.jobs.get(job_id)
        assume(job is None or job.state in ENDED or job.state == "active")
        with pytest.raises(JobNotFound if job is None else WrongState):
            self.run(self.fixture.queue.reschedule(job_id, due=NOW, who="ann"))

    @rule(batch=st.sampled_from(BATCHES))
    def close_batch(self, batch: str) -> None:
        if batch not in self.model.batches:
            with pytest.raises(BatchNotFound):
                self.run(self.batches.close(batch))
            return
        self.model.batches[batch].closed = True
        self.run(self.batches.close(batch))

    @rule(batch=st.sampled_from(BATCHES))
    def cancel_batch(self, batch: str) -> None:
        if batch not in self.model.batches:
            return
        self.model.batches[batch].closed = True
        pending = self.model.jobs_of(batch, "waiting", "delayed", "active")
        assert self.run(self.batches.cancel(batch, who="ann")) == len(pending)
        for job in pending:
            job.state, job.token, job.lease_expired, job.ahead = "cancelled", None, False, False
            self.model.count("cancelled")

    @rule()
    def pause(self) -> None:
        result = self.run(self.fixture.queue.pause(who="ann", reason="upkeep"))
        assert (result.paused, result.changed) == (True, not self.model.paused)
        self.model.paused = True

    @rule()
    def resume(self) -> None:
        result = self.run(self.fixture.queue.resume(who="ann"))
        assert (result.paused, result.changed) == (False, self.model.paused)
        self.model.paused = False

    dead_filters = st.one_of(
        st.just(DeadLetterFilter()),
        st.builds(
            lambda reason: DeadLetterFilter(query=FilterQuery((FilterTerm(reason.code, "error"),))),
            st.sampled_from(CAUSES),
        ),
        st.builds(
            lambda chosen_picks: DeadLetterFilter(job_ids=tuple(chosen_picks)),
            st.lists(job_ids, min_size=1, max_size=4),
        ),
        st.builds(lambda reason: DeadLetterFilter(fingerprint=reason.fingerprint), st.sampled_from(CAUSES)),
    )

    def matching(self, chosen: DeadLetterFilter) -> list[ModelJob]:
        return [
            job
            for job in self.model.of("dead")
            if (not chosen.job_ids or job.job_id in chosen.job_ids)
            and (chosen.fingerprint is None or job.fingerprint == chosen.fingerprint)
            and all(job.fingerprint == CAUSE_OF[term.text].fingerprint for term in chosen.query)
        ]

    @rule(chosen=dead_filters, priority=st.none() | st.sampled_from(Priority))
    def requeue(self, chosen: DeadLetterFilter, priority: Priority | None) -> None:
        matching = self.matching(chosen)
        assert self.run(self.fixture.dead.count(chosen)) == len(matching)
        result = self.run(self.fixture.dead.requeue(chosen, who="ann", reason="fixed", priority=priority))
        assert (result.done, result.skipped) == (len(matching), 0)
        self.model.count("requeued", len(matching))
        orders = {
            job.job_id: int(self.redis.hget(self.keys.job_prefix + job.job_id, "order")) for job in matching
        }
        for job in sorted(matching, key=lambda job: orders[job.job_id]):
            self.reset_job(job, priority)

    def reset_job(self, job: ModelJob, priority: Priority | None) -> None:
        job.state, job.fingerprint, job.token = "waiting", None, None
        job.attempts = job.crashes = 0
        job.uncounted = False
        job.requeues += 1
        job.priority = priority.value if priority is not None else job.priority
        self.read_order(job)

    @rule(chosen=dead_filters)
    def discard(self, chosen: DeadLetterFilter) -> None:
        matching = self.matching(chosen)
        result = self.run(self.fixture.dead.discard(chosen, who="ann", reason="useless"))
        assert (result.done, result.skipped) == (len(matching), 0)
        for job in matching:
            del self.model.jobs[job.job_id]
        self.model.count("discarded", len(matching))

    @rule(job_id=job_ids, priority=priorities, title=titles, named=st.none() | st.sampled_from(Priority))
    def requeue_with_payload(self, job_id: str, priority: str, title: str, named: Priority | None) -> None:
        job = self.model.jobs.get(job_id)
        edited = self.payload(job_id, priority, title)

        def call() -> None:
            self.run(
                self.fixture.dead.requeue_with_payload(
                    job_id, edited, who="ann", reason="a typo", priority=named
                )
            )

        if job is None or not job.on_record:
            with pytest.raises(JobNotFound):
                call()
        elif job.state != "dead":
            with pytest.raises(WrongState):
                call()
        else:
            call()
            self.model.count("requeued")
            self.reset_job(job, named)
            if named is None:
                job.priority = priority
            job.body, job.foreign, job.body_lost = f"{priority} {title}", False, False
            job.project = PROJECT_OF[job_id]

    @precondition(lambda self: self.model.jobs)
    @rule(pick=picks, claimed_again=st.booleans())
    def delete(self, pick: int, claimed_again: bool) -> None:
        job = list(self.model.jobs.values())[pick % len(self.model.jobs)]
        early = "delayed" if job.due_ms > self.now_ms() else "waiting"
        queue = self.fixture.queue
        deletion = self.run(queue.begin_deletion(job.job_id, who="ann", reason="erasure"))
        assert deletion.state == (early if job.state == "unadmitted" else job.state)
        assert deletion.token > self.model.last_token, "no earlier attempt publishes"
        self.model.last_token = deletion.token
        if job.state == "unadmitted":
            self.model.count("accepted")
        if job.state not in ENDED:
            job.state, job.token, job.lease_expired = "cancelled", None, False
            self.model.count("cancelled")
        if claimed_again and job.state == "dead":
            self.requeue(DeadLetterFilter(job_ids=(job.job_id,)), None)
            assert self.run(queue.finish_deletion(deletion, who="ann")) is False
            return
        assert self.run(queue.finish_deletion(deletion, who="ann")) is True
        self.model.count("discarded", int(job.state == "dead"))
        del self.model.jobs[job.job_id]

    @rule(
        project=st.sampled_from(PROJECTS),
        weight=st.sampled_from([None, 1, 3]),
        max_active=st.sampled_from([None, 0, 1, 2]),
    )
    def set_limits(self, project: str, weight: int | None, max_active: int | None) -> None:
        self.run(
            set_project_limits(
                self.shared.client, SETTINGS, project, weight=weight, max_active=max_active, who="ann"
            )
        )
        self.model.limits[project] = (weight or 1, max_active or None)
        if weight is None and max_active is None:
            del self.model.limits[project]

    @rule()
    def server_forgets_scripts(self) -> None:
        self.redis.script_flush()

    # ------------------------------------------------------------ invariants

    @invariant()
    def every_index_agrees(self) -> None:
        model, keys = self.model, self.keys
        with self.redis.pipeline(transaction=True) as pipe:
            for index in (QUEUE, *(f"{QUEUE}:waiting:{priority}" for priority in PRIORITIES)):
                pipe.zrange(index, 0, -1, withscores=True)
            for index in (keys.active, keys.completed, keys.cancelled, keys.dead):
                pipe.zrange(index, 0, -1, withscores=True)
            pipe.zrange(keys.dead_groups, 0, -1, withscores=True)
            pipe.llen(keys.wake)
            schedule, high, normal, low, active, completed, cancelled, dead, groups, wakes = pipe.execute()
        if any(score < 0 for _, score in schedule):
            assert schedule[0] == (ARQ_GUARD, ARQ_GUARD_SCORE)
        schedule = [pair for pair in schedule if pair[0] != ARQ_GUARD]

        for priority, members in zip(PRIORITIES, (high, normal, low), strict=True):
            expected = sorted(
                (job.order, job.job_id) for job in model.of("waiting") if job.priority == priority
            )
            assert [(int(score), raw.decode()) for raw, score in members] == expected
        assert names(active) == sorted(job.job_id for job in model.of("active"))
        assert names(completed) == sorted(job.job_id for job in model.of("completed"))
        assert names(cancelled) == sorted(job.job_id for job in model.of("cancelled"))
        assert names(dead) == sorted(job.job_id for job in model.of("dead"))
        assert names(schedule) == sorted(
            job.job_id for job in model.of("waiting", "active", "delayed", "unadmitted")
        )
        for raw, score in schedule:
            job = model.jobs[raw.decode()]
            assert (score == job.due_ms) if job.state in ("delayed", "unadmitted") else (score < 0)
        by_cause: dict[str, int] = {}
        for job in model.of("dead"):
            assert job.fingerprint is not None
            by_cause[job.fingerprint] = by_cause.get(job.fingerprint, 0) + 1
        assert {name.decode(): int(count) for name, count in groups} == by_cause
        for cause in {reason.fingerprint for reason in CAUSES} | {WORKER_LOST_FINGERPRINT}:
            members = self.redis.zrange(keys.dead_group_prefix + cause, 0, -1)
            expected_ids = sorted(job.job_id for job in model.of("dead") if job.fingerprint == cause)
            assert sorted(raw.decode() for raw in members) == expected_ids

        assert wakes <= 1
        self.read_turns()
        if [job for job in model.of("waiting") if job.project not in model.held] and not model.paused:
            assert wakes or model.woken_workers, "jobs wait and no worker was woken_workers"

    @invariant()
    def every_project_takes_turns(self) -> None:
        model, keys = self.model, self.keys
        self.read_turns()
        expected: dict[str, list[tuple[bytes, float]]] = {}
        for job in sorted(model.of("waiting"), key=lambda job: (job.order, job.job_id)):
            key = keys.project_waiting(Priority(job.priority), job.project)
            expected.setdefault(key, []).append((job.job_id.encode(), float(job.order)))
        names_of_keys = [key.decode() for key in self.redis.keys(f"{keys.project_waiting_prefix}*")]
        assert {key: self.redis.zrange(key, 0, -1, withscores=True) for key in names_of_keys} == expected, (
            "a key for each project that waits, and no other"
        )
        for priority, turns in model.turns.items():
            waiting = {job.project for job in model.of("waiting") if job.priority == priority}
            assert set(turns) == waiting - model.held
            if turns:
                assert max(turns.values()) - min(turns.values()) <= FULL_TURN

    @invariant()
    def maxima_are_kept(self) -> None:
        model, keys = self.model, self.keys
        running: dict[str, set[bytes]] = {}
        for job in model.of("active"):
            if model.limits.get(job.project, (1, None))[1] is not None:
                running.setdefault(keys.project_active_prefix + job.project, set()).add(job.job_id.encode())
        names_of_keys = [key.decode() for key in self.redis.keys(f"{keys.project_active_prefix}*")]
        assert {key: set(self.redis.zrange(key, 0, -1)) for key in names_of_keys} == running
        for project in model.held:
            maximum = model.limits[project][1]
            assert maximum is not None
            assert len(running[keys.project_active_prefix + project]) >= maximum

    @invariant()
    def every_record_agrees(self) -> None:
        for job_id in IDS:
            job = self.model.jobs.get(job_id)
            with self.redis.pipeline(transaction=True) as pipe:
                pipe.hgetall(self.keys.job_prefix + job_id)
                pipe.llen(self.keys.attempts_prefix + job_id)
                for key in (
                    self.keys.job_prefix + job_id,
                    self.keys.attempts_prefix + job_id,
                    f"arq:job:{job_id}",
                    f"arq:result:{job_id}",
                    f"arq:in-progress:{job_id}",
                ):
                    pipe.pttl(key)
                record, failures, record_ttl, attempts_ttl, body_ttl, result_ttl, progress_ttl = (
                    pipe.execute()
                )
            absent, unlimited = -2, -1
            if job is None or not job.on_record:
                assert not record
                assert failures == 0
                assert (result_ttl, progress_ttl) == (absent, absent)
                if job is None or job.body_lost:
                    assert body_ttl == absent
                else:
                    assert body_ttl > 0, "arq's own expiry, until the job is admitted"
                continue
            fields = {name.decode(): value.decode() for name, value in record.items()}
            assert fields["state"] == job.state
            assert fields["priority"] == job.priority
            assert fields.get("token") == job.token
            assert (fields.get("ahead") == "1", fields.get("uncounted") == "1") == (job.ahead, job.uncounted)
            assert (int(fields["attempts"]), int(fields["crashes"])) == (job.attempts, job.crashes)
            assert int(fields.get("requeues", 0)) == job.requeues
            assert failures == min(job.failures, 21), "requeues keep the attempt history"
            assert int(fields.get("attempts_dropped", 0)) == max(0, job.failures - 21)
            assert record_ttl == unlimited
            assert attempts_ttl == (unlimited if failures else absent)
            running = job.state in ("waiting", "delayed", "active", "dead") and not job.body_lost
            assert body_ttl == (unlimited if running else absent)
            assert (progress_ttl > 0) == (job.state == "active" and not job.lease_expired)
            if job.state in ("completed", "cancelled"):
                assert result_ttl > 0
            else:
                assert result_ttl == (unlimited if job.state == "dead" else absent)

    @invariant()
    def batches_agree(self) -> None:
        ends = dict.fromkeys(BATCHES, 0)
        for message in self.redis.zrange(self.keys.webhooks, 0, -1):
            batch = self.redis.hget(self.keys.webhook_prefix + message.decode(), "batch")
            if batch:
                ends[batch.decode()] += 1
            self.redis.delete(self.keys.webhook_prefix + message.decode())
        self.redis.delete(self.keys.webhooks)
        for name, expected in self.model.batches.items():
            batch = self.run(self.batches.status(name))
            pending = self.model.jobs_of(name, "waiting", "delayed", "active")
            completed = len(self.model.jobs_of(name, "completed")) + expected.forgotten
            dead, cancelled = self.model.jobs_of(name, "dead"), self.model.jobs_of(name, "cancelled")
            assert (batch.pending, batch.completed) == (len(pending), completed)
            assert (batch.dead, batch.cancelled) == (len(dead), len(cancelled))
            ended = expected.closed and not pending
            assert (batch.closed_ms is not None, batch.ended_ms is not None) == (expected.closed, ended)
            assert ends[name] == int(ended and not expected.ended), "one message for each end"
            expected.ended = ended
            listed = self.run(self.batches.page(name)).rows
            assert {job.job_id for job in listed} == {
                job.job_id for job in self.model.jobs.values() if job.batch == name
            }

    @invariant()
    def nothing_is_unaccounted(self) -> None:
        snapshot = self.run(self.fixture.snapshots.read(history_s=3600))
        model = self.model
        assert snapshot.unaccounted == -len(model.of("unadmitted"))
        assert {name: count for name, count in snapshot.counters.items() if count} == model.counted
        assert snapshot.backlog == model.backlog
        assert snapshot.dead == len(model.of("dead"))
        assert snapshot.paused == model.paused
        totals: dict[str, int] = {}
        for bucket in snapshot.buckets:
            for name, count in bucket.counts.items():
                totals[name] = totals.get(name, 0) + count
        assert totals == model.counted, "the buckets sum to the lifetime counters"

    @invariant()
    def lifetime_totals_agree_with_the_counters(self) -> None:
        raw: dict[bytes, bytes] = self.redis.hgetall(self.keys.totals)
        totals, counted = LifetimeCounters.parse(raw), self.model.counted

        def total(what: str, *causes: str) -> int:
            return sum(totals.count(what, priority, cause) for priority in Priority for cause in causes)

        assert sum(sum(totals.run_histogram(priority).values()) for priority in Priority) == counted.get(
            "completed", 0
        )
        assert total("dead", *DEAD_LETTER_CAUSES) == counted.get("died", 0)
        assert total("retried", "error") == counted.get("retried", 0)
        assert total("failed", "crash", "worker-lost") == counted.get("crashed", 0)
        assert total("failed", *FAILURE_CAUSES) == total("retried", *RETRY_CAUSES) + total(
            "dead", *DEAD_LETTER_CAUSES
        )

    @invariant()
    def every_job_is_listed_once_in_its_state(self) -> None:
        now_ms = self.now_ms()
        for page_size in (2, 100):
            records = self.run(self.fixture.list_all(limit=page_size))
            assert sorted(record.job_id for record in records) == sorted(self.model.jobs)
            for record in records:
                job = self.model.jobs[record.job_id]
                early = "delayed" if job.due_ms > now_ms else "waiting"
                assert record.state.value == (early if job.state == "unadmitted" else job.state)
                assert record.priority.value == job.priority

    @invariant()
    def stock_client_sees_the_state(self) -> None:
        async def statuses() -> list[str]:
            return [(await Job(job_id, self.shared.arq, QUEUE).status()).value for job_id in IDS]

        now_ms = self.now_ms()
        for job_id, status in zip(IDS, self.run(statuses()), strict=True):
            assert status == self.stock_status(self.model.jobs.get(job_id), now_ms), job_id

    def stock_status(self, job: ModelJob | None, now_ms: int) -> str:
        if job is None:
            return "not_found"
        if job.state in ENDED:
            return "complete"
        if job.state == "active":
            return "queued" if job.lease_expired else "in_progress"
        if job.state == "waiting":
            return "queued"
        return "deferred" if job.due_ms > now_ms else "queued"


def names(members: list[tuple[bytes, float]]) -> list[str]:
    return sorted(raw.decode() for raw, _ in members)


# Only the deep profile shrinks failures: that takes minutes, and the normal profile is deterministic.
PROFILES = {
    "normal": profile(
        max_examples=60, stateful_step_count=40, derandomize=True, phases=(Phase.explicit, Phase.generate)
    ),
    "deep": profile(max_examples=2_000, stateful_step_count=80, print_blob=True),
}
CHOSEN = os.environ.get("HYPOTHESIS_PROFILE", "normal")


@pytest.mark.slow
@pytest.mark.timeout(1_200 if CHOSEN == "normal" else 0)
def test_every_sequence_leaves_each_job_in_one_state(redis_server: RedisProcess) -> None:
    shared = SharedServer(redis_server.url)
    make: Callable[[], RuleBasedStateMachine] = lambda: QueueMachine(shared)  # noqa: E731
    limits = profile(PROFILES[CHOSEN], suppress_health_check=list(HealthCheck), database=None)
    try:
        run_state_machine_as_test(make, settings=limits)
    finally:
        shared.close()
