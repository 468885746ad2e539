"""Dialogs that are imported on first use, so that the screens open faster."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from textual.screen import Screen


def edit_payload(job_id: str, payload: Mapping[str, Any]) -> Screen[Any]:
    """``edit.EditPayloadDialog``, which imports the text editor and the contract."""
    module = import_module("previewops.tui.screens.dialogs.edit")
    dialog: Screen[Any] = module.EditPayloadDialog(job_id, payload)
    return dialog
