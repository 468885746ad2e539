"""Mixes the sound track with the sounds of videos that play, so that speech stays understandable.

Everything is stereo, 32-bit floats at 48 kHz. PyAV (the libraries of FFmpeg) is imported when a sound is mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

from previewops.job_errors import PermanentJobError
from previewops.worker.render.decode.sound_file import SAMPLES_PER_S, SoundFile, silence_ffmpeg
from previewops.worker.render.encode.sound import SoundTrack
from previewops.worker.render.storyboard import Asset

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_SAMPLES_PER_MS = SAMPLES_PER_S // 1_000
_CHUNK = 1_024  # samples
_EDGE_MS = 20  # fade at both ends of a clip's sound: a cut would click
# Lowers clips by up to 18 dB while the sound track is louder than -34 dB, within 20 ms; they return within half a
# second. Level 1 keeps the gain of the sound track itself.
_DUCKING = "threshold=0.02:ratio=12:attack=20:release=500:knee=2:makeup=1"
_LIMITER = "limit=0.95:attack=5:release=50:level=0:latency=1"


@dataclass(frozen=True, slots=True)
class ClipSound:
    """The sound of a video that plays from ``start_ms`` of the animation for ``length_ms``.

    ``trim_ms`` is where it starts in the file, and ``delay_ms`` by how much the sound of the file starts later than
    its pictures.
    """

    asset: Asset
    start_ms: int
    length_ms: int
    trim_ms: int
    delay_ms: int


@dataclass(slots=True)
class MixedSound:
    """The sound of an animation of ``length_ms``: the sound track, if there is one, over the sounds of clips.

    ``clips`` are in the order of their start; ``open_asset`` opens the file of one until its stack is closed.
    """

    length_ms: int
    clips: Sequence[ClipSound]
    track: SoundTrack | None
    open_asset: Callable[[Asset, ExitStack], BinaryIO]
    notes: dict[str, list[str]] = field(default_factory=dict)  # by asset id: what is not heard

    def frames(self) -> Iterator[AudioFrame]:
        """Yields the sound in order, up to the end of the last of its parts.

        Raises:
            PermanentJobError: from the sound track. A clip that cannot be heard is silent.
        """
        silence_ffmpeg()
        clips = self._clip_frames()
        sound = clips if self.track is None else _ducked(self.track.frames(), clips)
        yield from _filtered(sound, [("asetpts", "N/SR/TB"), ("atrim", f"end={self.length_ms / 1_000:.3f}")])

    def notes_by_asset(self) -> dict[str, tuple[str, ...]]:
        """Sentences about what is not heard, by asset id; complete after the last frame."""
        notes = {name: tuple(dict.fromkeys(listed)) for name, listed in self.notes.items() if listed}
        if self.track is not None:
            notes |= self.track.notes_by_asset()
        return notes

    def _clip_frames(self) -> Iterator[AudioFrame]:
        """The sounds of all clips, with silence between them."""
        at_ms = 0
        for start_ms, clips in _by_start(self.clips):
            yield from _silence((start_ms - at_ms) * _SAMPLES_PER_MS)
            at_ms = start_ms + max(clip.length_ms for clip in clips)
            with ExitStack() as opened:
                yield from _mixed([self._clip(clip, opened) for clip in clips])

    def _clip(self, clip: ClipSound, opened: ExitStack) -> Iterator[AudioFrame]:
        """The sound of one clip, as long as its step; silent from where it cannot be decoded."""
        left = clip.length_ms * _SAMPLES_PER_MS
        notes = self.notes.setdefault(clip.asset.ref.id, [])
        try:
            sound = SoundFile.open(clip.asset.ref, self.open_asset(clip.asset, opened))
            for frame in _cut(sound.frames(), clip):
                left -= frame.samples
                yield frame
            notes += sound.notes
        except PermanentJobError as error:
            notes.append(f"its sound cannot be played: {error.message}")
        yield from _silence(left)


def _by_start(clips: Sequence[ClipSound]) -> Iterator[tuple[int, list[ClipSound]]]:
    starts = dict.fromkeys(clip.start_ms for clip in clips)
    for start_ms in starts:
        yield start_ms, [clip for clip in clips if clip.start_ms == start_ms]


def _cut(frames: Iterable[AudioFrame], clip: ClipSound) -> Iterator[AudioFrame]:
    """Yields the part of a clip's sound that is heard, as long as its step at most."""
    skip_ms = clip.trim_ms - clip.delay_ms
    edge_s, end_s = _EDGE_MS / 1_000, clip.length_ms / 1_000
    steps = [
        ("asetpts", "N/SR/TB"),
        ("atrim", f"start={max(0, skip_ms) / 1_000:.3f}"),
        ("asetpts", "PTS-STARTPTS"),
        ("adelay", f"delays={max(0, -skip_ms)}:all=1"),
        ("atrim", f"end={end_s:.3f}"),
        ("afade", f"t=in:d={edge_s:.3f}"),
        ("afade", f"t=out:st={max(0.0, end_s - edge_s):.3f}:d={edge_s:.3f}"),
    ]
    wanted = (max(0, skip_ms) + clip.length_ms) * _SAMPLES_PER_MS
    return _filtered(_until(frames, wanted), steps)


