"""One action of an operator with its keys, which the operator may have set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import MappingProxyType

from previewops.tui.key_names import binding_id, key_label

_USER_KEYS: ContextVar[Mapping[str, str]] = ContextVar("user_keys", default=MappingProxyType({}))
"""The keys that the operator of this screen has set, by id. Several screens may run in one process, as in tests."""


def use_keys(keys: Mapping[str, str]) -> None:
    """Sets the operator's keys by id, for this context and the tasks that it starts."""
    _USER_KEYS.set(keys)


@dataclass(frozen=True, slots=True)
class KeyAction:
    """One action and its keys.

    ``keys`` are characters or Textual key names, separated by commas; the operator may have set others, by ``id``.
    ``label`` is the footer text of one or two words ("" hides it there); ``help`` is one sentence for the help and
    the palette. ``mutates`` marks actions that change the queue or the fleet: a read-only screen hides them.
    """

    action: str
    keys: str
    label: str
    help: str
    mutates: bool = False
    id: str = ""

    @property
    def active_keys(self) -> str:
        """The keys that run the action now: those of the operator, or ``keys``."""
        return _USER_KEYS.get().get(self.id, self.keys)

    @property
    def name(self) -> str:
        """The name that palette and documents use: the footer's text, else the action in words."""
        return self.label or parse_action_name(self.action).replace("_", " ").capitalize()

    @property
    def key_label(self) -> str:
        """The first key as the footer and the help name it."""
        return key_label(self.active_keys.partition(",")[0])

    @property
    def key_word(self) -> str:
        """The first key as a sentence names it: "ctrl+x" where the footer has no room for more than "^x"."""
        key = self.active_keys.partition(",")[0]
        return key if key.startswith("ctrl+") else key_label(key)


def with_ids(where: str, key_actions: Iterable[KeyAction]) -> tuple[KeyAction, ...]:
    """The key actions with their ids."""
    return tuple(replace(action, id=binding_id(where, action.action)) for action in key_actions)


def with_ids_of_parts(tables: Mapping[str, tuple[KeyAction, ...]]) -> Mapping[str, tuple[KeyAction, ...]]:
    return {where: with_ids(where, key_actions) for where, key_actions in tables.items()}


def action_name(key_action: KeyAction) -> str:
    """The action's name without its parameters, as ``check_action`` receives it."""
    return parse_action_name(key_action.action)


def parse_action_name(action: str) -> str:
    """The name of an action without its parameters and namespace."""
    return action.partition("(")[0].rpartition(".")[2]
