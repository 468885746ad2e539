"""A complete bundle, or only its animation by the library's defaults, in a separate process:

    storyboard_peer.py bundle|plain FORMAT STEPS WIDTHxHEIGHT PICTURES ROUNDS

PICTURES is a folder of JPEG files. Prints one JSON object: wall and processor ms of each round after a first that
does not count, the peak of memory in MiB, and where the time of the last round went. ``plain`` encodes frames
drawn beforehand: Pillow's ``save_all`` with its defaults, and for video FFmpeg's defaults at 10 frames a second.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.peers.preview_peer import peak_kib
from previewops.worker import render
from previewops.worker.assets.opener import FileAssetOpener

STEP_MS = 2_000
PEER_FPS = 10


def request(kind: str, steps: int, resolution: str, pictures: Path) -> dict[str, Any]:
    """A storyboard over the pictures in turn, 2 s a step."""
    names = sorted(path.name for path in pictures.glob("*.jpg"))
    return {
        "title": "A storyboard",
        "description": "What a benchmark renders.",
        "steps": [
            {
                "title": f"Step {number}",
                "text": "A caption of about the length that captions have, on two lines or three.",
                "assetIds": [names[number % len(names)]],
                "durationMs": STEP_MS,
            }
            for number in range(1, steps + 1)
        ],
        "assets": [{"id": name, "uri": name} for name in names],
        "audio": {},
        "options": {"resolution": resolution, "format": kind},
    }


def bundle(job: dict[str, Any], pictures: Path) -> dict[str, float]:
    """Renders everything; returns ms by phase."""
    with tempfile.TemporaryDirectory() as folder:
        made = render(job, out=folder, opener=FileAssetOpener((pictures,)))
        return dict(made.preview["timingsMs"])


def drawn(job: dict[str, Any], pictures: Path) -> list[Image.Image]:
    """The frames, out of lossless stills."""
    job = {**job, "options": {**job["options"], "format": "png", "imageFormat": "png"}}
    with tempfile.TemporaryDirectory() as folder:
        made = render(job, out=folder, opener=FileAssetOpener((pictures,)))
        return [Image.open(BytesIO(path.read_bytes())).convert("RGB") for path in made.frames]


def plain(kind: str, frames: list[Image.Image]) -> None:
    """One animation of ``frames``."""
    buffer = BytesIO()
    if kind in ("webm", "mp4"):
        import av

        with av.open(buffer, "w", format=kind) as container:
            stream = container.add_stream({"webm": "libvpx-vp9", "mp4": "libx264"}[kind], rate=PEER_FPS)
            stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv420p"
            for image in frames:
                for _ in range(STEP_MS * PEER_FPS // 1000):
                    container.mux(stream.encode(av.VideoFrame.from_image(image)))
            container.mux(stream.encode(None))
        return
    saved_as = {"webp": "WEBP", "gif": "GIF", "apng": "PNG"}[kind]
    frames[0].save(buffer, saved_as, save_all=True, append_images=frames[1:], duration=STEP_MS)


def main() -> None:
    """Runs the selected pipeline."""
    what, kind, steps, resolution, folder, rounds = sys.argv[1:7]
    pictures = Path(folder)
    job = request(kind, int(steps), resolution, pictures)
    phases: dict[str, float] = {}
    run: Callable[[], Any]
    if what == "plain":
        frames = drawn(job, pictures)
        run = lambda: plain(kind, frames)  # noqa: E731
    else:
        run = lambda: phases.update(bundle(job, pictures))  # noqa: E731
    spent, used = [], []
    for _ in range(int(rounds) + 1):
        started, before = time.perf_counter(), time.process_time()
        run()
        spent.append((time.perf_counter() - started) * 1000)
        used.append((time.process_time() - before) * 1000)
    first = 1 if len(spent) > 1 else 0
    print(
        json.dumps(
            {"ms": spent[first:], "cpuMs": used[first:], "peakMiB": peak_kib() / 1024, "phases": phases}
        )
    )


if __name__ == "__main__":
    main()
