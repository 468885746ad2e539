"""The pixels of a storyboard by Pillow and FFmpeg alone, in a separate process: no layout, checks, queue or files.

    libraries_peer.py FORMAT STEPS WIDTHxHEIGHT PICTURES ROUNDS

The same work as the bundle that ``storyboard_peer.py`` renders: decodes and scales each picture once, pastes it and
two texts on every card, encodes stills, animation, thumbnails and contact sheet with the same settings, in memory.
Prints one JSON object with wall and processor ms of each round after a first that does not count.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import previewops.worker.fonts
from benchmarks.peers.storyboard_peer import request
from previewops.contract import validate
from previewops.worker.render.encode.animation import open_animation
from previewops.worker.render.encode.frames import RenderedFrame
from previewops.worker.render.encode.stills import encode_still
from previewops.worker.render.storyboard import Storyboard, read_storyboard
from previewops.worker.render.timings import PhaseTimer

FONT = Path(previewops.worker.fonts.__file__ or "").parent / "Inter-Regular.ttf"
TEXT_SHARE, PICTURE_SHARE, CELL, THUMBNAIL = 0.36, 0.6, (280, 158), (288, 180)
GREY, INK = (24, 26, 32), (235, 235, 240)


def decode(path: Path, box: tuple[int, int]) -> Image.Image:
    """The picture, scaled into ``box`` as the renderer scales it."""
    with Image.open(path) as picture:
        picture.draft("RGB", (2 * box[0], 2 * box[1]))
        picture.thumbnail(box, Image.Resampling.LANCZOS, reducing_gap=2.0)
        return picture.convert("RGB")


def draw(size: tuple[int, int], picture: Image.Image, title: str, text: str) -> Image.Image:
    """One card: a picture beside a title and a paragraph."""
    width, height = size
    card = Image.new("RGB", size, GREY)
    card.paste(picture, (round(width * (1 - PICTURE_SHARE)), (height - picture.height) // 2))
    pen = ImageDraw.Draw(card)
    pen.text((40, height // 3), title, INK, ImageFont.truetype(FONT, height // 18))
    lines = [" ".join(text.split()[start : start + 4]) for start in range(0, len(text.split()), 4)]
    pen.multiline_text((40, height // 2), "\n".join(lines), INK, ImageFont.truetype(FONT, height // 30))
    return card


def run(storyboard: Storyboard, folder: Path) -> None:
    """Everything once."""
    width, height = storyboard.size
    box = (round(width * PICTURE_SHARE), round(height * 0.9))
    pictures = {name: decode(folder / name, box) for name in storyboard.assets}
    still = storyboard.image_format
    for picture in pictures.values():
        encode_still(
            picture.resize(THUMBNAIL, Image.Resampling.LANCZOS, reducing_gap=2.0),
            still,
            storyboard.quality,
            GREY,
        )
    cells = []

    def frames() -> Iterator[RenderedFrame]:
        cards = [("A storyboard", "What a benchmark renders.", next(iter(pictures)))]
        cards += [(step.title, step.text, step.asset_ids[0]) for step in storyboard.steps]
        for title, text, name in cards:
            card = draw((width, height), pictures[name], title, text)
            cells.append(card.resize(CELL, Image.Resampling.LANCZOS, reducing_gap=2.0))
            yield RenderedFrame(card, 2_000, encode_still(card, still, storyboard.quality, GREY))

    with open_animation(storyboard.animations[0], BytesIO(), storyboard, PhaseTimer(), None) as add:
        for frame in frames():
            add(frame)
    sheet = Image.new("RGB", (width, -(-len(cells) // 4) * CELL[1]), GREY)
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % 4 * CELL[0], number // 4 * CELL[1]))
    encode_still(sheet, still, storyboard.quality, GREY)


def main() -> None:
    """Measures."""
    kind, steps, resolution, folder, rounds = sys.argv[1:6]
    job = request(kind, int(steps), resolution, Path(folder))
    ids = {"jobId": "bench", "projectId": "bench", "requestId": "bench", "dryRun": False}
    storyboard = read_storyboard(validate({**ids, "previewRequest": job}).raw)
    spent, used = [], []
    for _ in range(int(rounds) + 1):
        started, before = time.perf_counter(), time.process_time()
        run(storyboard, Path(folder))
        spent.append((time.perf_counter() - started) * 1000)
        used.append((time.process_time() - before) * 1000)
    print(json.dumps({"ms": spent[1:], "cpuMs": used[1:]}))


if __name__ == "__main__":
    main()
