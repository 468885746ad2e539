"""Three previews of one picture by one pipeline, in a separate process; libvips runs in the peers' environment:

    preview_peer.py PIPELINE PICTURE webp|jpeg|png FOLDER ROUNDS

writes large, middle and small files to FOLDER and prints one JSON object: ms of each round after a first that
does not count, and the memory beyond what the imported libraries take. All encode at quality 80, WebP by method 2.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

SIZES = ((1280, 720), (640, 360), (200, 200))
NAMES = ("large", "middle", "small")
QUALITY, METHOD = 80, 2

Pipeline = Callable[[Path, str, Path], None]


def ours() -> Pipeline:
    """The renderer: decodes once, no larger than needed, and makes each size from the previous one."""
    from previewops.worker.assets.opener import AssetRef
    from previewops.worker.render.decode.srgb import resize
    from previewops.worker.render.encode.stills import encode_still
    from previewops.worker.render.layout.geometry import Size
    from previewops.worker.render.limits import RenderLimits
    from previewops.worker.render.pictures import decode_picture, read_header

    ref, limits = AssetRef("it", "it"), RenderLimits()

    def run(picture: Path, kind: str, folder: Path) -> None:
        with picture.open("rb") as file:
            full_size = read_header(ref, file, limits).size
            image = decode_picture(ref, file, limits, full_size.shrunk(Size(*SIZES[0]))).image
        for name, size in zip(NAMES, SIZES, strict=True):
            image = resize(image, full_size.shrunk(Size(*size)))
            (folder / f"{name}.{kind}").write_bytes(encode_still(image, kind, QUALITY, (255, 255, 255)))

    return run


def naive() -> Pipeline:
    """Naive Pillow: decodes the full picture for every size."""
    from PIL import Image

    def run(picture: Path, kind: str, folder: Path) -> None:
        for name, size in zip(NAMES, SIZES, strict=True):
            with Image.open(picture) as image:
                rgb = image.convert("RGB")
            scale = min(size[0] / rgb.width, size[1] / rgb.height)
            small = rgb.resize(
                (round(rgb.width * scale), round(rgb.height * scale)), Image.Resampling.LANCZOS
            )
            options = {"method": METHOD} if kind == "webp" else {}
            options |= {} if kind == "png" else {"quality": QUALITY}
            small.save(folder / f"{name}.{kind}", kind.upper(), **options)

    return run


def libvips() -> Pipeline:
    """libvips at its best with one thread: shrinks while loading, and makes each size from the previous one."""
    os.environ["VIPS_CONCURRENCY"] = "1"
    import pyvips

    pyvips.cache_set_max(0)

    def run(picture: Path, kind: str, folder: Path) -> None:
        image = None
        for name, (width, height) in zip(NAMES, SIZES, strict=True):
            if image is None:
                image = pyvips.Image.thumbnail(str(picture), width, height=height, size="down").copy_memory()
            else:
                image = image.thumbnail_image(width, height=height, size="down").copy_memory()
            options = {"webp": {"Q": QUALITY, "effort": METHOD}, "jpeg": {"Q": QUALITY}}.get(kind, {})
            image.write_to_file(str(folder / f"{name}.{kind}"), **options)

    return run


def main() -> None:
    """Runs the selected pipeline."""
    pipeline, picture, kind, folder, rounds = sys.argv[1:6]
    run = {"ours": ours, "naive": naive, "libvips": libvips}[pipeline]()
    before = peak_kib()
    spent, used = [], []
    for _ in range(int(rounds) + 1):
        started, cpu = time.perf_counter(), time.process_time()
        run(Path(picture), kind, Path(folder))
        spent.append((time.perf_counter() - started) * 1000)
        used.append((time.process_time() - cpu) * 1000)
    print(json.dumps({"ms": spent[1:], "cpuMs": used[1:], "extraMiB": (peak_kib() - before) / 1024}))


def peak_kib() -> int:
    """Peak resident memory in KiB; getrusage would include the parent's memory at the fork."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise OSError("no VmHWM in /proc/self/status")


if __name__ == "__main__":
    main()
