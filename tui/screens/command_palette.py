"""The command palette: finds the visible screen's actions by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider

from previewops.tui.keymap import KeyAction, action_name, namespaced_action
from previewops.tui.screens.modal import DismissOnce

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp


class KeyActionProvider(Provider):
    """The key actions available now."""

    def _key_actions(self) -> list[KeyAction]:
        front = cast("OperatorApp", self.app).front_screen
        actions = front.available_actions() if front is not None else ()
        # Nobody searches for the screens, which have number keys: they come last.
        return sorted(actions, key=lambda key_action: action_name(key_action) == "show")

    async def discover(self) -> Hits:
        for key_action in self._key_actions():
            yield DiscoveryHit(key_action.help, self._do(key_action), help=f"key {key_action.key_label}")

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for key_action in self._key_actions():
            score = matcher.match(f"{key_action.help} {key_action.label}")
            if score > 0:
                shown = matcher.highlight(key_action.help)
                yield Hit(score, shown, self._do(key_action), help=f"key {key_action.key_label}")

    def _do(self, key_action: KeyAction) -> Callable[[], Awaitable[bool]]:
        return partial(self.app.run_action, namespaced_action(key_action))


class ActionPalette(CommandPalette, DismissOnce[None]):
    """The command palette of the key actions."""


def open_action_palette(app: OperatorApp) -> None:
    """Opens the command palette over the visible screen."""
    app.push_screen(ActionPalette(providers=[KeyActionProvider], placeholder="Search for an action"))
