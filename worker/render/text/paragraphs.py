"""Analysis of a text, once for all type sizes: paragraphs with their fonts, bidirectional levels and line breaks.

Levels belong to the paragraph (UAX #9, 3.4): lines are cut out of it afterwards. Fonts belong to words: letters of
one word shaped in two fonts do not join. So a word has one font, and so have all words of one script in a paragraph,
if a font has all their letters.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, groupby
from typing import NamedTuple

from previewops.worker.render.text import bidi
from previewops.worker.render.text.characters import (
    ZERO_WIDTH_SPACE,
    is_emoji,
    is_invisible,
    script_of,
)
from previewops.worker.render.text.fonts import FontChain, FontFace, FontWeight
from previewops.worker.render.text.languages import is_east_asian
from previewops.worker.render.text.segmentation import grapheme_clusters, is_address, line_breaks

REPLACEMENT = "\ufffd"
ELLIPSIS = "\u2026"
MAX_CHARACTERS = 4_000  # maximum per text: more than any frame shows

_SPACES = "\t\v\f\u2028\u2029\x85"
_KEPT_SPACES = "\n\u00a0\u202f"
_KEPT_FORMATS = "\u200b\u200c\u200d\u00ad\u2060\u180e"  # besides those with a direction
_TAGS = range(0xE0020, 0xE0080)
_STRAY_TAGS = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007f]+")  # not of a flag
# Characters that NFC would replace by others with another shape: names of people and towns are spelled with them.
_COMPATIBILITY_IDEOGRAPHS = re.compile("([\uf900-\ufaff\U0002f800-\U0002fa1f]+)")
_WORD = re.compile("([^ \u00a0\u202f]*+)[ \u00a0\u202f]*+")
_BY_WORD = frozenset(("LATIN", "GREEK", "CYRILLIC"))  # a paragraph may mix fonts: their letters do not join
_OPENING_QUOTES = "\u2018\u201c"
_BY_CLUSTER = frozenset(("", "CJK"))


class FontSpan(NamedTuple):
    """A part of a paragraph in one font and one direction: ``start`` and ``end`` are positions in its text."""

    start: int
    end: int
    face: FontFace
    level: int


class Piece(NamedTuple):
    """A part of a paragraph between two possible line breaks, without the spaces at its end.

    ``hyphenates``: an emergency break inside it may add a hyphen.
    """

    start: int
    end: int
    hyphenates: bool
    tail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Paragraph:
    """One analysed paragraph. ``base`` is its embedding level, ``ends`` are the ends of its grapheme clusters."""

    text: str
    base: int
    spans: tuple[FontSpan, ...]
    pieces: tuple[Piece, ...]
    ends: Sequence[int]
    starts: Sequence[int]  # of the spans

    def spans_between(self, start: int, end: int) -> Iterator[FontSpan]:
        """Yields the spans that overlap ``start`` to ``end``, cut to it, in logical order."""
        for index in range(max(0, bisect_right(self.starts, start) - 1), len(self.spans)):
            span = self.spans[index]
            if span.start >= end:
                return
            if span.start < start or span.end > end:
                yield FontSpan(max(start, span.start), min(end, span.end), span.face, span.level)
            else:
                yield span


def laid_out_characters(text: str) -> int:
    """Returns how many characters of ``text`` are laid out: the rest does not fit any frame."""
    return min(len(text), MAX_CHARACTERS)


def normalise(text: str) -> str:
    """Returns ``text`` in NFC, with single spaces, without invisible characters that have no effect.

    Compatibility ideographs keep their form. A longer text than ``MAX_CHARACTERS`` is truncated.
    """
    cut = text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + ELLIPSIS
    if not (cut.isascii() and cut.isprintable()):
        unified = cut.replace("\r\n", "\n").replace("\r", "\n")
        parts = _COMPATIBILITY_IDEOGRAPHS.split(unified)
        parts[::2] = [unicodedata.normalize("NFC", part) for part in parts[::2]]
        cut = _STRAY_TAGS.sub("", "".join(map(_replacement, "".join(parts))))
    lines = (" ".join(part for part in line.split(" ") if part) for line in cut.split("\n"))
    return "\n".join(lines).strip("\n")


@lru_cache(maxsize=8192)
def _replacement(char: str) -> str:
    """Returns what replaces a character: a space for other spaces, nothing for controls without effect."""
    category = unicodedata.category(char)
    if char in _KEPT_SPACES:
        return char
    if char in _SPACES or category == "Zs":
        return " "
    if category in ("Cc", "Cs"):
        return ""
    if category == "Cf" and is_invisible(char):
        kept = unicodedata.bidirectional(char) != "BN" or char in _KEPT_FORMATS or ord(char) in _TAGS
        return char if kept else ""
    return char


@dataclass(slots=True)
class TextAnalyser:
    """Analyses texts with the fonts of ``chain``; records characters that no font has in ``undrawn``."""

    chain: FontChain
    language: str | None = None  # BCP 47: selects fonts for Chinese characters
    undrawn: set[str] = field(default_factory=set)

    def paragraph(self, text: str, weight: FontWeight) -> Paragraph:
        """Analyses one paragraph that ``normalise`` returned; U+FFFD replaces characters that no font has."""
        clusters: Sequence[str] = grapheme_clusters(text)
        faces = self._choose_faces(text, clusters, weight)
        if None in faces or len(set(faces)) > 1:
            clusters, faces = self._drawable(clusters, faces, weight)
            text = "".join(clusters)
        base = bidi.paragraph_level(text)
        spans = tuple(_spans(clusters, faces, bidi.embedding_levels(text, base)))
        ends = tuple(accumulate(map(len, clusters)))
        return Paragraph(text, base, spans, tuple(_pieces(text)), ends, tuple(span.start for span in spans))

    def _choose_faces(self, text: str, clusters: Sequence[str], weight: FontWeight) -> list[FontFace | None]:
        """Returns a face per cluster; None where no font has the cluster."""
        first = self.chain.find("a", weight)
        if first is not None and first.covers(text) and not any(map(is_emoji, clusters)):
            return [first] * len(clusters)
        known = {cluster: _script(cluster) for cluster in set(clusters)}
        scripts = [known[cluster] for cluster in clusters]
        common = {
            script: self._common_face(script, clusters, scripts, weight)
            for script in set(scripts) - _BY_WORD - _BY_CLUSTER
        }
        faces: list[FontFace | None] = []
        words: dict[str, FontFace | None] = {}
        signs: dict[tuple[str, FontFace | None], FontFace | None] = {}
        for script, indices in groupby(range(len(clusters)), key=scripts.__getitem__):
            word = [clusters[index] for index in indices]
            face = common.get(script)
            if face is None and script not in _BY_CLUSTER:
                letters = "".join(word)
                if letters not in words:
                    words[letters] = self.chain.find_for_all(letters, weight)
                face = words[letters]
            if face is not None:
                faces += [face] * len(word)
                continue
            for cluster in word:
                key = cluster, _face_to_keep(clusters, faces)
                if key not in signs:
                    signs[key] = self._cluster_face(cluster, weight, before=key[1])
                faces.append(signs[key])
        if self.language and is_east_asian(self.language):
            _widen_quotes(clusters, scripts, faces)
        return faces

    def _common_face(
        self, script: str, clusters: Sequence[str], scripts: Sequence[str], weight: FontWeight
    ) -> FontFace | None:
        letters = (cluster for cluster, other in zip(clusters, scripts, strict=True) if other == script)
        return self.chain.find_for_all("".join(letters), weight)

    def _cluster_face(self, cluster: str, weight: FontWeight, before: FontFace | None) -> FontFace | None:
        """Returns the face for one cluster; symbols and spaces keep ``before``, the face of the word before them."""
        keeps = before is not None and not is_emoji(cluster) and bidi.is_neutral(cluster[0])
        if keeps and before is not None and before.covers(cluster):
            return before
        return self.chain.find(cluster, weight, self.language)

    def _drawable(
        self, clusters: Sequence[str], faces: Sequence[FontFace | None], weight: FontWeight
    ) -> tuple[list[str], list[FontFace | None]]:
        """Replaces clusters without a face by U+FFFD, and removes marks that their face lacks."""
        replacement = self.chain.find(REPLACEMENT, weight)
        drawn = {
            (cluster, face): self._drawn_cluster(cluster, face)
            for cluster, face in set(zip(clusters, faces, strict=True))
        }
        pairs = zip(clusters, faces, strict=True)
        return [drawn[pair] for pair in pairs], [face or replacement for face in faces]

    def _drawn_cluster(self, cluster: str, face: FontFace | None) -> str:
        missing = {char for char in cluster if not (is_invisible(char) or (face and face.covers(char)))}
        self.undrawn |= missing
        return REPLACEMENT if face is None else "".join(char for char in cluster if char not in missing)


def _face_to_keep(clusters: Sequence[str], faces: Sequence[FontFace | None]) -> FontFace | None:
    """Returns the face of the last of ``faces``, unless it belongs to a space or an emoji."""
    last = clusters[len(faces) - 1] if faces else " "
    return None if last == " " or is_emoji(last) else faces[-1]


def _widen_quotes(clusters: Sequence[str], scripts: Sequence[str], faces: list[FontFace | None]) -> None:
    """Gives an opening quote the face of the Chinese character after it, so that both quotes have one width."""
    for index, cluster in enumerate(clusters[:-1]):
        face = faces[index + 1]
        if cluster in _OPENING_QUOTES and scripts[index + 1] == "CJK" and face and face.covers(cluster):
            faces[index] = face


def _script(cluster: str) -> str:
    """Returns the script of a cluster's first letter; "" for symbols, spaces and emoji."""
    return "" if is_emoji(cluster) else script_of(cluster[0])


def _spans(
    clusters: Sequence[str], faces: Sequence[FontFace | None], levels: Sequence[int]
) -> Iterator[FontSpan]:
    start = place = 0
    for index, cluster in enumerate(clusters):
        face, level, place = faces[index], levels[place], place + len(cluster)
        last = index + 1 == len(clusters)
        if last or faces[index + 1] is not face or levels[place] != level:
            assert face is not None, "the package's fonts have the replacement character"
            yield FontSpan(start, place, face, level)
            start = place


def _pieces(text: str) -> Iterator[Piece]:
    """Yields the parts of a paragraph between possible line breaks."""
    start, words = 0, _words(text)
    word_end, hyphenates = 0, True
    for end in (*line_breaks(text), len(text)):
        while word_end < end:
            word_end, hyphenates = next(words)
        bare = len(text[start:end].rstrip(" " + ZERO_WIDTH_SPACE))
        if bare:
            yield Piece(start, start + bare, hyphenates)
        start = end


def _words(text: str) -> Iterator[tuple[int, bool]]:
    """Yields the end of each word with the spaces after it, and whether it may be hyphenated."""
    for match in _WORD.finditer(text):
        yield match.end(), not is_address(match[1])
