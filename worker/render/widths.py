"""Copies of a picture at other widths, and its ``srcset`` (https://html.spec.whatwg.org/multipage/images.html)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from previewops.worker.render.layout.geometry import Size


@dataclass(frozen=True, slots=True)
class PictureCopy:
    """A smaller copy of a picture of the bundle."""

    path: str
    size: Size


def plan_copies(path: str, size: Size, widths: Iterable[int]) -> tuple[PictureCopy, ...]:
    """Returns the copies of the picture ``path``, narrowest first. A width of the picture itself needs no copy."""
    plain = PurePosixPath(path)
    return tuple(
        PictureCopy(
            str(plain.with_name(f"{plain.stem}-{width}{plain.suffix}")),
            Size(width, max(1, round(size.height * width / size.width))),
        )
        for width in sorted(widths)
        if width < size.width
    )


def format_srcset(path: str, size: Size, copies: Iterable[PictureCopy]) -> str:
    """Returns the value of a ``srcset`` attribute: the copies, and the picture itself. Paths need no escapes."""
    entries = [(copy.path, copy.size.width) for copy in copies]
    return ", ".join(f"{name} {width}w" for name, width in (*entries, (path, size.width)))
