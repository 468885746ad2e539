"""The fonts there are, and which of them draws which character.

The chain: what the operator put first (PREVIEW_FONTS), then Inter, the typeface of the design, then what the
machine has by fontconfig's order, then DejaVu Sans. Emoji ask for a font in colour first. Whoever wants the same
pictures everywhere passes no fonts of the machine: Inter and DejaVu come with the package.
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

from previewops.worker.render.breaking import is_emoji, shapeless
from previewops.worker.render.fontfiles import FontFile, FontSources
from previewops.worker.render.sfnt import FontFacts, read_facts

_LOADED_BYTES = 128 * 1024 * 1024  # of address space, for loaded fonts: each size of each face maps its file
_DISPLAY_SIZE = 28  # pixels


class Weight(StrEnum):
    """The three weights of the design."""

    REGULAR = "Regular"
    SEMIBOLD = "SemiBold"
    BOLD = "Bold"

    @property
    def number(self) -> int:
        """The weight class, as font files state it."""
        return {"Regular": 400, "SemiBold": 600, "Bold": 700}[self.value]

    def at(self, size: int) -> Weight:
        """The weight for type of ``size`` pixels: the bold is cut for large sizes, and runs together when small."""
        return Weight.SEMIBOLD if self is Weight.BOLD and size < _DISPLAY_SIZE else self


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face, read and usable."""

    file: FontFile
    facts: FontFacts

    @property
    def name(self) -> str:
        return self.facts.family or Path(self.file.path).stem

    def has(self, text: str) -> bool:
        """Whether it has everything in ``text`` that has a shape."""
        return all(ord(char) in self.facts.coverage or shapeless(char) for char in text)

    def sized(self, size: int) -> ImageFont.FreeTypeFont:
        """The face at ``size`` pixels; bitmaps in colour come in their one size, whatever is asked for."""
        return _LOADED.get(self.file, self.facts.strike or size)


class _Loaded:
    """Loaded fonts, the least lately used dropped first. Each takes as much address space as its file is long."""

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
        while self._bytes > _LOADED_BYTES and len(self._fonts) > 1:
            _, (_, dropped) = self._fonts.popitem(last=False)
            self._bytes -= dropped
        return font


_LOADED = _Loaded()


@lru_cache(maxsize=512)
def _face(file: FontFile) -> Face | None:
    """The face, or None where it cannot be used: an operator's folder may hold anything."""
    try:
        with Path(file.path).open("rb") as opened:
            facts = read_facts(opened, file.face)
        if not facts.drawable:
            return None
        face = Face(file, facts)
        face.sized(16)
    except (OSError, ValueError):
        return None
    return face


def _own(name: str) -> Face:
    face = _face(FontFile(str(files("previewops.worker.fonts").joinpath(f"{name}.ttf"))))
    assert face is not None, f"the package lacks its font {name}"
    return face


def _of_weight(faces: Iterable[Face], weight: Weight) -> list[Face]:
    """One face a family, in the order in which the families come: the one nearest to ``weight``."""
    families: dict[str, list[Face]] = {}
    for face in faces:
        families.setdefault(face.name, []).append(face)
    return [min(each, key=lambda face: abs(face.facts.weight - weight.number)) for each in families.values()]


class FontChain:
    """Finds a face for what is to be drawn."""

    def __init__(self, sources: FontSources) -> None:
        self._sources = sources
        self._found: dict[tuple[str, Weight], Face | None] = {}
        self._chains: dict[tuple[Weight, bool], list[Face]] = {}

    @property
    def unusable(self) -> tuple[str, ...]:
        """Paths among the preferred fonts that are no fonts, or of a kind that is not drawn."""
        return tuple(file.path for file in self._sources.preferred if _face(file) is None)

    def find(self, cluster: str, weight: Weight) -> Face | None:
        """The face for a cluster, or None if no font has its first character.

        One that has the whole of it goes before one that has only its first character.
        """
        key = (cluster, weight)
        if key not in self._found:
            self._found[key] = self._look(cluster, weight)
        return self._found[key]

    def _look(self, cluster: str, weight: Weight) -> Face | None:
        for wanted in (cluster, cluster[0]):
            own = self._first(self._chain(weight, deep=False), wanted, in_colour=False)
            if own is not None and not is_emoji(cluster):
                return own
            chain = self._chain(weight, deep=True)
            for in_colour in (True, False) if is_emoji(cluster) else (False, True):
                if found := self._first(chain, wanted, in_colour=in_colour):
                    return found
        return None

    @staticmethod
    def _first(chain: Iterable[Face], wanted: str, *, in_colour: bool) -> Face | None:
        return next((face for face in chain if face.facts.coloured == in_colour and face.has(wanted)), None)

    def _chain(self, weight: Weight, *, deep: bool) -> list[Face]:
        """The faces in order; those behind Inter are only read when something is asked for that it lacks."""
        key = (weight, deep)
        if key not in self._chains:
            faces = _of_weight(_usable(self._sources.preferred), weight)
            faces.append(_own(f"Inter-{weight}"))
            if deep:
                faces += _of_weight(_usable(self._sources.system), weight)
                faces.append(_own("DejaVuSans" if weight is Weight.REGULAR else "DejaVuSans-Bold"))
            self._chains[key] = faces
        return self._chains[key]


def _usable(files_: Iterable[FontFile]) -> list[Face]:
    return [face for face in map(_face, files_) if face is not None]


@lru_cache(maxsize=4)
def font_chain(sources: FontSources) -> FontChain:
    """The chain of ``sources``; a process keeps it from job to job."""
    return FontChain(sources)
