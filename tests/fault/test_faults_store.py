"""Rows of the fault table about the object store of bundles. Workers reach it through a proxy that fails."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from previewops.bucket_addresses import parse_bucket_address
from previewops.errors import BundleNotFound, StoreRejected
from previewops.job_errors import StaleToken, TransientJobError
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.dead_letters import DeadLetters
from previewops.snapshot.model import StoreReport
from previewops.states import JobState
from previewops.stores.folder.store import FolderStore
from previewops.stores.objects import client as object_client
from previewops.stores.objects.store import ObjectStore
from previewops.stores.port import BundleStore
from tests.fault.cluster import Cluster, payload
from tests.fault.object_store_proxy import Fault, StoreProxy, store_proxy
from tests.integration.cli_program import Program
from tests.object_servers import CREDENTIALS, S3Server
from tests.store_support import PROJECT, contents, memory_store, put, read, record, stage

pytestmark = [pytest.mark.redis]

POINTER = r"PUT .*/job[^/]*\.json"
FILE = r"PUT .*/job[^/]*/[0-9]+-.*/poster"


@asynccontextmanager
async def on_a_bucket(
    url: str, folder: Path, server: S3Server, **settings: int
) -> AsyncIterator[tuple[Cluster, StoreProxy]]:
    """A cluster whose workers publish through a proxy; the oracle reads the bucket directly."""
    bucket = server.make_bucket()
    store = ObjectStore(parse_bucket_address(server.address(bucket)))
    async with store_proxy(server.endpoint) as proxy:
        through = server.address(bucket, endpoint=proxy.endpoint)
        async with Cluster(url, folder, store=store, store_url=through, **settings) as cluster:
            yield cluster, proxy


@pytest.fixture(params=["ministack", pytest.param("radosgw", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> S3Server:
    result: S3Server = request.getfixturevalue(request.param)
    return result


async def test_row_25_a_store_that_fails_for_a_while(
    redis_url: str, tmp_path: Path, server: S3Server
) -> None:
    faults = [
        ("job-500", FILE, Fault.ERROR_500, 2),
        ("job-slow-down", r"PUT .*/job-slow-down/", Fault.SLOW_DOWN, 8),
        ("job-half-upload", FILE, Fault.CUT_BODY, 2),
        ("job-lost-upload", FILE, Fault.LOSE_REPLY, 1),
        ("job-lost-pointer", POINTER, Fault.LOSE_REPLY, 1),
        ("job-500-pointer", POINTER, Fault.ERROR_500, 3),
    ]
    async with on_a_bucket(redis_url, tmp_path, server) as (cluster, proxy):
        (worker,) = await cluster.start_workers(1)
        for job_id, pattern, fault, times in faults:
            rule = proxy.fail(pattern, fault, times=times)
            await cluster.submit(payload(job_id))
            done = await cluster.until(job_id, JobState.COMPLETED)
            assert rule.hits == times, job_id
            assert all(attempt.code.startswith("store-") for attempt in done.history)
            proxy.heal()
        assert worker.alive
        await cluster.judge()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.EXPIRED, "store-denied"),
        (Fault.NO_BUCKET, "store-missing"),
        (Fault.SLOW_DOWN, "store-unavailable"),
    ],
)
async def test_row_25_a_store_that_stays_away_makes_dead_letters_that_can_be_requeued(
    redis_url: str, tmp_path: Path, ministack: S3Server, fault: Fault, code: str
) -> None:
    async with on_a_bucket(redis_url, tmp_path, ministack, max_attempts=2) as (cluster, proxy):
        (worker,) = await cluster.start_workers(1)
        await cluster.submit(payload("before"))
        await cluster.until("before", JobState.COMPLETED)
        proxy.fail(".", fault)
        await cluster.submit(payload("job"))
        dead = await cluster.until("job", JobState.DEAD)
        assert (dead.code, dead.cause, dead.crashes) == (code, "attempts", 0)
        cluster.struck()
        proxy.heal()
        outcome = await DeadLetters(cluster.redis, cluster.settings).requeue(DeadLetterFilter(), who="test")
        assert outcome.done == 1
        await cluster.until("job", JobState.COMPLETED)
        cluster.recovered()
        assert worker.alive
        await cluster.judge()


async def test_row_25_a_store_that_is_away_when_a_worker_starts(
    redis_url: str, tmp_path: Path, ministack: S3Server
) -> None:
    async with on_a_bucket(redis_url, tmp_path, ministack) as (cluster, proxy):
        proxy.fail(".", Fault.ERROR_500)
        (worker,) = await cluster.start_workers(1)
        assert "store.unavailable" in worker.log_text

        async def report() -> StoreReport:
            (state,) = (await cluster.snapshot()).workers
            assert state.store is not None
            return state.store

        first = await report()
        assert (first.store_id, bool(first.problem)) == ("", True)
        await cluster.submit(payload("job"))
        await cluster.eventually(lambda: "store-unavailable" in worker.log_text, "an attempt fails")
        failing = await report()
        assert abs(failing.since_ms - first.since_ms) < 100, "it fails since its start"
        proxy.heal()
        await cluster.until("job", JobState.COMPLETED)
        assert "store.available" in worker.log_text

        async def works() -> bool:
            return not (await report()).problem

        await cluster.eventually(works, "a published bundle ends the failure")
        await cluster.judge()


async def test_row_25_a_store_without_answers_times_out(
    tmp_path: Path, ministack: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_client, "REQUEST_TIMEOUT_S", 0.2)
    monkeypatch.setattr(object_client, "MAX_RETRIES", 1)
    bucket = ministack.make_bucket()
    async with store_proxy(ministack.endpoint) as proxy:
        store = ObjectStore(parse_bucket_address(ministack.address(bucket, endpoint=proxy.endpoint)))
        await asyncio.to_thread(put, store, tmp_path, 1, "one")
        proxy.fail(r"PUT .*/3\.webp", Fault.NEVER)
        with pytest.raises(TransientJobError) as caught:
            await asyncio.to_thread(put, store, tmp_path, 2, "two")
        assert caught.value.code == "store-unavailable"
        assert await asyncio.to_thread(read, store) == "one"
        leftovers = await asyncio.to_thread(store.leftovers, before_s=time.time() + 60)
        assert leftovers.sizes == {}, "what was uploaded is deleted"
        proxy.heal()
        await asyncio.to_thread(put, store, tmp_path, 3, "three")
        assert await asyncio.to_thread(read, store) == "three"


async def test_row_26_a_worker_frozen_between_upload_and_pointer_is_overtaken(
    redis_url: str, tmp_path: Path, server: S3Server
) -> None:
    async with on_a_bucket(redis_url, tmp_path, server) as (cluster, proxy):
        (late,) = await cluster.start_workers(1)
        gate = proxy.hold(POINTER)
        await cluster.submit(payload("job"))
        async with asyncio.timeout(60):
            await gate.arrived.wait()
        late.signal(signal.SIGSTOP)
        cluster.struck()
        (other,) = await cluster.start_workers(1)
        done = await cluster.until("job", JobState.COMPLETED)
        cluster.recovered()
        location = (done.result or {})["bundle"]
        gate.opened.set()
        late.signal(signal.SIGCONT)
        await cluster.eventually(lambda: "job.lease-lost" in late.log_text, "the late worker gives up")
        assert late.alive
        assert other.alive
        assert cluster.store is not None
        await cluster.judge()
        (bundle,) = cluster.store.list_bundles()
        assert location.startswith(bundle.location)
        leftovers = cluster.store.leftovers(before_s=time.time() + 60)
        assert all(path not in location for path in leftovers.sizes)
        assert leftovers.remove() == 1
        await cluster.judge()


async def test_row_27_a_store_that_ignores_conditions_is_rejected_at_start(
    redis_url: str, tmp_path: Path, ministack: S3Server
) -> None:
    async with on_a_bucket(redis_url, tmp_path, ministack) as (cluster, proxy):
        proxy.ignores_conditions = True
        worker = cluster.start_worker()
        assert await asyncio.to_thread(worker.process.wait, 60) != 0
        assert "created twice" in worker.log_text
        address = ministack.address(ministack.make_bucket(), endpoint=proxy.endpoint)
        program = Program(tmp_path, redis_url, env=CREDENTIALS)
        result = await asyncio.to_thread(program.run, "worker", PREVIEW_STORE=address)
        assert result.code == StoreRejected.exit_code, result.err
        assert "found an object that was created twice" in result.err
        result = await asyncio.to_thread(program.run, "health", PREVIEW_STORE=address)
        assert result.code == 2
        assert "created twice" in result.out
        assert (await cluster.snapshot()).counters["accepted"] == 0


async def test_row_28_what_was_pruned_does_not_come_back(tmp_path: Path, server: S3Server) -> None:
    """An attempt is held at its pointer; a later one publishes, and prune removes that bundle."""
    bucket = server.make_bucket()
    direct = ObjectStore(parse_bucket_address(server.address(bucket)))
    async with store_proxy(server.endpoint) as proxy:
        held = ObjectStore(parse_bucket_address(server.address(bucket, endpoint=proxy.endpoint)))
        gate = proxy.hold(r"PUT .*/j\.json")
        staging = stage(tmp_path, 1, "late")
        publishing = asyncio.create_task(asyncio.to_thread(held.publish, staging, PROJECT, "j", token=1))
        async with asyncio.timeout(60):
            await gate.arrived.wait()
        await asyncio.to_thread(put, direct, tmp_path, 2, "two")
        (listed,) = direct.list_bundles()
        assert direct.remove(listed)
        gate.opened.set()
        with pytest.raises(StaleToken):
            await publishing
    assert read(direct) is None
    assert [*direct.list_bundles()] == []


@pytest.mark.parametrize(
    "kind", ["folder", "memory", "ministack", pytest.param("radosgw", marks=pytest.mark.slow)]
)
def test_row_28_a_download_ends_complete_or_with_an_error_when_its_bundle_is_pruned(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    store: BundleStore = FolderStore(tmp_path) if kind == "folder" else memory_store()
    if kind in ("ministack", "radosgw"):
        store = request.getfixturevalue(kind).make_store()
    put(store, tmp_path, 1, "one")
    first, second = store.manifest(record())[:2]
    with first.open() as reader:
        head = reader.read(10)
        (listed,) = store.list_bundles()
        assert store.remove(listed)
        assert head + reader.read() == contents("one")[first.name]
    with pytest.raises(BundleNotFound, match=r"was removed|does not exist"):
        second.read()
    assert list((tmp_path / ".staging").iterdir()) == []
