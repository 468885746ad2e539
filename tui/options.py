"""How the screen is opened."""

from __future__ import annotations

from dataclasses import dataclass, field

from previewops.health import Thresholds
from previewops.tui.state.queue_view import HEARTBEAT_MS
from previewops.tui.terminal.capabilities import ImageMode


@dataclass(frozen=True, slots=True)
class Options:
    """How the screen is opened: the queue's name, PREVIEW_ENV, a theme's name.

    Of ``images`` those that need more than half blocks have to be made ready first (``graphics.ready``).
    """

    place: str
    environment: str = ""
    read_only: bool = False
    every_s: float = 1.0
    theme: str = "previewops-dark"
    images: ImageMode = ImageMode.BLOCKS
    thresholds: Thresholds = field(default_factory=Thresholds)
    """What health goes by."""
    heartbeat_ms: int = HEARTBEAT_MS
    """How often workers say that they are there."""
    leaving: str = ""
    """What ends with the screen, in a sentence; it is asked about then."""
