"""Keys that move the cursor of a list: by one, by a page, to an end."""

from __future__ import annotations

from textual.binding import Binding

CURSOR_KEYS = (
    Binding("up,k", "move(-1)", show=False),
    Binding("down,j", "move(1)", show=False),
    Binding("pageup,ctrl+b", "page(-1)", show=False),
    Binding("pagedown,ctrl+f", "page(1)", show=False),
    Binding("home,g", "edge(-1)", show=False),
    Binding("end,G", "edge(1)", show=False),
)
"""For a widget with the actions ``move`` and ``page`` (by a number) and ``edge`` (-1 the first, 1 the last)."""
