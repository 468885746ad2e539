"""The folder PREVIEW_THEMES: lists its themes, and finds the one that a job chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewops.job_errors import PermanentJobError, TransientJobError
from previewops.message_formatting import format_path
from previewops.theme_names import BUILT_IN_THEMES, SUFFIX, theme_files, theme_names
from previewops.worker.render.branding import unknown_theme
from previewops.worker.themes.definition import ThemeDefinition
from previewops.worker.themes.theme_file import ThemeFile, read_theme


@dataclass(frozen=True, slots=True)
class ThemeFolder:
    """The themes of ``folder``; None: only built-in ones. It is read at each use, which blocks: use a thread."""

    folder: Path | None

    def read_all(self) -> tuple[ThemeFile, ...]:
        """Returns every theme file, valid or not, in order of the names. Raises OSError."""
        return () if self.folder is None else tuple(map(read_theme, theme_files(self.folder)))

    def problems(self) -> tuple[str, ...]:
        """Returns a sentence for each problem of the folder and its files."""
        try:
            return tuple(problem for file in self.read_all() for problem in file.problems)
        except OSError as error:
            return (_unreadable(self.folder, error),)

    def find(self, request: Mapping[str, Any]) -> ThemeDefinition | None:
        """Returns the theme that a valid ``request`` chooses; None if it chooses a built-in one.

        Raises:
            PermanentJobError: theme-unknown, theme-invalid.
            TransientJobError: themes-unavailable: the folder cannot be read now.
        """
        name = request.get("options", {}).get("theme")
        if name is None or name in BUILT_IN_THEMES:
            return None
        if self.folder is None:
            raise unknown_theme(name, ())
        try:
            names = theme_names(self.folder)
        except OSError as error:
            raise TransientJobError(
                "themes-unavailable",
                _unreadable(self.folder, error),
                hint="check the folder, its mount, and the permissions of the worker's user",
                template="",
            ) from error
        if name not in names:
            raise unknown_theme(name, names)
        file = read_theme(self.folder / f"{name}{SUFFIX}")
        if file.theme is None:
            raise PermanentJobError(
                "theme-invalid",
                f"options.theme: the theme {name} is not valid: {'; '.join(file.problems)}",
                hint="correct the file in PREVIEW_THEMES; `previewops themes` lists the problems of every theme",
                template="",
                found=file.problems[0],
                allowed="a valid theme file",
            )
        return file.theme


def _unreadable(folder: Path | None, error: OSError) -> str:
    return f"PREVIEW_THEMES: the folder {format_path(folder)} cannot be read: {error.strerror or error}"
