"""Where the files of one user are, by the XDG Base Directory Specification, version 0.8."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_FOLDER = "previewops"


def settings_path(environ: Mapping[str, str]) -> Path:
    """The settings file, which operators write by hand."""
    return _base(environ, "XDG_CONFIG_HOME", ".config") / _FOLDER / "screen.toml"


def saved_filters_path(environ: Mapping[str, str]) -> Path:
    """The file to which the screen itself writes."""
    return _base(environ, "XDG_STATE_HOME", ".local/state") / _FOLDER / "filters.json"


def _base(environ: Mapping[str, str], variable: str, default: str) -> Path:
    # The specification: a relative path is invalid and ignored.
    path = Path(environ.get(variable, ""))
    return path if path.is_absolute() else Path(environ.get("HOME") or Path.home()) / default
