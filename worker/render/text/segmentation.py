"""Text segmentation by ICU: grapheme clusters (UAX #29), line breaks (UAX #14, and dictionaries for Thai, Lao, Khmer,
Burmese); and emergency breaks inside words that are wider than a line.

ICU 78 implements Unicode 17. tests/integration/test_render_unicode.py runs the consortium's files of version 15.0 and
lists the lines that later versions changed. Two rules are ours: Korean lines end only at spaces (UAX #14, section 8),
and Japanese and Chinese lines follow the strict rules of CSS, by which no line begins with a small kana.

Other packages: PyICU has no wheels; uniseg is 65 to 150 times slower, and its time grows with the square of some
texts; pythainlp knows only Thai.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import accumulate

from icu4py.breakers import CharacterBreaker, LineBreaker

from previewops.worker.render.text.characters import SOFT_HYPHEN, is_hangul, is_ideographic

_MAX_CLUSTER_CHARS = 16  # longer clusters are split: no emoji or syllable in use is as long
_FIRST_INDIC = 0x0900  # from here on, scripts have no hyphenation
_LOCALE = "en@lb=strict"  # dictionaries depend on the script, not on the language
ADDRESS_SEPARATORS = "/.-_=&?"
"""An address that is wider than a line breaks after these, without a hyphen."""

_SIGN = re.compile(r"[0-9/_=&@\\#%+~|]|[.:?](?=\w)|[a-z][A-Z](?![a-z]{16})")
"""What ordinary words do not have: addresses, paths, numbers and identifiers get no hyphens."""


@lru_cache(maxsize=4096)
def grapheme_clusters(text: str) -> tuple[str, ...]:
    """Splits ``text`` into grapheme clusters: a letter with its marks, an emoji sequence; at most 16 characters."""
    if text.isascii() and "\r" not in text:
        return tuple(text)
    clusters: list[str] = []
    for cluster in CharacterBreaker(text, "en"):
        if len(cluster) <= _MAX_CLUSTER_CHARS:
            clusters.append(cluster)
        else:
            starts = range(0, len(cluster), _MAX_CLUSTER_CHARS)
            clusters += [cluster[start : start + _MAX_CLUSTER_CHARS] for start in starts]
    return tuple(clusters)


def line_breaks(paragraph: str) -> list[int]:
    """Returns the positions at which a line of ``paragraph`` may start, in order, without 0 and the end."""
    places = accumulate(map(len, LineBreaker(paragraph, _LOCALE)))
    return [
        place
        for place in places
        if place < len(paragraph) and not (is_hangul(paragraph[place - 1]) and is_hangul(paragraph[place]))
    ]


def needs_hyphen(before: str, after: str) -> bool:
    """Whether an emergency break between two characters needs a hyphen: in words of alphabets with hyphenation."""
    if not (before.isalpha() and after.isalpha()) or is_ideographic(before):
        return False
    return unicodedata.bidirectional(before) == "L" and ord(before) < _FIRST_INDIC


def is_address(word: str) -> bool:
    """Whether ``word`` (without spaces) is an address, a path, a number or an identifier: a reader may copy it."""
    return _SIGN.search(word) is not None


def resolve_soft_hyphens(line: str) -> str:
    """Removes soft hyphens inside a line and shows one at its end."""
    if SOFT_HYPHEN not in line:
        return line
    inner = line[:-1].replace(SOFT_HYPHEN, "")
    return inner + ("-" if line.endswith(SOFT_HYPHEN) else line[-1:])
