"""A picture of as many pixels as its format may have is rendered in the memory of a render process; one of more is
rejected by its header."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pillow_heif
import pillow_jxl  # noqa: F401 - registers the format
import pytest
from PIL import Image, ImageDraw

from previewops.contract import validate
from previewops.job_errors import PermanentJobError
from previewops.settings import Settings
from previewops.worker.assets.opener import AssetRef, FileAssetOpener
from previewops.worker.render.decode.memory import PictureLayout, bytes_per_pixel, jpeg_bytes
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import MIB, RenderLimits
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.render_task import RenderTask
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.pool import RenderPool
from tests.render_support import decode_image, payload

pillow_heif.register_heif_opener()
SMALL_MB = 256  # the least that the setting allows
WIDTH = 2_000


_COLOURS: dict[str, int | tuple[int, ...]] = {"RGB": (90, 9, 9), "RGBA": (90, 9, 9, 128), "LA": (90, 128)}


def still(mode: str, kind: str, **options: Any) -> Callable[[Path, int], None]:
    def write(path: Path, height: int) -> None:
        Image.new(mode, (WIDTH, height), _COLOURS.get(mode, 90)).save(path, kind, **options)

    return write


def moving(mode: str, kind: str, frames: int = 3, **options: Any) -> Callable[[Path, int], None]:
    def write(path: Path, height: int) -> None:
        images = []
        for number in range(frames):
            image = Image.new(mode, (WIDTH, height), (90, 9, 9, 255)[: len(mode)])
            inset = 10 + 9 * number
            box = (inset, inset, WIDTH - inset, height - inset)
            ImageDraw.Draw(image).rectangle(box, fill=(9, 30 * number, 9, 0)[: len(mode)])
            images.append(image)
        images[0].save(path, kind, save_all=True, append_images=images[1:], duration=50, **options)

    return write


CASES: dict[str, tuple[float, Callable[[Path, int], None]]] = {
    "PNG": (bytes_per_pixel(PictureLayout("PNG", "RGB")), still("RGB", "PNG", compress_level=1)),
    "PNG 16 bits": (bytes_per_pixel(PictureLayout("PNG", "I;16")), still("I;16", "PNG", compress_level=1)),
    "PNG transparent": (
        bytes_per_pixel(PictureLayout("PNG", "RGBA")),
        still("RGBA", "PNG", compress_level=1),
    ),
    "PNG grey transparent": (
        bytes_per_pixel(PictureLayout("PNG", "LA")),
        still("LA", "PNG", compress_level=1),
    ),
    "PNG animated": (
        bytes_per_pixel(PictureLayout("PNG", "RGBA", 3)),
        moving("RGBA", "PNG", disposal=2, blend=1, compress_level=1),
    ),
    "GIF": (bytes_per_pixel(PictureLayout("GIF", "P")), still("P", "GIF")),
    "GIF animated": (bytes_per_pixel(PictureLayout("GIF", "P", 3)), moving("RGBA", "GIF", disposal=2)),
    "WebP": (bytes_per_pixel(PictureLayout("WEBP", "RGB")), still("RGB", "WEBP", method=0)),
    "WebP transparent": (
        bytes_per_pixel(PictureLayout("WEBP", "RGBA")),
        still("RGBA", "WEBP", method=0, lossless=True, quality=0),
    ),
    "WebP animated": (bytes_per_pixel(PictureLayout("WEBP", "RGBA", 3)), moving("RGBA", "WEBP", method=0)),
    "AVIF": (
        bytes_per_pixel(PictureLayout("AVIF", "RGB")),
        still("RGB", "AVIF", speed=10, subsampling="4:4:4"),
    ),
    "AVIF transparent": (
        bytes_per_pixel(PictureLayout("AVIF", "RGBA")),
        still("RGBA", "AVIF", speed=10, subsampling="4:4:4"),
    ),
    "HEIF": (bytes_per_pixel(PictureLayout("HEIF", "RGB")), still("RGB", "HEIF", quality=20)),
    "HEIF transparent": (bytes_per_pixel(PictureLayout("HEIF", "RGBA")), still("RGBA", "HEIF", quality=20)),
    "JPEG XL": (bytes_per_pixel(PictureLayout("JXL", "RGB")), still("RGB", "JXL", effort=1)),
    "JPEG XL transparent": (bytes_per_pixel(PictureLayout("JXL", "RGBA")), still("RGBA", "JXL", effort=1)),
    "TIFF": (bytes_per_pixel(PictureLayout("TIFF", "RGB")), still("RGB", "TIFF", compression="tiff_lzw")),
    "TIFF transparent": (bytes_per_pixel(PictureLayout("TIFF", "RGBA")), still("RGBA", "TIFF")),
    "TIFF 16 bits": (bytes_per_pixel(PictureLayout("TIFF", "I;16")), still("I;16", "TIFF")),
    "BMP": (bytes_per_pixel(PictureLayout("BMP", "RGB")), still("RGB", "BMP")),
    "AVIF animated": (
        bytes_per_pixel(PictureLayout("AVIF", "RGB", 8)),
        moving("RGB", "AVIF", 8, speed=10, subsampling="4:4:4"),
    ),
}


def rows_that_fit(cost: float, memory_mb: int) -> int:
    limits = RenderLimits(memory_bytes=memory_mb * MIB)
    return int(min(limits.frame_pixels, limits.decoder_bytes / cost)) // WIDTH


@asynccontextmanager
async def rendering(folder: Path, memory_mb: int) -> AsyncIterator[Callable[..., Any]]:
    """Renders single pictures in a confined process of ``memory_mb``; the limits of a job may be set lower."""
    pool = RenderPool(
        "previewops.worker.bundle_builder:build",
        size=1,
        limits=ChildLimits(memory_mb * MIB, cpu_s=60, file_bytes=64 * MIB),
        recycle_jobs=1_000,
        preload=["previewops.worker.bundle_builder"],
        confined=True,
        generation=FontSources(),
    )

    async def render(name: str, job_memory_mb: int = memory_mb) -> None:
        steps = [{"title": "One", "assetIds": ["it"]}]
        job = validate(payload(steps, [{"id": "it", "uri": name}], format="png"))
        settings = Settings(data_dir=folder, job_timeout_s=60, memory_limit_mb=job_memory_mb)
        staging = folder / f"staging-{name}-{job_memory_mb}"
        opener = FileAssetOpener((folder,))
        work = RenderTask.prepare(settings, job, staging, opener=opener, cache=None)
        await work.run(pool, lambda _share, _word: None)

    try:
        await pool.start()
        yield render
        assert (pool.crashes, pool.deadline_kills) == (0, 0)
    finally:
        await pool.close()


async def test_the_largest_picture_of_each_format_is_rendered_and_a_larger_one_rejected(
    tmp_path: Path,
) -> None:
    outcomes: dict[str, list[str]] = {}
    async with rendering(tmp_path, SMALL_MB) as render:
        for name, (cost, write) in CASES.items():
            file = name.replace(" ", "-")
            write(tmp_path / file, rows_that_fit(cost, SMALL_MB))
            outcomes[name] = []
            for memory_mb in (SMALL_MB, SMALL_MB - 1):  # with 1 MiB less, the same picture is too large
                try:
                    await render(file, memory_mb)
                    outcomes[name].append("rendered")
                except PermanentJobError as error:
                    outcomes[name].append(error.code)
    assert outcomes == {name: ["rendered", "asset-too-many-pixels"] for name in CASES}


def progressive(height: int) -> bytes:
    content = BytesIO()
    Image.new("RGB", (WIDTH, height), (90, 9, 9)).save(content, "JPEG", progressive=True, subsampling=0)
    return content.getvalue()


async def test_a_jpeg_is_limited_by_its_coefficients_and_not_by_its_pixels(tmp_path: Path) -> None:
    still("RGB", "JPEG")(tmp_path / "baseline", 50_000)
    fits = rows_that_fit(jpeg_bytes(3, 1, 1 / 64), SMALL_MB)  # decoded at an eighth of its size
    (tmp_path / "progressive").write_bytes(progressive(fits - 8))
    async with rendering(tmp_path, SMALL_MB) as render:
        await render("baseline")
        await render("progressive")
    limits = RenderLimits(memory_bytes=SMALL_MB * MIB)
    with pytest.raises(PermanentJobError) as caught:
        decode_image(AssetRef("it", "it"), BytesIO(progressive(fits + 80)), limits, Size(1280, 720))
    assert caught.value.code == "asset-too-many-pixels"
    assert "PREVIEW_MEMORY_LIMIT_MB" in str(caught.value.hint)


async def test_the_largest_picture_by_default_is_rendered(tmp_path: Path) -> None:
    memory_mb = Settings().memory_limit_mb
    cost, write = CASES["PNG transparent"]
    rows = rows_that_fit(cost, memory_mb)
    assert rows * WIDTH == Settings().frame_max_mp * 1_000_000
    write(tmp_path / "largest", rows)
    write(tmp_path / "larger", rows + 1)
    async with rendering(tmp_path, memory_mb) as render:
        await render("largest")
        with pytest.raises(PermanentJobError) as caught:
            await render("larger")
        assert caught.value.code == "asset-too-many-pixels"
        assert "PREVIEW_FRAME_MAX_MP" in str(caught.value.hint)
