"""Textual bindings of key actions."""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding, BindingType

from previewops.tui.keymap import KeyAction


def bindings(key_actions: Iterable[KeyAction], *, priority: bool = False) -> list[BindingType]:
    """Textual bindings of key actions, with their ids. With ``priority`` the focused widget does not see the keys."""
    return [
        Binding(
            key.keys,
            key.action,
            key.label or key.help,
            show=bool(key.label),
            priority=priority,
            id=key.id or None,
        )
        for key in key_actions
    ]
