"""Moving pictures: what is known of one before it plays, and its frames in time order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from PIL import Image

from previewops.worker.render.layout.geometry import Size

US_PER_MS = 1_000


@dataclass(frozen=True, slots=True)
class Motion:
    """The part of a video or an animation that plays, measured without decoding.

    ``frames`` is how many are decoded to play it once, each of ``size`` pixels, in ``memory_bytes``. ``plays`` is how
    often it plays, None: without an end. ``sound_delay_us`` is when the sound starts after the first frame of the
    file (negative: before it), None: it has no sound. ``is_opaque``: no frame is transparent. ``notes`` are
    sentences about what is not shown.
    """

    frames: int
    duration_us: int
    size: Size
    memory_bytes: int
    plays: int | None = 1
    sound_delay_us: int | None = None
    is_opaque: bool = False
    notes: tuple[str, ...] = ()

    @property
    def duration_ms(self) -> int:
        """The duration of one pass, ms."""
        return round(self.duration_us / US_PER_MS)

    def decoded_frames(self, length_ms: int) -> int:
        """How many frames are decoded to play for ``length_ms``."""
        passes = -(-length_ms * US_PER_MS // max(1, self.duration_us))
        return self.frames * max(1, passes if self.plays is None else min(passes, self.plays))


@dataclass(frozen=True, slots=True)
class MovingFrame:
    """A frame that is shown from ``at_us`` on, after the start of what plays.

    ``draw`` decodes it, as RGB, RGBX or RGBA, at the size that the frames were requested in; None if it is
    damaged. Frames are drawn in time order, and some are not drawn at all.
    """

    at_us: int
    draw: Callable[[], Image.Image | None]


class MovingPicture(Protocol):
    """An open file that plays."""

    notes: list[str]
    """Sentences about what did not play; complete after the last frame."""

    def frames(self, size: Size) -> Iterator[MovingFrame]:
        """Yields the frames in time order, the first one at 0, and holds no more than one of them.

        Ends where the part that plays ends, or where the file is damaged. The drawn frames have ``size``, upright.
        """


OpenMoving = Callable[[], AbstractContextManager[MovingPicture]]


@dataclass(slots=True)
class DamageNotes:
    """Notes of one moving picture, the same one only once."""

    noun: str
    notes: list[str] = field(default_factory=list)

    def add_end(self, at_us: int) -> None:
        """Notes that the picture stops at ``at_us`` of what plays."""
        if not self.notes:
            self.notes.append(
                f"the {self.noun} is damaged {at_us / 1_000_000:.1f} s after its start; its last good frame stays"
            )
