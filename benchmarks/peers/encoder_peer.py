"""The encoder of a video alone, for its memory, in a separate process: encoder_peer.py webm|mp4 WIDTHxHEIGHT FRAMES

Encodes frames of noise and flat colour with the renderer's settings into memory, and discards what is written. Prints
the peak of memory in MiB as JSON.
"""

from __future__ import annotations

import json
import sys
from io import BytesIO

from PIL import Image

from benchmarks.peers.preview_peer import peak_kib
from previewops.contract import validate
from previewops.worker.render.encode.frames import RenderedFrame
from previewops.worker.render.encode.video import open_video
from previewops.worker.render.storyboard import read_storyboard

FRAME_MS = 2_000


def main() -> None:
    """Measures."""
    kind, resolution, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    options = {"resolution": resolution, "format": kind}
    document = {"title": "", "steps": [], "assets": [], "audio": {}, "options": options}
    ids = {"jobId": "bench", "projectId": "bench", "requestId": "bench", "dryRun": False}
    storyboard = read_storyboard(validate({**ids, "previewRequest": document}).raw)
    size = storyboard.size
    with open_video(kind, BytesIO(), storyboard, None) as video:
        for number in range(count):
            image = Image.new("RGB", size, (40, 4 * number % 256, 90))
            noise = Image.effect_noise((size.width // 8, size.height // 8), 60)
            image.paste(
                noise.resize((size.width // 2, size.height // 2)), (size.width // 4, size.height // 4)
            )
            video.add(RenderedFrame(image, FRAME_MS))
    print(json.dumps({"peakMiB": peak_kib() / 1024}))


if __name__ == "__main__":
    main()
