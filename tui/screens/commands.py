"""The palette: every action of the screen in front, found by its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider

from previewops.tui.deeds import Deed, action_name, whole_action
from previewops.tui.screens.modal import ClosesOnce

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp


class DeedCommands(Provider):
    """The deeds that can be done at this moment."""

    def _deeds(self) -> list[Deed]:
        front = getattr(self.app, "front", None)
        # The screens have number keys that nobody looks up: they come last.
        return sorted(front.available(), key=lambda deed: action_name(deed) == "show") if front else []

    async def discover(self) -> Hits:
        """All of them."""
        for deed in self._deeds():
            yield DiscoveryHit(deed.help, self._do(deed), help=f"key {deed.shown}")

    async def search(self, query: str) -> Hits:
        """Those whose words match."""
        matcher = self.matcher(query)
        for deed in self._deeds():
            words = f"{deed.help} {deed.label}"
            score = matcher.match(words)
            if score > 0:
                yield Hit(score, matcher.highlight(deed.help), self._do(deed), help=f"key {deed.shown}")

    def _do(self, deed: Deed) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await self.app.run_action(whole_action(deed))

        return run


class Commands(CommandPalette, ClosesOnce[None]):
    """The palette of the deeds."""


def open_commands(app: OperatorApp) -> None:
    """Opens the palette over the screen in front."""
    app.push_screen(Commands(providers=[DeedCommands], placeholder="What is to be done?"))
