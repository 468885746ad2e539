"""Options of the operator's screen."""

from __future__ import annotations

from dataclasses import dataclass, field

from previewops.health import Thresholds
from previewops.tui.state.queue_view import HEARTBEAT_MS
from previewops.tui.terminal.capabilities import ImageMode


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the operator's screen.

    A value of ``images`` above ``BLOCKS`` requires ``graphics.prepare_graphics`` first.
    """

    queue_name: str
    environment: str = ""
    read_only: bool = False
    interval_s: float = 1.0
    theme: str = "previewops-dark"
    images: ImageMode = ImageMode.BLOCKS
    thresholds: Thresholds = field(default_factory=Thresholds)
    """Thresholds of the health rules."""
    heartbeat_ms: int = HEARTBEAT_MS
    """Interval of the workers' heartbeats."""
    leaving: str = ""
    """Asked as a question before quitting: what stops together with the screen. "" quits without a question."""
