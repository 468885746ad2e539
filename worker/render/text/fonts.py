"""Font fallback: selects a font for each grapheme cluster.

The order is: fonts of the operator (PREVIEW_FONTS), Inter, the fonts of the host in fontconfig's order, DejaVu Sans.
Emoji prefer a colour font. Inter and DejaVu are part of the package: without fonts of the host, pictures are equal on
all hosts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from PIL import ImageFont

from previewops.regular_files import open_regular
from previewops.worker.render.text.fontfiles import MAX_FONT_BYTES, FontFile, FontSources
from previewops.worker.render.text.segmentation import is_emoji, is_invisible
from previewops.worker.render.text.sfnt import FontInfo, read_font_info

_FONT_CACHE_BYTES = 128 * 1024 * 1024  # address space of loaded fonts: each size of each face maps its file
_DISPLAY_SIZE = 28  # pixels


class FontWeight(StrEnum):
    """The weights of the design."""

    REGULAR = "Regular"
    SEMIBOLD = "SemiBold"
    BOLD = "Bold"

    @property
    def weight_class(self) -> int:
        """The OpenType weight class."""
        return {"Regular": 400, "SemiBold": 600, "Bold": 700}[self.value]

    def for_size(self, size: int) -> FontWeight:
        """The weight for a type size in pixels: small bold text is hard to read, so it becomes semibold."""
        return FontWeight.SEMIBOLD if self is FontWeight.BOLD and size < _DISPLAY_SIZE else self


@dataclass(frozen=True, slots=True, eq=False)
class FontFace:
    """A usable font face."""

    file: FontFile
    info: FontInfo

    @property
    def name(self) -> str:
        return self.info.family or Path(self.file.path).stem

    def covers(self, text: str) -> bool:
        """Whether it has a glyph for every visible character of ``text``."""
        return all(ord(char) in self.info.coverage or is_invisible(char) for char in text)

    def at_size(self, size: int) -> ImageFont.FreeTypeFont:
        """Returns the font at ``size`` pixels; bitmap fonts have only one size."""
        return _FONT_CACHE.get(self.file, self.info.strike or size)


class _FontCache:
    """A cache of loaded fonts (LRU). Each needs as much address space as its file."""

    def __init__(self) -> None:
        self._fonts: OrderedDict[tuple[FontFile, int], tuple[ImageFont.FreeTypeFont, int]] = OrderedDict()
        self._bytes = 0

    def get(self, file: FontFile, size: int) -> ImageFont.FreeTypeFont:
        key = (file, size)
        if key in self._fonts:
            self._fonts.move_to_end(key)
            return self._fonts[key][0]
        font = ImageFont.truetype(file.path, size, index=file.face, layout_engine=ImageFont.Layout.RAQM)
        length = Path(file.path).stat().st_size
        self._fonts[key] = (font, length)
        self._bytes += length
        while self._bytes > _FONT_CACHE_BYTES and len(self._fonts) > 1:
            _, (_, dropped) = self._fonts.popitem(last=False)
            self._bytes -= dropped
        return font


_FONT_CACHE = _FontCache()


@lru_cache(maxsize=512)
def _load_face(file: FontFile) -> FontFace | None:
    try:
        with open_regular(file.path, MAX_FONT_BYTES) as opened:
            facts = read_font_info(opened, file.face)
        if not facts.drawable:
            return None
        face = FontFace(file, facts)
        face.at_size(16)
    except (OSError, ValueError):
        return None
    return face


def _package_face(name: str) -> FontFace:
    face = _load_face(FontFile(str(files("previewops.worker.fonts").joinpath(f"{name}.ttf"))))
    assert face is not None, f"the package lacks its font {name}"
    return face


def _nearest_weights(faces: Iterable[FontFace], weight: FontWeight) -> list[FontFace]:
    """Returns one face per family, in order of the families: the one nearest to ``weight``."""
    families: dict[str, list[FontFace]] = {}
    for face in faces:
        families.setdefault(face.name, []).append(face)
    return [
        min(family_faces, key=lambda face: abs(face.info.weight - weight.weight_class))
        for family_faces in families.values()
    ]


class FontChain:
    """The fallback chain of fonts."""

    def __init__(self, sources: FontSources) -> None:
        self._sources = sources
        self._faces: dict[tuple[str, FontWeight], FontFace | None] = {}
        self._chains: dict[tuple[FontWeight, bool], list[FontFace]] = {}

    @property
    def unusable(self) -> tuple[str, ...]:
        """Paths of preferred fonts that are not usable."""
        return tuple(file.path for file in self._sources.preferred if _load_face(file) is None)

    def find(self, cluster: str, weight: FontWeight) -> FontFace | None:
        """Returns the face for a cluster, or None if no font has its first character.

        A font with the complete cluster precedes one with only its first character.
        """
        key = (cluster, weight)
        if key not in self._faces:
            self._faces[key] = self._search(cluster, weight)
        return self._faces[key]

    def _search(self, cluster: str, weight: FontWeight) -> FontFace | None:
        for text in (cluster, cluster[0]):
            own = self._first(self._chain(weight, deep=False), text, in_colour=False)
            if own is not None and not is_emoji(cluster):
                return own
            chain = self._chain(weight, deep=True)
            for in_colour in (True, False) if is_emoji(cluster) else (False, True):
                if face := self._first(chain, text, in_colour=in_colour):
                    return face
        return None

    @staticmethod
    def _first(chain: Iterable[FontFace], text: str, *, in_colour: bool) -> FontFace | None:
        return next((face for face in chain if face.info.coloured == in_colour and face.covers(text)), None)

    def _chain(self, weight: FontWeight, *, deep: bool) -> list[FontFace]:
        """Returns the faces in order; with ``deep`` also those after Inter, which are read on first use."""
        key = (weight, deep)
        if key not in self._chains:
            faces = _nearest_weights(_usable_faces(self._sources.preferred), weight)
            faces.append(_package_face(f"Inter-{weight}"))
            if deep:
                faces += _nearest_weights(_usable_faces(self._sources.system), weight)
                suffix = "" if weight is FontWeight.REGULAR else "-Bold"
                faces.append(_package_face(f"DejaVuSans{suffix}"))
            self._chains[key] = faces
        return self._chains[key]


def _usable_faces(files_: Iterable[FontFile]) -> list[FontFace]:
    return [face for face in map(_load_face, files_) if face is not None]


@lru_cache(maxsize=4)
def get_font_chain(sources: FontSources) -> FontChain:
    """Returns the chain of ``sources``; the process keeps it for later jobs."""
    return FontChain(sources)
