"""Five hosts with a supervisor each, three hosts of Redis with Sentinels, one bucket: hosts die and are cut off.

Hosts are network namespaces. FLEET_SECONDS lets the faults last longer, FLEET_WORKERS is the number of workers of
each host, FLEET_JOBS_PER_S the load, and FLEET_STORE=radosgw another store.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from previewops.bucket_addresses import parse_bucket_address
from previewops.errors import RedisUnavailable
from previewops.process.parent_death import die_with_parent_argv
from previewops.stores.objects.store import ObjectStore
from tests.fault.cluster import Cluster, payload
from tests.fault.hosts import SERVER, Host, Network, network, no_routed_network
from tests.fault.producer import producer
from tests.fault.redis_hosts import RedisHosts, redis_hosts
from tests.fault.relay import relay
from tests.fault.supervisor_process import environment
from tests.object_servers import CREDENTIALS, S3Server, run_ministack, run_radosgw
from tests.shared_servers import ServerMissing

SECONDS = float(os.environ.get("FLEET_SECONDS", "0"))
WORKERS = int(os.environ.get("FLEET_WORKERS", "2"))
JOBS_PER_S = float(os.environ.get("FLEET_JOBS_PER_S", "4"))
STORE = os.environ.get("FLEET_STORE", "ministack")
WORKER_HOSTS, REDIS_HOSTS = 5, 3
PROGRESS = 8
"""Jobs that complete before the next fault, and before it ends."""
SEED = 20261128
PATIENCE_S = 60.0 + 30.0 * WORKERS

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(240 + 6 * SECONDS + PATIENCE_S)]


@pytest.fixture
def hosts() -> Iterator[Network]:
    reason = no_routed_network()
    if reason is not None:
        pytest.skip(reason)
    with network(WORKER_HOSTS + REDIS_HOSTS, routed=True) as all_hosts:
        yield all_hosts


@pytest.fixture
def endpoints(hosts: Network, tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[tuple[str, str]]:
    """The addresses of an object store on the server of the network: for the hosts, and for the test."""
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("object-servers")
    os.environ.update(CREDENTIALS)
    folder = tmp_path / "object-server"
    folder.mkdir()
    with ExitStack() as stack:
        try:
            server = (
                run_radosgw(folder, prefix=hosts.server_prefix, host=SERVER)
                if STORE == "radosgw"
                else run_ministack(folder, str(cache), prefix=hosts.server_prefix, host=SERVER)
            )
            endpoint = stack.enter_context(server)
        except ServerMissing as missing:
            pytest.skip(str(missing))
        yield endpoint, stack.enter_context(relay(hosts.server_prefix, endpoint))


@dataclass
class WorkerHost:
    """A host with a supervisor of ``WORKERS`` workers, which die with it."""

    host: Host
    cluster: Cluster
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        data_dir = self.cluster.folder / self.host.namespace
        data_dir.mkdir(exist_ok=True)
        arguments = ["-m", "tests.fault.supervisor_under_test", "--workers", str(WORKERS)]
        with (data_dir / "supervisor.log").open("ab") as log:
            self.process = subprocess.Popen(
                die_with_parent_argv([*self.host.named_prefix, sys.executable, *arguments], signal.SIGKILL),
                env={**environment(self.cluster.settings), **self.environ, "DATA_DIR": str(data_dir)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@dataclass
class Fleet:
    """Everything that runs."""

    cluster: Cluster
    servers: RedisHosts
    workers: list[WorkerHost]
    rng: random.Random = field(default_factory=lambda: random.Random(SEED))
    asked: Host | None = None

    async def completed(self) -> int | None:
        """The number of completed jobs at the primary; None while there is none."""
        assert self.asked is not None
        try:
            await self.servers.follow(self.asked)
            await self.cluster.redis.connection_pool.disconnect()
            snapshot = await self.cluster.snapshot()
            return snapshot.counters["completed"]
        except (RedisError, RedisUnavailable, OSError):
            return None

    async def make_progress(self) -> None:
        """Waits until more jobs are completed."""
        start = await self.cluster.eventually(self.completed_at_least(0), "a primary replies")
        await self.cluster.eventually(
            self.completed_at_least(start - 1 + PROGRESS), "the fleet works on", within_s=PATIENCE_S
        )

    def completed_at_least(self, count: int) -> Callable[[], object]:
        async def check() -> int:
            completed = await self.completed()
            return completed + 1 if completed is not None and completed >= count else 0

        return check

    async def kill_a_host(self) -> None:
        victim = self.rng.choice(self.workers)
        victim.kill()
        await self.make_progress()
        victim.start()

    async def cut_a_host(self) -> None:
        victim = self.rng.choice(self.workers).host
        victim.cut()
        await self.make_progress()
        victim.mend()

    async def kill_the_primary(self) -> None:
        assert self.asked is not None
        old = await self.servers.primary(self.asked)
        self.servers.servers[old.address].kill()
        await self.servers.wait_for_primary(other_than=old, asked=self.asked)
        await self.make_progress()
        self.servers.servers[old.address].start()
        await self.servers.wait_until_replica(old)

    async def cut_the_primary(self) -> None:
        assert self.asked is not None
        old = await self.servers.primary(self.asked)
        self.asked = next(host for host in self.servers.hosts if host != old)
        old.cut()
        await self.servers.wait_for_primary(other_than=old, asked=self.asked)
        await self.make_progress()
        old.mend()
        await self.servers.wait_until_replica(old)


@asynccontextmanager
async def fleet(hosts: Network, folder: Path, endpoints: tuple[str, str]) -> AsyncIterator[Fleet]:
    """Starts Redis and the supervisors."""
    bucket = S3Server(endpoints[1]).make_bucket()
    address = S3Server(endpoints[0]).address(bucket)
    store = ObjectStore(parse_bucket_address(S3Server(endpoints[1]).address(bucket)))
    options = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "1")
    settings = {
        **{"max_attempts": 50, "max_crashes": 100},  # hosts that are cut off do not reach the bucket either
        **{"lease_ms": 6_000, "heartbeat_ms": 1_000, "keep_completed": 1_000_000},
    }
    async with (
        redis_hosts(hosts.hosts[WORKER_HOSTS:], folder, *options) as servers,
        Cluster(servers.socket_url, folder, store=store, **settings) as cluster,
    ):
        environ = {"REDIS_URL": servers.url, "PREVIEW_STORE": address}
        workers = [WorkerHost(host, cluster, environ) for host in hosts.hosts[:WORKER_HOSTS]]
        with started(workers):
            yield Fleet(cluster, servers, workers, asked=servers.hosts[0])


@contextmanager
def started(workers: list[WorkerHost]) -> Iterator[None]:
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()


async def test_row_29_hosts_die_and_are_cut_off_under_load(
    hosts: Network, tmp_path: Path, endpoints: tuple[str, str]
) -> None:
    async with fleet(hosts, tmp_path, endpoints) as running:
        async with producer(hosts.server_prefix, running.servers.url, "job", 1 / JOBS_PER_S) as load:
            faults = await strike(running)
        cluster = running.cluster
        # A primary that dies takes along what no replica has: producers submit again what they have submitted.
        cluster.accepted = {reply.job_id for reply in load.accepted}
        before = (await cluster.snapshot()).counters["accepted"]
        await cluster.submit(*(payload(job_id) for job_id in sorted(cluster.accepted)))
        again = (await cluster.snapshot()).counters["accepted"] - before
        await cluster.drained(within_s=PATIENCE_S + 2 * SECONDS)
        snapshot = await cluster.judge()
        assert snapshot.dead == 0
        print(
            f"{WORKER_HOSTS} hosts, {WORKERS} workers each, {STORE}: {faults}; {len(cluster.accepted)} jobs, "
            f"{snapshot.counters['crashed']} crashes, {again} accepted again after the loss of a primary"
        )


async def strike(running: Fleet) -> str:
    """Makes each fault once, and more until FLEET_SECONDS are over; returns their numbers."""
    faults = [running.kill_a_host, running.cut_a_host, running.kill_the_primary, running.cut_the_primary]
    counts = dict.fromkeys((fault.__name__ for fault in faults), 0)
    end_s = time.monotonic() + SECONDS
    await running.make_progress()
    while time.monotonic() < end_s or not all(counts.values()):
        fault = faults[sum(counts.values()) % len(faults)]
        await fault()
        counts[fault.__name__] += 1
        await running.make_progress()
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())
