"""Sound files, decoded as browsers play them: behind tags and junk, over damaged parts, to where they are cut.

PyAV (the libraries of FFmpeg) is imported when a sound is decoded. It gets the recognized format and the open file,
and does not open files itself.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from previewops.file_kinds import (
    AAC,
    FLAC,
    HEAD_BYTES,
    M4A,
    MOV,
    MP3,
    MP4,
    OGG,
    SOUNDS,
    WAV,
    WEBM,
    FileKind,
    detect_kind,
    find_sound,
    list_names,
)
from previewops.job_errors import JobError, PermanentJobError
from previewops.worker.assets.opener import AssetRef, permanent_asset_error, storage_errors
from previewops.worker.render.decode.file_views import max_blocks, view_parts

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

SAMPLES_PER_S = 48_000
_ALLOWED = list_names(SOUNDS)
_CODECS = ("aac", "alac", "flac", "mp3", "mp3float", "opus", "libopus", "vorbis", "libvorbis")
_ALLOWED_CODECS = "PCM, MP3, AAC, ALAC, FLAC, Opus or Vorbis"
_DEMUXERS = {
    **{WAV: "wav", MP3: "mp3", OGG: "ogg", FLAC: "flac", AAC: "aac"},
    **{M4A: "mov", MP4: "mov", MOV: "mov", WEBM: "matroska"},
}
_MAX_TAGS = 16
_UNKNOWN_WAV_BYTES = 0x7FFF_0000  # programs that write to a pipe claim this much or more
_SHORTEST_GAP_S, _LONGEST_GAP_S = 0.05, 60.0
_SHORT_S = 0.5  # a sound that is shorter than claimed by more than this is cut
_XING_AREA_BYTES = 200


def silence_ffmpeg() -> None:
    """Disables FFmpeg's own log output: errors of a file are raised as exceptions."""
    import av  # noqa: PLC0415 - slow to import, and most jobs need none

    av.logging.set_level(av.logging.PANIC)


class _Part(NamedTuple):
    """A range of a file that is a sound of its own."""

    start: int
    end: int


@dataclass(slots=True)
class SoundFile:
    """An open sound file. ``notes`` are sentences about what is not heard of it; complete after decoding."""

    ref: AssetRef
    file: BinaryIO
    kind: FileKind
    parts: tuple[_Part, ...]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, ref: AssetRef, file: BinaryIO) -> SoundFile:
        """Recognizes the sound in ``file`` by its content.

        Raises:
            PermanentJobError: asset-unsupported.
        """
        with storage_errors():
            size = file.seek(0, io.SEEK_END)
            kind, start, junk_bytes = _recognize(ref, file)
            parts = _ogg_parts(file, start, size) if kind is OGG else (_Part(start, size),)
            is_cut = _claims_more(kind, file, start, size)
        sound = cls(ref, file, kind, parts)
        if junk_bytes:
            sound.notes.append(f"the first {junk_bytes} bytes are not sound and were skipped")
        if is_cut:
            sound.notes.append("the end of the file is missing, and with it the end of the sound")
        return sound

    def frames(self) -> Iterator[AudioFrame]:
        """Yields stereo frames of 32-bit floats at 48 kHz. Damaged parts are silent.

        Raises:
            PermanentJobError: asset-unsupported, asset-corrupt.
        """
        import av  # noqa: PLC0415 - slow to import, and most jobs need none

        silence_ffmpeg()
        decoding = _Decoding(self)
        try:
            for part in self.parts:
                view = view_parts(self.file, [range(part.start, part.end)])
                with av.open(view, "r", format=_DEMUXERS[self.kind]) as container:
                    yield from decoding.run(container)
        except (JobError, MemoryError):  # FFmpeg's MemoryError is one of its errors as well
            raise
        except (av.FFmpegError, ValueError, IndexError, OverflowError) as error:
            if decoding.samples == 0:
                raise self.damaged() from error
            decoding.lose_rest()
        if decoding.samples == 0:
            raise self.damaged("without a whole frame")
        self.notes += decoding.notes()

    def damaged(self, what: str = "that cannot be decoded") -> PermanentJobError:
        """Returns the error of a file without any sound that can be heard."""
        found = f"{self.kind.name} sound {what}"
        allowed = f"a complete {_ALLOWED} file"
        message = f"found {found}, allowed {allowed}"
        return permanent_asset_error(
            "asset-corrupt",
            self.ref,
            message,
            found=found,
            allowed=allowed,
            hint="export or upload the sound again",
        )

    def unsupported_codec(self, codec: str) -> PermanentJobError:
        """Returns the error of a codec that is not decoded here."""
        return _unsupported(self.ref, f"{self.kind.name} with the codec {codec}", _ALLOWED_CODECS)


