"""A representative frame of a video, by PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, NamedTuple

from PIL import Image

from previewops.file_kinds import WEBM, FileKind
from previewops.job_errors import PermanentJobError
from previewops.worker.render.decode.colour import BT709_TRANSFERS, SRGB_TRANSFER, ColourSpace, coded_colour
from previewops.worker.render.decode.errors import picture_error, too_many_pixels, too_much_memory
from previewops.worker.render.decode.memory import clip_bytes, clip_pixels
from previewops.worker.render.decode.motion import US_PER_MS
from previewops.worker.render.decode.open_picture import (
    DecodedPicture,
    PictureHeader,
    PictureSource,
    decode_scale,
)
from previewops.worker.render.decode.representative_frame import brightness, most_typical
from previewops.worker.render.decode.sound_file import silence_ffmpeg
from previewops.worker.render.decode.srgb import to_srgb
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.storyboard import Playback

_CODECS = (
    "h264",
    "hevc",
    "vp8",
    "vp9",
    "libvpx",
    "libvpx-vp9",
    "libdav1d",
    "av1",
    "mpeg4",
    "mjpeg",
    "prores",
)
_SAMPLES = 8  # frames, each at a key frame if there are several
_MAX_DECODED_PIXELS = 100_000_000  # of the frames behind the only key frame
_AV_TIME_BASE = 1_000_000
_MAX_PACKETS = 400  # that are read for one frame
CLIP_NOTE = "a video; one frame of it is shown"
_WIDE_HEIGHT = 720  # from this height on, video without a matrix is of BT.709, else of BT.601
_BT601, _BT709 = 5, 1  # matrices, as FFmpeg numbers them
_UNSPECIFIED = 2
_BITS_OF_AN_UNKNOWN = 24  # per pixel: 10 bits per sample in two bytes


class _Sample(NamedTuple):
    """A frame and how to decode it again: a moment to seek to (AV_TIME_BASE), and when it is shown, in seconds."""

    histogram: list[int]
    moment: int
    shown_at: Fraction


@dataclass(frozen=True, slots=True)
class ClipPicture:
    """An open video file, and the size at which it is shown."""

    source: PictureSource
    kind: FileKind
    size: Size

    @classmethod
    def open(cls, source: PictureSource, kind: FileKind) -> ClipPicture:
        """Reads the header. Raises PermanentJobError for a limit or a codec, and any exception of PyAV."""
        with open_video(source, kind) as (_, stream):
            width, height = stream.codec_context.width, stream.codec_context.height
            limits, name = source.limits, f"{width}x{height}"
            if width * height > limits.frame_pixels:
                raise too_many_pixels(source.ref, f"{name}, {width * height} pixels", limits)
            allowed = _allowed_pixels(source, stream)
            if width * height > allowed:
                raise too_much_memory(source.ref, name, kind.name, allowed)
            if min(width, height) <= 0:
                raise ValueError("no size")
            aspect = stream.sample_aspect_ratio or Fraction(1)
            shown = Size(max(1, round(width * _bounded(aspect))), height)
            turned = _is_sideways(_rotation(stream))
        return cls(source, kind, Size(shown.height, shown.width) if turned else shown)

    @property
    def header(self) -> PictureHeader:
        return PictureHeader(self.kind.name.lower(), self.size, 1, 1)

    def decode(self, needed: Size) -> DecodedPicture:
        """See ``OpenPicture``. Frames of several moments are compared."""
        with open_video(self.source, self.kind) as (container, stream):
            samples = _samples(container, stream, self.source.playback, self.size)
            if not samples:
                raise ValueError("no frame")
            chosen = samples[most_typical([sample.histogram for sample in samples])]
            frame = _frame_at(container, stream, chosen.moment, chosen.shown_at)
            if frame is None:
                raise ValueError("no frame")
            image = frame_image(frame, decode_scale(self.size, needed)).convert("RGB")
        return DecodedPicture(image, (CLIP_NOTE,))


def frame_image(frame: Any, size: Size) -> Image.Image:
    """Returns a decoded frame, upright, in sRGB and ``size``. It is scaled before its colours are converted.

    It is RGB, or RGBX without a copy of the decoder's picture, whose fourth byte means nothing.
    """
    import av  # noqa: PLC0415

    rotation = int(frame.rotation or 0) % 360
    width, height = (size.height, size.width) if _is_sideways(rotation) else size
    with _own_errors():
        scaled = frame.reformat(
            width=width,
            height=height,
            format="rgb0",
            src_colorspace=_matrix(frame),
            interpolation=av.video.reformatter.Interpolation.BICUBIC,
            threads=1,
        )
    plane = scaled.planes[0]
    image = Image.frombuffer("RGBX", (width, height), plane, "raw", "RGBX", plane.line_size, 1)
    colour = _colour(frame)
    if not colour.is_srgb:
        image = to_srgb(image.convert("RGB"), None, colour)
    return image.rotate(rotation, expand=True) if rotation else image


def _matrix(frame: Any) -> int:
    """The matrix of the colours of ``frame``, as FFmpeg numbers them."""
    matrix = int(frame.colorspace)
    if matrix in (0, _UNSPECIFIED):
        return _BT709 if frame.height >= _WIDE_HEIGHT else _BT601
    return matrix


def _colour(frame: Any) -> ColourSpace:
    transfer = int(frame.color_trc)
    return coded_colour(
        int(frame.color_primaries) if transfer not in BT709_TRANSFERS else 1,
        SRGB_TRANSFER if transfer in BT709_TRANSFERS else transfer,
    )


def _allowed_pixels(source: PictureSource, stream: Any) -> int:
    """How many pixels a frame may have to be decoded in the memory of the process."""
    limits = source.limits
    return min(limits.frame_pixels, clip_pixels(_codec(stream), limits.decoder_bytes, _bits(stream)))


def decoding_bytes(stream: Any) -> int:
    """The memory of decoding ``stream``."""
    context = stream.codec_context
    return clip_bytes(_codec(stream), context.width * context.height, _bits(stream))


def _codec(stream: Any) -> str:
    name: str = getattr(stream.codec_context, "name", "unknown")
    return name


def _bits(stream: Any) -> int:
    """Bits of a pixel of a decoded frame."""
    layout = stream.codec_context.format
    return layout.padded_bits_per_pixel if layout is not None else _BITS_OF_AN_UNKNOWN


def _bounded(aspect: Fraction) -> float:
    return min(8.0, max(0.125, float(aspect)))


def _rotation(stream: Any) -> int:
    """Degrees by which the frames of ``stream`` are turned, from its first packets."""
    for frame in _frames(stream.container, stream):
        return int(frame.rotation or 0) % 360
    return 0


def _is_sideways(rotation: int) -> bool:
    return rotation % 180 == 90


def _moments(container: Any, playback: Playback | None) -> list[int]:
    """Offsets at which frames of the part that plays are sampled, in AV_TIME_BASE units (µs)."""
    start, end = 0, int(container.duration or 0)
    if playback is not None:
        start = playback.start_ms * US_PER_MS
        end = end if playback.end_ms is None else min(end, playback.end_ms * US_PER_MS)
    if end <= start:
        return [start]
    return [start + (end - start) * number // (_SAMPLES + 1) for number in range(1, _SAMPLES + 1)]


def _samples(container: Any, stream: Any, playback: Playback | None, size: Size) -> list[_Sample]:
    """Frames of several moments of the part that plays, from different key frames if it has them."""
    first = (stream.start_time or 0) * Fraction(stream.time_base)
    start = first + Fraction(playback.start_ms if playback else 0, 1_000)
    moments = _moments(container, playback)
    samples, times = [], set()
    for moment in moments:
        frame = _frame_at(container, stream, moment, start)
        if frame is not None:
            samples.append(_Sample(_histogram(frame), moment, start))
            times.add(frame.pts)
    if len(times) != 1 or len(moments) == 1:
        return samples
    shown_at = [first + Fraction(moment, _AV_TIME_BASE) for moment in moments]
    return list(_passing_samples(container, stream, moments[0], shown_at, size)) or samples


def _passing_samples(
    container: Any, stream: Any, moment: int, shown_at: list[Fraction], size: Size
) -> Iterator[_Sample]:
    """Samples the frames that are shown at the times of ``shown_at``, all behind one key frame."""
    container.seek(moment + int(container.start_time or 0))
    waiting, shown = list(reversed(shown_at)), None
    for frame in islice(_frames(container, stream), max(1, _MAX_DECODED_PIXELS // size.pixels)):
        if frame.pts is None:
            return
        while waiting and shown is not None and _time(frame) > waiting[-1]:
            yield _Sample(_histogram(shown), moment, waiting.pop())
        if not waiting:
            return
        shown = frame


def _histogram(frame: Any) -> list[int]:
    return brightness(frame.reformat(width=64, height=64, format="rgb24", threads=1).to_image())


def _time(frame: Any) -> Fraction:
    """When ``frame`` is shown, in seconds of its file."""
    return Fraction(frame.pts * frame.time_base)


def _frame_at(container: Any, stream: Any, moment: int, shown_at: Fraction) -> Any:
    """The frame of the key frame before ``moment``, or the one that is shown at ``shown_at`` if that is later.

    None if it cannot be decoded.
    """
    import av  # noqa: PLC0415

    try:
        container.seek(moment + int(container.start_time or 0))
        frames = _frames(container, stream)
        shown = next(frames, None)
        if shown is not None and shown.pts is not None and _time(shown) < shown_at:
            for frame in frames:
                if frame.pts is None or _time(frame) > shown_at:
                    break
                shown = frame
        return shown
    except MemoryError:
        raise
    except av.FFmpegError:
        return None


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    import av  # noqa: PLC0415

    for number, packet in enumerate(container.demux(stream)):
        if number > _MAX_PACKETS:
            return
        try:
            yield from packet.decode()
        except MemoryError:
            raise
        except av.FFmpegError:
            continue


@contextmanager
def open_video(source: PictureSource, kind: FileKind) -> Iterator[tuple[Any, Any]]:
    """Opens a video and its first picture stream, to decode in one thread. Errors of FFmpeg become ValueError.

    Raises PermanentJobError "asset-unsupported" for a file without pictures or with an unknown codec.
    """
    import av  # noqa: PLC0415 - slow to import, and most jobs need none

    silence_ffmpeg()
    source.file.seek(0)
    with _own_errors(), av.open(source.file, "r", format="matroska" if kind is WEBM else "mov") as container:
        if not container.streams.video:
            raise _no_picture(source, kind)
        stream = container.streams.video[0]
        codec = _codec(stream)
        if codec not in _CODECS:
            raise picture_error(
                source.ref,
                "asset-unsupported",
                found=f"{kind.name} with the codec {codec}",
                allowed="H.264, HEVC, VP8, VP9, AV1, MPEG-4, ProRes or Motion JPEG",
                hint="convert the video",
            )
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = (
            1  # dav1d does not heed the type, and keeps frames for each thread
        )
        # Sizes may change behind the header, which is checked. Decoders count the padding of their buffers.
        stream.codec_context.options = {"max_pixels": str(2 * _allowed_pixels(source, stream))}
        yield container, stream


@contextmanager
def _own_errors() -> Iterator[None]:
    """Raises errors of FFmpeg as ValueError: they are OSErrors with numbers of its own."""
    import av  # noqa: PLC0415

    try:
        yield
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise ValueError("the video cannot be decoded") from error


def _no_picture(source: PictureSource, kind: FileKind) -> PermanentJobError:
    return picture_error(
        source.ref,
        "asset-unsupported",
        found=f"{kind.name} without pictures",
        allowed="a video with pictures",
        hint="use it as audio",
    )
