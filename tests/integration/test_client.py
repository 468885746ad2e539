"""Python clients on a Redis server, with a queue driver in place of a worker."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

import previewops
from previewops.bucket_addresses import parse_bucket_address
from previewops.client import (
    AsyncClient,
    BadArgument,
    Client,
    ClientClosed,
    JobCancelled,
    JobFailed,
    Progress,
    Receipt,
    WaitTimeout,
    async_client,
)
from previewops.errors import (
    ArtifactNotLocal,
    BundleNotFound,
    InvalidPayload,
    JobConflict,
    JobNotFound,
    LinksUnsupported,
    QueueFull,
    RedisUnavailable,
    UsageError,
    WrongState,
)
from previewops.metrics.lifetime_counters import REJECTION_REASONS, LifetimeCounters
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.dead_letters import DeadLetters
from previewops.queue.keys import Keys
from previewops.queue.leases import Claim, CompletedJob
from previewops.queue.queue import Queue
from previewops.queue.records import JobRecord
from previewops.settings import Settings
from previewops.states import JobState
from previewops.stores.objects.store import ObjectStore
from tests.docs.documents import ROOT
from tests.integration.cli_program import QueueDriver, payload, queue_driver
from tests.object_servers import S3Server
from tests.process_guard import guarded_environ
from tests.redis_server import RedisProcess
from tests.store_support import contents, memory_store, stage

pytestmark = pytest.mark.redis

SETTINGS = Settings(queue_max=5)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(SETTINGS, data_dir=tmp_path / "data")


async def claimed(driver: QueueDriver) -> Claim:
    claims = await driver.claim()
    while not claims:
        assert await driver.leases.wait_for_work(30), "nothing was submitted"
        claims = await driver.claim()
    return claims[0]


def bundle(settings: Settings, job_id: str, files: dict[str, bytes], **entry: Any) -> Path:
    folder = settings.data_dir / "previews" / "lessons" / job_id
    listed = [
        {"path": name, "bytes": len(content), "sha256": "ab" * 32, "mediaType": "image/webp", **entry}
        for name, content in files.items()
    ]
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "container.json").write_text(json.dumps({"version": 1, "files": listed}))
    return folder


async def test_from_a_submit_to_the_files(redis_url: str, settings: Settings) -> None:
    async with AsyncClient(redis_url, settings=settings) as client, queue_driver(redis_url) as driver:
        assert await client.submit(payload()) == Receipt("job-1", JobState.WAITING, new=True)
        assert await client.submit(payload()) == Receipt("job-1", JobState.WAITING, new=False)
        waiting = asyncio.create_task(client.wait("job-1", timeout_s=60))
        text = {"bundle": "/d/previews/lessons/job-1", "durationMs": 4000, "width": 64, "dryRun": False}
        await driver.finish(await claimed(driver), text)
        result = await waiting
        assert (result.job_id, result.project_id, result.duration_ms) == ("job-1", "lessons", 4000)
        assert result.bundle == Path("/d/previews/lessons/job-1")
        assert (await client.status("job-1")).payload == payload()
        folder = bundle(settings, "job-1", {"poster.webp": b"poster", "frames/000.webp": b"card"})
        poster, card = await client.artifacts("job-1")
        assert (poster.name, poster.bytes, poster.media_type) == ("poster.webp", 6, "image/webp")
        assert (card.file, card.sha256) == (folder / "frames" / "000.webp", "ab" * 32)


async def test_every_rejection_has_its_error(redis_url: str, settings: Settings, tmp_path: Path) -> None:
    async with AsyncClient(redis_url, settings=settings) as client:
        with pytest.raises(InvalidPayload) as invalid:
            await client.submit(payload(dryRun="no"))
        assert [data.pointer for data in invalid.value.violations] == ["/dryRun"]
        await client.submit(payload())
        with pytest.raises(JobConflict):
            await client.submit(payload(requestId="another"))
        responses = await client.submit_many(
            [payload("a"), {}, *(payload(f"n{n}") for n in range(5)), tmp_path / "absent.json"]
        )
        assert [type(response) for response in responses] == [
            Receipt, InvalidPayload, Receipt, Receipt, Receipt, QueueFull, QueueFull, UsageError,
        ]  # fmt: skip
        assert responses[0] == Receipt("a", JobState.WAITING, new=True)
        for method in (client.status, client.wait, client.artifacts, client.cancel):
            with pytest.raises(JobNotFound):
                await method("unknown")
        with pytest.raises(WrongState, match="it is waiting"):
            await client.artifacts("a")


async def test_rejections_are_counted_in_the_same_call(redis_url: str, settings: Settings) -> None:
    async with AsyncClient(redis_url, settings=settings) as client, queue_driver(redis_url) as driver:
        await client.submit_many([payload("a"), {}, payload("a", requestId="another")])
        with pytest.raises(InvalidPayload):
            await client.submit({})
        totals = LifetimeCounters.parse(await driver.redis.hgetall(Keys("preview-jobs").totals))
        assert {reason: totals.rejections(reason) for reason in REJECTION_REASONS} == {
            "invalid": 2, "conflict": 1, "full": 0, "quota": 0,
        }  # fmt: skip


async def test_invalid_payload_is_reported_without_redis(settings: Settings) -> None:
    async with AsyncClient("unix:///nonexistent/redis.sock", settings=settings) as client:
        with pytest.raises(InvalidPayload):
            await client.submit({})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda c: c.submit("job.json"),
            "payload: found a value of type str, allowed a mapping, or the Path",
        ),
        (lambda c: c.submit([payload()]), "payload: found a value of type list"),
        (lambda c: c.submit(None), "payload: found None"),
        (lambda c: c.submit_many(payload()), "payloads: found a value of type dict, allowed a list"),
        (lambda c: c.submit_many(7), "payloads: found a value of type int"),
        (lambda c: c.status(7), "job_id: found a value of type int, allowed a string"),
        (lambda c: c.wait(b"a"), "job_id: found a value of type bytes"),
        (lambda c: c.artifacts(None), "job_id: found None"),
        (lambda c: c.cancel(7), "job_id: found a value of type int"),
        (lambda c: c.cancel("a", reason=None), "reason: found None"),
        (lambda c: c.cancel("a", who=7), "who: found a value of type int"),
        (lambda c: c.wait("a", timeout_s=-1), "timeout_s: found -1, allowed None or a number of seconds"),
        (lambda c: c.wait("a", timeout_s="5"), "timeout_s: found a value of type str"),
        (lambda c: c.wait("a", timeout_s=float("nan")), "timeout_s: found nan"),
        (lambda c: c.wait("a", timeout_s=10**5000), "timeout_s: found a number of more than 308 digits"),
        (lambda c: c.status("\ud800"), r"job_id: found '\ud800', allowed a string without lone surrogates"),
        (lambda c: c.wait("a", timeout_s=True), "timeout_s: found a value of type bool"),
        (lambda c: anext(c.events(7)), "job_id: found a value of type int"),
        (lambda c: anext(c.events("a", timeout_s=-0.5)), "timeout_s: found -0.5"),
    ],
)
async def test_invalid_argument_is_named(
    settings: Settings, call: Callable[[Any], Any], message: str
) -> None:
    """The check precedes Redis, which is not running."""
    async with AsyncClient("unix:///nonexistent/redis.sock", settings=settings) as client:
        with pytest.raises(BadArgument) as caught:
            await call(client)
    assert message in caught.value.message
    assert isinstance(caught.value, TypeError)


def test_invalid_argument_is_named_without_an_event_loop(settings: Settings) -> None:
    with pytest.raises(BadArgument, match="redis_url: found a value of type int"):
        Client(6379, settings=settings)  # type: ignore[arg-type]
    with Client("unix:///nonexistent/redis.sock", settings=settings) as client:
        with pytest.raises(BadArgument, match="payload: found a value of type str"):
            client.submit("{}")  # type: ignore[arg-type]
        with pytest.raises(BadArgument, match="timeout_s: found -1"):
            next(client.events("a", timeout_s=-1))
        for option in ("upload", "replace"):
            with pytest.raises(
                BadArgument, match=f"{option}: found a value of type str, allowed True or False"
            ):
                client.submit({}, **{option: "no"})
        with pytest.raises(BadArgument, match="priority: found no change"):
            client.reschedule("a")
        (response,) = client.submit_many([3])  # type: ignore[list-item]
        assert isinstance(response, BadArgument)


async def test_a_payload_in_a_file(redis_url: str, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(payload("from-file")))
    async with AsyncClient(redis_url, settings=settings) as client:
        assert (await client.submit(file)).job_id == "from-file"
        file.write_text("{")
        with pytest.raises(InvalidPayload, match=str(file)):
            await client.submit(file)
        with pytest.raises(UsageError, match="cannot read"):
            await client.submit(tmp_path)


async def test_configured_asset_roots_are_checked(redis_url: str, tmp_path: Path) -> None:
    outside = payload()
    outside["previewRequest"]["assets"] = [{"id": "a", "uri": "/elsewhere/a.png"}]
    async with AsyncClient(redis_url, settings=SETTINGS) as client:
        assert (await client.submit(outside)).new, "the roots are the workers' affair"
    async with AsyncClient(redis_url, settings=replace(SETTINGS, asset_roots=(tmp_path,))) as client:
        with pytest.raises(InvalidPayload, match="is outside"):
            await client.submit(outside)


async def test_names_of_themes_are_checked_where_the_themes_are(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "acme.toml").touch()
    job = payload()
    job["previewRequest"]["options"] = {"theme": "none"}
    async with AsyncClient(redis_url, settings=SETTINGS) as client:
        assert (await client.submit(job)).new, "the themes are on the workers' hosts"
    for roots in (None, (tmp_path,)):
        settings = replace(SETTINGS, themes=tmp_path, asset_roots=roots)
        async with AsyncClient(redis_url, settings=settings) as client:
            with pytest.raises(InvalidPayload) as error:
                await client.submit(job)
            (violation,) = error.value.violations
            assert (violation.code, violation.allowed) == (
                "theme-unknown",
                "light, dark, acme (PREVIEW_THEMES)",
            )
            (refused,) = await client.submit_many([job])
            assert isinstance(refused, InvalidPayload)


async def test_wait_errors(redis_url: str, settings: Settings) -> None:
    async with (
        AsyncClient(redis_url, settings=settings, name="shop") as client,
        queue_driver(redis_url) as driver,
    ):
        await driver.add_dead_letters("dead", code="asset-missing", message="no such file")
        with pytest.raises(JobFailed, match="no such file") as failed:
            await client.wait("dead")
        assert (failed.value.error_code, failed.value.reason) == ("asset-missing", "no such file")
        assert failed.value.record.history[0].traceback
        assert failed.value.record.payload == payload("dead")
        await client.submit(payload("slow"))
        with pytest.raises(WaitTimeout) as late:
            await client.wait("slow", timeout_s=0)
        assert late.value.state is JobState.WAITING
        assert isinstance(late.value, TimeoutError)
        assert await client.cancel("slow", reason="changed my mind") is JobState.WAITING
        with pytest.raises(JobCancelled, match="changed my mind"):
            await client.wait("slow")
        with pytest.raises(WrongState):
            await client.cancel("slow")


async def test_a_thousand_waits_share_a_handful_of_connections(
    redis_url: str, settings: Settings, tmp_path: Path
) -> None:
    many = replace(settings, queue_max=1_000)
    names = [f"n{n}" for n in range(1_000)]
    async with AsyncClient(redis_url, settings=many) as client, queue_driver(redis_url) as driver:
        await client.submit_many([payload(name) for name in names])
        opened = (await driver.redis.info("stats"))["total_connections_received"]
        waits = [asyncio.ensure_future(client.wait(name)) for name in names]
        waits += [asyncio.ensure_future(client.wait("n0")) for _ in range(10)]
        channels = [f"preview-jobs:done:{name}" for name in names]
        while not all(count for _, count in await driver.redis.pubsub_numsub(*channels)):
            pass
        while claims := await driver.claim(100):
            await driver.leases.finish(
                [CompletedJob(claim, '{"bundle": "/d/b"}', 1.0) for claim in claims], 0
            )
        results = await asyncio.gather(*waits)
        assert {result.bundle for result in results} == {Path("/d/b")}
        now_open = (await driver.redis.info("stats"))["total_connections_received"]
        assert now_open - opened <= 10
        assert not await driver.redis.pubsub_channels("preview-jobs:done:*")


async def test_waits_survive_a_lost_subscription(redis_url: str, settings: Settings) -> None:
    async with AsyncClient(redis_url, settings=settings) as client, queue_driver(redis_url) as driver:
        await client.submit_many([payload("a"), payload("b")])
        waits = [asyncio.ensure_future(client.wait(name)) for name in ("a", "b")]
        channels = ["preview-jobs:done:a", "preview-jobs:done:b"]

        async def subscribe() -> None:
            while not all(count for _, count in await driver.redis.pubsub_numsub(*channels)):
                pass

        await subscribe()
        await driver.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        while any(count for _, count in await driver.redis.pubsub_numsub(*channels)):
            pass
        await subscribe()
        while claims := await driver.claim():
            await driver.finish(claims[0], {"bundle": "/d/b"})
        assert [result.bundle for result in await asyncio.gather(*waits)] == [Path("/d/b")] * 2


async def test_wait_continues_for_a_requeued_job(
    redis_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_whole = Queue.status
    result: list[JobState] = []
    was_read = asyncio.Event()

    async with AsyncClient(redis_url, settings=settings) as client, queue_driver(redis_url) as driver:

        async def status(queue: Queue, job_id: str) -> JobRecord:
            """The dead letter is requeued between the poll and the complete read."""
            if not result:
                await DeadLetters(driver.redis, driver.settings).requeue(DeadLetterFilter(), who="ann")
            record = await read_whole(queue, job_id)
            result.append(record.state)
            was_read.set()
            return record

        monkeypatch.setattr(Queue, "status", status)
        await driver.add_dead_letters("job-1")
        waiting = asyncio.ensure_future(client.wait("job-1"))
        await was_read.wait()
        await driver.finish(await claimed(driver), {"bundle": "/d/b"})
        assert (await waiting).bundle == Path("/d/b")
        assert result == [JobState.WAITING, JobState.COMPLETED]


async def test_last_read_of_a_wait_survives_a_lost_connection(
    redis_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_whole = Queue.status
    tries = 0

    async def status(queue: Queue, job_id: str) -> JobRecord:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise redis.exceptions.ConnectionError("Connection closed by server.")
        return await read_whole(queue, job_id)

    monkeypatch.setattr(Queue, "status", status)
    async with AsyncClient(redis_url, settings=settings) as client, queue_driver(redis_url) as driver:
        await driver.complete("job-1", result={"bundle": "/d/b"})
        assert (await client.wait("job-1")).bundle == Path("/d/b")
        assert tries == 2


async def test_events_yield_each_change_once(redis_url: str, settings: Settings) -> None:
    async with AsyncClient(redis_url, settings=settings) as client, queue_driver(redis_url) as driver:
        await client.submit(payload())
        events: list[Progress] = []
        async for step in client.events("job-1", timeout_s=60):
            events.append(step)
            if step.state is JobState.WAITING:
                claim = await claimed(driver)
            elif step.state is JobState.ACTIVE:
                await driver.finish(claim)
        assert [step.state for step in events] == [JobState.WAITING, JobState.ACTIVE, JobState.COMPLETED]
        assert [step.fraction for step in events] == [0.0, 0.0, 1.0]
        with pytest.raises(JobNotFound):
            await anext(client.events("unknown"))


async def test_bundle_not_found(redis_url: str, settings: Settings, tmp_path: Path) -> None:
    async with AsyncClient(redis_url, settings=settings) as client, queue_driver(redis_url) as driver:
        await driver.complete("job-1", "plan", result={"bundle": "/d/b"})
        with pytest.raises(BundleNotFound, match="not on this machine"):
            await client.artifacts("job-1")
        bundle(settings, "job-1", {"a.webp": b"a"}, path="../../secret")
        with pytest.raises(BundleNotFound, match="is outside the bundle"):
            await client.artifacts("job-1")
        await driver.submit(payload("dry"))
        await driver.finish(await claimed(driver), {"dryRun": True, "plan": {"frames": 1}})
        assert (await client.wait("dry")).plan == {"frames": 1}
        with pytest.raises(WrongState, match="a dry run"):
            await client.artifacts("dry")


async def test_wait_survives_a_redis_restart(
    redis_process: Callable[..., RedisProcess], settings: Settings
) -> None:
    server = redis_process()
    async with AsyncClient(server.url, settings=settings) as client:
        await client.submit(payload())
        steps = client.events("job-1", timeout_s=100)
        assert (await anext(steps)).state is JobState.WAITING
        server.stop()
        with pytest.raises(RedisUnavailable):
            await client.submit(payload("other"))
        following = asyncio.ensure_future(anext(steps))
        server.start()
        async with queue_driver(server.url) as driver:
            await driver.finish(await claimed(driver))
        while (step := await following).state is not JobState.COMPLETED:
            following = asyncio.ensure_future(anext(steps))
        assert step.fraction == 1.0
        await steps.aclose()


def test_one_async_client_in_one_loop_after_the_other(redis_url: str, settings: Settings) -> None:
    client = AsyncClient(redis_url, settings=settings)

    async def once(name: str) -> bool:
        async with client:
            return (await client.submit(payload(name))).new

    assert [asyncio.run(once(name)) for name in ("a", "b", "a")] == [True, True, False]


def test_redis_unreachable_is_one_error(tmp_path: Path) -> None:
    with Client(f"unix://{tmp_path}/none.sock", settings=SETTINGS) as client:
        for method in (client.status, client.cancel, client.artifacts):
            with pytest.raises(RedisUnavailable, match="the socket does not exist"):
                method("job-1")
        with pytest.raises(RedisUnavailable):
            client.wait("job-1", timeout_s=0)
    with pytest.raises(UsageError, match="redis://"):
        Client("http://x", settings=SETTINGS).status("a")


def client_threads() -> set[threading.Thread]:
    """The threads of clients; another test's may still wait for the garbage collector."""
    return {thread for thread in threading.enumerate() if thread.name == "previewops-client"}


