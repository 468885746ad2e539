"""Dialogs that are imported on first use, so that the screens open faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from textual.screen import Screen

if TYPE_CHECKING:
    from previewops.contract.payload import Payload

_Editor: TypeAlias = "Callable[[str, Mapping[str, Any]], Screen[Payload | None]]"


def edit_payload(job_id: str, payload: Mapping[str, Any]) -> Screen[Payload | None]:
    """``edit.EditPayloadDialog``, which imports the text editor and the contract."""
    module = import_module("previewops.tui.screens.dialogs.edit")
    return cast("_Editor", module.EditPayloadDialog)(job_id, payload)
