"""Videos and animations for tests: plain colours at known times, and tones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from io import BytesIO
from typing import Any

import av
from PIL import Image

Colour = tuple[int, int, int]

RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 180, 30), (30, 30, 220), (128, 128, 128)
SIZE = (160, 90)
_CODECS = {"mp4": "libx264", "mov": "libx264", "webm": "libvpx-vp9"}


def colour_clip(
    frames: Sequence[tuple[Colour, int]],
    kind: str = "mp4",
    *,
    codec: str = "",
    size: tuple[int, int] = SIZE,
    wav: bytes | None = None,
    pixels: str = "yuv420p",
    gop: int = 10,
    references: int = 1,
) -> bytes:
    """Returns a video of plain frames, each (colour, duration in ms), with the sound of a WAV file."""
    file = BytesIO()
    with av.open(file, "w", format=kind) as target:
        stream: Any = target.add_stream(codec or _CODECS[kind], rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = gop
        if (codec or _CODECS[kind]) == "libx264":
            stream.codec_context.options = {"bf": "0", "preset": "ultrafast", "refs": str(references)}
        sound: Any = target.add_stream("aac" if kind != "webm" else "libopus", rate=48_000) if wav else None
        at_ms, durations = 0, {}
        for colour, duration_ms in frames:
            frame = av.VideoFrame.from_image(Image.new("RGB", size, colour))
            frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
            durations[at_ms] = duration_ms
            at_ms += duration_ms
            _mux(target, stream.encode(frame), durations)
        _mux(target, stream.encode(None), durations)
        if wav is not None:
            with av.open(BytesIO(wav)) as source:
                for part in source.decode(audio=0):
                    target.mux(sound.encode(part))
                target.mux(sound.encode(None))
    return file.getvalue()


def _mux(target: Any, packets: Iterable[Any], durations: dict[int, int]) -> None:
    for packet in packets:
        start_ms = round(packet.pts * packet.time_base * 1000)
        packet.duration = round(durations.get(start_ms, 0) / 1000 / packet.time_base)
        target.mux(packet)


def joined_clips(first: bytes, second: bytes) -> bytes:
    """Returns a WebM file with the packets of two of 1 s each, one behind the other."""
    file = BytesIO()
    with (
        av.open(BytesIO(first)) as one,
        av.open(BytesIO(second)) as other,
        av.open(file, "w", format="webm") as target,
    ):
        stream: Any = target.add_stream_from_template(one.streams.video[0])
        for source, shift_ms in ((one, 0), (other, 1_000)):
            for packet in source.demux(video=0):
                if packet.pts is not None:
                    packet.pts = packet.dts = packet.pts + shift_ms
                    packet.stream = stream
                    target.mux(packet)
    return file.getvalue()


def colour_animation(
    frames: Sequence[tuple[Colour, int]],
    kind: str = "GIF",
    *,
    loops: int | None = 0,
    size: tuple[int, int] = SIZE,
) -> bytes:
    """Returns an animated GIF, WebP or PNG of plain frames; ``loops`` as the format counts, None: not given."""
    file = BytesIO()
    pictures = [Image.new("RGB", size, colour) for colour, _ in frames]
    options: dict[str, Any] = {} if loops is None else {"loop": loops}
    if kind == "WEBP":
        options |= {"lossless": True, "minimize_size": False}
    pictures[0].save(
        file,
        kind,
        save_all=True,
        append_images=pictures[1:],
        duration=[duration_ms for _, duration_ms in frames],
        **options,
    )
    return file.getvalue()


def video_frames(content: bytes) -> list[tuple[int, int, Image.Image]]:
    """Returns start and end (ms) and the picture of each frame of a video."""
    with av.open(BytesIO(content)) as container:
        frames = [(round(frame.time * 1000), frame.to_image()) for frame in container.decode(video=0)]
        stream = container.streams.video[0]
        assert stream.time_base is not None
        with av.open(BytesIO(content)) as again:
            ends = [
                round((packet.pts + (packet.duration or 0)) * packet.time_base * 1000)
                for packet in again.demux(video=0)
                if packet.pts is not None
            ]
    starts = [start for start, _ in frames]
    return [(start, end, image) for (start, image), end in zip(frames, [*starts[1:], max(ends)], strict=True)]


def picture_frames(content: bytes) -> list[tuple[int, int, Image.Image]]:
    """Returns start and end (ms) and the picture of each frame of an animated picture."""
    frames, at_ms = [], 0
    with Image.open(BytesIO(content)) as image:
        for index in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(index)
            shown = image.convert("RGB")
            end_ms = at_ms + round(image.info["duration"])
            frames.append((at_ms, end_ms, shown))
            at_ms = end_ms
    return frames


def at(frames: list[tuple[int, int, Image.Image]], ms: int) -> Image.Image:
    """Returns the picture that is shown at a time."""
    return next(image for start, end, image in frames if start <= ms < end)