def test_threads_share_a_client(redis_url: str, settings: Settings) -> None:
    settings = replace(settings, queue_max=100)
    earlier = client_threads()
    with Client(redis_url, settings=settings) as client, ThreadPoolExecutor(16) as pool:
        receipts = list(pool.map(lambda n: client.submit(payload(f"job-{n % 20}")), range(60)))
        assert sum(receipt.new for receipt in receipts) == 20

        async def finish_all() -> None:
            async with queue_driver(redis_url) as driver:
                for claim in await driver.claim(20):
                    await driver.finish(claim)

        waits = [pool.submit(client.wait, f"job-{n}", timeout_s=60) for n in range(8)]
        asyncio.run(finish_all())
        assert [wait.result().job_id for wait in waits] == [f"job-{n}" for n in range(8)]
        steps = list(client.events("job-1"))
        assert [step.state for step in steps] == [JobState.COMPLETED]
        assert len(client_threads() - earlier) == 1
    assert client_threads() <= earlier


def test_closed_generator_stops_polling(redis_url: str, settings: Settings) -> None:
    with Client(redis_url, settings=settings) as client, redis.Redis.from_url(redis_url) as looker:
        client.submit(payload())
        for step in client.events("job-1"):
            assert step.state is JobState.WAITING
            assert looker.pubsub_numsub("preview-jobs:done:job-1")[0][1] == 1
            break
        while looker.pubsub_numsub("preview-jobs:done:job-1")[0][1]:
            pass
        abandoned = client.events("job-1")
        next(abandoned)
    abandoned.close()


