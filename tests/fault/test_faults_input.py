"""Rows of the fault table about hostile input: bombs, invalid data in Redis, a thousand random payloads."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from PIL import Image

from previewops.queue.keys import ARQ_JOB_PREFIX
from previewops.redis_server.connection import connection_pool
from previewops.states import JobState
from previewops.worker.engine.worker import serialize_job
from tests.fault.cluster import Cluster, payload
from tests.render_support import quarters

pytestmark = [pytest.mark.redis]

SEED = 20261123
UNFORESEEN = {"unexpected", "render-crashed", "deadline-exceeded", "worker-lost", "cancelled-within"}


def with_assets(job: dict[str, Any], *paths: Path) -> dict[str, Any]:
    request = job["previewRequest"]
    request["assets"] = [{"id": f"a{n}", "uri": str(path), "type": "image"} for n, path in enumerate(paths)]
    request["steps"] = [{"assetIds": [asset["id"]]} for asset in request["assets"]]
    return job


def png_header(width: int, height: int) -> bytes:
    """Returns a small PNG file with a large size in its header."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"x\x9c") + chunk(b"IEND", b"")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    into = BytesIO()
    image.save(into, kind, **options)
    return into.getvalue()


def endless_animation(frames: int) -> bytes:
    pictures = [Image.new("P", (2, 2), n % 2) for n in range(frames)]
    return encoded(pictures[0], "GIF", save_all=True, append_images=pictures[1:], loop=0, optimize=False)


async def test_row_6_bombs_are_rejected_or_cost_their_own_process_only(
    redis_url: str, tmp_path: Path
) -> None:
    roots = tmp_path / "assets"
    roots.mkdir()
    files = {
        "header": png_header(100_000, 100_000),
        # 99 million pixels in a few KB: under PREVIEW_FRAME_MAX_MP, but over the memory of the render process.
        "bomb": encoded(Image.new("RGB", (11_000, 9_000)), "PNG", compress_level=9),
        "endless": endless_animation(1_200),
    }
    for name, content in files.items():
        (roots / name).write_bytes(content)
    async with Cluster(
        redis_url, tmp_path, asset_roots=(roots,), memory_limit_mb=256, worker_concurrency=1
    ) as cluster:
        (worker,) = await cluster.start_workers(1)
        await cluster.submit(*(with_assets(payload(name), roots / name) for name in files))
        records = {name: await cluster.until(name, JobState.DEAD) for name in files}
        assert {name: record.code for name, record in records.items()} == {
            "header": "asset-too-many-pixels",
            "bomb": "asset-too-many-pixels",
            "endless": "asset-too-many-frames",
        }
        assert all(record.cause == "permanent" for record in records.values())
        assert all((record.attempts, record.crashes) == (1, 0) for record in records.values())
        assert worker.alive
        await cluster.submit(payload("next"))
        await cluster.until("next", JobState.COMPLETED)
        await cluster.judge()


