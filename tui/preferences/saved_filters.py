"""Filters with names: those of the settings file, and those that the screen saves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewops.atomic_files import write_text_atomically
from previewops.errors import PreviewopsError
from previewops.regular_files import read_regular
from previewops.tui.preferences.naming import name_problem

MAX_BYTES = 1 << 20
MAX_FILTERS = 200
"""Filters that the screen saves at most."""

_MODE = 0o600


class CannotSaveFilter(PreviewopsError):
    """A filter that cannot be saved or removed."""

    code = "cannot-save-filter"


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """A filter with its name. ``removable``: the screen saved it, so it can remove it."""

    name: str
    text: str
    removable: bool


class SavedFilters:
    """All named filters. Those of the settings file come first and cannot be changed here.

    ``path`` is the file of the others, which only the screen writes: 0600, replaced atomically. It is read before
    each use, because several screens may be open. What this version does not know in it stays. Without a path they
    live as long as the screen.
    """

    def __init__(self, configured: Mapping[str, str] | None = None, path: Path | None = None) -> None:
        self._configured = dict(configured or {})
        self._path = path
        self._unsaved: dict[str, Any] = {}

    def all(self) -> tuple[SavedFilter, ...]:
        """The filters in the order of the file, then those of the screen by name.

        Raises:
            CannotSaveFilter: the file is damaged.
        """
        saved = _filters_of(self._read())
        return (
            *(SavedFilter(name, text, removable=False) for name, text in self._configured.items()),
            *(
                SavedFilter(name, text, removable=True)
                for name, text in sorted(saved.items())
                if name not in self._configured
            ),
        )

    def problem_of_name(self, name: str) -> str:
        """Why the screen cannot save a filter under this name; "" if it can."""
        if name in self._configured:
            return f"The settings file has a filter {name}. Choose another name."
        problem = name_problem(name)
        return f"{problem[0].upper()}{problem[1:]}." if problem else ""

    def save(self, name: str, text: str) -> bool:
        """Saves a filter. Returns whether it replaced one.

        Raises:
            CannotSaveFilter: the name is not allowed, there are too many, or the file cannot be read.
            FileWriteFailed: the file cannot be written.
        """
        problem = self.problem_of_name(name)
        if problem:
            raise CannotSaveFilter(problem)
        content = self._read()
        saved = _filters_of(content)
        replaced = name in saved
        if not replaced and len(saved) >= MAX_FILTERS:
            raise CannotSaveFilter(
                f"saved filters: found {len(saved)}, allowed {MAX_FILTERS}", hint="remove one from the list"
            )
        self._write({**content, "filters": {**saved, name: text}})
        return replaced

    def remove(self, name: str) -> None:
        """Removes a filter that the screen has saved. Errors as for ``save``."""
        content = self._read()
        saved = {key: text for key, text in _filters_of(content).items() if key != name}
        self._write({**content, "filters": saved})

    def _read(self) -> dict[str, Any]:
        if self._path is None:
            return self._unsaved
        try:
            content = json.loads(read_regular(self._path, MAX_BYTES))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise CannotSaveFilter(f"{self._path} cannot be read: {error.strerror or error}") from error
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise CannotSaveFilter(
                f"{self._path} is not JSON with filters", hint="correct or remove the file"
            )
        return content

    def _write(self, content: dict[str, Any]) -> None:
        if self._path is None:
            self._unsaved = content
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CannotSaveFilter(f"{self._path.parent}: {error.strerror or error}") from error
        write_text_atomically(self._path, json.dumps(content, indent=2) + "\n", mode=_MODE)


def _filters_of(content: Mapping[str, Any]) -> dict[str, str]:
    """The valid filters of the file's content."""
    filters = content.get("filters")
    if not isinstance(filters, dict):
        return {}
    return {
        name: text
        for name, text in filters.items()
        if isinstance(text, str) and text and not name_problem(name)
    }
