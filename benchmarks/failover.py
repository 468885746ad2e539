"""Time until a new job is done after a fail-over of Redis, and the part of it that Sentinel takes.

Three hosts (network namespaces, so it needs root and iproute2), each with a Redis server and a Sentinel, and a worker
on each of two. The primary is killed, or a Sentinel is told to hand over, while a producer submits jobs.

    python -m benchmarks.failover [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from redis.asyncio import Redis

from previewops.errors import JobNotFound
from previewops.states import JobState
from tests.fault.cluster import Cluster
from tests.fault.hosts import PORT, Host, network, no_routed_network
from tests.fault.producer import Producer, producer
from tests.fault.redis_hosts import DOWN_AFTER_MS, SERVICE, RedisHosts, poll_until, redis_hosts

COORDINATED_SINCE = 9
"""Major version of Valkey whose Sentinel lets the primary hand over by itself."""

PAUSE_S = 0.3
"""Pause of the producer after each reply: no backlog that a new job waits for."""


@dataclass
class Times:
    """Seconds from the fault until Sentinel names another primary, and until a job that came later is done."""

    sentinel: list[float] = field(default_factory=list)
    job: list[float] = field(default_factory=list)

    def line(self, name: str) -> str:
        """Medians and maxima as text."""
        rest = [job - sentinel for sentinel, job in zip(self.sentinel, self.job, strict=True)]
        columns = (f"{statistics.median(c):8.2f} {max(c):5.2f}" for c in (self.sentinel, self.job, rest))
        return f"  {name:<30}{'   '.join(columns)}"


async def measure(
    servers: RedisHosts,
    cluster: Cluster,
    load: Producer,
    times: Times,
    fault: Callable[[Host], Awaitable[None]],
) -> Host:
    """Makes the fault at the primary, takes the times, and returns the host of the old primary."""
    old = await servers.primary(servers.hosts[0])
    asked = next(host for host in servers.hosts if host != old)
    await servers.follow(asked)
    await servers.replicated()
    began = time.monotonic()
    making = asyncio.create_task(fault(old))
    servers.link(await wait_until_named(servers, old))
    named = time.monotonic()
    times.sentinel.append(named - began)
    await cluster.redis.connection_pool.disconnect()
    await cluster.eventually(lambda: is_job_done(cluster, load, named), "a job is done")
    times.job.append(time.monotonic() - began)
    await making
    for host in servers.hosts:
        await servers.wait_for_primary(other_than=old, asked=host)
    return old


async def wait_until_named(servers: RedisHosts, old: Host) -> Host:
    """Waits until a Sentinel names another primary to clients; returns its host."""

    async def is_another() -> Host | None:
        for named in await asyncio.gather(*(servers.named(host) for host in servers.hosts)):
            if named != old and (await servers.role(named))[0] == "master":
                return named
        return None

    return await poll_until(is_another)


async def is_job_done(cluster: Cluster, load: Producer, since_s: float) -> bool:
    """Whether a job that was accepted since then is completed; the old primary may have taken some."""
    for reply in [reply for reply in load.accepted if reply.at_s > since_s]:
        with suppress(JobNotFound):
            if (await cluster.status(reply.job_id)).state is JobState.COMPLETED:
                return True
    return False


async def kill(servers: RedisHosts, host: Host) -> None:
    """Kills the server on a host."""
    servers.servers[host.address].kill()


async def hand_over(servers: RedisHosts, host: Host, *options: str) -> None:
    """Tells a Sentinel to promote another server than the one on ``host``."""
    asked = next(other for other in servers.hosts if other != host)
    async with Redis.from_url(servers.sentinels[asked.address].url) as sentinel:
        await sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE, *options)


async def hand_over_coordinated(servers: RedisHosts, host: Host) -> None:
    """Lets the primary hand over by itself: no write is lost. Valkey 9.0 or newer."""
    await hand_over(servers, host, "COORDINATED")


async def hand_over_paused(servers: RedisHosts, host: Host) -> None:
    """Hands over as docs/redis.md says: no write is lost."""
    async with Redis.from_url(servers.servers[host.address].url) as old:
        await old.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
        replication = await old.info("replication")
        while any(replication[f"slave{n}"]["offset"] != replication["master_repl_offset"] for n in range(2)):
            replication = await old.info("replication")
        await hand_over(servers, host)
        new = await wait_until_named(servers, host)
        await old.execute_command("REPLICAOF", new.address, PORT)
        await old.execute_command("CLIENT", "UNPAUSE")


FAULTS: dict[str, Callable[[RedisHosts, Host], Awaitable[None]]] = {
    "SIGKILL": kill,
    "hand-over": hand_over,
    "hand-over with writes paused": hand_over_paused,
    "hand-over, COORDINATED": hand_over_coordinated,
}


async def server_version(servers: RedisHosts) -> tuple[str, str]:
    """Name and version of the servers."""
    async with Redis.from_url(servers.socket_url) as client:
        fields = await client.info("server")
    if "valkey_version" in fields:
        return "Valkey", str(fields["valkey_version"])
    return "Redis", str(fields["redis_version"])


async def run(rounds: int, folder: Path) -> None:
    """Measures and prints."""
    lines = []
    with network(3, routed=True) as hosts:
        async with (
            redis_hosts(hosts.hosts, folder, hurry=False) as servers,
            Cluster(servers.socket_url, folder, lease_ms=10_000, heartbeat_ms=1_000) as cluster,
        ):
            workers = [cluster.start_worker(prefix=host.prefix, url=servers.url) for host in hosts.hosts[:2]]
            await cluster.reporting(*workers)
            faults = dict(FAULTS)
            name, version = await server_version(servers)
            if name != "Valkey" or int(version.partition(".")[0]) < COORDINATED_SINCE:
                del faults["hand-over, COORDINATED"]
            for title, fault in faults.items():
                times = Times()
                crashed = (await cluster.snapshot()).counters["crashed"]
                async with producer(hosts.server_prefix, servers.url, fault.__name__, PAUSE_S) as load:
                    await load.wait_for(lambda reply: reply.accepted)
                    for _ in range(rounds):
                        old = await measure(servers, cluster, load, times, partial(fault, servers))
                        if fault is kill:
                            servers.servers[old.address].start()
                        await servers.wait_until_replica(old)
                crashed = (await cluster.drained()).counters["crashed"] - crashed
                lines.append(f"{times.line(title)}   {crashed}")
            alive = sum(worker.alive for worker in workers)
    when, load_after = f"{datetime.now(tz=UTC):%Y-%m-%d}", os.getloadavg()[0]
    print(
        f"{when}, {os.cpu_count()} processors, Python {platform.python_version()}, load {load_after:.1f} after"
    )
    print(f"{name} {version}, {rounds} rounds, down-after-milliseconds {DOWN_AFTER_MS}")
    print("s since the fault until a Sentinel names another primary to clients, and a new job is done")
    print(f"{'':<32}Sentinel names   a job is done  without Sentinel  crashes")
    print("\n".join(lines))
    print(f"  {alive} of {len(workers)} workers are alive")


def main() -> None:
    """Parses the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if (reason := no_routed_network()) is not None:
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(options.rounds, Path(folder)))


if __name__ == "__main__":
    main()
