"""The settings of the screen as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from previewops.tui.preferences.contexts import ContextSettings


@dataclass(frozen=True, slots=True)
class Preferences:
    """Settings of the screen. None or an empty mapping: not set, so the default holds.

    ``columns`` has the titles of the columns to show, by list. ``filters`` are texts of filters by name.
    ``keys`` are keys by id, separated by commas.
    """

    theme: str | None = None
    refresh_s: float | None = None
    local_time: bool = False
    mouse: bool = True
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    filters: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, ContextSettings] = field(default_factory=dict)
