"""Options of the operator's screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from previewops.health import Thresholds
from previewops.tui.preferences.saved_filters import SavedFilters
from previewops.tui.state.queue_view import HEARTBEAT_MS
from previewops.tui.terminal.capabilities import ImageMode


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the operator's screen.

    A value of ``images`` above ``BLOCKS`` requires ``graphics.prepare_graphics`` first.
    """

    queue_name: str
    address: str = ""
    """Address of Redis without secrets, for the title; "" shows none."""
    context: str = ""
    """Name of the context in the settings file, "" for none."""
    environment: str = ""
    read_only: bool = False
    interval_s: float = 1.0
    theme: str = "previewops-dark"
    images: ImageMode = ImageMode.BLOCKS
    thresholds: Thresholds = field(default_factory=Thresholds)
    """Thresholds of the health rules."""
    heartbeat_ms: int = HEARTBEAT_MS
    """Interval of the workers' heartbeats."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Titles of the columns to show, by the name of the list. A list without an entry shows all that fit."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys that the operator has set, by the id of the action; checked by ``preferences.keys``."""
    local_time: bool = False
    """Whether clock times are in the terminal's zone at first, else in UTC."""
    mouse: bool = True
    """Whether the terminal reports the mouse. Without it, the terminal selects text as usual."""
    saved_filters: SavedFilters = field(default_factory=SavedFilters)
    notes: tuple[str, ...] = ()
    """What to report at the start: settings that are ignored."""
    leaving: str = ""
    """Asked as a question before quitting: what stops together with the screen. "" quits without a question."""
