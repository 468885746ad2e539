"""The sound track: detects its format, decodes it in a stream, applies offset, gain, length and fade-out.

PyAV (the libraries of FFmpeg) is imported when a sound is decoded. It gets the detected format and the open file, and
does not open files itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetOpener, AssetRef, permanent_asset_error, storage_errors
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.picture_cache import InspectedAsset
from previewops.worker.render.storyboard import Sound, Storyboard

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

SAMPLES_PER_S = 48_000
_FADE_MS = 1_000
_HEAD_BYTES = 16
_ALLOWED = "WAV, MP3, Ogg, FLAC, AAC or M4A"
_CODECS = ("aac", "alac", "flac", "mp3", "mp3float", "opus", "libopus", "vorbis", "libvorbis")


def detect_demuxer(head: bytes) -> str | None:
    """Returns FFmpeg's name of the format by its first 16 bytes; None for unsupported formats."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] == b"ftyp":
        return "mov"
    for mark, name in ((b"OggS", "ogg"), (b"fLaC", "flac"), (b"ID3", "mp3")):
        if head.startswith(mark):
            return name
    # MPEG audio frame header: eleven set bits, version, layer. ADTS has layer 0.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3" if head[1] >> 1 & 3 else "aac"
    return None


def detect_sound_format(ref: AssetRef, file: BinaryIO) -> str:
    """Returns FFmpeg's name of the format of ``file``, by its signature.

    Raises:
        PermanentJobError: asset-unsupported.
    """
    with storage_errors():
        file.seek(0)
        head = file.read(_HEAD_BYTES)
        file.seek(0)
    demuxer = detect_demuxer(head)
    if demuxer is None:
        found = f"a file that starts with the bytes {head[:8].hex(' ')}" if head else "an empty file"
        raise _unsupported(ref, "not a supported sound format", found)
    return demuxer


def _unsupported(ref: AssetRef, message: str, found: str) -> PermanentJobError:
    hint = "convert the sound to one of these formats"
    return permanent_asset_error("asset-unsupported", ref, message, found=found, allowed=_ALLOWED, hint=hint)


def silence_ffmpeg() -> None:
    """Disables FFmpeg's own log output: errors of a file are raised as exceptions."""
    import av  # noqa: PLC0415 - slow to import, and most jobs need none

    av.logging.set_level(av.logging.PANIC)


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """Decodes the sound of an animation of ``length_ms`` from the open ``file`` of the asset ``ref``."""

    ref: AssetRef
    file: BinaryIO
    sound: Sound
    length_ms: int

    def frames(self) -> Iterator[AudioFrame]:
        """Yields stereo frames at 48 kHz, from the start of the animation to its end or to the end of the sound.

        Raises:
            PermanentJobError: asset-unsupported, asset-corrupt.
        """
        import av  # noqa: PLC0415 - slow to import, and most jobs need none

        silence_ffmpeg()
        demuxer = detect_sound_format(self.ref, self.file)
        try:
            with av.open(self.file, "r", format=demuxer) as container:
                yield from self._decode(container)
        except (av.FFmpegError, ValueError, IndexError, OverflowError) as error:
            raise self._corrupt(str(error) or type(error).__name__) from error

    def _decode(self, container: Any) -> Iterator[AudioFrame]:
        if not container.streams.audio:
            raise self._corrupt("it has no sound stream")
        stream = container.streams.audio[0]
        codec = stream.codec_context.name
        if codec not in _CODECS and not codec.startswith("pcm_"):
            raise _unsupported(self.ref, f"unsupported sound codec {codec}", codec)
        graph = None
        left = self.length_ms * SAMPLES_PER_S // 1000
        for frame in container.decode(stream):
            graph = graph or self._build_graph(frame)
            graph.push(frame)
            for resampled in _pull(graph):
                left -= resampled.samples
                yield resampled
            if left <= 0:
                return
        if graph is None:
            raise self._corrupt("it ends before the first sound frame")
        graph.push(None)
        yield from _pull(graph)

    def _build_graph(self, first: AudioFrame) -> Any:
        from av.filter import Graph  # noqa: PLC0415

        graph = Graph()
        fade_s = min(_FADE_MS, self.length_ms // 4) / 1000
        length_s = self.length_ms / 1000
        nodes = [
            graph.add_abuffer(
                sample_rate=first.sample_rate,
                format=first.format.name,
                layout=first.layout.name,
                time_base=first.time_base,
            ),
            graph.add("aresample", str(SAMPLES_PER_S)),
            graph.add("aformat", "sample_fmts=fltp:channel_layouts=stereo"),
            # Start at the first sample; ignore the timestamps of the file.
            graph.add("asetpts", "N/SR/TB"),
            graph.add("volume", f"{self.sound.gain_db:.6f}dB"),
            graph.add("adelay", f"delays={self.sound.offset_ms}:all=1"),
            graph.add("atrim", f"end={length_s:.3f}"),
            graph.add("afade", f"t=out:st={length_s - fade_s:.3f}:d={fade_s:.3f}"),
            graph.add("abuffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph

    def _corrupt(self, error: str) -> PermanentJobError:
        return permanent_asset_error(
            "asset-corrupt",
            self.ref,
            f"its sound cannot be decoded: {error}",
            found=error,
            allowed=f"a complete {_ALLOWED} file",
            hint="export or upload the sound again",
        )


def check_sound(
    storyboard: Storyboard,
    inspected: dict[str, InspectedAsset],
    opener: AssetOpener,
    limits: RenderLimits,
    *,
    decode: bool,
) -> None:
    """Rejects an invalid sound track; with gaps allowed, it records the error in ``inspected`` instead.

    With ``decode`` and gaps allowed, it decodes the whole sound: a video that was started with a sound track cannot
    continue without it. Without gaps allowed, encoding the video finds the same errors.

    Raises:
        PermanentJobError: asset-unsupported, and errors of ``opener``.
        TransientJobError: from ``opener``.
    """
    sound = storyboard.animation_sound
    if sound is None or inspected[sound.asset_id].error is not None:
        return
    ref = storyboard.assets[sound.asset_id].ref
    try:
        with opener.open(ref, max_bytes=limits.asset_bytes).file as file:
            detect_sound_format(ref, file)
            if decode and storyboard.allow_gaps:
                for _ in SoundTrack(ref, file, sound, storyboard.duration_ms).frames():
                    pass
    except PermanentJobError as error:
        if not storyboard.allow_gaps:
            raise
        inspected[sound.asset_id] = InspectedAsset(0, (), None, error)


def _pull(graph: Any) -> Iterator[AudioFrame]:
    while True:
        try:
            yield graph.pull()
        except (BlockingIOError, EOFError):
            return
