"""Writes WebM (VP9, Opus) and MP4 (H.264, AAC) with PyAV, which is imported on first use.

There is one frame per card, with its duration, or those of what plays in it: the frame rate is variable. Only the
frames of a fade have a fixed rate. Encoders run with one thread and fixed settings, as their output depends on both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image

from previewops.worker.render.decode.sound_file import SAMPLES_PER_S, silence_ffmpeg
from previewops.worker.render.encode.chapters import list_chapters, set_chapters
from previewops.worker.render.encode.frames import RenderedFrame
from previewops.worker.render.encode.mp4_index import move_index_to_front
from previewops.worker.render.encode.webm_duration import set_duration
from previewops.worker.render.storyboard import Storyboard

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_MS = Fraction(1, 1000)
_NOMINAL_FPS = 25  # for rate control only; timestamps are exact
_KEY_FRAME_EVERY = 12
_FADE_MS = 400
_BAND_ROWS = 32  # of a picture that are copied at once
_STEREO_BITS_PER_S = 96_000
_REPRODUCIBLE = {"fflags": "bitexact"}  # no random ids, dates or library version


@dataclass(frozen=True, slots=True)
class _Codec:
    """Encoder settings of a format. ``best_crf`` belongs to quality 100, ``worst_crf`` to quality 1.

    ``key_frame_per_card``: a card starts with a key frame, as nothing of the card before helps to code it.
    """

    video: str
    options: dict[str, str]
    best_crf: int
    worst_crf: int
    audio: str
    key_frame_per_card: bool


_CODECS = {
    "webm": _Codec(
        "libvpx-vp9",
        # Realtime with the fastest search: 0.3 s instead of 8 s, at good quality for stills.
        {"deadline": "realtime", "cpu-used": "8", "b": "0", "lag-in-frames": "0", "auto-alt-ref": "0"},
        best_crf=14,
        worst_crf=60,
        audio="libopus",
        key_frame_per_card=False,  # it takes 8 % more time and twice the bytes
    ),
    "mp4": _Codec(
        "libx264",
        {"preset": "ultrafast", "tune": "stillimage", "bf": "0"},
        best_crf=15,
        worst_crf=42,
        audio="aac",
        key_frame_per_card=True,  # it takes a quarter less time and 4 % more bytes, and players seek to cards
    ),
}


@contextmanager
def open_video(
    kind: str, target: BinaryIO, storyboard: Storyboard, sound: Iterator[AudioFrame] | None
) -> Iterator[VideoEncoder]:
    """Starts the video of ``storyboard`` with ``sound`` in the format ``kind``; it is complete after the context.

    Raises:
        PermanentJobError: from ``sound``.
    """
    import av  # noqa: PLC0415 - slow to import, and most jobs need none

    silence_ffmpeg()
    with av.open(target, "w", format=kind, container_options=_REPRODUCIBLE) as container:
        set_chapters(container, list_chapters(storyboard))
        video = VideoEncoder(kind, storyboard, container, sound)
        yield video
        video.finish()
    if kind == "mp4":
        move_index_to_front(target)
    else:
        set_duration(target, storyboard.shown_ms)


class VideoEncoder:
    """Encodes the pictures and the sound of ``storyboard`` to ``container``."""

    def __init__(
        self, kind: str, storyboard: Storyboard, container: Any, sound: Iterator[AudioFrame] | None
    ) -> None:
        codec = _CODECS[kind]
        self._storyboard = storyboard
        self._container = container
        self._video = _add_video_stream(container, codec, storyboard)
        self._track = _SoundWriter(container, codec.audio, sound) if sound is not None else None
        self._has_card_keys = codec.key_frame_per_card
        self._needs_key = False
        self._durations: dict[int, int] = {}
        self._start_ms = 0
        self._last: Image.Image | None = None  # the last frame, if cards fade
        self._before: Image.Image | None = None  # the last frame of the card before, if cards fade
        self._fade: list[tuple[float, int, int]] = []  # of the current card

    def add(self, frame: RenderedFrame) -> None:
        """Encodes a frame; a fade is part of the duration of its card."""
        start_ms, until_ms = self._start_ms, self._start_ms + frame.duration_ms
        if frame.starts_card:
            self._needs_key = self._has_card_keys
            self._start_fade(frame.card_ms or frame.duration_ms)
        held_from = start_ms
        if self._before is not None:
            for share, at, until in _within(self._fade, start_ms, until_ms):
                self._encode(Image.blend(self._before, frame.image, share), at, until - at)
                held_from = until
        if held_from < until_ms:
            self._encode(frame.image, held_from, until_ms - held_from)
        self._last = frame.image if self._storyboard.fades else None
        self._start_ms = until_ms

    def _start_fade(self, card_ms: int) -> None:
        self._before = self._last
        fades = self._before is not None
        self._fade = list(fade_frames(self._start_ms, card_ms, self._storyboard.fps)) if fades else []

    def finish(self) -> None:
        """Encodes what is left of pictures and sound."""
        _mux(self._container, self._video.encode(), self._durations)
        if self._track is not None:
            self._track.close()

    def _encode(self, image: Image.Image, start_ms: int, duration_ms: int) -> None:
        from av.video.frame import PictureType  # noqa: PLC0415

        # One thread: others need address space, and save nothing.
        frame = _as_frame(image).reformat(format="yuv420p", dst_colorspace="ITU709", threads=1)
        frame.pts, frame.time_base = start_ms, _MS
        if self._needs_key:
            frame.pict_type, self._needs_key = PictureType.I, False
        self._durations[start_ms] = duration_ms
        _mux(self._container, self._video.encode(frame), self._durations)
        if self._track is not None:
            self._track.write_until(start_ms + duration_ms)


def _as_frame(image: Image.Image) -> Any:
    """Returns an RGB picture as a frame of PyAV, whose own function makes one more copy."""
    import av  # noqa: PLC0415

    frame = av.VideoFrame(image.width, image.height, "rgb24")
    plane = frame.planes[0]
    target, length, stride = memoryview(plane).cast("B"), 3 * image.width, plane.line_size
    for top in range(0, image.height, _BAND_ROWS):
        bottom = min(image.height, top + _BAND_ROWS)
        band = image.crop((0, top, image.width, bottom)).tobytes()
        if stride == length:
            target[top * stride : bottom * stride] = band
            continue
        for row in range(bottom - top):
            start = (top + row) * stride
            target[start : start + length] = band[row * length : (row + 1) * length]
    return frame


def _add_video_stream(container: Any, codec: _Codec, storyboard: Storyboard) -> Any:
    crf = round(codec.best_crf + (codec.worst_crf - codec.best_crf) * (100 - storyboard.quality) / 99)
    options = {**codec.options, "crf": str(crf), "flags": "+bitexact", "g": str(_KEY_FRAME_EVERY)}
    stream = container.add_stream(codec.video, rate=_NOMINAL_FPS, options=options)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = *storyboard.size, "yuv420p"
    context.time_base = stream.time_base = _MS
    context.thread_count = 1
    # BT.709 (1), limited range (1): what players assume for this size.
    context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
    return stream


def fade_frames(start_ms: int, duration_ms: int, fps: int) -> Iterator[tuple[float, int, int]]:
    """Yields (share of the new picture, start, end) of each frame of a fade; it lasts at most half of its card.

    A frame rate too low for the fade gives one frame for its whole length.
    """
    length_ms = min(_FADE_MS, duration_ms // 2)
    steps = length_ms * fps // 1000
    if not steps:
        yield 0.5, start_ms, start_ms + length_ms
    for step in range(steps):
        yield (step + 1) / (steps + 1), start_ms + step * 1000 // fps, start_ms + (step + 1) * 1000 // fps


def _within(
    fade: Iterable[tuple[float, int, int]], start_ms: int, end_ms: int
) -> Iterator[tuple[float, int, int]]:
    """Yields the frames of a fade that are shown between two times, cut to them."""
    for share, at, until in fade:
        if at < end_ms and until > start_ms:
            yield share, max(at, start_ms), min(until, end_ms)


def _mux(container: Any, packets: Iterable[Any], durations: dict[int, int]) -> None:
    for packet in packets:
        packet.duration = durations.pop(packet.pts)
        container.mux(packet)


class _SoundWriter:
    """Writes the sound up to the time of the pictures, so that neither is buffered in memory."""

    def __init__(self, container: Any, codec: str, frames: Iterator[AudioFrame]) -> None:
        self._container = container
        self._frames = frames
        self._stream = container.add_stream(codec, rate=SAMPLES_PER_S, options={"flags": "+bitexact"})
        self._stream.codec_context.layout = "stereo"
        self._stream.codec_context.bit_rate = _STEREO_BITS_PER_S
        self._samples = 0

    def write_until(self, end_ms: int) -> None:
        """Writes the sound before ``end_ms``."""
        while self._samples * 1000 < end_ms * SAMPLES_PER_S:
            frame = next(self._frames, None)
            if frame is None:
                return
            self._samples += frame.samples
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Writes the remaining sound."""
        for frame in self._frames:
            self._container.mux(self._stream.encode(frame))
        self._container.mux(self._stream.encode())
