"""The command palette: finds the actions of every screen by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from previewops.formatting import clean
from previewops.queue.filter_query import FilterTerm
from previewops.tui.key_action import KeyAction, action_name, parse_action_name
from previewops.tui.keymap import SCREEN_KEYS, SCREENS, namespaced_action
from previewops.tui.screens.dialogs.queues import open_queue
from previewops.tui.screens.modal import DismissOnce

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp


_LOWEST_SCORE = 0.001


@dataclass(frozen=True, slots=True)
class PaletteEntry:
    """One action of the palette. ``mode`` is the screen that has it, "" if it can run where the operator is."""

    key_action: KeyAction
    mode: str = ""

    @property
    def text(self) -> str:
        """The name before the sentence, as operators search for names."""
        return f"{self.key_action.name}: {self.key_action.help}"

    @property
    def note(self) -> str:
        """The key, and the screen to which the palette goes first."""
        return f"key {self.key_action.key_label}" + (f" on {dict(SCREENS)[self.mode]}" if self.mode else "")

    @property
    def searched(self) -> str:
        return f"{self.text} {parse_action_name(self.key_action.action).replace('_', ' ')}"


class KeyActionProvider(Provider):
    """The key actions of all screens: those available now, then the others."""

    def _entries(self) -> list[PaletteEntry]:
        app = cast("OperatorApp", self.app)
        front = app.front_screen
        if front is None:
            return []
        available = front.available_actions()
        # Nobody searches for the screens, which have number keys: they come last.
        here = sorted(available, key=lambda key_action: action_name(key_action) == "show")
        others = [
            PaletteEntry(key_action, mode)
            for mode, key_actions in SCREEN_KEYS.items()
            for key_action in key_actions
            if key_action not in available and not (key_action.mutates and app.options.read_only)
        ]
        return [*map(PaletteEntry, here), *others]

    async def discover(self) -> Hits:
        for entry in self._entries():
            yield DiscoveryHit(entry.text, self._do(entry), help=entry.note)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in self._entries():
            score = matcher.match(entry.searched)
            if query.lower() in entry.key_action.name.lower():
                score += 1  # names before sentences
            if score > 0:
                yield Hit(score, matcher.highlight(entry.text), self._do(entry), help=entry.note)
        for text, switches in self._contexts():
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, matcher.highlight(text), switches, help="of the settings file")
        text = query.strip()
        if not text or cast("OperatorApp", self.app).view.replay is not None:
            return
        # Below all actions: any text could be an id or a title. One call reads a job, however deep the queue is.
        if len(text.split()) == 1:
            opens = partial(self._open_job, text)
            yield Hit(3 * _LOWEST_SCORE, Content(f"Open job {clean(text)}"), opens, help="by its exact id")
            yield self._search_hit(2 * _LOWEST_SCORE, FilterTerm(text, "request", exact=True), "requestId")
        yield self._search_hit(_LOWEST_SCORE, FilterTerm(text, "title"), "title")

    def _search_hit(self, score: float, term: FilterTerm, what: str) -> Hit:
        text = Content(f"List jobs with {what} {clean(term.text)}")
        return Hit(score, text, partial(self._search_jobs, str(term)), help=f"filter {clean(term)}")

    async def _search_jobs(self, text: str) -> bool:
        cast("OperatorApp", self.app).open_jobs(text)
        return True

    def _contexts(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Name and switch of each context of the settings file."""
        app = cast("OperatorApp", self.app)
        opener = None if app.is_forbidden("choose_queue") else app.queue_opener
        for choice in opener.contexts if opener is not None else ():
            if choice.context:
                yield f"Switch to context {clean(choice.context)}", partial(open_queue, app, choice)

    async def _open_job(self, job_id: str) -> bool:
        cast("OperatorApp", self.app).open_job(job_id)
        return True

    def _do(self, entry: PaletteEntry) -> Callable[[], Awaitable[bool]]:
        if not entry.mode:
            return partial(self.app.run_action, namespaced_action(entry.key_action))
        return partial(self._go_to, entry)

    async def _go_to(self, entry: PaletteEntry) -> bool:
        """Opens the screen that has the action. It does not run: what it would affect is not visible yet."""
        app = cast("OperatorApp", self.app)
        app.action_show(entry.mode)
        app.notify(f"{entry.key_action.key_label}: {entry.key_action.help}", title=entry.key_action.name)
        return True


class ActionPalette(CommandPalette, DismissOnce[None]):
    """The command palette of the key actions."""


def open_action_palette(app: OperatorApp) -> None:
    """Opens the command palette over the visible screen."""
    app.push_screen(
        ActionPalette(
            providers=[KeyActionProvider],
            placeholder="Search for an action, or for a job by id, requestId or title",
        )
    )
