"""Where text may be taken apart: what a reader sees as one character, and where a line may end.

Simplified from UAX #29 (grapheme clusters) and UAX #14 (line breaking). Thai, Lao, Khmer and Burmese are
written without spaces and would need a dictionary; their words are broken only where a line is too narrow for
them, between clusters.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

ZERO_WIDTH_SPACE = "\u200b"
_SOFT_HYPHEN = "\u00ad"
_JOINER = "\u200d"
_VARIATION_16 = 0xFE0F
_KEYCAP = 0x20E3
_FIRST_INDIC = 0x0900  # from here on scripts that know no hyphen
_BREAKING_BLANKS = frozenset(
    " \t\n\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u205f\u3000"
)
# Not to begin a line, and not to end one: the usual rules of Chinese, Japanese and Korean typesetting.
_NO_BREAK_BEFORE = frozenset(
    "、。，．・：；？！‼⁇⁈⁉゛゜ヽヾゝゞ々ー’”）〕］｝〉》」』】〙〗〟｠»)]}>,.!?:;…‥〜～"
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ%％℃°′″"
)
_NO_BREAK_AFTER = frozenset("‘“（〔［｛〈《「『【〘〖〝｟«([{<$£¥€＄￥￡#＃")
_BREAK_AFTER = frozenset("-\u2010\u2012\u2013\u2014\u2015/\u0964\u0965")  # a line may end behind these

# Characters that are shown in colour unless told otherwise (Emoji_Presentation), as ranges.
_EMOJI = (
    *((0x231A, 0x231B), (0x23E9, 0x23EC), (0x23F0, 0x23F0), (0x23F3, 0x23F3), (0x25FD, 0x25FE)),
    *((0x2614, 0x2615), (0x2648, 0x2653), (0x267F, 0x267F), (0x2693, 0x2693), (0x26A1, 0x26A1)),
    *((0x26AA, 0x26AB), (0x26BD, 0x26BE), (0x26C4, 0x26C5), (0x26CE, 0x26CE), (0x26D4, 0x26D4)),
    *((0x26EA, 0x26EA), (0x26F2, 0x26F3), (0x26F5, 0x26F5), (0x26FA, 0x26FA), (0x26FD, 0x26FD)),
    *((0x2705, 0x2705), (0x270A, 0x270B), (0x2728, 0x2728), (0x274C, 0x274C), (0x274E, 0x274E)),
    *((0x2753, 0x2755), (0x2757, 0x2757), (0x2795, 0x2797), (0x27B0, 0x27B0), (0x27BF, 0x27BF)),
    *((0x2B1B, 0x2B1C), (0x2B50, 0x2B50), (0x2B55, 0x2B55), (0x1F004, 0x1F004), (0x1F0CF, 0x1F0CF)),
    *((0x1F18E, 0x1F18E), (0x1F191, 0x1F19A), (0x1F1E6, 0x1F201), (0x1F21A, 0x1F21A), (0x1F22F, 0x1F22F)),
    *((0x1F232, 0x1F236), (0x1F238, 0x1F23A), (0x1F250, 0x1F251), (0x1F300, 0x1F64F), (0x1F680, 0x1F6FF)),
    *((0x1F7E0, 0x1F7EB), (0x1F7F0, 0x1F7F0), (0x1F900, 0x1F9FF), (0x1FA70, 0x1FAFF)),
)
_IDEOGRAPHIC = (
    *((0x2E80, 0x303E), (0x3041, 0x312F), (0x3190, 0x33FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),
    *((0xA000, 0xA4CF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF01, 0xFF60), (0xFFE0, 0xFFE6)),
    *((0x1B000, 0x1B2FF), (0x20000, 0x3FFFD)),  # Korean is not among them: its lines end at blanks
)


def _in_ranges(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def is_invisible(char: str) -> bool:
    """Whether ``char`` has no shape of its own: controls, joiners, variation selectors, tags."""
    return unicodedata.category(char) in ("Cc", "Cf", "Cs") or is_selector_or_tag(char)


def is_selector_or_tag(char: str) -> bool:
    """Whether ``char`` chooses a form of the one before it, or tags it: of use to fonts in colour only."""
    code = ord(char)
    return 0xFE00 <= code <= 0xFE0F or 0xE0020 <= code <= 0xE007F or 0xE0100 <= code <= 0xE01EF


@lru_cache(maxsize=4096)
def _extends(char: str) -> bool:
    code = ord(char)
    return (
        unicodedata.category(char) in ("Mn", "Me", "Mc")
        or char in "\u200c\u200d"
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
        or 0x1160 <= code <= 0x11FF
        or char in "\u0e33\u0eb3"
    )


@lru_cache(maxsize=4096)
def grapheme_clusters(text: str) -> tuple[str, ...]:
    """``text`` in pieces that a reader sees as one character each: a letter with its marks, an emoji sequence."""
    if text.isascii():
        return tuple(text)
    pieces: list[str] = []
    for char in text:
        if pieces and not char.isascii() and _continues_cluster(pieces[-1], char):
            pieces[-1] += char
        else:
            pieces.append(char)
    return tuple(pieces)


def _continues_cluster(before: str, char: str) -> bool:
    last = before[-1]
    if before.isspace() or unicodedata.category(last) == "Cc":
        return False
    if _extends(char):
        return True
    if last == _JOINER:
        return is_emoji(before) or _is_virama(before[-2:-1])
    if _is_regional(char) and _is_regional(last):
        return len(before) % 2 == 1
    if 0x1100 <= ord(last) <= 0x115F:  # a leading consonant of Hangul takes the rest of its syllable
        return 0x1100 <= ord(char) <= 0x11FF or 0xAC00 <= ord(char) <= 0xD7A3
    return _is_virama(last) and unicodedata.category(char) == "Lo"


def _is_virama(char: str) -> bool:
    return bool(char) and unicodedata.combining(char) == 9 and "\u0900" <= char <= "\u0dff"


def _is_regional(char: str) -> bool:
    return 0x1F1E6 <= ord(char) <= 0x1F1FF


@lru_cache(maxsize=4096)
def is_emoji(cluster: str) -> bool:
    """Whether a cluster is to be shown in colour, as its first character and its selectors say."""
    if cluster.isascii() or "\ufe0e" in cluster:
        return False
    codes = [ord(char) for char in cluster]
    return _in_ranges(codes[0], _EMOJI) or _VARIATION_16 in codes or _KEYCAP in codes


@lru_cache(maxsize=8192)
def is_ideographic(char: str) -> bool:
    """Whether ``char`` is of a script whose lines may end behind nearly every character."""
    return _in_ranges(ord(char), _IDEOGRAPHIC)


def split_segments(paragraph: str) -> list[tuple[str, str]]:
    """The pieces of one paragraph between which a line may end, each with what joins it to the next on a line.

    The joint is a blank, or empty where nothing stands between two pieces. A soft hyphen stays at the end of its
    piece.
    """
    segments: list[tuple[str, str]] = []
    for word in _split_at_blanks(paragraph):
        pieces = [word] if word.isalnum() and word.isascii() else _split_word(word)
        segments += [(piece, "") for piece in pieces[:-1]]
        segments.append((pieces[-1], " "))
    return segments


def _split_at_blanks(paragraph: str) -> list[str]:
    if paragraph.isascii():
        return paragraph.split()
    spaced = "".join(" " if char in _BREAKING_BLANKS else char for char in paragraph)
    return [word for word in spaced.split(" ") if word]


def _split_word(word: str) -> list[str]:
    pieces: list[str] = []
    for cluster in grapheme_clusters(word):
        if cluster == ZERO_WIDTH_SPACE:
            pieces.append("")
        elif pieces and not (pieces[-1] and _may_break(pieces[-1], cluster)):
            pieces[-1] += cluster
        else:
            pieces.append(cluster)
    return [piece for piece in pieces if piece] or [word]


def _may_break(before: str, cluster: str) -> bool:
    last, first = before[-1], cluster[0]
    if first in _NO_BREAK_BEFORE or last in _NO_BREAK_AFTER or first in "\u00a0\u202f\u2060":
        return False
    if last == _SOFT_HYPHEN:
        return True
    if last in _BREAK_AFTER:
        # Not in "-5", "1/2" or "--": a hyphen parts letters.
        return len(before) > 1 and before[-2].isalpha() and first.isalpha()
    if last in "\u00a0\u202f\u2060\u200d":
        return False
    return is_ideographic(last) or is_ideographic(first) or is_emoji(cluster)


def resolve_soft_hyphens(line: str) -> str:
    """A finished line: soft hyphens inside it vanish, one at its end is seen."""
    if _SOFT_HYPHEN not in line:
        return line
    inner = line[:-1].replace(_SOFT_HYPHEN, "")
    return inner + ("-" if line.endswith(_SOFT_HYPHEN) else line[-1:])


def needs_hyphen(head: str, tail: str) -> bool:
    """Whether a word that is broken here, for want of room, is to be marked by a hyphen."""
    if not head or not head[-1].isalpha() or not tail[:1].isalpha() or is_ideographic(head[-1]):
        return False
    return unicodedata.bidirectional(head[-1]) == "L" and ord(head[-1]) < _FIRST_INDIC
