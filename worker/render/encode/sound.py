"""The sound track: applies offset, gain, length and fade-out to a decoded sound.

PyAV (the libraries of FFmpeg) is imported when a sound is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetOpener, AssetRef
from previewops.worker.render.decode.sound_file import SAMPLES_PER_S, SoundFile
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.picture_cache import InspectedAsset
from previewops.worker.render.storyboard import Sound, Storyboard

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_FADE_MS = 1_000


class SoundSource(Protocol):
    """The sound of an animation."""

    def frames(self) -> Iterator[AudioFrame]:
        """Yields stereo frames at 48 kHz, in order."""

    def notes_by_asset(self) -> dict[str, tuple[str, ...]]:
        """Sentences about what is not heard, by asset id; complete after the last frame."""


@dataclass(slots=True)
class SoundTrack:
    """Decodes the sound of an animation of ``length_ms`` from the open ``file`` of the asset ``ref``.

    ``from_ms`` is the time in the whole preview at which the animation starts.
    ``notes`` are sentences about what is not heard of the file; complete after the last frame.
    """

    ref: AssetRef
    file: BinaryIO
    sound: Sound
    length_ms: int
    from_ms: int = 0
    notes: list[str] = field(default_factory=list)

    def frames(self) -> Iterator[AudioFrame]:
        """Yields stereo frames at 48 kHz, from the start of the animation to its end or to the end of the sound.

        Raises:
            PermanentJobError: asset-unsupported, asset-corrupt.
        """
        source = SoundFile.open(self.ref, self.file)
        graph = None
        left = self.length_ms * SAMPLES_PER_S // 1000
        try:
            for frame in source.frames():
                graph = graph or self._build_graph(frame)
                graph.push(frame)
                for filtered in _pull(graph):
                    left -= filtered.samples
                    yield filtered
                if left <= 0:
                    return
        finally:
            self.notes[:] = source.notes
        if graph is not None:
            graph.push(None)
            yield from _pull(graph)

    def notes_by_asset(self) -> dict[str, tuple[str, ...]]:
        """See ``SoundSource``."""
        return {self.ref.id: tuple(self.notes)} if self.notes else {}

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
            # Start at the first sample.
            graph.add("asetpts", "N/SR/TB"),
            graph.add("volume", f"{self.sound.gain_db:.6f}dB"),
            graph.add("adelay", f"delays={self.sound.offset_ms}:all=1"),
            *self._skip(graph),
            graph.add("atrim", f"end={length_s:.3f}"),
            graph.add("afade", f"t=out:st={length_s - fade_s:.3f}:d={fade_s:.3f}"),
            graph.add("abuffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph

    def _skip(self, graph: Any) -> list[Any]:
        """Returns the nodes that skip the sound before the animation."""
        if not self.from_ms:
            return []
        return [graph.add("atrim", f"start={self.from_ms / 1000:.3f}"), graph.add("asetpts", "N/SR/TB")]


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
            SoundFile.open(ref, file)
            if decode and storyboard.allow_gaps:
                for _ in SoundTrack(ref, file, sound, storyboard.shown_ms, storyboard.shown_from_ms).frames():
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
