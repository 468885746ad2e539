"""Health inputs collected from a real server, with and without a history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from previewops.bucket_addresses import parse_bucket_address
from previewops.health import RecentOutcomes, Status, Thresholds, evaluate
from previewops.health.collect import collect_inputs
from previewops.snapshot.history import History
from previewops.snapshot.model import StoreReport
from tests.object_servers import S3Server
from tests.ports import free_port
from tests.queue_support import completed_job, payload, queue_fixture
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis


class Slow:
    """A clock that advances by 40 ms per call."""

    def __init__(self) -> None:
        self._at = 0.0

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        self._at += 0.04
        return self._at


async def test_inputs_of_a_used_queue(redis_url: str, tmp_path: Path) -> None:
    async with queue_fixture(redis_url, data_dir=tmp_path) as b:
        report = (
            '{"version": "1.2", "host": "h1", "confinedBy": ["seccomp"], "clockMs": 0, '
            '"store": {"id": "7", "location": "/d", "problem": "EIO", "forMs": 2000, "checkedAgoMs": 1000}}'
        )
        await b.worker().heartbeat(report, [])
        await b.queue.submit(payload("done"))
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        await b.add_dead_letter("dead")
        await b.queue.submit(payload("runs"))
        claim = await b.claim_one()
        snapshot = await b.snapshots.read(history_s=300, running_jobs=True)
        facts = await collect_inputs(b.redis, b.settings, snapshot, clock=Slow())
        assert facts.recent == RecentOutcomes(completed=1, died=1, removed=0)
        assert facts.run_ages_ms == {"runs": snapshot.now_ms - claim.claimed_ms}
        assert facts.deadline_ms == b.settings.job_timeout_s * 1000
        (reporting,) = facts.workers
        assert reporting.version == "1.2"
        assert facts.redis_ms == pytest.approx(40)
        assert reporting.confined_by == ("seccomp",)
        beat_ms = reporting.heartbeat_ms
        assert reporting.store == StoreReport("7", "/d", "EIO", beat_ms - 2_000, beat_ms - 1_000)
        assert facts.clocks_ahead_ms()["h1"] == -beat_ms
        assert facts.clocks_ahead_ms()["this host"] < -snapshot.now_ms, "this clock stands at the epoch"
        assert (facts.eviction_policy, facts.persistent) == ("noeviction", False)
        assert facts.disk_free_bytes is not None
        assert facts.disk_bytes is not None
        assert 0 <= facts.disk_free_bytes <= facts.disk_bytes


@pytest.mark.parametrize("data_dir", ["none", "/dev/null"])
async def test_missing_snapshot_parts_are_unknown(redis_url: str, tmp_path: Path, data_dir: str) -> None:
    async with queue_fixture(redis_url, data_dir=tmp_path / data_dir) as b:
        await b.add_dead_letter("dead")
        await b.queue.submit(payload("runs"))
        await b.claim_one()
        facts = await collect_inputs(b.redis, b.settings, await b.snapshots.read(history_s=60))
        assert (facts.recent, facts.run_ages_ms) == (None, None)
        assert (facts.disk_free_bytes, facts.disk_bytes) == (None, None)


async def test_history_replaces_a_short_snapshot(redis_url: str, tmp_path: Path) -> None:
    async with queue_fixture(redis_url, data_dir=tmp_path) as b:
        await b.add_dead_letter("dead")
        snapshot = await b.snapshots.read(history_s=3600)
        history = History().with_snapshot(snapshot)
        later = replace(snapshot, buckets=(), history_s=60)
        facts = await collect_inputs(b.redis, b.settings, later, buckets=history.tens.values())
        assert facts.recent == RecentOutcomes(completed=0, died=1, removed=0)
        much_later = replace(later, now_ms=later.now_ms + 320_000)
        facts = await collect_inputs(b.redis, b.settings, much_later, buckets=history.tens.values())
        assert facts.recent == RecentOutcomes(completed=0, died=0, removed=0)


async def test_the_store_of_bundles_is_probed(redis_url: str, tmp_path: Path, ministack: S3Server) -> None:
    good = parse_bucket_address(ministack.address(ministack.make_bucket()))
    cases = [
        (good, ""),
        (parse_bucket_address(ministack.address("no-such-bucket")), "the bucket does not exist"),
        (parse_bucket_address(f"s3://bucket?endpoint=http://127.0.0.1:{free_port()}&region=x"), "error"),
    ]
    async with queue_fixture(redis_url, data_dir=tmp_path) as b:
        for address, problem in cases:
            snapshot = await b.snapshots.read()
            facts = await collect_inputs(b.redis, replace(b.settings, store=address), snapshot)
            assert facts.store is not None
            assert facts.store.location == str(address)
            assert problem in facts.store.problem
            assert bool(problem) is bool(facts.store.problem)


@pytest.mark.parametrize(
    ("forbidden", "unreadable"),
    [
        ("-config", {"persistence": "CONFIG GET"}),
        ("-info", {"eviction": "INFO", "persistence": "INFO"}),
    ],
)
async def test_a_check_that_redis_does_not_permit_is_unknown(
    redis_process: Callable[..., RedisProcess], forbidden: str, unreadable: dict[str, str]
) -> None:
    server = redis_process(persistent=False)
    async with queue_fixture(server.url) as b:
        await b.redis.execute_command("ACL", "SETUSER", "default", forbidden)
        inputs = await collect_inputs(b.redis, b.settings, await b.snapshots.read())
        assert inputs.rejected_commands == unreadable
        health = evaluate(inputs, Thresholds())
        unknown = {check.name: check.message for check in health.checks if check.status is Status.UNKNOWN}
        assert unknown == {
            name: f"{name} is unknown: Redis rejects {command}" for name, command in unreadable.items()
        }
        assert health.status in (Status.UNKNOWN, Status.CRITICAL)


async def test_a_bullmq_queue_of_this_name_is_found(redis_url: str, tmp_path: Path) -> None:
    async with queue_fixture(redis_url, data_dir=tmp_path) as b:
        snapshot = await b.snapshots.read()
        await b.redis.rpush("bull:another:wait", "1")
        assert (await collect_inputs(b.redis, b.settings, snapshot)).bullmq_key is None
        key = f"bull:{b.settings.queue_name}:wait"
        await b.redis.rpush(key, "1")
        inputs = await collect_inputs(b.redis, b.settings, snapshot)
        assert inputs.bullmq_key == key
        (check,) = (item for item in evaluate(inputs, Thresholds()).checks if item.name == "bullmq")
        assert check.status is Status.WARNING
