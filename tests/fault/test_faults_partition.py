"""A primary that is cut off from its replicas and Sentinels, while workers and producers go on on both sides.

Three hosts (network namespaces), each with a Redis server, a Sentinel, a worker and a producer. The host of the
primary loses its link: the other side promotes a replica, and the old primary accepts writes that are lost when it
becomes a replica. With min-replicas-to-write it rejects them once its replicas have been silent for a moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from previewops.errors import JobNotFound
from previewops.queue.queue import Queue
from previewops.redis_server.connection import connect
from previewops.snapshot.reader import SnapshotReader
from tests.fault.cluster import Cluster, payload
from tests.fault.hosts import Network, network, no_routed_network
from tests.fault.producer import Producer, producer
from tests.fault.redis_hosts import redis_hosts

pytestmark = [pytest.mark.redis, pytest.mark.slow]

TOO_FEW = "too few replicas"
PAUSE_S = 0.15
"""Pause of a producer after each reply."""
IN_FLIGHT_S = 1.0
"""Replication takes less: what was accepted earlier than this before the cut is on a replica."""


@pytest.fixture
def hosts() -> Iterator[Network]:
    reason = no_routed_network()
    if reason is not None:
        pytest.skip(reason)
    with network(3, routed=True) as three:
        yield three


@pytest.mark.parametrize("min_replicas", [0, 1])
async def test_row_24_a_partition_loses_only_what_the_old_primary_accepted_alone(
    hosts: Network, tmp_path: Path, min_replicas: int
) -> None:
    cut, other, _ = hosts.hosts
    options = ("--min-replicas-to-write", str(min_replicas), "--min-replicas-max-lag", "1")
    async with (
        redis_hosts(hosts.hosts, tmp_path, *options) as servers,
        Cluster(servers.socket_url, tmp_path, max_crashes=100, queue_max=100_000) as cluster,
        AsyncExitStack() as producers,
    ):
        workers = [cluster.start_worker(prefix=host.prefix, url=servers.url) for host in (cut, other)]
        await cluster.reporting(*workers)
        inside = await producers.enter_async_context(producer(cut.prefix, servers.url, "inside", PAUSE_S))
        outside = await producers.enter_async_context(producer(other.prefix, servers.url, "outside", PAUSE_S))
        await outside.wait_for(lambda reply: reply.accepted)
        # A backlog that both sides know, and that both run.
        await cluster.submit(*(payload(f"before-{n}", takes_s=0.1) for n in range(30)))
        await servers.replicated()

        cut_at_s = time.monotonic()
        cut.cut()
        cluster.struck()
        await servers.wait_for_primary(other_than=cut, asked=other)
        await servers.end_fail_overs()
        await outside.wait_for(lambda reply: reply.accepted, 5)
        cluster.recovered()
        await goes_on_alone(cluster, str(servers.servers[cut.address].url), inside, min_replicas)

        cut.mend()
        await servers.wait_until_replica(cut)
        await servers.follow(other)
        await cluster.redis.connection_pool.disconnect()
        await asyncio.gather(*(end.wait_for(lambda reply: reply.accepted, 3) for end in (inside, outside)))
        await producers.aclose()

        await cluster.drained()
        cluster.accepted |= {reply.job_id for reply in (*inside.accepted, *outside.accepted)}
        lost = {job_id for job_id in cluster.accepted if await is_lost(cluster, job_id)}
        assert lost <= at_risk(inside, cut_at_s)
        print(f"accepted {len(cluster.accepted)}, lost with the old primary {len(lost)}")
        cluster.accepted -= lost
        await cluster.judge()
        assert all(worker.alive for worker in workers)


async def goes_on_alone(cluster: Cluster, url: str, inside: Producer, min_replicas: int) -> None:
    """Waits until the old primary, at ``url``, has done what it does without its replicas."""
    if min_replicas:
        await inside.wait_for(lambda reply: TOO_FEW in reply.reason, 2)
        return
    await inside.wait_for(lambda reply: reply.accepted, 10)
    redis = connect(url, role="test")
    try:
        snapshots = SnapshotReader(redis, replace(cluster.settings, redis_url=url))
        done = (await snapshots.read()).counters["completed"]

        async def has_worked() -> bool:
            return (await snapshots.read()).counters["completed"] >= done + 5

        await cluster.eventually(has_worked, "the worker at the old primary works on")
        assert await Queue(redis, cluster.settings).status(inside.accepted[-1].job_id)
    finally:
        await redis.aclose()


def at_risk(inside: Producer, cut_at_s: float) -> set[str]:
    """The jobs that the old primary accepted without a replica: until it rejects writes, if it does."""
    rejections_s = (
        reply.at_s for reply in inside.replies if TOO_FEW in reply.reason and reply.at_s > cut_at_s
    )
    rejected_s = min(rejections_s, default=None)
    return {
        reply.job_id
        for reply in inside.accepted
        if reply.at_s > cut_at_s - IN_FLIGHT_S and (rejected_s is None or reply.at_s < rejected_s)
    }


async def is_lost(cluster: Cluster, job_id: str) -> bool:
    try:
        await cluster.status(job_id)
    except JobNotFound:
        return True
    return False
