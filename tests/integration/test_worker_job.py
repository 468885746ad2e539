"""The job function render_preview with a fake renderer."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from previewops.job_errors import RenderCrashed
from previewops.queue.records import JobRecord
from previewops.states import JobState
from previewops.stores.folder.paths import bundle_path, fence_path
from previewops.stores.folder.store import FolderStore
from previewops.stores.port import BundleStore, Publication
from previewops.worker.cache.render_cache import DigestCache, RenderCache
from previewops.worker.cache.store import CacheStore
from previewops.worker.engine.jobs import RenderJobs
from previewops.worker.engine.worker import PreviewWorker
from previewops.worker.sandbox.children import ProgressCallback, RequestHandler, ResultCheck
from tests.integration.worker_support import (
    PATIENCE_S,
    MaxRng,
    enqueue,
    make_settings,
    make_worker,
    running_worker,
    wait_for_end,
    wait_for_event,
)
from tests.queue_support import QueueFixture, payload, queue_fixture

pytestmark = [pytest.mark.redis]


class FakeRenderRunner:
    """Requests one file and writes it, then calls ``then``."""

    def __init__(self, then: Callable[[], Any] | None = None) -> None:
        self.stagings: list[Path] = []
        self._then = then

    async def run(
        self,
        spec: dict[str, Any],
        *,
        deadline_s: float,
        elapsed_s: float = 0.0,
        common: Mapping[str, Any] | None = None,
        generation: Hashable = None,
        progress: ProgressCallback | None = None,
        handle_request: RequestHandler | None = None,
        check_result: ResultCheck | None = None,
    ) -> dict[str, Any]:
        assert handle_request is not None
        if not spec["payload"]["dryRun"]:
            _, (handle,) = await handle_request({"create": ["poster.png"]})
            assert handle is not None
            self.stagings.append(Path(os.readlink(f"/proc/self/fd/{handle}")).parent)  # noqa: PTH115
            with os.fdopen(handle, "wb") as file:
                file.write(b"pixels")
            _, (handle,) = await handle_request({"create": ["preview.json"]})
            with os.fdopen(handle, "wb") as file:
                file.write(b'{"assets": []}')
        if self._then is not None:
            result = self._then()
            if asyncio.iscoroutine(result):
                await result
        artifacts = [{"path": path} for path in ("poster.png", "preview.json")]
        return {"dryRun": spec["payload"]["dryRun"], "artifacts": artifacts}


def raw(job_id: str, *, dry_run: bool = False) -> dict[str, Any]:
    return {**payload(job_id).raw, "dryRun": dry_run}


def rendering(
    queue: QueueFixture,
    url: str,
    folder: Path,
    renders: FakeRenderRunner,
    store: BundleStore | None = None,
    cache: RenderCache | None = None,
    **settings: Any,
) -> PreviewWorker:
    (folder / ".staging").mkdir(exist_ok=True)
    chosen = make_settings(queue, data_dir=folder, **{"max_attempts": 1, "max_crashes": 1, **settings})
    jobs = RenderJobs(chosen, renders, (folder,), store or FolderStore(folder), cache=cache, rng=MaxRng())

    async def render_preview(ctx: dict[Any, Any], argument: Any, **options: Any) -> Any:
        return await jobs.render_preview(ctx, argument, **options)

    return make_worker(url, chosen, render_preview)


async def rendered(url: str, folder: Path, renders: FakeRenderRunner, body: Any) -> JobRecord:
    async with queue_fixture(url) as queue:
        await enqueue(queue.redis, "render_preview", "job", argument=body)
        async with running_worker(rendering(queue, url, folder, renders)):
            return await wait_for_end(queue, "job")


def published(folder: Path) -> bool:
    return bundle_path(folder, "p", "job").exists()


async def test_a_bundle_is_published_and_the_job_completed(redis_url: str, tmp_path: Path) -> None:
    renders = FakeRenderRunner()
    record = await rendered(redis_url, tmp_path, renders, raw("job"))
    assert record.state is JobState.COMPLETED
    assert (bundle_path(tmp_path, "p", "job") / "poster.png").read_bytes() == b"pixels"
    assert not renders.stagings[0].exists()


async def test_a_job_that_runs_again_is_rendered_although_the_cache_has_its_result(
    redis_url: str, tmp_path: Path
) -> None:
    renders = FakeRenderRunner()
    cache = RenderCache(CacheStore(tmp_path / "cache"), DigestCache())
    async with (
        queue_fixture(redis_url) as queue,
        running_worker(rendering(queue, redis_url, tmp_path, renders, cache=cache)),
    ):
        for job_id, count in (("job", 1), ("twin", 1)):
            await queue.queue.submit(payload(job_id))
            await wait_for_end(queue, job_id)
            assert len(renders.stagings) == count, "an equal job takes the result from the cache"
        await queue.queue.run_again("job", who="ana")
        record = await wait_for_end(queue, "job")
        assert record.state is JobState.COMPLETED
        assert len(renders.stagings) == 2, "it was rendered"
        assert "reused" not in (record.result or {})
        await queue.queue.submit(payload("third"))
        assert ((await wait_for_end(queue, "third")).result or {})["reused"] is True, "from the new result"


async def test_an_invalid_payload_is_permanent(redis_url: str, tmp_path: Path) -> None:
    renders = FakeRenderRunner()
    record = await rendered(redis_url, tmp_path, renders, {**raw("job"), "surprise": 1})
    assert (record.state, record.cause, record.code) == (JobState.DEAD, "permanent", "invalid-payload")
    assert "surprise" in (record.reason or "")
    assert renders.stagings == []


async def test_a_payload_of_another_job_is_permanent(redis_url: str, tmp_path: Path) -> None:
    record = await rendered(redis_url, tmp_path, FakeRenderRunner(), raw("other"))
    assert (record.state, record.cause, record.code) == (JobState.DEAD, "permanent", "job-id-mismatch")


async def test_a_dry_run_publishes_nothing(redis_url: str, tmp_path: Path) -> None:
    record = await rendered(redis_url, tmp_path, FakeRenderRunner(), raw("job", dry_run=True))
    assert record.state is JobState.COMPLETED
    assert not published(tmp_path)
    async with queue_fixture(redis_url) as b:
        assert await b.redis.hget(b.keys.totals, "dryrun:normal") == b"1"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), RenderCrashed("was killed by SIGSEGV")])
async def test_a_failed_render_leaves_no_staging(redis_url: str, tmp_path: Path, error: Exception) -> None:
    def fail() -> None:
        raise error

    renders = FakeRenderRunner(fail)
    record = await rendered(redis_url, tmp_path, renders, raw("job"))
    assert record.state is JobState.DEAD
    assert not renders.stagings[0].exists()
    assert not published(tmp_path)


async def test_a_lease_lost_before_publication_publishes_and_records_nothing(
    redis_url: str, tmp_path: Path
) -> None:
    async with queue_fixture(redis_url) as queue:
        cancelled = asyncio.Event()

        async def cancel() -> None:
            if not cancelled.is_set():
                await queue.queue.cancel("job", who="test")
                cancelled.set()

        renders = FakeRenderRunner(cancel)
        await enqueue(queue.redis, "render_preview", "job", "next", argument=raw("job"))
        async with running_worker(rendering(queue, redis_url, tmp_path, renders, heartbeat_ms=100_000)):
            await wait_for_end(queue, "next")
            record = await queue.queue.status("job")
        assert (record.state, record.history) == (JobState.CANCELLED, ())
        assert not published(tmp_path)
        assert not renders.stagings[0].exists()


async def test_a_fence_ahead_of_redis_is_overtaken_by_the_next_attempt(
    redis_url: str, tmp_path: Path
) -> None:
    ahead = 2**52
    fence = fence_path(tmp_path, "p", "job")
    fence.parent.mkdir(parents=True)
    fence.write_text(str(ahead))
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "render_preview", "job", argument=raw("job"))
        with capture_logs() as log:
            async with running_worker(
                rendering(queue, redis_url, tmp_path, FakeRenderRunner(), max_attempts=2)
            ):
                record = await wait_for_end(queue, "job")
    assert record.state is JobState.COMPLETED
    assert [attempt.code for attempt in record.history] == ["stale-token"]
    (event,) = [line for line in log if line["event"] == "fence.token-ahead"]
    assert (event["log_level"], event["newest"]) == ("error", ahead)
    assert 0 < event["token"] < ahead
    assert published(tmp_path)
    assert int(fence.read_text()) > ahead


async def test_a_publication_in_progress_survives_a_drain(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = FolderStore.publish
    loop = asyncio.get_running_loop()
    started, go_on = asyncio.Event(), threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        loop.call_soon_threadsafe(started.set)
        assert go_on.wait(PATIENCE_S)
        return publish(*args, **kwargs)

    monkeypatch.setattr(FolderStore, "publish", slow)
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "render_preview", "job", argument=raw("job"))
        worker = rendering(queue, redis_url, tmp_path, FakeRenderRunner())
        async with running_worker(worker) as main_task:
            await wait_for_event(started)
            worker.drain()
            worker.drain()
            (slot,) = worker.tasks.values()
            # The drain cancels, and then the test: the staging folder stays while the thread publishes.
            await asyncio.wait({slot}, timeout=0)
            slot.cancel()
            await asyncio.wait({slot}, timeout=0)
            go_on.set()
            async with asyncio.timeout(PATIENCE_S):
                await main_task
        assert (bundle_path(tmp_path, "p", "job") / "poster.png").read_bytes() == b"pixels"
        record = await queue.queue.status("job")
        assert record.state in (JobState.WAITING, JobState.COMPLETED)
        assert (record.attempts, record.crashes) == (0, 0)


class SlowStore(FolderStore):
    """A store on a network: its publications wait until ``go_on`` is set."""

    go_on = threading.Event()
    publishing = 0
    most = 0

    @property
    def remote(self) -> bool:
        return True

    def publish(self, staging: Path, project_id: str, job_id: str, **options: Any) -> Publication:
        type(self).publishing += 1
        type(self).most = max(self.most, self.publishing)
        assert self.go_on.wait(PATIENCE_S)
        type(self).publishing -= 1
        return FolderStore.publish(self, staging, project_id, job_id, **options)


async def test_one_more_job_renders_per_slot_while_bundles_are_uploaded(
    redis_url: str, tmp_path: Path
) -> None:
    """One slot: the second job renders while the first publishes; the third waits for a publication to end."""
    second = asyncio.Event()
    jobs = ["job", "job-2", "job-3", "job-4"]

    def note_second() -> None:
        if len(renders.stagings) == 2:
            second.set()

    renders = FakeRenderRunner(note_second)
    async with queue_fixture(redis_url) as queue:
        for job_id in jobs:
            await enqueue(queue.redis, "render_preview", job_id, argument=raw(job_id))
        worker = rendering(queue, redis_url, tmp_path, renders, SlowStore(tmp_path))
        async with running_worker(worker):
            await wait_for_event(second)
            assert len(worker.runs) == 2
            SlowStore.go_on.set()
            for job_id in jobs:
                assert (await wait_for_end(queue, job_id)).state is JobState.COMPLETED
            assert worker._free_slots == 1
    assert SlowStore.most <= 2