class StockClient:
    """Submits with arq alone: the payloads reach the worker without validation."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.redis = ArqRedis(
            pool_or_conn=connection_pool(cluster.url, role="test"),
            job_serializer=serialize_job,
            job_deserializer=json.loads,
            default_queue_name=cluster.settings.queue_name,
        )

    async def enqueue(self, job_id: str, *args: Any, function: str = "render_preview", **kwargs: Any) -> None:
        assert await self.redis.enqueue_job(function, *args, _job_id=job_id, **kwargs) is not None
        self._cluster.accepted.add(job_id)

    async def put_raw(self, job_id: str, body: bytes) -> None:
        """Writes a job record that no arq client would write."""
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.set(ARQ_JOB_PREFIX + job_id, body)
            pipe.zadd(self._cluster.settings.queue_name, {job_id: 0})
            await pipe.execute()
        self._cluster.accepted.add(job_id)


async def test_row_20_a_body_that_went_bad_in_redis_is_a_dead_letter(redis_url: str, tmp_path: Path) -> None:
    async with Cluster(redis_url, tmp_path) as cluster:
        await cluster.submit(*(payload(f"job-{n}") for n in range(8)))
        bad = [b"", b"\x80\x05\x95", b"{", b"[]", b"null", b'{"t":1,"f":"render_preview"}', b"\xff" * 100]
        for n, body in enumerate(bad):
            await cluster.redis.set(f"{ARQ_JOB_PREFIX}job-{n}", body)
        await cluster.redis.delete(f"{ARQ_JOB_PREFIX}job-7")
        (worker,) = await cluster.start_workers(1)
        await cluster.drained()
        records = [await cluster.status(f"job-{n}") for n in range(8)]
        assert [record.code for record in records] == ["payload-unreadable"] * 7 + ["payload-lost"]
        assert all(record.cause == "permanent" for record in records)
        await cluster.submit(payload("next"))
        await cluster.until("next", JobState.COMPLETED)
        assert worker.alive
        await cluster.judge()


NASTY: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 1e308, float("nan"), float("inf"), "", " ", "\0", "\ud800", "x" * 70_000, "ß" * 300,
    "../../etc/passwd", "/etc/passwd", "/dev/zero", "file:///proc/self/mem", "http://169.254.169.254/", "data:,x",
    "%s%n{0}$(id)", "-1x-1", "99999x99999", "1280x720", [], {}, [[[[]]]], {"": {"": {}}}, [None] * 50,
    {"__class__": 1},
)  # fmt: skip


def full_payload(job_id: str, picture: Path) -> dict[str, Any]:
    job = with_assets(payload(job_id), picture)
    request = job["previewRequest"]
    request["description"] = "What it is about."
    request["steps"][0] |= {"id": "s", "title": "One", "text": "Do it.", "durationMs": 200, "layout": "full"}
    request["assets"][0] |= {"fit": "cover", "focus": {"x": 0.5, "y": 0.5}, "title": "A picture"}
    request["options"] |= {"fps": 2, "quality": 50, "background": "#112233", "includeCaptions": True}
    return job


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yields (container, key) of every nested value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from places(inner)


def mutated(job: dict[str, Any], rng: random.Random) -> Any:
    """Returns ``job`` with one to three errors, or another value."""
    if rng.random() < 0.05:
        return deepcopy(rng.choice(NASTY))
    mutant = deepcopy(job)
    for _ in range(rng.randint(1, 3)):
        container, key = rng.choice([*places(mutant)])
        act = rng.choice(("replace", "delete", "double", "wrap", "nest"))
        if act == "replace":
            container[key] = deepcopy(rng.choice(NASTY))
        elif act == "delete":
            del container[key]
        elif act == "double" and isinstance(container, list):
            container.append(deepcopy(container[key]))
        elif act == "double":
            container[f"{key}2"] = deepcopy(container[key])
        elif act == "wrap":
            container[key] = [container[key]]
        else:
            for _ in range(rng.choice((2, 100))):
                container[key] = {"metadata": container[key]}
    return mutant


def nested(job_id: str, depth: int) -> bytes:
    """Returns a record with a valid and very deep payload."""
    job = serialize_job(payload(job_id, deep="HERE"))
    text = job.replace(b'"HERE"', b"[" * depth + b"]" * depth)
    return b'{"t":null,"f":"render_preview","a":[' + text + b'],"k":{},"et":1}'


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Returns the file of a picture with random damage."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(damaged) or 1)
        act = rng.choice(("flip", "cut", "insert", "blank", "copy"))
        if act == "flip" and damaged:
            damaged[at] ^= 1 << rng.randrange(8)
        elif act == "cut":
            del damaged[at : at + rng.choice((1, 4, 100, len(damaged)))]
        elif act == "insert":
            damaged[at:at] = rng.randbytes(rng.choice((1, 4, 50)))
        elif act == "blank":
            damaged[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
        else:
            damaged[at:at] = damaged[max(0, at - 64) : at]
    return bytes(damaged)


def pictures() -> list[bytes]:
    small = quarters((48, 32))
    frames = [quarters((16, 16)), quarters((16, 16)).transpose(Image.Transpose.ROTATE_90)]
    moving = {"save_all": True, "append_images": frames[1:]}
    return [
        encoded(small, "PNG"),
        encoded(small, "JPEG"),
        encoded(small, "JPEG", progressive=True),
        encoded(small, "WEBP", lossless=True),
        encoded(small, "BMP"),
        encoded(small.convert("P"), "GIF"),
        encoded(frames[0], "GIF", **moving),
        encoded(frames[0], "PNG", **moving),
        encoded(frames[0], "WEBP", **moving),
    ]


async def _put_payloads(client: StockClient, folder: Path, rng: random.Random, count: int) -> None:
    picture = folder / "good.png"
    picture.write_bytes(pictures()[0])
    for n in range(count):
        job_id = f"payload-{n:04}"
        await client.enqueue(job_id, mutated(full_payload(job_id, picture), rng))


async def _put_strangers(client: StockClient, rng: random.Random, count: int) -> None:
    """Yields calls of other functions, with other arguments or invalid ids, and invalid records."""
    ways: tuple[Callable[[str], Any], ...] = (
        lambda job_id: client.enqueue(job_id, function="other"),
        client.enqueue,
        lambda job_id: client.enqueue(job_id, {}, {}),
        lambda job_id: client.enqueue(job_id, payload(job_id), other=1),
        lambda job_id: client.enqueue(job_id, payload("another")),
        lambda job_id: client.enqueue(f"../{job_id}", payload(f"../{job_id}")),
        lambda job_id: client.put_raw(job_id, rng.randbytes(rng.randrange(200))),
        lambda job_id: client.put_raw(job_id, serialize_job(payload(job_id))),
        lambda job_id: client.put_raw(job_id, b'{"t":null,"f":"render_preview","a":' + b"[" * 3_000),
        lambda job_id: client.put_raw(job_id, nested(job_id, 900)),
        lambda job_id: client.put_raw(job_id, nested(job_id, 5_000)),
    )
    for n in range(count):
        await ways[n % len(ways)](f"stranger-{n:04}")
    # An invalid id: the job is rejected with an event, since its record could not be found.
    assert await client.redis.enqueue_job("render_preview", {}, _job_id="ö\n") is not None


async def _put_pictures(client: StockClient, folder: Path, rng: random.Random, count: int) -> None:
    good = pictures()
    for n in range(count):
        path = folder / f"picture-{n:04}"
        path.write_bytes(damaged(good[n % len(good)], rng))
        await client.enqueue(f"picture-{n:04}", with_assets(payload(f"picture-{n:04}"), path))


@pytest.mark.slow
async def test_row_21_a_thousand_random_payloads_and_pictures(redis_url: str, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    roots = tmp_path / "assets"
    roots.mkdir()
    async with Cluster(
        redis_url, tmp_path, asset_roots=(roots,), max_attempts=2, job_timeout_s=30
    ) as cluster:
        client = StockClient(cluster)
        await _put_payloads(client, roots, rng, 600)
        await _put_strangers(client, rng, 100)
        await _put_pictures(client, roots, rng, 300)
        await client.redis.aclose(close_connection_pool=True)
        (worker,) = await cluster.start_workers(1)
        await cluster.drained(within_s=500)
        records = [await cluster.status(job_id) for job_id in sorted(cluster.accepted)]
        dead = {record.job_id: record.code for record in records if record.state is JobState.DEAD}
        untyped = {job_id: code for job_id, code in dead.items() if code in UNFORESEEN or not code}
        assert not untyped, [
            (record.job_id, record.reason, record.history[-1].traceback)
            for record in records
            if record.job_id in untyped
        ][:3]
        assert {record.state for record in records} == {JobState.DEAD, JobState.COMPLETED}
        assert len(dead) > 400, "too few were rejected for a meaningful test"
        kinds = [entry[b"kind"] for _, entry in await cluster.redis.xrange(cluster.queue.keys.events)]
        assert kinds.count(b"entry-rejected") == 1
        assert "Traceback" not in worker.log_text
        assert worker.alive
        await cluster.submit(payload("next"))
        await cluster.until("next", JobState.COMPLETED)
        await cluster.judge()
