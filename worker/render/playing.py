"""Plays moving pictures within their cards: how long steps last, and the frames of the animation meanwhile."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import BinaryIO, NamedTuple, Protocol

from PIL import Image

from previewops.contract.limits import DEFAULT_STEP_MS, MIN_STEP_MS
from previewops.job_errors import PermanentJobError
from previewops.worker.render.decode.motion import Motion, MovingFrame, MovingPicture
from previewops.worker.render.encode.frames import RenderedFrame
from previewops.worker.render.encode.sound_mix import ClipSound
from previewops.worker.render.layout.frames import FrameLayout, Placement
from previewops.worker.render.layout.geometry import Box
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.pacing import Change, Pacing, pace_together
from previewops.worker.render.paint import Painter, PlainPictures
from previewops.worker.render.picture_cache import InspectedAsset
from previewops.worker.render.pictures import open_motion
from previewops.worker.render.playing_cells import Cell
from previewops.worker.render.storyboard import Asset, Step, Storyboard
from previewops.worker.render.theme import BLACK, WHITE

_GIF_FPS_MAX = 50
MAX_MOVING = 8
"""Assets that play beside each other in one step."""

_SHARED_FRAMES = 2  # of each picture and further pacing: in memory until this pacing shows them
_DECODED_BYTES = 3  # per pixel of a decoded frame: 4:2:0 with 10 bits per sample

DRAWS_TO_PLAY = 2
"""How often the pictures of a card are drawn before it plays, beside its still."""


class OpenAsset(Protocol):
    """Opens the file of an asset until ``opened`` is closed."""

    def __call__(self, asset: Asset, opened: ExitStack) -> BinaryIO: ...


def with_played_durations(
    storyboard: Storyboard, inspected: Mapping[str, InspectedAsset], limits: RenderLimits
) -> Storyboard:
    """Returns the storyboard with the durations of steps that last as long as what plays in them.

    Raises:
        PermanentJobError: too-long, too-many-played-frames.
    """
    if all(asset.playback is None for asset in storyboard.assets.values()):
        return storyboard
    steps = tuple(_with_duration(storyboard, step, inspected) for step in storyboard.steps)
    timed = replace(storyboard, steps=steps)
    if timed.drawn_steps and timed.shown_ms > limits.length_ms:
        raise _job_error(
            "too-long",
            f"{timed.shown_ms} ms with what plays in it",
            f"at most {limits.length_ms} ms",
            "set the steps' durationMs or the assets' trim, or raise PREVIEW_LENGTH_MAX_S",
        )
    _check_frames(timed, inspected, limits)
    return timed


def _with_duration(storyboard: Storyboard, step: Step, inspected: Mapping[str, InspectedAsset]) -> Step:
    if not step.takes_time_of_assets:
        return step
    motions = _motions(storyboard, step, inspected)
    longest_ms = max((motion.duration_ms for motion in motions), default=DEFAULT_STEP_MS)
    return replace(step, duration_ms=max(MIN_STEP_MS, longest_ms), takes_time_of_assets=False)


def _motions(
    storyboard: Storyboard, step: Step, inspected: Mapping[str, InspectedAsset]
) -> tuple[Motion, ...]:
    motions = (inspected[asset.ref.id].motion for asset in storyboard.pictures_of(step))
    return tuple(motion for motion in motions if motion is not None)


def _check_frames(
    storyboard: Storyboard, inspected: Mapping[str, InspectedAsset], limits: RenderLimits
) -> None:
    """Rejects a job that would decode more frames, or pixels in them, than the limits."""
    frames = pixels = 0
    for step in storyboard.drawn_steps:
        motions = _motions(storyboard, step, inspected)
        passes = max(1, len(decoding_passes(storyboard, motions, limits)))
        for motion in motions:
            count = motion.decoded_frames(step.duration_ms) * passes
            frames, pixels = frames + count, pixels + count * motion.size.pixels
    if frames > limits.played_frames or pixels > limits.played_pixels:
        raise _job_error(
            "too-many-played-frames",
            f"{frames} frames with {pixels} pixels that play",
            f"at most {limits.played_frames} frames and {limits.played_pixels} pixels",
            "trim or scale down the videos, or raise PREVIEW_PLAYED_FRAMES_MAX or PREVIEW_PLAYED_MAX_MP",
        )


def _job_error(code: str, found: str, allowed: str, hint: str) -> PermanentJobError:
    return PermanentJobError(
        code, f"the job: found {found}, allowed {allowed}", hint=hint, found=found, allowed=allowed
    )


def playing_placements(
    layout: FrameLayout, inspected: Mapping[str, InspectedAsset], limits: RenderLimits
) -> tuple[Placement, ...]:
    """Returns the pictures of a step that play: as many, in their order, as fit into memory together."""
    playing: list[Placement] = []
    memory_bytes = 0
    for placement in layout.placements:
        motion = inspected[placement.asset.ref.id].motion
        if motion is None or len(playing) == MAX_MOVING:
            continue
        if playing and memory_bytes + motion.memory_bytes > limits.decoder_bytes:
            continue
        memory_bytes += motion.memory_bytes
        playing.append(placement)
    return tuple(playing)


def played_assets(
    storyboard: Storyboard,
    layouts: Sequence[FrameLayout],
    inspected: Mapping[str, InspectedAsset],
    limits: RenderLimits,
) -> frozenset[str]:
    """Returns the ids of the assets that play in the animation, if there is one."""
    if not storyboard.animations:
        return frozenset()
    placements = (
        placement
        for layout in step_layouts(storyboard, layouts)
        for placement in playing_placements(layout, inspected, limits)
    )
    return frozenset(placement.asset.ref.id for placement in placements)


def step_layouts(storyboard: Storyboard, layouts: Sequence[FrameLayout]) -> tuple[FrameLayout, ...]:
    """Returns those of ``layouts``, of the cards to draw, that show a step: an animation has them all."""
    return tuple(layout for number, layout in zip(storyboard.drawn_cards, layouts, strict=True) if number)


def outputs_by_pacing(storyboard: Storyboard) -> dict[Pacing, tuple[str, ...]]:
    """Returns the animations that show what plays at the same times.

    An animation has the frames that it would have in a job of its own. So animations may differ in them.
    """
    outputs: dict[Pacing, tuple[str, ...]] = {}
    for kind, fps in storyboard.playing_fps.items():
        pacing = Pacing(min(fps, _GIF_FPS_MAX), unit_ms=10, least_ms=20) if kind == "gif" else Pacing(fps)
        outputs[pacing] = (*outputs.get(pacing, ()), kind)
    return outputs


def decoding_passes(
    storyboard: Storyboard, motions: Sequence[Motion], limits: RenderLimits
) -> tuple[tuple[Pacing, ...], ...]:
    """Returns the pacings of the outputs by passes: a card is decoded once if its frames fit into memory for all.

    Each pacing has a card of its own, and frames of each picture, decoded and drawn, that others do not show now.
    """
    pacings = tuple(outputs_by_pacing(storyboard))
    card_bytes = 4 * storyboard.size.pixels
    of_one = card_bytes + sum(
        _SHARED_FRAMES * (card_bytes + _DECODED_BYTES * motion.size.pixels) for motion in motions[:MAX_MOVING]
    )
    decoders = sum(motion.memory_bytes for motion in motions[:MAX_MOVING])
    fits = decoders + of_one * (len(pacings) - 1) <= limits.decoder_bytes
    return (pacings,) if fits and pacings else tuple((pacing,) for pacing in pacings)


def count_frames(storyboard: Storyboard, inspected: Mapping[str, InspectedAsset], kind: str) -> int:
    """Returns how many frames the animation ``kind`` has at most."""
    playing = [step for step in storyboard.drawn_steps if _motions(storyboard, step, inspected)]
    moving = sum(step.duration_ms * storyboard.playing_fps[kind] // 1_000 for step in playing)
    return len(storyboard.cards) + moving


def clip_sounds(
    layout: FrameLayout,
    playing: tuple[Placement, ...],
    inspected: Mapping[str, InspectedAsset],
    start_ms: int,
) -> Iterator[ClipSound]:
    """Yields the sounds of the videos of a card that starts at ``start_ms``."""
    for placement in playing:
        asset, motion = placement.asset, inspected[placement.asset.ref.id].motion
        if asset.playback is None or asset.playback.muted or motion is None or motion.sound_delay_us is None:
            continue
        yield ClipSound(
            asset,
            start_ms,
            length_ms=min(layout.duration_ms, motion.duration_ms),
            trim_ms=asset.playback.start_ms,
            delay_ms=round(motion.sound_delay_us / 1_000),
        )


class _PlayingCard(NamedTuple):
    """A card that plays: what of it, in which places, and its drawn picture for each pacing, which changes."""

    layout: FrameLayout
    playing: tuple[Placement, ...]
    cells: list[Cell]
    images: dict[Pacing, Image.Image]


@dataclass(frozen=True, slots=True)
class StepPlayer:
    """Makes the frames of the animation for steps in which something plays."""

    storyboard: Storyboard
    painter: Painter
    inspected: Mapping[str, InspectedAsset]
    limits: RenderLimits
    open_asset: OpenAsset
    notes: dict[str, list[str]] = field(default_factory=dict)  # by asset id: what did not play

    def frames(
        self,
        layout: FrameLayout,
        playing: tuple[Placement, ...],
        image: Image.Image,
        report: Callable[[float], None],
    ) -> Iterator[tuple[tuple[str, ...], RenderedFrame]]:
        """Yields animations and a frame of theirs of one card, on ``image``, which is the drawn card and is changed.

        Each frame must be used before the next one is requested. ``report`` receives the share that is done.
        Animations with the same pacing share their frames. What plays is decoded as in ``decoding_passes``.

        Raises:
            PermanentJobError, TransientJobError: from the assets.
        """
        cells = self._cells(layout, playing)
        outputs = outputs_by_pacing(self.storyboard)
        motions = [motion for place in playing if (motion := self.inspected[place.asset.ref.id].motion)]
        passes = decoding_passes(self.storyboard, motions, self.limits)
        last = passes[-1][-1]
        for done, pacings in enumerate(passes):
            images = {pacing: image if pacing == last else image.copy() for pacing in pacings}
            ends = dict.fromkeys(pacings, 0)
            for pacing, frame, end_ms in self._play(_PlayingCard(layout, playing, cells, images)):
                yield outputs[pacing], frame
                ends[pacing] = end_ms
                report((done + min(ends.values()) / layout.duration_ms) / len(passes))

    def _play(self, card: _PlayingCard) -> Iterator[tuple[Pacing, RenderedFrame, int]]:
        """Yields the frames of one card, by pacing, and when they end."""
        layout, playing, cells, images = card
        length_ms, shares = layout.duration_ms, len(images) > 1
        with ExitStack() as opened:
            pictures = [self._open(placement, opened) for placement in playing]
            changes = heapq.merge(
                *(self._changes(key, picture, playing[key], shares) for key, picture in enumerate(pictures)),
                key=lambda change: change.at_us,
            )
            for pacing, moment in pace_together(changes, images, length_ms):
                image = images[pacing]
                drawn = {key: moving.draw() for key, moving in moment.frames.items()}
                boxes = [cells[key].show(image, picture) for key, picture in drawn.items() if picture]
                drawn.clear()  # the encoders need the memory
                duration_ms = moment.end_ms - moment.start_ms
                if moment.start_ms == 0:
                    frame = RenderedFrame(image, duration_ms, card_ms=length_ms)
                else:
                    changed = _around(boxes or [playing[0].box])
                    frame = RenderedFrame(image, duration_ms, starts_card=False, changed=changed)
                yield pacing, frame, moment.end_ms
            for placement, picture in zip(playing, pictures, strict=True):
                self._note(placement.asset, picture)

    def _note(self, asset: Asset, picture: MovingPicture) -> None:
        motion = self.inspected[asset.ref.id].motion
        notes = (*(motion.notes if motion else ()), *picture.notes)
        if notes:
            self.notes.setdefault(asset.ref.id, []).extend(notes)

    def _changes(
        self, key: int, picture: MovingPicture, placement: Placement, shares: bool
    ) -> Iterator[Change[MovingFrame]]:
        """Yields the frames of a picture; if outputs share them, each is drawn once."""
        header = self.inspected[placement.asset.ref.id].picture
        size = placement.decode_size(header.size) if header else placement.box.size
        for frame in picture.frames(size):
            shown = replace(frame, draw=cache(frame.draw)) if shares else frame
            yield Change(frame.at_us, key, shown)

    def _open(self, placement: Placement, opened: ExitStack) -> MovingPicture:
        asset = placement.asset
        motion = self.inspected[asset.ref.id].motion
        assert motion is not None
        assert asset.playback is not None
        file = self.open_asset(asset, opened)
        return opened.enter_context(open_motion(asset.ref, file, self.limits, asset.playback, motion))

    def _cells(self, layout: FrameLayout, playing: tuple[Placement, ...]) -> list[Cell]:
        """Draws the card with black and with white pictures, to see what lies above and around them."""
        names = {placement.asset.ref.id for placement in playing}
        black, white = (
            self.painter.draw_frame(layout, plain=PlainPictures(names, colour)) for colour in (BLACK, WHITE)
        )
        for image in (black, white):
            self.painter.draw_footer(image, layout)
        return [
            Cell.between(placement, black, white, cache(partial(self.painter.ground_of, placement)))
            for placement in playing
        ]


def _around(boxes: list[Box]) -> Box:
    """The box around all ``boxes``."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))
