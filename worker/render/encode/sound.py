"""The sound track: recognised by its content, decoded a piece at a time, shifted, amplified and faded to length.

PyAV (FFmpeg's libraries) is loaded when a sound is decoded and not before. It is told which format to expect, of
a few, and given the open file; it opens nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from previewops.errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef, permanent_asset_error, storage_errors
from previewops.worker.render.storyboard import Sound

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

SAMPLES_PER_S = 48_000
_FADE_MS = 1_000
_HEAD_BYTES = 16
_ALLOWED = "WAV, MP3, Ogg, FLAC, AAC or M4A"
_CODECS = ("aac", "alac", "flac", "mp3", "mp3float", "opus", "libopus", "vorbis", "libvorbis")


def detect_demuxer(head: bytes) -> str | None:
    """FFmpeg's name of the format that begins with ``head`` (16 bytes); None for one that is not read."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] == b"ftyp":
        return "mov"
    begins = {b"OggS": "ogg", b"fLaC": "flac", b"ID3": "mp3"}
    for mark, name in begins.items():
        if head.startswith(mark):
            return name
    # The header of an MPEG audio frame: eleven set bits, the version, the layer. ADTS has layer 0.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3" if head[1] >> 1 & 3 else "aac"
    return None


def detect_sound_format(ref: AssetRef, file: BinaryIO) -> str:
    """FFmpeg's name of the format of ``file``, by its signature.

    Raises:
        PermanentJobError: asset-unsupported.
    """
    with storage_errors():
        file.seek(0)
        head = file.read(_HEAD_BYTES)
        file.seek(0)
    demuxer = detect_demuxer(head)
    if demuxer is None:
        raise permanent_asset_error(
            "asset-unsupported",
            ref,
            "it is no sound that is read here",
            found=f"a file that begins with the bytes {head[:8].hex(' ')}" if head else "an empty file",
            allowed=_ALLOWED,
            hint="convert the sound to one of those",
        )
    return demuxer


def silence_ffmpeg() -> None:
    """Keeps FFmpeg from writing to the log: what it has to say of a hostile file is no news to whoever reads that."""
    import av  # noqa: PLC0415 - heavy, and most jobs have neither sound nor video

    av.logging.set_level(av.logging.PANIC)


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """The sound of one animation of ``length_ms``, from the open ``file`` of the asset ``ref``."""

    ref: AssetRef
    file: BinaryIO
    sound: Sound
    length_ms: int

    def frames(self) -> Iterator[AudioFrame]:
        """Stereo at 48 kHz, from the animation's first moment to its last or to the sound's end.

        Raises:
            PermanentJobError: asset-unsupported, asset-corrupt.
        """
        import av  # noqa: PLC0415 - heavy, and most jobs have no sound

        silence_ffmpeg()
        demuxer = detect_sound_format(self.ref, self.file)
        try:
            with av.open(self.file, "r", format=demuxer) as container:
                yield from self._decode(container)
        except (av.FFmpegError, ValueError, IndexError, OverflowError) as error:
            raise self._corrupt(str(error) or type(error).__name__) from error

    def _decode(self, container: Any) -> Iterator[AudioFrame]:
        if not container.streams.audio:
            raise self._corrupt("there is no sound in it")
        stream = container.streams.audio[0]
        codec = stream.codec_context.name
        if codec not in _CODECS and not codec.startswith("pcm_"):
            raise permanent_asset_error(
                "asset-unsupported",
                self.ref,
                f"its sound is encoded as {codec}",
                found=codec,
                allowed=_ALLOWED,
                hint="convert the sound to one of those",
            )
        graph = None
        left = self.length_ms * SAMPLES_PER_S // 1000
        for frame in container.decode(stream):
            graph = graph or self._build_graph(frame)
            graph.push(frame)
            for made in _pull(graph):
                left -= made.samples
                yield made
            if left <= 0:
                return
        if graph is None:
            raise self._corrupt("it ends before its first sound")
        graph.push(None)
        yield from _pull(graph)

    def _build_graph(self, first: AudioFrame) -> Any:
        """Offset, gain, length and fade, as a chain of FFmpeg's filters."""
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
            # From the first sample on, whatever the file says of its time.
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
            f"its sound does not decode: {error}",
            found=error,
            allowed=f"a whole {_ALLOWED} file",
            hint="export or upload the sound again",
        )


def _pull(graph: Any) -> Iterator[AudioFrame]:
    while True:
        try:
            yield graph.pull()
        except (BlockingIOError, EOFError):
            return