def _until(frames: Iterable[AudioFrame], samples: int) -> Iterator[AudioFrame]:
    """Yields frames until they have so many samples, so that no more of a long file is decoded."""
    for frame in frames:
        yield frame
        samples -= frame.samples
        if samples <= 0:
            return


def _ducked(track: Iterator[AudioFrame], clips: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    """The sound track, and clips that are quieter while it is heard."""

    def connect(graph: Any, inputs: list[Any]) -> Any:
        split = graph.add("asplit", "2")
        duck, mix = graph.add("sidechaincompress", _DUCKING), graph.add("amix", _mix_options(2))
        inputs[0].link_to(split)
        inputs[1].link_to(duck, 0, 0)
        split.link_to(duck, 0, 1)
        split.link_to(mix, 1, 0)
        duck.link_to(mix, 0, 1)
        return mix

    return _joined([track, clips], connect)


def _mixed(sounds: list[Iterator[AudioFrame]]) -> Iterator[AudioFrame]:
    if len(sounds) == 1:
        return sounds[0]

    def connect(graph: Any, inputs: list[Any]) -> Any:
        mix = graph.add("amix", _mix_options(len(inputs)))
        for number, source in enumerate(inputs):
            source.link_to(mix, 0, number)
        return mix

    return _joined(sounds, connect)


def _mix_options(count: int) -> str:
    return f"inputs={count}:duration=longest:normalize=0:dropout_transition=0"


def _joined(
    sounds: Sequence[Iterator[AudioFrame]], connect: Callable[[Any, list[Any]], Any]
) -> Iterator[AudioFrame]:
    """Feeds equally long chunks of all ``sounds`` to a graph until the last one ends; the others are silent then."""
    from av.filter import Graph  # noqa: PLC0415

    graph = Graph()
    inputs = [_input(graph) for _ in sounds]
    limiter, plain = graph.add("alimiter", _LIMITER), graph.add("aformat", "sample_fmts=fltp")
    sink = graph.add("abuffersink")
    connect(graph, inputs).link_to(limiter)
    limiter.link_to(plain)
    plain.link_to(sink)
    graph.configure()
    chunks = [_chunks(sound) for sound in sounds]
    at = 0
    while True:
        made = [next(chunk, None) for chunk in chunks]
        if all(chunk is None for chunk in made):
            break
        for source, chunk in zip(inputs, made, strict=True):
            frame = chunk if chunk is not None else next(_silence(_CHUNK))
            frame.pts, frame.time_base = at, Fraction(1, SAMPLES_PER_S)
            source.push(frame)
        at += _CHUNK
        yield from _pulled(sink)
    for source in inputs:
        source.push(None)
    yield from _pulled(sink)


def _chunks(sound: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    """Yields the sound in chunks of equal length; the last one is filled with silence."""
    from av import AudioFifo  # noqa: PLC0415

    fifo = AudioFifo()
    for frame in sound:
        frame.pts = None
        fifo.write(frame)
        while (chunk := fifo.read(_CHUNK)) is not None:
            yield chunk
    if fifo.samples:
        for frame in _silence(_CHUNK - fifo.samples):
            fifo.write(frame)
        while (chunk := fifo.read(_CHUNK)) is not None:
            yield chunk


def _filtered(frames: Iterable[AudioFrame], steps: list[tuple[str, str]]) -> Iterator[AudioFrame]:
    from av.filter import Graph  # noqa: PLC0415

    graph = Graph()
    source, sink = _input(graph), graph.add("abuffersink")
    nodes = [source, *(graph.add(name, options) for name, options in steps), sink]
    graph.link_nodes(*nodes).configure()
    for frame in frames:
        source.push(frame)
        yield from _pulled(sink)
    source.push(None)
    yield from _pulled(sink)


def _input(graph: Any) -> Any:
    return graph.add_abuffer(
        sample_rate=SAMPLES_PER_S, format="fltp", layout="stereo", time_base=Fraction(1, SAMPLES_PER_S)
    )


def _pulled(sink: Any) -> Iterator[AudioFrame]:
    while True:
        try:
            yield sink.pull()
        except (BlockingIOError, EOFError):
            return


def _silence(samples: int) -> Iterator[AudioFrame]:
    """Yields silence of so many samples."""
    import av  # noqa: PLC0415

    while samples > 0:
        count = min(samples, _CHUNK)
        frame = av.AudioFrame("fltp", "stereo", count)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.time_base = SAMPLES_PER_S, Fraction(1, SAMPLES_PER_S)
        samples -= count
        yield frame
