"""Partitions: Redis and two workers on three hosts (network namespaces), one of which loses its link."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from previewops.states import JobState
from tests.fault.cluster import Cluster, Gate, payload
from tests.fault.hosts import PORT, Network, network, no_network_namespaces
from tests.integration.cli_program import Program
from tests.redis_server import RedisProcess

pytestmark = [pytest.mark.redis]


@pytest.fixture
def hosts() -> Iterator[Network]:
    reason = no_network_namespaces()
    if reason is not None:
        pytest.skip(reason)
    with network(2) as two_hosts:
        yield two_hosts


@pytest.fixture
def server(hosts: Network) -> Iterator[RedisProcess]:
    """Starts Redis on the server of the network. The test itself uses its socket."""
    server = RedisProcess(
        options=("--port", str(PORT), "--bind", "0.0.0.0", "--protected-mode", "no"),
        prefix=tuple(hosts.server_prefix),
    )
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def test_row_8_a_worker_that_is_cut_off_aborts_its_jobs_and_another_takes_over(
    hosts: Network, server: RedisProcess, tmp_path: Path
) -> None:
    first, second = hosts.hosts
    gate = Gate(tmp_path / "gate")
    async with Cluster(server.url, tmp_path) as cluster:
        cut = cluster.start_worker(prefix=first.prefix, url=first.url)
        await cluster.reporting(cut)
        await cluster.submit(payload("held", gate=str(gate.path)))
        await gate.arrival()
        gate.remove()
        other = cluster.start_worker(prefix=second.prefix, url=second.url)
        await cluster.reporting(other)
        first.cut()
        cluster.struck()
        await cluster.submit(*(payload(f"job-{n}") for n in range(20)))
        record = await cluster.until("held", JobState.COMPLETED)
        cluster.recovered()
        assert (record.worker, record.crashes) == (other.name, 1)
        bundle = (cluster.bundles / "held").stat().st_ino
        # The worker without a link aborts its run by its own clock.
        await cluster.eventually(gate.abandoned, "the worker without a link aborts its run")
        await cluster.drained()
        first.mend()
        await cluster.reporting(cut)
        # It runs jobs again, alone.
        other.kill()
        await cluster.submit(*(payload(f"later-{n}") for n in range(10)))
        await cluster.drained()
        assert {(await cluster.status(f"later-{n}")).worker for n in range(10)} == {cut.name}
        assert (cluster.bundles / "held").stat().st_ino == bundle
        assert cut.alive
        await cluster.judge()


async def test_row_8_health_of_a_redis_in_a_black_hole_is_critical(
    hosts: Network, server: RedisProcess, tmp_path: Path
) -> None:
    host = hosts.hosts[0]
    assert server.pid
    host.cut()
    program = Program(tmp_path)
    # A program that hangs fails at the time limit of ``run``.
    done = program.run_under(host.prefix, "--redis-url", host.url, "health")
    assert done.code == 2
    assert done.out.startswith("PREVIEWOPS CRITICAL - ")


async def test_partitions_in_turn_lose_and_double_nothing(
    hosts: Network, server: RedisProcess, tmp_path: Path
) -> None:
    async with Cluster(server.url, tmp_path, max_crashes=100) as cluster:
        workers = [cluster.start_worker(prefix=host.prefix, url=host.url) for host in hosts.hosts]
        await cluster.reporting(*workers)
        await cluster.submit(*(payload(f"job-{n:03}") for n in range(300)))
        for host in (*hosts.hosts, hosts.hosts[0]):
            done = (await cluster.snapshot()).counters["completed"]
            host.cut()

            async def gone_on(done: int = done) -> bool:
                snapshot = await cluster.snapshot()
                return snapshot.counters["completed"] >= done + 20 or snapshot.pending == 0

            await cluster.eventually(gone_on, "the other host works on")
            host.mend()
        await cluster.drained()
        assert all(worker.alive for worker in workers)
        assert (await cluster.judge()).counters["completed"] == 300