def test_close_ends_waits_with_client_closed(redis_url: str, settings: Settings) -> None:
    client = Client(redis_url, settings=settings)
    client.submit(payload())
    steps = client.events("job-1")
    assert next(steps).state is JobState.WAITING
    client.submit(payload("job-2"))
    channel = "preview-jobs:done:job-2"
    with ThreadPoolExecutor(1) as pool, redis.Redis.from_url(redis_url) as looker:
        waiting = pool.submit(client.wait, "job-2")
        while looker.pubsub_numsub(channel)[0][1] < 1:
            pass  # Redis does not announce subscriptions
        client.close()
        with pytest.raises(ClientClosed):
            waiting.result(60)
    assert client.status("job-1").state is JobState.WAITING, "the next call opens new connections"
    client.close()


FORKING = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from previewops import Client
from previewops.client import JobCancelled

def payload(name):
    return {"jobId": name, "projectId": "p", "requestId": "r", "dryRun": False,
            "previewRequest": {"steps": [], "assets": [], "audio": {}}}

client = Client(sys.argv[1])
assert client.submit(payload("before")).new
pool = ThreadPoolExecutor(1)
waiting = pool.submit(client.wait, "before", timeout_s=60)
for name in ("first", "second"):
    child = os.fork()
    if child == 0:
        assert not client.submit(payload("before")).new
        assert client.submit(payload(name)).new
        client.close()
        sys.exit(0)  # with everything that runs at the end of a process
    assert os.waitpid(child, 0)[1] == 0
    assert not client.submit(payload(name)).new, "the parent's own connection is as it was"
