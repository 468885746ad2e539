"""Dialogs that are imported when they are first wanted: the screens that can open them come sooner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from textual.screen import Screen

if TYPE_CHECKING:
    from previewops.contract.payload import Payload

_Editor: TypeAlias = "Callable[[str, Mapping[str, Any]], Screen[Payload | None]]"


def edit_payload(job_id: str, payload: Mapping[str, Any]) -> Screen[Payload | None]:
    """``edit.EditPayload``, which brings a text editor and the contract with it."""
    module = import_module("previewops.tui.screens.dialogs.edit")
    return cast("_Editor", module.EditPayload)(job_id, payload)
