"""Row of the fault table about DATA_DIR: full, missing, read-only. One worker alone sees the file system."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.dead_letters import DeadLetters
from previewops.states import JobState
from tests.fault.cluster import Cluster, WorkerUnderTest, check_bundle, payload
from tests.fault.hosts import no_mount_namespaces, remount, seen_by, with_small_disk

pytestmark = [pytest.mark.redis]

DISK_MIB = 4


async def requeue_all(cluster: Cluster) -> None:
    outcome = await DeadLetters(cluster.redis, cluster.settings).requeue(DeadLetterFilter(), who="test")
    assert outcome.done == 1


def fill_up(ballast: Path) -> None:
    """Fills the disk with one file."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert os.statvfs(ballast).f_bavail == 0


@asynccontextmanager
async def on_a_small_disk(url: str, folder: Path) -> AsyncIterator[tuple[Cluster, WorkerUnderTest]]:
    """Starts a worker whose DATA_DIR is its own disk; the cluster reads the bundles from the worker's view."""
    reason = no_mount_namespaces()
    if reason is not None:
        pytest.skip(reason)
    async with Cluster(url, folder, max_attempts=2) as cluster:
        worker = cluster.start_worker(prefix=with_small_disk(cluster.settings.data_dir, DISK_MIB))
        await cluster.reporting(worker)
        cluster.bundles = seen_by(worker.pid, cluster.bundles)
        await cluster.submit(payload("before"))
        await cluster.until("before", JobState.COMPLETED)
        yield cluster, worker
        assert worker.alive
        await cluster.judge()


async def test_row_20_a_full_disk(redis_url: str, tmp_path: Path) -> None:
    async with on_a_small_disk(redis_url, tmp_path) as (cluster, worker):
        ballast = seen_by(worker.pid, cluster.settings.data_dir) / "ballast"
        fill_up(ballast)
        await cluster.submit(payload("job"))
        record = await cluster.until("job", JobState.DEAD)
        assert (record.code, record.cause, record.crashes) == ("disk-full", "attempts", 0)
        check_bundle(cluster.bundles / "before")
        cluster.struck()
        ballast.unlink()
        await requeue_all(cluster)
        await cluster.until("job", JobState.COMPLETED)
        cluster.recovered()


async def test_row_20_a_read_only_data_dir(redis_url: str, tmp_path: Path) -> None:
    async with on_a_small_disk(redis_url, tmp_path) as (cluster, worker):
        remount(worker.pid, cluster.settings.data_dir, "ro")
        await cluster.submit(payload("job"))
        record = await cluster.until("job", JobState.DEAD)
        assert record.code in ("io-error", "data-dir-unusable")
        assert (record.cause, record.crashes) == ("attempts", 0)
        cluster.struck()
        remount(worker.pid, cluster.settings.data_dir, "rw")
        await requeue_all(cluster)
        await cluster.until("job", JobState.COMPLETED)
        cluster.recovered()


async def test_row_20_a_data_dir_that_has_gone(redis_url: str, tmp_path: Path) -> None:
    async with Cluster(redis_url, tmp_path, max_attempts=2) as cluster:
        (worker,) = await cluster.start_workers(1)
        await cluster.submit(payload("before"))
        await cluster.until("before", JobState.COMPLETED)
        data = cluster.settings.data_dir
        aside = data.rename(data.with_name("aside"))
        await cluster.submit(payload("job"))
        record = await cluster.until("job", JobState.DEAD)
        assert record.code in ("io-error", "data-dir-unusable")
        assert (record.cause, record.crashes) == ("attempts", 0)
        assert not data.exists(), "a missing DATA_DIR is not created on the disk below it"
        cluster.struck()
        aside.rename(data)
        await requeue_all(cluster)
        await cluster.until("job", JobState.COMPLETED)
        cluster.recovered()
        assert worker.alive
        await cluster.judge()