client.cancel("before")
assert isinstance(waiting.exception(60), JobCancelled), "who waited in the parent was not disturbed"
pool.shutdown()
print("done")
"""


def test_forked_child_has_its_own_connections(redis_url: str, tmp_path: Path) -> None:
    run = subprocess.run(
        # Python 3.12 and later warn about forking a process with threads.
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", FORKING, redis_url],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), **guarded_environ()},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("done\n", "")


def test_garbage_collected_client_ends_its_thread(redis_url: str, settings: Settings) -> None:
    earlier = client_threads()
    Client(redis_url, settings=settings).submit(payload())
    assert client_threads() <= earlier


def test_package_imports_redis_only_for_a_client() -> None:
    script = (
        "import sys, previewops\n"
        "assert 'redis' not in sys.modules and 'asyncio' not in sys.modules\n"
        "previewops.Client; assert 'redis' in sys.modules\n"
        "assert 'arq' not in sys.modules and 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Clients'"):
        _ = previewops.Clients


@pytest.mark.parametrize("kind", ["memory", "ministack", pytest.param("radosgw", marks=pytest.mark.slow)])
async def test_files_of_a_bundle_in_a_bucket(
    redis_url: str,
    settings: Settings,
    tmp_path: Path,
    kind: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, stored = memory_store(), settings
    if kind == "memory":
        monkeypatch.setattr(async_client, "open_store", lambda _settings: store)
    else:
        server: S3Server = request.getfixturevalue(kind)
        address = parse_bucket_address(server.address(server.make_bucket()))
        store, stored = ObjectStore(address), replace(settings, store=address)
    text = contents("one")["frames/0.webp"]
    location = await asyncio.to_thread(
        store.publish, stage(tmp_path, 1, "one", "job-1"), "lessons", "job-1", token=1
    )
    async with AsyncClient(redis_url, settings=stored) as client, queue_driver(redis_url) as driver:
        await driver.complete("job-1", "plan", result={"bundle": location.location})
        result = await client.wait("job-1")
        assert (result.bundle, result.location) == (None, location.location)
        artifact = (await client.artifacts("job-1"))[0]
        assert await asyncio.to_thread(artifact.read) == text
        if kind == "memory":
            with pytest.raises(LinksUnsupported):
                await asyncio.to_thread(artifact.url, seconds=60)
        else:
            async with httpx.AsyncClient() as anybody:
                url = await asyncio.to_thread(artifact.url, seconds=60)
                assert (await anybody.get(url)).content == text
        with pytest.raises(ArtifactNotLocal):
            _ = artifact.file
        await driver.complete("job-2", result={"bundle": location.location})
        with pytest.raises(BundleNotFound, match="is not in the store s3://"):
            await client.artifacts("job-2")
