"""Deletion of jobs with their bundles: by the queue, over REST, on the command line and by the client."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
from arq.connections import ArqRedis

from previewops.client import Client
from previewops.doctor.doctor import Doctor
from previewops.errors import BundleUnreadable, JobNotFound
from previewops.queue.erasures import ErasureLog
from previewops.queue.submit_options import SubmitOptions
from previewops.settings import Settings
from previewops.states import JobState, ScriptResult
from previewops.stores.folder.store import FolderStore
from previewops.stores.job_deletion import delete_job
from previewops.stores.staging import staging_path
from previewops.worker.cache.erasure import CacheEraser
from previewops.worker.cache.render_cache import BUNDLES, THUMBNAILS
from previewops.worker.cache.store import CacheStore
from tests.api_support import JOBS, require_problem, serve_api
from tests.integration.cli_program import Program, queue_driver
from tests.integration.cli_program import payload as raw_payload
from tests.integration.test_api_tokens import Tokens
from tests.queue_support import QUEUE, completed_job, json_bytes, payload, queue_fixture
from tests.store_support import JOB, PROJECT, put

pytestmark = pytest.mark.redis


async def test_nothing_of_a_job_stays_in_redis_but_who_deleted_it(redis_url: str, tmp_path: Path) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("kept"))
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        before = set(await b.redis.keys())
        await b.add_dead_letter(JOB)
        put(FolderStore(tmp_path), tmp_path, 1, "one")
        deleted = await delete_job(b.queue, FolderStore(tmp_path), JOB, who="ana", reason="erasure")
        assert deleted.as_json() == {"jobId": JOB, "status": "deleted", "was": "dead", "bundle": True}
        assert [*(tmp_path / "previews" / PROJECT).iterdir()] == []
        left = {
            key
            for key in set(await b.redis.keys()) - before
            if b":bucket:" not in key and b":ended" not in key and key[-5:] != b":wake"
        }
        assert {key.rpartition(b":")[2] for key in left} <= {b"events", b"actions", b"erasures"}
        snapshot = await b.snapshots.read(events=99)
        assert [event.kind for event in snapshot.events if event.fields.get("job") == JOB] == ["deleted"]
        assert (snapshot.dead, snapshot.unaccounted) == (0, 0)
        with pytest.raises(JobNotFound):
            await b.queue.status(JOB)


async def test_doctor_takes_no_deletion_for_a_job(redis_url: str, tmp_path: Path) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload(JOB))
        put(FolderStore(tmp_path), tmp_path, 1, "one")
        await delete_job(b.queue, FolderStore(tmp_path), JOB, who="ana")
        report = await Doctor(b.redis, b.queue.settings).examine()
        assert [finding.as_json() for finding in report.findings] == []


@pytest.mark.parametrize("state", ["waiting", "active", "completed", "cancelled"])
async def test_a_job_in_any_state_is_deleted(redis_url: str, tmp_path: Path, state: str) -> None:
    FolderStore(tmp_path).identify(create=True)
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload(JOB))
        if state in ("active", "completed"):
            claim = await b.claim_one()
        if state == "completed":
            await b.worker().finish([completed_job(claim)], 0)
        if state == "cancelled":
            await b.queue.cancel(JOB, who="ana")
        assert (await delete_job(b.queue, FolderStore(tmp_path), JOB, who="ana")).was == state
        assert (await b.snapshots.read()).unaccounted == 0
        assert (await b.queue.submit(payload(JOB, title="another"))).new
        with pytest.raises(JobNotFound):
            await delete_job(b.queue, FolderStore(tmp_path), "never", who="ana")


async def test_a_deletion_that_fails_keeps_the_record_and_can_be_repeated(
    redis_url: str, tmp_path: Path
) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload(JOB))
        with pytest.raises(BundleUnreadable, match="does not exist"):
            await delete_job(b.queue, FolderStore(tmp_path / "unmounted"), JOB, who="ana")
        assert (await b.queue.status(JOB)).state is JobState.CANCELLED, "it does not run"
        assert (await delete_job(b.queue, FolderStore(tmp_path), JOB, who="ana")).was == "cancelled"


async def test_a_deletion_in_a_folder_that_no_worker_has_used_keeps_the_record(
    redis_url: str, tmp_path: Path
) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload(JOB))
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        with pytest.raises(BundleUnreadable, match="no worker has used this store"):
            await delete_job(b.queue, FolderStore(tmp_path), JOB, who="ana")
        assert (await b.queue.status(JOB)).state is JobState.COMPLETED
        FolderStore(tmp_path).identify(create=True)
        assert not (await delete_job(b.queue, FolderStore(tmp_path), JOB, who="ana")).bundle


async def test_a_deferred_job_of_another_project_keeps_its_time(redis_url: str, tmp_path: Path) -> None:
    async with queue_fixture(redis_url) as b:
        stock = ArqRedis(
            unix_socket_path=redis_url.removeprefix("unix://"),
            job_serializer=json_bytes,
            default_queue_name=QUEUE,
        )
        await stock.enqueue_job("render_preview", payload(JOB).raw, _job_id=JOB, _defer_by=3600)
        await stock.aclose()
        with pytest.raises(JobNotFound):
            await b.queue.cancel(JOB, who="ana", projects={"other"})
        with pytest.raises(JobNotFound):
            await delete_job(b.queue, FolderStore(tmp_path), JOB, who="ana", projects={"other"})
        assert (await b.queue.status(JOB)).state is JobState.DELAYED
        assert (await delete_job(b.queue, FolderStore(tmp_path), JOB, who="ana")).was == "delayed"
        assert (await b.snapshots.read()).unaccounted == 0


async def test_a_bundle_whose_record_has_expired_is_deleted_by_its_project(
    redis_url: str, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path)
    put(store, tmp_path, 1, "one")
    async with queue_fixture(redis_url) as b:
        with pytest.raises(JobNotFound):
            await delete_job(b.queue, store, JOB, who="ana", project_id=PROJECT, projects={"other"})
        deleted = await delete_job(b.queue, store, JOB, who="ana", project_id=PROJECT)
        assert (deleted.was, deleted.bundle) == ("", True)
        with pytest.raises(JobNotFound):
            await delete_job(b.queue, store, JOB, who="ana", project_id=PROJECT)


async def test_a_job_that_is_submitted_again_meanwhile_is_deleted_too(redis_url: str, tmp_path: Path) -> None:
    class SlowStore(FolderStore):
        erased = 0

        def erase(self, project_id: str, job_id: str, *, fence: int) -> bool:
            SlowStore.erased += 1
            if SlowStore.erased == 1:
                program = Program(tmp_path, redis_url)
                assert program.run("dlq", "requeue", job_id).code == 0
            return super().erase(project_id, job_id, fence=fence)

    async with queue_fixture(redis_url) as b:
        await b.add_dead_letter(JOB)
        assert (await delete_job(b.queue, SlowStore(tmp_path), JOB, who="ana")).was == "waiting"
        assert SlowStore.erased == 2


@pytest.mark.parametrize("runs", [False, True])
async def test_a_payload_that_is_submitted_in_its_place_meanwhile_is_kept(
    redis_url: str, tmp_path: Path, runs: bool
) -> None:
    async with queue_fixture(redis_url) as b:
        await b.add_dead_letter(JOB)
        deletion = await b.queue.begin_deletion(JOB, who="ana")
        new = payload(JOB, title="new")
        assert (await b.queue.submit(new, SubmitOptions(replaced_by="ben"))).replaced is JobState.DEAD
        claim = await b.claim_one() if runs else None
        assert await b.queue.finish_deletion(deletion, who="ana") is True
        job = await b.queue.status(JOB)
        assert (job.state, job.payload, job.history, job.requeues) == (JobState.WAITING, new.raw, (), 0)
        if claim is not None:
            assert (await b.worker().finish([completed_job(claim)], 0))[0] == [ScriptResult.STALE]
        await b.claim_one("w2")
        assert (await b.snapshots.read()).unaccounted == 0
        assert (await Doctor(b.redis, b.settings).examine()).count == 0


async def test_a_deletion_of_an_unknown_job_leaves_nothing(redis_url: str, tmp_path: Path) -> None:
    async with queue_fixture(redis_url) as b:
        with pytest.raises(JobNotFound):
            await delete_job(b.queue, FolderStore(tmp_path), "never", who="ana", project_id=PROJECT)
        assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240
        assert await b.redis.zcard(b.keys.erasures) == 0


async def test_deletion_over_rest(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path) as api:
        await api.queue_driver.submit(raw_payload("a"))
        response = await api.client.delete(
            f"{JOBS}/a?bundle=1&reason=erasure", headers={"X-Preview-User": "ana"}
        )
        assert response.json() == {"jobId": "a", "status": "deleted", "was": "waiting", "bundle": False}
        require_problem(await api.client.delete(f"{JOBS}/a?bundle=1"), 404, "not-found")
        require_problem(await api.client.delete(f"{JOBS}/a?bundle=yes"), 400, "bad-parameter")
        await api.queue_driver.submit(raw_payload("b"))
        require_problem(await api.client.delete(f"{JOBS}/b?project=other"), 404, "not-found")
        assert (await api.client.delete(f"{JOBS}/b?project=lessons")).json()["status"] == "cancelled"


async def test_a_token_deletes_jobs_of_its_projects_with_the_scope_operate(
    redis_url: str, tmp_path: Path
) -> None:
    tokens = Tokens(tmp_path / "tokens.toml")
    operate = tokens.add("operate", ("operate",))
    submit = tokens.add("submit", ("submit",))
    async with serve_api(redis_url, tmp_path, api_tokens_file=tokens.path) as api:
        await api.queue_driver.submit(raw_payload("a-1", project="a"), raw_payload("b-1", project="b"))
        require_problem(await api.client.delete(f"{JOBS}/a-1?bundle=1", headers=submit), 403, "forbidden")
        require_problem(await api.client.delete(f"{JOBS}/a-1", headers=operate), 403, "forbidden")
        require_problem(await api.client.delete(f"{JOBS}/b-1?bundle=1", headers=operate), 404, "not-found")
        assert (await api.backend.queue.status("b-1")).state is JobState.WAITING
        assert (await api.client.delete(f"{JOBS}/a-1?bundle=1", headers=operate)).json()["was"] == "waiting"


async def test_deletion_on_the_command_line_and_by_the_client(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    (tmp_path / "data").mkdir(exist_ok=True)
    async with queue_driver(redis_url) as driver:
        await driver.submit(raw_payload("a"), raw_payload("b"), raw_payload("c"))
    unconfirmed = program.run("delete", "a")
    assert (unconfirmed.code, "1 job would be deleted" in unconfirmed.err) == (2, True)
    result = program.run("delete", "a", "never", "--yes", "--reason", "erasure")
    assert (result.code, result.out) == (1, "deleted a; it was waiting; it had no bundle\n")
    assert result.err.startswith("never: no job never in queue preview-jobs\n")
    assert "--project finds the bundle" in result.err
    (line,) = program.run("delete", "b", "--yes", "--json").json_lines
    assert line == {"jobId": "b", "status": "deleted", "was": "waiting", "bundle": False}

    def use_client() -> None:
        with Client(redis_url, settings=Settings(data_dir=tmp_path)) as previews:
            assert previews.delete("c").was == "waiting"
            with pytest.raises(JobNotFound):
                previews.status("c")
            receipt = previews.submit(raw_payload("d"), not_before=timedelta(hours=1))
            assert receipt.state is JobState.DELAYED
            assert previews.reschedule("d", now=True) is JobState.DELAYED
            assert (
                previews.submit(raw_payload("d", requestId="new"), replace=True).replaced is JobState.WAITING
            )

    await asyncio.to_thread(use_client)


async def test_copies_in_the_cache_are_removed(redis_url: str, tmp_path: Path) -> None:
    store, cache = FolderStore(tmp_path / "data"), CacheStore(tmp_path / "cache")
    staging = staging_path(store.data_dir, JOB, 1)
    (staging / "thumbs").mkdir(parents=True)
    thumbnail, manifest, other = staging / "thumbs" / "a.webp", staging / "container.json", tmp_path / "other"
    thumbnail.write_bytes(b"a face")
    other.write_bytes(b"another picture")
    digest = hashlib.sha256(b"a face").hexdigest()
    entry = {"path": "thumbs/a.webp", "bytes": 6, "sha256": digest, "mediaType": "image/webp"}
    manifest.write_text(json.dumps({"version": 1, "files": [entry]}))
    (staging / "preview.json").write_text("{}")

    def put_bundle(key: str, file: Path, job_id: str) -> None:
        about = {"preview": {"projectId": PROJECT, "jobId": job_id}}
        cache.put(BUNDLES, key * 64, {"container.json": file}, about)

    put_bundle("1", manifest, "an-equal-job")
    put_bundle("3", other, "another-job")
    cache.put(THUMBNAILS, "4" * 64, {"thumbnail": thumbnail}, {})
    cache.put(THUMBNAILS, "5" * 64, {"thumbnail": other}, {})
    store.publish(staging, PROJECT, JOB, token=1)
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload(JOB))
        eraser, log = CacheEraser(b.settings, cache), ErasureLog(b.redis, b.settings)
        assert await eraser.step(log) == 0
        await delete_job(b.queue, store, JOB, who="ana")
        assert await eraser.step(log) == 2
        put_bundle("2", other, JOB)
        assert await eraser.step(log) == 1, "a late attempt has written it"
        left = {entry.folder.name[0] for entry in cache.list_entries()}
        assert left == {"3", "5"}
        stored = b"".join(await b.redis.zrange(b.keys.erasures, 0, -1))
        assert JOB.encode() not in stored.replace(b"job", b""), "ids cannot be read from it"
