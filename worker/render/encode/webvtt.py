"""WebVTT tracks (https://www.w3.org/TR/webvtt1/): captions and chapters of the animation, index of the contact sheet.

The index is a metadata track. Its cues refer to parts of the sheet by media fragments
(https://www.w3.org/TR/media-frags/, ``#xywh=left,top,width,height`` in pixels), as players use for seek previews.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from previewops.worker.render.bundle_paths import BundlePaths
from previewops.worker.render.encode.chapters import list_chapters
from previewops.worker.render.layout.sheet import SheetLayout
from previewops.worker.render.storyboard import Storyboard
from previewops.worker.render.text.characters import is_blank


def build_tracks(storyboard: Storyboard, paths: BundlePaths, sheet: SheetLayout | None) -> dict[str, bytes]:
    """Returns the content of each track of the bundle by its path."""
    content = {}
    if paths.sheet and paths.sheet_index and sheet:
        content[paths.sheet_index] = _format_track(_index(storyboard, paths.sheet, sheet))
    if paths.captions:
        content[paths.captions] = _format_track(_captions(storyboard))
    if paths.chapters:
        content[paths.chapters] = _format_track(_chapters(storyboard))
    return content


def _captions(storyboard: Storyboard) -> Iterator[tuple[int, int, str]]:
    """Yields start, end (ms) and caption of each step: its text, else its title."""
    for number, start, end in storyboard.intervals():
        if number:
            step = storyboard.steps[number - 1]
            lines = [" ".join(line.split()) for line in (step.text or step.title).splitlines()]
            if text := escape("\n".join(line for line in lines if not is_blank(line)), quote=False):
                yield start, end, text


def _index(storyboard: Storyboard, path: str, sheet: SheetLayout) -> Iterator[tuple[int, int, str]]:
    for place, (_, start, end) in enumerate(storyboard.intervals()):
        box = sheet.cell_box(place)
        yield start, end, f"{path}#xywh={box.left},{box.top},{box.width},{box.height}"


def _chapters(storyboard: Storyboard) -> Iterator[tuple[int, int, str]]:
    for chapter in list_chapters(storyboard):
        yield chapter.start_ms, chapter.end_ms, escape(chapter.title, quote=False)


def _format_track(cues: Iterator[tuple[int, int, str]]) -> bytes:
    blocks = [
        f"{_format_timestamp(start)} --> {_format_timestamp(end)}\n{text}\n" for start, end, text in cues
    ]
    return "\n".join(["WEBVTT\n", *blocks]).encode("utf-8", "replace")


def _format_timestamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{rest:03d}"
