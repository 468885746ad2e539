"""Font files for the text in drawings: those of the package, then the operator's, then the host's."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from previewops.worker.render.text.fontfiles import FontSources

_MAX_FILES, _MAX_BYTES = 40, 96 * 1024 * 1024  # a drawing's fonts are in memory at once


def drawing_fonts(sources: FontSources | None) -> tuple[str, ...]:
    """Returns paths of regular files, in the order of preference, within limits of number and bytes."""
    chosen: list[str] = []
    total = 0
    for path in _candidates(sources or FontSources()):
        try:
            size = Path(path).stat().st_size
        except OSError:
            continue
        if path not in chosen and total + size <= _MAX_BYTES and len(chosen) < _MAX_FILES:
            chosen.append(path)
            total += size
    return tuple(chosen)


def _candidates(sources: FontSources) -> Iterator[str]:
    folder = files("previewops.worker.fonts")
    yield from sorted(str(path) for path in folder.iterdir() if path.name.endswith(".ttf"))
    for file in (*sources.preferred, *sources.system):
        if file.stamp != (-1, -1, -1):  # missing, or not a regular file
            yield file.path