class _Decoding:
    """Decodes the parts of a file one after the other, in a constant format."""

    def __init__(self, sound: SoundFile) -> None:
        self._sound = sound
        self._resampler: Any = None
        self._format: tuple[Any, ...] = ()
        self.samples = 0  # at 48 kHz
        self._lost_samples = 0
        self._next_s: float | None = None  # when the next frame should start, by the clock of the file
        self._is_short = False

    def run(self, container: Any) -> Iterator[AudioFrame]:
        """Yields the frames of one container."""
        import av  # noqa: PLC0415

        if not container.streams.audio:
            raise self._sound.damaged("without a sound stream")
        stream = container.streams.audio[0]
        codec: str = getattr(stream.codec_context, "name", "unknown")
        if codec not in _CODECS and not codec.startswith("pcm_"):
            raise self._sound.unsupported_codec(codec)
        before, self._next_s = self.samples, None
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except (av.FFmpegError, ValueError, OverflowError):
                yield from self._silence(packet)
                continue
            for frame in frames:
                if self._sound.kind is OGG:
                    yield from self._gap(frame)
                yield from self._resampled(frame)
        yield from self._flushed()
        claimed_s = float(stream.duration * stream.time_base) if stream.duration else 0.0
        if (
            self._sound.kind in (FLAC, M4A, MP4, MOV)
            and (self.samples - before) / SAMPLES_PER_S < claimed_s - _SHORT_S
        ):
            self._is_short = True

    def lose_rest(self) -> None:
        """Notes that the rest of the file is not heard."""
        self._is_short = True

    def notes(self) -> Iterator[str]:
        """Sentences about what is not heard."""
        if self._lost_samples:
            yield f"{self._lost_samples / SAMPLES_PER_S:.2f} s of the sound are damaged and silent"
        if self._is_short:
            yield f"the file is cut or damaged; its sound ends after {self.samples / SAMPLES_PER_S:.1f} s"

    def _resampled(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        import av  # noqa: PLC0415

        layout = (frame.format.name, frame.layout.name, frame.sample_rate)
        if layout != self._format:
            yield from self._flushed()
            self._resampler = av.AudioResampler("fltp", "stereo", SAMPLES_PER_S)
            self._format = layout
        frame.pts = None  # what a file claims about time does not count
        for made in self._resampler.resample(frame):
            self.samples += made.samples
            yield made

    def _flushed(self) -> Iterator[AudioFrame]:
        if self._resampler is not None:
            for made in self._resampler.resample(None):
                self.samples += made.samples
                yield made
        self._resampler, self._format = None, ()

    def _silence(self, packet: Any) -> Iterator[AudioFrame]:
        """Silence as long as a packet that cannot be decoded, so that what follows keeps its time."""
        duration_s = float((packet.duration or 0) * (packet.time_base or Fraction(0)))
        if duration_s > 0 and self.samples > 0:
            yield from self._silent(min(duration_s, _LONGEST_GAP_S))

    def _gap(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Silence as long as the pages that were dropped in front of ``frame``, because their checksum is wrong."""
        if frame.time is None:
            return
        missing_s = frame.time - self._next_s if self._next_s is not None else 0.0
        self._next_s = frame.time + frame.samples / frame.sample_rate
        if _SHORTEST_GAP_S < missing_s < _LONGEST_GAP_S:
            yield from self._silent(missing_s)

    def _silent(self, duration_s: float) -> Iterator[AudioFrame]:
        import av  # noqa: PLC0415

        yield from self._flushed()
        count = max(1, round(duration_s * SAMPLES_PER_S))
        silence = av.AudioFrame("fltp", "stereo", count)
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        silence.sample_rate, silence.time_base = SAMPLES_PER_S, Fraction(1, SAMPLES_PER_S)
        self.samples += count
        self._lost_samples += count
        yield silence


def _unsupported(ref: AssetRef, found: str, allowed: str = _ALLOWED) -> PermanentJobError:
    return permanent_asset_error(
        "asset-unsupported",
        ref,
        f"found {found}, allowed {allowed}",
        found=found,
        allowed=allowed,
        hint="convert the sound to one of these formats",
    )


def _recognize(ref: AssetRef, file: BinaryIO) -> tuple[FileKind, int, int]:
    """The kind of the sound, the offset of its first byte, and how many bytes of junk are in front of it."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    kind = detect_kind(head)
    if kind in _DEMUXERS and not head.startswith(b"ID3") and kind not in (MP3, AAC):
        return kind, 0, 0
    start = 0
    for _ in range(_MAX_TAGS):
        found = find_sound(head)
        if found is None:
            break
        if found.offset < len(head):
            is_padding = start > 0 and not head[: found.offset].strip(b"\0")  # of the tag in front
            return found.kind, start + found.offset, 0 if is_padding else found.junk_bytes
        start += found.offset  # behind a tag that is longer than the head, such as one with a picture
        file.seek(start)
        head = file.read(HEAD_BYTES)
        if not head:
            return found.kind, start, 0
        if not head.startswith(b"ID3") and find_sound(head) is None:
            return MP3, start, 0
    if kind is not None and kind not in _DEMUXERS:
        raise _unsupported(ref, kind.name)
    file.seek(0)
    first = file.read(8)
    raise _unsupported(
        ref, f"a file that starts with the bytes {first.hex(' ')}" if first else "an empty file"
    )


def _claims_more(kind: FileKind, file: BinaryIO, start: int, size: int) -> bool:
    """Whether the file says that it has more bytes than there are."""
    if kind is WAV:
        return _wav_claims_more(file, start, size)
    if kind is MP3:
        return _mp3_claims_more(file, start, size)
    return kind is OGG and not _ogg_has_end(file, start, size)


def _wav_claims_more(file: BinaryIO, start: int, size: int) -> bool:
    at = start + 12
    for _ in range(max_blocks(size)):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return False
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            return at + 8 + length > size and length < _UNKNOWN_WAV_BYTES
        at += 8 + length + length % 2
    return False


def _mp3_claims_more(file: BinaryIO, start: int, size: int) -> bool:
    """Compares with the number of bytes in the first frame, where encoders of variable rates put it."""
    file.seek(start)
    area: bytes = file.read(_XING_AREA_BYTES)
    at: int = max(area.find(b"Xing"), area.find(b"Info"))
    if at < 0 or len(area) < at + 16:
        return False
    flags = int.from_bytes(area[at + 4 : at + 8], "big")
    place = at + 8 + (4 if flags & 1 else 0)
    claimed: int = int.from_bytes(area[place : place + 4], "big") if flags & 2 else 0
    return claimed > size - start + (size - start) // 100 + 1_024


class _Page(NamedTuple):
    start: int
    end: int
    flags: int


_OGG_HEADER_BYTES, _FIRST_PAGE, _LAST_PAGE = 27, 2, 4


def _ogg_pages(file: BinaryIO, at: int, size: int) -> Iterator[_Page]:
    for _ in range(max_blocks(size)):
        file.seek(at)
        head = file.read(_OGG_HEADER_BYTES)
        if len(head) < _OGG_HEADER_BYTES or head[:4] != b"OggS":
            return
        end = at + _OGG_HEADER_BYTES + head[26] + sum(file.read(head[26]))
        yield _Page(at, end, head[5])
        at = end


def _ogg_parts(file: BinaryIO, start: int, size: int) -> tuple[_Part, ...]:
    """The links of a chained file, which may have different rates and channels."""
    starts, before = [], 0
    for page in _ogg_pages(file, start, size):
        if page.flags & _FIRST_PAGE and not before & _FIRST_PAGE:
            starts.append(page.start)
        before = page.flags
    starts = starts or [start]
    return tuple(_Part(first, end) for first, end in zip(starts, [*starts[1:], size], strict=True))


def _ogg_has_end(file: BinaryIO, start: int, size: int) -> bool:
    last = None
    for page in _ogg_pages(file, start, size):
        last = page
    return last is None or (last.flags & _LAST_PAGE != 0 and last.end <= size)
