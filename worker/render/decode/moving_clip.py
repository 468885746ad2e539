"""Videos that play: measured from their packets, decoded one frame after the other.

What a file claims about its duration does not count, only the times of its packets do.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from PIL import Image

from previewops.file_kinds import FileKind
from previewops.worker.render.decode.clip_picture import ClipPicture, decoding_bytes, frame_image, open_video
from previewops.worker.render.decode.errors import picture_error
from previewops.worker.render.decode.motion import DamageNotes, Motion, MovingFrame
from previewops.worker.render.decode.open_picture import PictureSource
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.storyboard import Playback

_MAX_PACKETS = 1_000_000  # of a file that plays, a part of it or all
_UNKNOWN_FRAME_US = 40_000
_LONGEST_LAST_FRAME_US = 10_000_000
_SHORT_US = 500_000  # a file that is shorter than it claims by more than this is cut
_US = 1_000_000


@dataclass(slots=True)
class _Packets:
    """Times of the packets of a video, µs after its first frame; ``keys`` has 1 for each key frame."""

    starts: array[int] = field(default_factory=lambda: array("q"))
    ends: array[int] = field(default_factory=lambda: array("q"))
    keys: bytearray = field(default_factory=bytearray)
    first_us: int = 0

    @property
    def duration_us(self) -> int:
        return max(self.ends) - self.first_us

    def decoded(self, start_us: int, end_us: int) -> int:
        """How many packets are decoded to show the frames from ``start_us`` to ``end_us``."""
        low, high = self.first_us + start_us, self.first_us + end_us
        first = max((at for at, key in enumerate(self.keys) if key and self.starts[at] <= low), default=0)
        return sum(self.starts[at] < high for at in range(first, len(self.starts)))


def measure_clip(source: PictureSource, kind: FileKind, playback: Playback) -> Motion:
    """Measures the part of a video that plays.

    Raises:
        PermanentJobError: asset-trim-outside, asset-too-many-frames, and as ``ClipPicture.open``.
        ValueError: no frame.
    """
    shown = ClipPicture.open(source, kind).size
    with open_video(source, kind) as (container, stream):
        packets = _read_packets(source, container, stream)
        if not packets.starts:
            raise ValueError("no frame")
        total_us = packets.duration_us
        start_us = playback.start_ms * 1_000
        end_us = total_us if playback.end_ms is None else min(total_us, playback.end_ms * 1_000)
        check_start(source, playback, total_us)
        coded = Size(stream.codec_context.width, stream.codec_context.height)
        claimed_us = int(container.duration or 0)
        notes: tuple[str, ...] = ()
        if claimed_us > total_us + _SHORT_US and end_us == total_us:
            notes = (f"the end of the file is missing; it plays for {total_us / _US:.1f} s",)
        return Motion(
            frames=packets.decoded(start_us, end_us),
            duration_us=end_us - start_us,
            size=coded if coded.pixels > shown.pixels else shown,
            memory_bytes=decoding_bytes(stream),
            sound_delay_us=_sound_delay(container, packets.first_us),
            is_opaque=True,
            notes=notes,
        )


def check_start(source: PictureSource, playback: Playback, total_us: int) -> None:
    """Raises PermanentJobError "asset-trim-outside" for a part that starts behind the end."""
    if playback.start_ms * 1_000 >= total_us:
        raise picture_error(
            source.ref,
            "asset-trim-outside",
            found=f"a part that starts at {playback.start_ms} ms",
            allowed=f"a start below {total_us // 1_000} ms, where it ends",
            hint="correct the asset's trim",
        )


@dataclass(slots=True)
class MovingClip:
    """An open video that plays."""

    source: PictureSource
    kind: FileKind
    playback: Playback
    motion: Motion
    notes: list[str] = field(default_factory=list)

    def frames(self, size: Size) -> Iterator[MovingFrame]:
        """See ``MovingPicture``."""
        shown, at_us = None, 0  # the frame of the start, until it is yielded
        is_started = False
        try:
            with open_video(self.source, self.kind) as (container, stream):
                for at_us, frame in self._timed(container, stream):
                    if at_us <= 0 or (not is_started and shown is None):
                        shown = frame
                        continue
                    if not is_started:
                        yield self._moving(0, shown, size)
                        is_started, shown = True, None
                    if at_us >= self.motion.duration_us:
                        return
                    yield self._moving(at_us, frame, size)
        except ValueError:
            DamageNotes("video", self.notes).add_end(max(0, at_us))
        if shown is not None:
            yield self._moving(0, shown, size)

    def _timed(self, container: Any, stream: Any) -> Iterator[tuple[int, Any]]:
        """Yields each decoded frame with its time after the start of what plays, which never falls.

        Raises ValueError where a packet cannot be decoded.
        """
        start_us = _first_us(container, stream) + self.playback.start_ms * 1_000
        if self.playback.start_ms:
            container.seek(int(start_us / _US / stream.time_base), stream=stream)
        last_us = -(1 << 62)
        for count, frame in enumerate(_decoded(container, stream)):
            too_large = frame.width * frame.height > self.motion.size.pixels * 4
            if too_large or count > self.source.limits.played_frames:
                raise ValueError("larger, or more of them, than the header says")
            if frame.pts is None:
                continue
            last_us = max(last_us, _to_us(frame.pts, frame.time_base) - start_us)
            yield last_us, frame

    def _moving(self, at_us: int, frame: Any, size: Size) -> MovingFrame:
        return MovingFrame(at_us, partial(self._draw, at_us, frame, size))

    def _draw(self, at_us: int, frame: Any, size: Size) -> Image.Image | None:
        try:
            return frame_image(frame, size)
        except (ValueError, OverflowError):
            DamageNotes("video", self.notes).add_end(at_us)
            return None


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise ValueError("a packet that is not whole")
        yield from packet.decode()


def _read_packets(source: PictureSource, container: Any, stream: Any) -> _Packets:
    packets, base = _Packets(), stream.time_base
    for packet in container.demux(stream):
        if packet.pts is None or packet.is_discard or packet.is_corrupt or packet.size == 0:
            continue
        if len(packets.starts) == _MAX_PACKETS:
            raise picture_error(
                source.ref,
                "asset-too-many-frames",
                found=f"more than {_MAX_PACKETS} frames",
                allowed=f"at most {_MAX_PACKETS} frames in a video that plays",
                hint="cut the part that plays out of the video",
            )
        packets.starts.append(_to_us(packet.pts, base))
        packets.ends.append(packets.starts[-1] + _to_us(packet.duration or 0, base))
        packets.keys.append(packet.is_keyframe)
    if packets.starts:
        packets.first_us = _first_us(container, stream, min(packets.starts))
        _complete_last(packets)
    return packets


def _complete_last(packets: _Packets) -> None:
    """Gives the last frame a duration if the file has none: that of the frame in front of it."""
    last = max(range(len(packets.starts)), key=packets.starts.__getitem__)
    if packets.ends[last] > packets.starts[last]:
        return
    before = max((start for start in packets.starts if start < packets.starts[last]), default=None)
    gap_us = _UNKNOWN_FRAME_US if before is None else packets.starts[last] - before
    packets.ends[last] = packets.starts[last] + min(gap_us, _LONGEST_LAST_FRAME_US)


def _first_us(container: Any, stream: Any, default: int = 0) -> int:
    """The time of the first frame, µs."""
    if stream.start_time is not None:
        return _to_us(stream.start_time, stream.time_base)
    return default


def _sound_delay(container: Any, first_us: int) -> int | None:
    if not container.streams.audio:
        return None
    stream = container.streams.audio[0]
    return _to_us(stream.start_time, stream.time_base) - first_us if stream.start_time is not None else 0


def _to_us(count: int, time_base: Any) -> int:
    return int(count * time_base.numerator * _US // time_base.denominator)
