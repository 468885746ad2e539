"""Font fallback: selects a font for each grapheme cluster or word.

The order is: fonts of the operator (PREVIEW_FONTS), Inter, the fonts of the host in fontconfig's order, DejaVu Sans.
Emoji prefer a colour font. Chinese characters prefer a font made for the language. Inter and DejaVu are part of the
package: without fonts of the host, pictures are equal on all hosts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from PIL import ImageFont

from previewops.regular_files import open_regular
from previewops.worker.render.text.characters import is_emoji, is_ideographic, is_invisible
from previewops.worker.render.text.fontfiles import MAX_FONT_BYTES, FontFile, FontSources
from previewops.worker.render.text.sfnt import FontInfo, read_font_info

_FONT_CACHE_BYTES = 128 * 1024 * 1024  # address space of loaded fonts: each size of each face maps its file
_DISPLAY_SIZE = 28  # pixels
_DEFAULT_FAMILY = "Inter"
# Endings of the names of font families by the language of their Chinese characters.
_REGIONS = {"ja": " JP", "ko": " KR", "zh-Hans": " SC", "zh-Hant": " TC", "zh-HK": " HK"}


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
    """A usable font face, of a variable font at one weight. ``weight`` is its weight class."""

    file: FontFile
    info: FontInfo
    weight: int
    _missing: dict[str, bool] = field(default_factory=dict, repr=False)  # by character

    @property
    def name(self) -> str:
        return self.info.family or Path(self.file.path).stem

    def covers(self, text: str) -> bool:
        """Whether it has a glyph for every visible character of ``text``."""
        return not any(map(self._lacks, set(text)))

    def _lacks(self, char: str) -> bool:
        missing = self._missing.get(char)
        if missing is None:
            missing = ord(char) not in self.info.coverage and not is_invisible(char)
            self._missing[char] = missing
        return missing

    def at_size(self, size: int) -> ImageFont.FreeTypeFont:
        """Returns the font at ``size`` pixels; bitmap fonts have only one size."""
        return _FONT_CACHE.get(self.file, self.info.strike or size, self.info.axis_values(self.weight))


_FontKey = tuple[FontFile, int, tuple[float, ...]]


class _FontCache:
    """A cache of loaded fonts (LRU). Each needs as much address space as its file."""

    def __init__(self) -> None:
        self._fonts: OrderedDict[_FontKey, tuple[ImageFont.FreeTypeFont, int]] = OrderedDict()
        self._bytes = 0

    def get(self, file: FontFile, size: int, axis_values: list[float]) -> ImageFont.FreeTypeFont:
        key = (file, size, tuple(axis_values))
        if key in self._fonts:
            self._fonts.move_to_end(key)
            return self._fonts[key][0]
        font = ImageFont.truetype(file.path, size, index=file.face, layout_engine=ImageFont.Layout.RAQM)
        if axis_values:
            font.set_variation_by_axes(axis_values)
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
        face = FontFace(file, facts, facts.nearest_weight(FontWeight.REGULAR.weight_class))
        face.at_size(16)
    except (OSError, ValueError):
        return None
    return face


@lru_cache(maxsize=512)
def _at_weight(face: FontFace, weight_class: int) -> FontFace:
    """Returns ``face`` at the nearest weight: itself unless the font is variable."""
    nearest = face.info.nearest_weight(weight_class)
    return face if nearest == face.weight else replace(face, weight=nearest)


def _package_face(name: str) -> FontFace:
    face = _load_face(FontFile(str(files("previewops.worker.fonts").joinpath(f"{name}.ttf"))))
    assert face is not None, f"the package lacks its font {name}"
    return face


def _nearest_weights(faces: Iterable[FontFace], weight: FontWeight) -> list[FontFace]:
    """Returns one face per family, in order of the families: upright, and the one nearest to ``weight``."""
    families: dict[str, list[FontFace]] = {}
    for face in faces:
        families.setdefault(face.name, []).append(_at_weight(face, weight.weight_class))
    return [
        min(family_faces, key=lambda face: (face.info.italic, abs(face.weight - weight.weight_class)))
        for family_faces in families.values()
    ]


class FontChain:
    """The fallback chain of fonts. ``family`` is the name of one of the operator's or of Inter that precedes all."""

    def __init__(self, sources: FontSources, family: str | None = None) -> None:
        self._sources = sources
        self._family = family and family.casefold()
        self._faces: dict[tuple[str, FontWeight, str | None], FontFace | None] = {}
        self._chains: dict[tuple[FontWeight, bool], list[FontFace]] = {}

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families that can precede the others, in order."""
        names = (face.name for face in _usable_faces(self._sources.preferred) if not face.info.coloured)
        return (*dict.fromkeys(names), _DEFAULT_FAMILY)

    @property
    def has_family(self) -> bool:
        """Whether the chain begins with the requested family, or none was requested."""
        return self._family is None or self._family in map(str.casefold, self.families)

    @property
    def unusable(self) -> tuple[str, ...]:
        """Paths of preferred fonts that are not usable."""
        return tuple(file.path for file in self._sources.preferred if _load_face(file) is None)

    def find(self, cluster: str, weight: FontWeight, language: str | None = None) -> FontFace | None:
        """Returns the face for a cluster, or None if no font has its first character.

        A font with the complete cluster precedes one with only its first character. ``language`` (BCP 47) prefers
        a font made for it, for Chinese characters.
        """
        region = _REGIONS.get(language or "") if is_ideographic(cluster[0]) else None
        key = (cluster, weight, region)
        if key not in self._faces:
            self._faces[key] = self._search(cluster, weight, region)
        return self._faces[key]

    def find_for_all(self, text: str, weight: FontWeight) -> FontFace | None:
        """Returns the first face without colour that has all characters of ``text``, or None."""
        for deep in (False, True):
            if face := self._first(self._chain(weight, deep=deep), text, in_colour=False):
                return face
        return None

    def _search(self, cluster: str, weight: FontWeight, region: str | None) -> FontFace | None:
        emoji = is_emoji(cluster)
        for text in (cluster, cluster[0]):
            own = self._first(self._chain(weight, deep=False), text, in_colour=False)
            if own is not None and not emoji:
                return own
            chain = self._chain(weight, deep=True)
            if region is not None:
                chain = sorted(chain, key=lambda face: not face.name.endswith(region))
            for in_colour in (True, False) if emoji else (False, True):
                if face := self._first(chain, text, in_colour=in_colour):
                    return face
        return None

    @staticmethod
    def _family_name(face: FontFace, inter: FontFace) -> str:
        return (_DEFAULT_FAMILY if face is inter else face.name).casefold()

    @staticmethod
    def _first(chain: Iterable[FontFace], text: str, *, in_colour: bool) -> FontFace | None:
        return next((face for face in chain if face.info.coloured == in_colour and face.covers(text)), None)

    def _chain(self, weight: FontWeight, *, deep: bool) -> list[FontFace]:
        """Returns the faces in order; with ``deep`` also those after Inter, which are read on first use."""
        key = (weight, deep)
        if key not in self._chains:
            faces = _nearest_weights(_usable_faces(self._sources.preferred), weight)
            inter = _package_face(f"Inter-{weight}")
            faces.append(inter)
            if self._family is not None:
                faces.sort(key=lambda face: self._family_name(face, inter) != self._family)
            if deep:
                faces += _nearest_weights(_usable_faces(self._sources.system), weight)
                suffix = "" if weight is FontWeight.REGULAR else "-Bold"
                faces.append(_package_face(f"DejaVuSans{suffix}"))
            self._chains[key] = faces
        return self._chains[key]


def _usable_faces(files_: Iterable[FontFile]) -> list[FontFace]:
    return [face for face in map(_load_face, files_) if face is not None]


@lru_cache(maxsize=4)
def get_font_chain(sources: FontSources, family: str | None = None) -> FontChain:
    """Returns the chain of ``sources``; the process keeps it for later jobs."""
    return FontChain(sources, family)
