"""Paths of the files in a bundle."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from previewops.worker.render.encode.stills import EXTENSIONS
from previewops.worker.render.storyboard import Storyboard
from previewops.worker.render.widths import PictureCopy, plan_copies

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class BundlePaths:
    """The path of every picture and track of a bundle, chosen before rendering; None for parts that it lacks."""

    poster: str | None
    frames: dict[int, str]  # by card
    copies: dict[str, tuple[PictureCopy, ...]]  # of poster and frames, by path
    sheet: str | None
    sheet_index: str | None  # into the sheet
    animations: tuple[str, ...]  # the main one first
    captions: str | None  # only with an animation
    chapters: str | None  # only with an animation of several cards
    thumbnails: dict[str, str]  # by asset id

    def expected(self, *, thumbnails: bool) -> tuple[str, ...]:
        """Every path that a successful job writes, in the order of the bundle."""
        thumbs = self.thumbnails.values() if thumbnails else ()
        paths = (
            *self._with_copies([self.poster] if self.poster else []),
            *self._with_copies(self.frames.values()),
            self.sheet,
            self.sheet_index,
            *self.animations,
            self.captions,
            self.chapters,
            *thumbs,
        )
        return tuple(path for path in paths if path)

    def _with_copies(self, paths: Iterable[str]) -> list[str]:
        return [name for path in paths for name in (path, *(copy.path for copy in self.copies[path]))]


def choose_bundle_paths(storyboard: Storyboard) -> BundlePaths:
    """Chooses the paths for the files that ``storyboard`` requests."""
    extension, steps = EXTENSIONS[storyboard.image_format], len(storyboard.steps)
    parts, digits = storyboard.selection.parts, max(3, len(str(steps)))
    poster = f"poster.{extension}" if "poster" in parts else None
    frames = {
        number: f"frames/{number:0{digits}d}{'' if number else '-title'}.{extension}"
        for number in (storyboard.cards if "frames" in parts else ())
    }
    pictures = [poster, *frames.values()] if poster else list(frames.values())
    return BundlePaths(
        poster=poster,
        frames=frames,
        copies={path: plan_copies(path, storyboard.size, storyboard.widths) for path in pictures},
        sheet=f"sheet.{extension}" if "sheet" in parts else None,
        sheet_index="sheet.vtt" if "sheet" in parts else None,
        captions="captions.vtt" if storyboard.animations and storyboard.captions else None,
        chapters="chapters.vtt" if storyboard.animations and len(storyboard.cards) > 1 else None,
        animations=tuple(f"animation.{EXTENSIONS[name]}" for name in storyboard.animations),
        thumbnails=_thumbnail_names([asset.ref.id for asset in storyboard.thumbnailed], extension),
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
