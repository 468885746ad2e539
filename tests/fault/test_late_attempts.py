"""Attempts that end after their job was deleted, or after it got another payload."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from previewops.contract import validate
from previewops.errors import JobNotFound
from previewops.queue.submit_options import SubmitOptions
from previewops.states import JobState
from previewops.stores.folder.store import FolderStore
from previewops.stores.job_deletion import delete_job
from previewops.stores.staging import STAGING_FOLDER
from tests.fault.cluster import Cluster, Gate, WorkerUnderTest, payload

pytestmark = [pytest.mark.redis]


async def freeze_a_render(cluster: Cluster, gate: Gate, job_id: str) -> WorkerUnderTest:
    """Starts a worker that renders the job up to the gate, and freezes it there."""
    (frozen,) = await cluster.start_workers(1)
    await cluster.submit(payload(job_id, gate=str(gate.path)))
    await gate.arrival()
    gate.remove()
    frozen.signal(signal.SIGSTOP)
    return frozen


async def test_a_worker_that_wakes_after_the_deletion_brings_nothing_back(
    redis_url: str, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    async with Cluster(redis_url, tmp_path) as cluster:
        frozen = await freeze_a_render(cluster, gate, "held")
        data_dir = cluster.settings.data_dir
        store = FolderStore(data_dir)
        deleted = await delete_job(cluster.queue, store, "held", who="ana", reason="erasure")
        assert (deleted.was, deleted.bundle) == ("active", False)
        gate.open()
        frozen.signal(signal.SIGCONT)
        await cluster.eventually(lambda: "job.lease-lost" in frozen.log_text, "the late worker gives up")
        await cluster.submit(payload("next"))
        await cluster.until("next", JobState.COMPLETED)
        assert frozen.alive
        assert [path.name for path in cluster.bundles.iterdir()] == ["next"]
        assert [*(data_dir / STAGING_FOLDER).iterdir()] == []
        with pytest.raises(JobNotFound):
            await cluster.status("held")
        await cluster.submit(payload("held"))
        await cluster.until("held", JobState.COMPLETED)
        assert (cluster.bundles / "held").is_dir(), "the id can be used again"


async def test_a_worker_that_wakes_after_a_replacement_publishes_nothing(
    redis_url: str, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    async with Cluster(redis_url, tmp_path) as cluster:
        frozen = await freeze_a_render(cluster, gate, "held")
        changed = payload("held")
        changed["previewRequest"]["title"] = "changed"
        receipt = await cluster.queue.submit(validate(changed), SubmitOptions(replaced_by="ana"))
        assert receipt.replaced is JobState.ACTIVE
        await cluster.start_workers(1)
        record = await cluster.until("held", JobState.COMPLETED)
        assert (record.payload or {})["previewRequest"]["title"] == "changed"
        bundle = cluster.bundles / "held"
        before = bundle.stat().st_ino, (bundle / "preview.json").read_bytes()
        gate.open()
        frozen.signal(signal.SIGCONT)
        await cluster.eventually(lambda: "job.lease-lost" in frozen.log_text, "the late worker gives up")
        await cluster.submit(payload("next"))
        await cluster.until("next", JobState.COMPLETED)
        assert (bundle.stat().st_ino, (bundle / "preview.json").read_bytes()) == before
        await cluster.judge()
