"""Names of themes: the built-in ones, and those of the files in the folder PREVIEW_THEMES. Opens no file."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

BUILT_IN_THEMES = ("light", "dark")
"""Themes of the renderer itself; no file can have their names."""

SUFFIX = ".toml"
MAX_THEMES = 500
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


def is_theme_name(text: str) -> bool:
    """Whether a theme can have the name ``text``."""
    return _NAME.fullmatch(text) is not None


def theme_files(folder: Path) -> list[Path]:
    """Returns the theme files of ``folder`` in order, at most ``MAX_THEMES``. Raises OSError."""
    return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.name != SUFFIX)[
        :MAX_THEMES
    ]


def theme_names(folder: Path) -> tuple[str, ...]:
    """Returns the names of the themes in ``folder``, valid or not. Raises OSError."""
    return tuple(path.stem for path in theme_files(folder) if is_theme_name(path.stem))


def themes_on_this_host(folder: Path | None) -> Callable[[], tuple[str, ...] | None]:
    """Returns a function that reads the names of the themes in PREVIEW_THEMES, for ``AssetPolicy``.

    It returns None if this host has no such ``folder``, or cannot read it: the workers check the names.
    """
    return partial(_readable_names, folder)


def _readable_names(folder: Path | None) -> tuple[str, ...] | None:
    try:
        return None if folder is None else theme_names(folder)
    except OSError:
        return None
