"""Damaged keys of every family, under a running worker: no worker ends, every view answers, doctor repairs all.

STORED_FUZZ_SEEDS=1000 runs more sequences; a failure names its seed, and STORED_FUZZ_FIRST=<seed> runs from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from previewops.cli import program
from previewops.doctor.doctor import Doctor
from previewops.errors import PreviewopsError
from previewops.health import CHECKS, Thresholds, evaluate
from previewops.health.collect import collect_inputs
from previewops.metrics import collect, render_exposition
from previewops.queue.batches import Batches
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.filter_query import parse_filter
from previewops.queue.projects import project_loads, set_project_limits
from previewops.queue.retry import FailureCounter
from previewops.queue.submit_options import SubmitOptions
from previewops.queue.webhooks import Webhooks
from previewops.snapshot.fleet import SupervisorState, WorkerCountRange
from previewops.states import JobState
from previewops.supervisor.commands import CommandChannel
from tests.api_support import DEAD, JOBS, QUEUE, ApiUnderTest, serve_api
from tests.integration.worker_support import make_settings, make_worker, poll_until, running_worker
from tests.queue_support import (
    QueueFixture,
    attempt_json,
    completed_job,
    dead_letter_reason,
    payload,
    queue_fixture,
)

pytestmark = pytest.mark.redis

SEEDS = int(os.environ.get("STORED_FUZZ_SEEDS", "24"))
FIRST = int(os.environ.get("STORED_FUZZ_FIRST", "0"))
DAMAGES = 7

TEXTS = (
    *(
        b"",
        b"garbage",
        b"nan",
        b"inf",
        b"-5",
        b"1e400",
        b"9" * 30,
        b"0x10",
        b"\xff\xfe\x00",
        b" 7 ",
        b"{}",
        b"[1]",
    ),
    *(b'{"jobs":[{}],"pid":"x"}', b"x" * 5_000, b"[" * 5_000, b"99999999999999", b"1.5", "größe".encode()),
)
SCORES = (float("inf"), float("-inf"), 1e300, -1.0, 0.0, 0.5, 2.0**53, 9e15)
MEMBERS = (b"ghost", b"\xff\xfe", b"", b"x" * 600, b"a\nb", "größe".encode())
TYPES = ("string", "list", "hash", "zset", "set", "stream")
FIXED_INDEXES = ("waiting:high", "waiting:normal", "waiting:low", "active", "completed", "cancelled", "dead")


class Damager:
    """Damages random keys, reproducibly. Either records or indexes are lost in one run, never both of one job."""

    def __init__(self, fixture: QueueFixture, seed: int) -> None:
        self._redis: Redis = fixture.redis
        self._rng = random.Random(seed)
        self._queue = fixture.keys.queue
        self._loses_records = self._rng.random() < 0.5
        self.log: list[str] = []

    async def damage(self) -> None:
        """Damages one key in one way."""
        keys = sorted(await self._redis.keys("*"))
        fixed = ["", ":meta", ":totals", ":events", ":wake", ":workers", ":dead-causes", ":supervisors"]
        keys += [self._queue.encode() + suffix.encode() for suffix in fixed]
        keys = [key for key in keys if b":quarantine:" not in key]
        key = self._rng.choice(keys)
        kind = (await self._redis.type(key)).decode()
        if self._rng.random() < 0.3 and self._may_be_lost(key):
            await self._replace(key)
        else:
            with contextlib.suppress(ResponseError):  # a worker may have changed its type or removed it
                await getattr(self, f"_damage_{kind}", self._replace_missing)(key)

    def _may_be_lost(self, key: bytes) -> bool:
        name = key.decode("utf-8", "replace")
        record = name.startswith((f"{self._queue}:job:", "arq:job:"))
        index = name == self._queue or name.removeprefix(f"{self._queue}:") in FIXED_INDEXES
        return not (index if self._loses_records else record)

    def _note(self, what: str, key: bytes, *values: object) -> None:
        self.log.append(f"{what} {key!r} {' '.join(map(repr, values))}"[:200])

    async def _replace_missing(self, key: bytes) -> None:
        if self._may_be_lost(key):
            await self._replace(key)

    async def _replace(self, key: bytes) -> None:
        kind = self._rng.choice((*TYPES, "nothing"))
        self._note(f"replace by {kind}", key)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(key)
            if kind == "string":
                pipe.set(key, self._rng.choice(TEXTS))
            elif kind == "list":
                pipe.rpush(key, self._rng.choice(TEXTS))
            elif kind == "hash":
                pipe.hset(key, "field", self._rng.choice(TEXTS))  # type: ignore[arg-type]
            elif kind == "zset":
                pipe.zadd(key, {self._rng.choice(MEMBERS): self._rng.choice(SCORES)})
            elif kind == "set":
                pipe.sadd(key, self._rng.choice(TEXTS))
            elif kind == "stream":
                pipe.xadd(key, {b"f": self._rng.choice(TEXTS)})
            await pipe.execute()

    async def _damage_hash(self, key: bytes) -> None:
        names = sorted(await self._redis.execute_command("HKEYS", key))
        if key.endswith(b":meta"):
            names = [name for name in names if name != b"layout"]
        name = self._rng.choice(names or [b"state"])
        if self._rng.random() < 0.3:
            self._note("delete field", key, name)
            await self._redis.execute_command("HDEL", key, name)
        else:
            value = self._rng.choice(TEXTS)
            self._note("set field", key, name, value)
            await self._redis.execute_command("HSET", key, name, value)

    async def _damage_zset(self, key: bytes) -> None:
        members = sorted(await self._redis.zrange(key, 0, -1))
        member = (
            self._rng.choice(MEMBERS) if self._rng.random() < 0.4 else self._rng.choice(members or [b"x"])
        )
        score = self._rng.choice(SCORES)
        self._note("score", key, member, score)
        await self._redis.zadd(key, {member: score})

    async def _damage_list(self, key: bytes) -> None:
        text = self._rng.choice(TEXTS)
        self._note("push", key, text)
        await self._redis.execute_command("RPUSH", key, text)

    async def _damage_string(self, key: bytes) -> None:
        text = self._rng.choice(TEXTS)
        self._note("set", key, text)
        await self._redis.set(key, text)

    async def _damage_stream(self, key: bytes) -> None:
        last = "18446744073709551615-18446744073709551615" if self._rng.random() < 0.3 else "*"
        self._note("add", key, last)
        await self._redis.xadd(key, {b"\xff": self._rng.choice(TEXTS), b"at": b"x"}, id=last)

    async def _damage_set(self, key: bytes) -> None:
        await self._redis.execute_command("SADD", key, b"x")


async def populate(b: QueueFixture) -> set[str]:
    """Puts jobs into every state, with a worker, a supervisor and a command. Returns the ids."""
    ids = [f"job-{number}" for number in range(14)]
    priorities = ("high", "normal", "low")
    await Webhooks(b.redis, b.settings).claim(0, all_jobs=True)
    await set_project_limits(b.redis, b.settings, "p", weight=2, max_active=9, who="ann")
    await b.queue.submit_many(
        [payload(job_id, priority=priorities[i % 3], project="pq"[i % 2]) for i, job_id in enumerate(ids)],
        options=[SubmitOptions(batch="pq"[i % 2] if i < 8 else None) for i in range(len(ids))],
    )
    await Batches(b.redis, b.settings).close("p")
    lost = b.worker("lost-worker", lease_ms=1_000, heartbeat_ms=100)
    claims = (await lost.claim(9)).claims
    await lost.finish([completed_job(claim) for claim in claims[:2]], 0)
    for number, claim in enumerate(claims[2:5]):
        reason = dead_letter_reason(f"code-{number % 2}", f"message {number % 2}")
        await lost.move_to_dead_letters(
            claim, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=reason
        )
    for claim in claims[5:7]:
        await lost.retry(
            claim, delay_ms=1, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), message="again"
        )
    await b.queue.cancel(ids[-1], who="ann")
    # What scripts store while stock arq clients and workers are in use.
    await b.redis.hset(b.keys.meta, mapping={"stock_enqueue": 1, "stock_worker": 1})  # type: ignore[misc]
    await b.redis.zadd("arq:abort", {"of-another-queue": 1})
    await lost.heartbeat('{"pid": 7, "jobs": ["job-1"], "version": "0.0.9"}', [])
    await supervisor(b).report(supervisor_state(), ["lost-worker"])
    return set(ids)


def supervisor(b: QueueFixture) -> CommandChannel:
    return CommandChannel(b.redis, b.settings, "sup-1")


def supervisor_state() -> SupervisorState:
    return SupervisorState("h", 1, "1", "process", "running", 1, WorkerCountRange(1, 1), 1, 1, "", ())


async def look_at_everything(b: QueueFixture, ids: set[str], *, intact: bool = False) -> None:
    """Reads every view. ``intact``: none of them finds a damaged key."""
    snapshot = await b.snapshots.read(
        history_s=3600, history_min=120, events=50, running_jobs=True, check_records=True
    )
    assert snapshot.as_json()["workers"] is not None
    assert all(supervisor.as_json() for supervisor in snapshot.supervisors)
    health = evaluate(await collect_inputs(b.redis, b.settings, snapshot), Thresholds())
    stored = next(check for check in health.checks if check.name == "stored-data")
    assert {check.name for check in health.checks} <= set(CHECKS)
    if snapshot.unreadable:
        assert stored.status > 0
        assert snapshot.unreadable.keys[0] in stored.message or "no job can be claimed" in stored.message
    text = render_exposition(await collect(b.redis, b.settings), b.settings).decode()
    assert "preview_queue_unreadable" in text
    pages = [await b.list.page(state=state, query=parse_filter("")) for state in (None, *JobState)]
    pages.append(await b.list.page(state=None, query=parse_filter("error:broken")))
    pages.append(await b.dead.page(DeadLetterFilter()))
    pages.append(await b.dead.page(DeadLetterFilter(project="p")))
    for page in pages:
        assert all(record.as_json() for record in page.rows)
    assert all(group.example.as_json() for group in await b.dead.groups())
    await b.dead.count(DeadLetterFilter(error="broken"))
    await project_loads(b.redis, b.settings)
    await Webhooks(b.redis, b.settings).list_messages(failed=False)
    for batch_id in "pq":
        with contextlib.suppress(PreviewopsError):
            assert (await Batches(b.redis, b.settings).status(batch_id)).as_json()
        page = await Batches(b.redis, b.settings).page(batch_id)
        assert all(record.as_json() for record in page.rows)
    exported = [record.as_json() async for record in b.dead.export(DeadLetterFilter())]
    assert len(exported) <= len(ids)
    for job_id in sorted(ids):
        with contextlib.suppress(PreviewopsError):
            assert (await b.queue.status(job_id)).as_json()
    await supervisor(b).report(supervisor_state(), ["lost-worker", "w1"])
    if intact:
        assert not snapshot.unreadable, snapshot.unreadable
        assert not any(page.unreadable for page in pages), [page.unreadable for page in pages]
        assert snapshot.unaccounted == 0


async def ask_api(api: ApiUnderTest, ids: set[str]) -> None:
    """Every response is compared with the OpenAPI document."""
    for path in (f"{QUEUE}/metrics", DEAD, "/api/preview/worker/health", "/metrics"):
        response = await api.client.get(path)
        assert response.status_code == 200 or path.endswith("health"), (path, response.text)
    for job_id in sorted(ids)[:4]:
        assert (await api.client.get(f"{JOBS}/{job_id}/status")).status_code in (200, 404, 503)


def run_commands(url: str, folder: Path) -> Iterator[tuple[str, int, str]]:
    """Runs the commands that show something, in this process."""
    for command in (
        "stats",
        "workers",
        "jobs",
        "dlq list",
        "dlq list --groups",
        "health",
        "metrics",
        "doctor",
    ):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = program.run(["--redis-url", url, "--data-dir", str(folder), *command.split()])
        yield command, code, out.getvalue() + err.getvalue()


async def quarantined_text(redis: Redis) -> str:
    keys = [key async for key in redis.scan_iter("preview-jobs:quarantine:*")]
    return " ".join(key.decode("utf-8", "replace") for key in keys)


async def worker_reports(b: QueueFixture) -> bool:
    """Whether the worker under test has registered."""
    return "w1" in [worker.worker_id for worker in (await b.snapshots.read()).workers]


async def nothing_pending(b: QueueFixture) -> bool:
    """Whether no job waits or runs. Waits for an end or a maintenance step first, at most as long as a heartbeat."""
    await b.redis.execute_command("BLPOP", "no-such-list", 0.1)
    snapshot = await b.snapshots.read()
    return snapshot.pending == 0


async def states(b: QueueFixture, ids: set[str]) -> dict[str, str]:
    """The state of each job; "quarantined" if its keys were moved aside, "lost" otherwise."""
    aside = await quarantined_text(b.redis)
    found = {}
    for job_id in sorted(ids):
        try:
            found[job_id] = (await b.queue.status(job_id)).state.value
        except PreviewopsError:
            found[job_id] = "quarantined" if f":job:{job_id}" in aside else "lost"
    return found


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
async def test_row_30_stored_keys_are_damaged_at_random(redis_url: str, tmp_path: Path, seed: int) -> None:
    async with queue_fixture(redis_url, data_dir=tmp_path) as b, serve_api(redis_url, tmp_path) as api:
        ids = await populate(b)
        if seed % 2:  # waiting jobs stay where they can be damaged
            await b.queue.pause(who="ann")
        settings = make_settings(b, worker_concurrency=2, heartbeat_ms=100, lease_ms=1_000)
        ended = {
            job_id for job_id, state in (await states(b, ids)).items() if state in ("completed", "cancelled")
        }
        ran: set[str] = set()

        async def render_preview(ctx: dict[Any, Any], body: Any) -> dict[str, bool]:
            ran.add(ctx["job_id"])
            return {"ok": True}

        worker = make_worker(redis_url, settings, render_preview)
        damager = Damager(b, seed)
        try:
            async with running_worker(worker) as living:
                await poll_until(lambda: worker_reports(b))
                for _ in range(DAMAGES):
                    await damager.damage()
                    await look_at_everything(b, ids)
                await ask_api(api, ids)
                if seed % 6 == 0:
                    for command, code, text in await asyncio.to_thread(
                        lambda: list(run_commands(redis_url, tmp_path))
                    ):
                        assert code in (0, 1, 2, 76), (command, code, text)
                        assert "unexpected" not in text, (command, text)
                assert not living.done(), living.exception()
                report = await Doctor(b.redis, b.settings).repair()
                assert report.left == 0, report.findings[-5:]

                await b.queue.resume(who="ann")
                await poll_until(lambda: nothing_pending(b))
                assert not living.done()
                outcome = await states(b, ids)
                # The record of a completed or cancelled job is deleted when its time seems to be long ago.
                lost = {job_id for job_id, state in outcome.items() if state == "lost"} - ended - ran
                assert not lost, outcome
                again = await Doctor(b.redis, b.settings).repair()
                assert again.left == 0
            await look_at_everything(b, ids, intact=True)
            assert (await Doctor(b.redis, b.settings).examine()).findings == []
        except BaseException:
            print(f"STORED_FUZZ_FIRST={seed}", *damager.log, sep="\n")
            raise
