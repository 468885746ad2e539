"""Assets that play in a confined render process: within its memory, and whatever is in them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from previewops.contract import validate
from previewops.job_errors import JobError
from previewops.settings import Settings
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.render.limits import MIB, RESERVED_BYTES
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.render_task import RenderTask
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.pool import RenderPool
from tests.hostile import damaged
from tests.render_support import payload
from tests.sample_clips import BLUE, GREEN, RED, colour_animation, colour_clip, video_frames
from tests.sample_sounds import tone

SEED = 20261129
MEMORY_MB = 512
SMALL = (64, 48)

Render = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@asynccontextmanager
async def process(folder: Path, memory_mb: int = MEMORY_MB) -> AsyncIterator[Render]:
    """A confined render process that plays the file "it"."""
    pool = RenderPool(
        "previewops.worker.bundle_builder:build",
        size=1,
        limits=ChildLimits(memory_mb * MIB, cpu_s=60, file_bytes=64 * MIB),
        recycle_jobs=1_000,
        preload=["previewops.worker.bundle_builder"],
        confined=True,
        generation=FontSources(),
    )

    async def render(number: int, step: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        asset = {"id": "it", "uri": "it", "play": True, "mute": False}
        job = validate(payload([{"title": "One", "assetIds": ["it"], **(step or {})}], [asset], **options))
        settings = Settings(data_dir=folder, job_timeout_s=60, memory_limit_mb=memory_mb)
        opener = FileAssetOpener((folder,))
        work = RenderTask.prepare(settings, job, folder / f"out-{number}", opener=opener, cache=None)
        return await work.run(pool, lambda _share, _word: None)

    try:
        await pool.start()
        pids = pool.child_pids()
        yield render
        assert pool.child_pids() == pids, "a process was lost"
        assert (pool.crashes, pool.deadline_kills) == (0, 0)
    finally:
        await pool.close()


async def test_a_long_video_plays_in_the_memory_of_a_few_frames(tmp_path: Path) -> None:
    frames = [((number % 256, 90, 255 - number % 256), 40) for number in range(500)]
    size = (640, 360)
    assert (
        len(frames) * Image.new("RGB", size).width * size[1] * 3 > MEMORY_MB * MIB - RESERVED_BYTES
    )  # all of them do not fit
    (tmp_path / "it").write_bytes(colour_clip(frames, size=size, gop=100))
    async with process(tmp_path) as render:
        summary = await render(1, format="mp4")
    assert summary["durationMs"] == 22_000
    assert len(video_frames((tmp_path / "out-1" / "animation.mp4").read_bytes())) == 501


async def test_a_video_of_3840x2160_plays_to_the_edges_of_a_webm_of_its_size(tmp_path: Path) -> None:
    frames = [((20 * number, 90, 9), 40) for number in range(8)]
    (tmp_path / "it").write_bytes(colour_clip(frames, size=(3840, 2160), references=5))
    async with process(tmp_path, Settings().memory_limit_mb) as render:
        summary = await render(1, {"layout": "full"}, format="webm", resolution="3840x2160", fps=12)
    assert summary["warnings"] == []
    assert summary["durationMs"] == 2_320


async def test_mutated_videos_and_animations_crash_no_process(tmp_path: Path) -> None:
    frames = [(RED, 60), (GREEN, 40), (BLUE, 100)] * 2
    originals = [
        colour_clip(frames, "mp4", size=SMALL, wav=tone(0.4), gop=2),
        colour_clip(frames, "webm", size=SMALL, wav=tone(0.4), gop=2),
        colour_clip(frames, "webm", codec="libvpx", size=SMALL),
        *(colour_animation(frames, kind, size=SMALL) for kind in ("GIF", "WEBP", "PNG")),
    ]
    rng, results = random.Random(SEED), Counter[str]()
    async with process(tmp_path) as render:
        for number in range(60):
            (tmp_path / "it").write_bytes(damaged(originals[number % len(originals)], rng))
            format_ = ("webp", "mp4", "gif", "webm", "apng")[number % 5]
            try:
                await render(number, format=format_, resolution="64x64", imageFormat="jpeg", thumbnails=False)
                results[""] += 1
            except JobError as error:
                results[error.code] += 1
    sizes = {"asset-too-many-pixels", "asset-too-many-frames", "out-of-memory"}
    times = {"asset-trim-outside", "too-long", "too-many-played-frames"}
    assert set(results) <= {"", "asset-corrupt", "asset-unsupported"} | sizes | times
    assert results[""] > 10
    assert results["asset-corrupt"] > 5
