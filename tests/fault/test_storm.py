"""Two thousand jobs on four workers, one of which is killed after every forty jobs: each job completes once.

Half of the jobs are submitted to a REST API that is killed during requests. They name a receiver of webhooks, which
is unavailable now and then and gets the end of each.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from previewops.contract import validate
from previewops.host_patterns import HostPattern
from previewops.queue.due_time import DueTime
from previewops.queue.submit_options import SubmitOptions
from previewops.queue.webhooks import Webhooks
from tests.fault.cluster import PATIENCE_S, Cluster, payload
from tests.fault.rest_api import RestApi
from tests.webhook_receiver import SECRET, Inbox, receiving

pytestmark = [pytest.mark.redis, pytest.mark.slow]

JOBS = 2_000
WORKERS = 4
JOBS_PER_KILL = 40
"""By progress, not by time: a slow machine would kill workers faster than they can start."""
JOBS_BY_REST = 1_000
JOBS_PER_REQUEST = 25
"""One request after each kill of a worker, so that the queue never runs dry."""
API_KILLS = (10, 25)
"""The kills of workers after which the REST API is killed too."""
BROKEN = 5
CANCELLED = 20
SEED = 20261123


@pytest.mark.timeout(1_200)
async def test_two_thousand_jobs_with_a_worker_killed_after_every_forty(
    redis_url: str, tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    async with receiving(Inbox(lambda number: 503 if number % 10 == 0 else 204)) as inbox:
        host = HostPattern("127.0.0.1", port=inbox.port, network=ip_network("127.0.0.0/8"))
        webhooks = {"webhook_hosts": (host,), "webhook_secret": SECRET}
        async with Cluster(redis_url, tmp_path, max_crashes=100, **webhooks) as cluster:
            await Webhooks(cluster.redis, cluster.settings).claim(0, all_jobs=False)  # from the first end on
            await cluster.start_workers(WORKERS)
            await cluster.submit(
                *(_with_webhook(inbox, f"broken-{n}", raises="broken") for n in range(BROKEN))
            )
            await cluster.submit(*(payload(f"job-{n:04}") for n in range(JOBS_BY_REST, JOBS)))
            await _cancel_jobs(cluster, inbox)
            by_rest = [_with_webhook(inbox, f"job-{n:04}") for n in range(JOBS_BY_REST)]
            kills, repeats = await _storm(cluster, by_rest, rng)
            snapshot = await cluster.judge()
            assert snapshot.counters["completed"] == JOBS
            assert snapshot.dead == BROKEN
            assert snapshot.counters["crashed"] > 0, "no kill hit a job"
            assert repeats > 0, "no kill hit a request"
            leftover = list((cluster.settings.data_dir / "previews").rglob("*.tmp"))
            assert not leftover
            await _deliver_all(cluster)
        _check_ends(inbox)
    print(f"{kills} kills, {snapshot.counters['crashed']} crashes of jobs, {repeats} requests repeated")
    print(f"{len(inbox.requests)} webhooks sent, {len(inbox.accepted)} accepted")


def _with_webhook(inbox: Inbox, job_id: str, **faults: Any) -> dict[str, Any]:
    document = payload(job_id, **faults)
    document["previewRequest"]["options"]["webhook"] = inbox.url
    return document


async def _cancel_jobs(cluster: Cluster, inbox: Inbox) -> None:
    later = SubmitOptions(due=DueTime(3_600_000, relative=True))
    for n in range(CANCELLED):
        receipt = await cluster.queue.submit(validate(_with_webhook(inbox, f"cancelled-{n}")), later)
        cluster.accepted.add(receipt.job_id)
        await cluster.queue.cancel(receipt.job_id, who="test")


async def _storm(cluster: Cluster, by_rest: list[dict[str, Any]], rng: random.Random) -> tuple[int, int]:
    """Kills until every job has ended. Returns the number of killed workers and of repeated requests."""
    kills = 0
    submits: set[asyncio.Task[None]] = set()

    def submit_next() -> None:
        batch, by_rest[:] = by_rest[:JOBS_PER_REQUEST], by_rest[JOBS_PER_REQUEST:]
        if batch:
            submits.add(asyncio.create_task(api.submit(*batch)))

    async with RestApi(cluster) as api:
        while (snapshot := await cluster.snapshot()).pending or by_rest or not all(map(_has_passed, submits)):
            if snapshot.counters["completed"] < (kills + 1) * JOBS_PER_KILL:
                await asyncio.sleep(0.05)
                continue
            victim = rng.choice([worker for worker in cluster.workers if worker.process.poll() is None])
            victim.kill()
            kills += 1
            cluster.start_worker()
            submit_next()
            if kills in API_KILLS:
                await asyncio.sleep(rng.uniform(0, 0.02))  # anywhere in the request
                api.restart()
                submit_next()  # while it starts
    return kills, api.repeats


def _has_passed(submit: asyncio.Task[None]) -> bool:
    return submit.done() and submit.result() is None


async def _deliver_all(cluster: Cluster) -> None:
    """Waits until every message is sent. Leases of killed workers and delays of retries count as passed."""
    webhooks, key = Webhooks(cluster.redis, cluster.settings), cluster.queue.keys.webhooks
    async with asyncio.timeout(PATIENCE_S):
        while (await webhooks.list_messages(failed=False, limit=1)).total:
            for message in await cluster.redis.zrange(key, 0, -1):
                await cluster.redis.zadd(key, {message: 0}, xx=True)
            await asyncio.sleep(1)
    assert (await webhooks.list_messages(failed=True)).total == 0


def _check_ends(inbox: Inbox) -> None:
    """Checks that the end of each job with a receiver was accepted at least once, and never with another state."""
    inbox.verified()
    ends = defaultdict(set)
    for body in inbox.accepted:
        ends[body["data"]["jobId"]].add((body["type"], body["data"]["status"]))
    assert ends == {
        **{f"job-{n:04}": {("preview.completed", "completed")} for n in range(JOBS_BY_REST)},
        **{f"broken-{n}": {("preview.dead", "dead")} for n in range(BROKEN)},
        **{f"cancelled-{n}": {("preview.cancelled", "cancelled")} for n in range(CANCELLED)},
    }
