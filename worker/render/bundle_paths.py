"""Paths of the files in a bundle."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass

from previewops.worker.render.encode.stills import EXTENSIONS
from previewops.worker.render.storyboard import Storyboard

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class BundlePaths:
    """The path of every picture and track of a bundle, chosen before rendering."""

    poster: str
    frames: tuple[str, ...]  # the title card first
    sheet: str
    sheet_index: str  # into the sheet
    animation: str | None
    captions: str | None  # only with an animation
    thumbnails: dict[str, str]  # by asset id

    def expected(self, *, thumbnails: bool) -> tuple[str, ...]:
        """Every path that a successful job writes, in the order of the bundle."""
        thumbs = self.thumbnails.values() if thumbnails else ()
        paths = (
            self.poster,
            *self.frames,
            self.sheet,
            self.sheet_index,
            self.animation,
            self.captions,
            *thumbs,
        )
        return tuple(path for path in paths if path)


def choose_bundle_paths(storyboard: Storyboard) -> BundlePaths:
    """Chooses the paths for the files that ``storyboard`` requests."""
    extension, steps = EXTENSIONS[storyboard.image_format], len(storyboard.steps)
    digits = max(3, len(str(steps)))
    frames = [f"frames/{0:0{digits}d}-title.{extension}"]
    frames += [f"frames/{number:0{digits}d}.{extension}" for number in range(1, steps + 1)]
    ids = [asset.ref.id for asset in storyboard.images] if storyboard.thumbnail else []
    return BundlePaths(
        poster=f"poster.{extension}",
        frames=tuple(frames),
        sheet=f"sheet.{extension}",
        sheet_index="sheet.vtt",
        captions="captions.vtt" if storyboard.animation and storyboard.captions else None,
        animation=f"animation.{EXTENSIONS[storyboard.animation]}" if storyboard.animation else None,
        thumbnails=_thumbnail_names(ids, extension),
    )


def _thumbnail_names(ids: list[str], extension: str) -> dict[str, str]:
    """Returns a safe file name for each id: the id itself where it is safe, else one with a digest of the id.

    No two are equal, also on file systems that ignore case, and whatever the ids are.
    """
    plain = {name: _UNSAFE.sub("-", name).strip(".-")[:80] for name in ids}
    counts = Counter(name.lower() for name in plain.values())
    kept = {name for name, safe in plain.items() if safe == name and safe and counts[safe.lower()] == 1}
    taken = {name.lower() for name in kept}
    chosen = {}
    for name, safe in plain.items():
        chosen[name] = safe if name in kept else _with_digest(name, safe or "asset", taken)
        taken.add(chosen[name].lower())
    return {name: f"thumbs/{file}.{extension}" for name, file in chosen.items()}


def _with_digest(name: str, safe: str, taken: set[str]) -> str:
    """A name with as much of the id's digest as it takes to differ from those in ``taken``."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    candidates = (f"{safe}-{digest[:length]}" for length in range(8, len(digest) + 1))
    return next(candidate for candidate in candidates if candidate.lower() not in taken)
