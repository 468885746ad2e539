"""Animated GIF, WebP and PNG that play, with delays and loops as in browsers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, count
from typing import BinaryIO, NamedTuple

from PIL import Image

from previewops.file_kinds import GIF, PNG, WEBP, FileKind
from previewops.job_errors import JobError
from previewops.worker.render.decode.gif_file import GifCanvas
from previewops.worker.render.decode.gif_picture import GifPicture
from previewops.worker.render.decode.memory import PictureLayout, bytes_per_pixel
from previewops.worker.render.decode.motion import US_PER_MS, DamageNotes, Motion, MovingFrame
from previewops.worker.render.decode.moving_clip import check_start
from previewops.worker.render.decode.open_picture import CUT, DecodedPicture, PictureSource, decode_scale
from previewops.worker.render.decode.pillow_picture import PillowPicture
from previewops.worker.render.decode.representative_frame import representative_frame
from previewops.worker.render.decode.srgb import drop_opaque_alpha, resize
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.storyboard import Playback

ANIMATED_KINDS = (GIF, WEBP, PNG)
_TOO_FAST_MS, _INSTEAD_MS = 10, 100  # browsers show a frame with such a delay for longer

DrawFrame = Callable[[int, Size], Image.Image]


class _Timing(NamedTuple):
    """Delays of the frames, ms, and how often they play (None: without an end)."""

    delays_ms: tuple[int, ...]
    plays: int | None


class _Shown(NamedTuple):
    """A frame and when it is shown, µs after the start of what plays."""

    number: int
    start_us: int
    end_us: int


def measure_picture(source: PictureSource, kind: FileKind, playback: Playback) -> Motion | None:
    """Measures the part of an animation that plays; None if nothing in the file moves.

    Raises:
        PermanentJobError: asset-trim-outside, and as the reader of the kind of picture.
    """
    with _opened(source, kind) as (timing, size, _, is_cut):
        if len(timing.delays_ms) < 2:
            return None
        check_start(source, playback, sum(timing.delays_ms) * US_PER_MS)
        shown = _shown_frames(timing, playback)
        layout = PictureLayout(kind.name.upper(), "RGBA", len(timing.delays_ms))
        return Motion(
            frames=shown[-1].number + 1,
            duration_us=shown[-1].end_us,
            size=size,
            memory_bytes=int(size.pixels * bytes_per_pixel(layout)),
            plays=timing.plays,
            notes=(CUT,) if is_cut else (),
        )


def decode_part(source: PictureSource, kind: FileKind, needed: Size) -> DecodedPicture | None:
    """Decodes the representative frame of the part of an animation that plays.

    None: all of it plays, nothing in it moves, or the part is damaged.
    """
    playback = source.playback
    if playback is None or not playback.is_trimmed:
        return None
    try:
        with _opened(source, kind) as (timing, full, draw, is_cut):
            shown = _shown_frames(timing, playback) if timing.delays_ms else []
            if not shown:
                return None
            size = decode_scale(full, needed)
            index = representative_frame(lambda at: draw(shown[at].number, size), len(shown), full)
            return DecodedPicture(draw(shown[index].number, size), (CUT,) if is_cut else ())
    except (JobError, MemoryError):
        raise
    except Exception:  # on malformed data decoders raise any exception
        return None


@dataclass(slots=True)
class MovingAnimation:
    """An open animation that plays; ``draw`` decodes a frame."""

    motion: Motion
    shown: Sequence[_Shown]
    draw: DrawFrame
    notes: list[str] = field(default_factory=list)
    _broken_at: int | None = None  # the first frame that cannot be decoded

    def frames(self, size: Size) -> Iterator[MovingFrame]:
        """See ``MovingPicture``."""
        passes = count() if self.motion.plays is None else range(self.motion.plays)
        for number in passes:
            offset_us = number * self.motion.duration_us
            for frame in self.shown:
                at_us = offset_us + frame.start_us
                yield MovingFrame(at_us, partial(self._draw, frame, at_us, size))

    def _draw(self, frame: _Shown, at_us: int, size: Size) -> Image.Image | None:
        if self._broken_at is not None and frame.number >= self._broken_at:
            return None
        try:
            return self.draw(frame.number, size)
        except (JobError, MemoryError):
            raise
        except Exception:  # on malformed data decoders raise any exception
            self._broken_at = frame.number
            DamageNotes("animation", self.notes).add_end(at_us)
            return None


@contextmanager
def open_animation(
    source: PictureSource, kind: FileKind, playback: Playback, motion: Motion
) -> Iterator[MovingAnimation]:
    """Opens an animation of which ``motion`` was measured."""
    with _opened(source, kind) as (timing, _, draw, _):
        yield MovingAnimation(motion, _shown_frames(timing, playback), draw)


@contextmanager
def _opened(source: PictureSource, kind: FileKind) -> Iterator[tuple[_Timing, Size, DrawFrame, bool]]:
    """Opens an animation: its timing, its size, a function that draws a frame, and whether its end is missing."""
    if kind is GIF:
        gif = GifPicture.open(source).whole
        canvas = GifCanvas(source.file, gif)
        timing = _Timing(tuple(_browser_delay(frame.delay_ms) for frame in gif.frames), gif.plays)

        def draw(index: int, size: Size) -> Image.Image:
            return drop_opaque_alpha(resize(canvas.frame_at(index), size))

        yield timing, gif.size, draw, gif.is_cut
        return
    picture = PillowPicture.open(source, kind)
    header = picture.header
    if header.frames < 2:
        yield _Timing((), 1), header.size, lambda _index, _size: Image.new("RGB", (1, 1)), False
        return
    with picture.moving_frames() as (bare, decode):
        timing = _read_timing(bare.file, kind, header.frames)
        yield timing, header.size, decode, bare.is_cut


def _shown_frames(timing: _Timing, playback: Playback) -> Sequence[_Shown]:
    """The frames of one pass through the part that plays."""
    start_us = playback.start_ms * US_PER_MS
    ends = [end_ms * US_PER_MS for end_ms in accumulate(timing.delays_ms)]
    stop_us = ends[-1] if playback.end_ms is None else min(ends[-1], playback.end_ms * US_PER_MS)
    starts = [0, *ends[:-1]]
    return [
        _Shown(number, max(0, start - start_us), min(end, stop_us) - start_us)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
        if end > start_us and start < stop_us
    ]


def _browser_delay(delay_ms: int) -> int:
    return _INSTEAD_MS if delay_ms <= _TOO_FAST_MS else delay_ms


def _read_timing(file: BinaryIO, kind: FileKind, frames: int) -> _Timing:
    """Reads the timing of an animated WebP or PNG of ``frames`` frames, which Pillow has accepted."""
    position = file.tell()
    read = _webp_timing if kind is WEBP else _png_timing
    timing = read(file)
    file.seek(position)
    delays = (*timing.delays_ms[:frames], *[_INSTEAD_MS] * (frames - len(timing.delays_ms)))
    return _Timing(delays, timing.plays)


def _webp_timing(file: BinaryIO) -> _Timing:
    """Of the blocks ANIM and ANMF (RFC 9649, section 2.7.1)."""
    delays: list[int] = []
    plays, at = 0, 12
    while True:
        file.seek(at)
        head = file.read(24)
        if len(head) < 8:
            return _Timing(tuple(delays), plays or None)
        name, length = struct.unpack_from("<4sI", head)
        if name == b"ANIM":
            plays = int.from_bytes(head[12:14], "little")
        elif name == b"ANMF":
            delays.append(_browser_delay(int.from_bytes(head[20:23], "little")))
        at += 8 + length + length % 2


def _png_timing(file: BinaryIO) -> _Timing:
    """Of the chunks acTL and fcTL (PNG, third edition, section 11.3.5)."""
    delays: list[int] = []
    plays, at = 0, 8
    while True:
        file.seek(at)
        head = file.read(34)
        if len(head) < 8:
            return _Timing(tuple(delays), plays or None)
        length, name = struct.unpack_from(">I4s", head)
        if name == b"acTL" and len(head) >= 16:
            plays = int.from_bytes(head[12:16], "big")
        elif name == b"fcTL" and len(head) >= 32:
            parts, per_s = struct.unpack_from(">HH", head, 28)
            delays.append(_browser_delay(round(1_000 * parts / (per_s or 100))))
        at += 12 + length
