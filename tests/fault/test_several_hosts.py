"""Several hosts with one queue: supervisors and workers under host names of their own, in UTS namespaces."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from previewops.health import Check, Status, Thresholds, evaluate
from previewops.health.from_snapshot import inputs_from_snapshot
from previewops.snapshot.hosts import Fleet
from previewops.states import JobState
from previewops.supervisor.commands import FleetCommandKind
from tests.fault.cluster import Cluster, payload
from tests.fault.hosts import named, no_host_names
from tests.fault.supervisor_process import SupervisorProcess

pytestmark = [pytest.mark.redis, pytest.mark.skipif(no_host_names() is not None, reason=str(no_host_names()))]

JOBS = 12


def supervise(cluster: Cluster, host: str) -> SupervisorProcess:
    """A supervisor with one worker on a host."""
    return SupervisorProcess(cluster, "--workers", "1", prefix=named(host), log=host)


def hosts_of_lines(log: Path) -> set[str]:
    """The hosts of the workers that wrote lines into a log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return {"-".join(line["worker"].split("-")[:2]) for line in lines if "worker" in line}


async def run_jobs(cluster: Cluster, name: str) -> set[str]:
    """Runs jobs to their end, and returns the hosts that ran them."""
    ids = [f"{name}-{number}" for number in range(JOBS)]
    await cluster.submit(*(payload(job_id) for job_id in ids))
    records = [await cluster.until(job_id, JobState.COMPLETED) for job_id in ids]
    return {"-".join(str(record.worker).split("-")[:2]) for record in records}


async def check(cluster: Cluster, name: str) -> Check:
    """A health check of the queue as it is now."""
    inputs = inputs_from_snapshot(await cluster.snapshot(), None, heartbeat_ms=cluster.settings.heartbeat_ms)
    return next(check for check in evaluate(inputs, Thresholds()).checks if check.name == name)


async def test_two_hosts_on_one_folder_keep_logs_and_drains_apart(redis_url: str, tmp_path: Path) -> None:
    async with Cluster(redis_url, tmp_path) as cluster, supervise(cluster, "render-2") as second:
        async with supervise(cluster, "render-1") as first:
            await asyncio.gather(first.running(1), second.running(1))
            assert len({view.supervisor_id for view in await first.control.supervisors()}) == 2
            fleet = Fleet.of((await cluster.snapshot()).workers)
            assert [host.host for host in fleet.hosts] == ["render-1", "render-2"]
            assert len(fleet.store_ids) == 1
            assert (await check(cluster, "shared-store")).status is Status.OK
            await run_jobs(cluster, "both")
            logs = sorted((cluster.settings.data_dir / "logs").rglob("worker-1.log"))
            assert [hosts_of_lines(log) for log in logs] == [{"render-1"}, {"render-2"}]
            await first.control.send(FleetCommandKind.DRAIN, host="render-1", reason="new disks")
            await first.sees(
                "it is drained", lambda view: [w.phase for w in view.state.workers] == ["exited"]
            )
            await second.running(1)
            first.signal(signal.SIGTERM)
            assert await first.stopped() == 0
        async with supervise(cluster, "render-1") as restarted:
            view = await restarted.sees("it stays drained", lambda view: view.state.workers)
            (worker,) = view.state.workers
            assert (worker.phase, worker.reason) == ("exited", "drained by test: new disks")
            assert await run_jobs(cluster, "drained") == {"render-2"}
            await restarted.control.send(FleetCommandKind.RESET, host="render-1")
            await restarted.running(1)
        await cluster.judge()


async def test_a_host_with_a_folder_of_its_own_is_named_by_health(redis_url: str, tmp_path: Path) -> None:
    async with Cluster(redis_url, tmp_path) as cluster:
        shared = [cluster.start_worker(prefix=named(host)) for host in ("render-1", "render-2")]
        await cluster.reporting(*shared)
        assert (await check(cluster, "shared-store")).message == "all workers publish to the same store"
        own = cluster.start_worker(prefix=named("render-3"), env={"DATA_DIR": str(tmp_path / "own")})
        await cluster.reporting(own)
        differing = await check(cluster, "shared-store")
        assert differing.status is Status.WARNING
        assert "render-1, render-2 to " in differing.message
        assert f"; render-3 to {tmp_path}/own/previews" in differing.message
