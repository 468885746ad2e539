"""Text segmentation: grapheme clusters (UAX #29) and line breaks (simplified UAX #14).

Results for the test files of the Unicode consortium (version 15.0), which tests/integration/test_render_unicode.py
runs:
- GraphemeBreakTest: 601 of 602 lines pass. The other one joins two symbols that are not emoji with a zero width
  joiner.
- LineBreakTest: lines end only where UAX #14 allows it, except after a regional indicator with a combining mark. A
  quarter of the optional breaks between visible characters is used: in CJK text, before emoji, after hyphens and
  dashes.

Korean lines end only at spaces (UAX #14, section 8). Thai, Lao, Khmer and Burmese would need a dictionary: a word
breaks between clusters only if it is wider than the line.

The package uniseg passes more of LineBreakTest, but is 65 to 150 times slower: 160 ms for 1,000 Japanese
characters, and 8 s for one cluster of 4,000 combining marks, since its time grows with the square of their number.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

ZERO_WIDTH_SPACE = "\u200b"
SOFT_HYPHEN = "\u00ad"
_JOINER = "\u200d"
_VARIATION_16 = 0xFE0F
_KEYCAP = 0x20E3
_FIRST_INDIC = 0x0900  # from here on, scripts have no hyphenation
_BREAKING_SPACES = frozenset(
    " \t\n\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u205f\u3000"
)
_NO_BREAK_BEFORE = frozenset(
    "'\"-/\u00a0\u2024\u202f\u2060\u17d6、。，．・：；？！‼⁇⁈⁉゛゜ヽヾゝゞ々ー’”）〕］｝〉》」』】〙〗〟｠»)]}>,.!?:;…‥〜～"
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ%％℃°′″"
)
_NO_BREAK_AFTER = frozenset("'\"\u00a0\u00b4\u202f\u2060‘“\u2329（〔［｛〈《「『【〘〖〝｟«([{<$£¥€＄￥￡#＃")
_BREAK_AFTER = frozenset("-\u2010\u2012\u2013\u2014\u2015/\u0964\u0965")  # a line may end after these

# Characters with the property Emoji_Presentation, as ranges.
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
    *((0x1B000, 0x1B2FF), (0x20000, 0x3FFFD)),  # without Korean: its lines end at spaces
)
_CONTROLS = ("Cc", "Cf", "Zl", "Zp")  # categories
_PREPENDED = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd"
)
_JAMO = (
    ("L", ((0x1100, 0x115F), (0xA960, 0xA97C))),
    ("V", ((0x1160, 0x11A7), (0xD7B0, 0xD7C6))),
    ("T", ((0x11A8, 0x11FF), (0xD7CB, 0xD7FB))),
)
_HANGUL_FOLLOWERS = {"L": ("L", "V", "LV", "LVT"), "V": "VT", "LV": "VT", "T": "T", "LVT": "T"}  # GB6 to GB8


def _in_ranges(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def is_invisible(char: str) -> bool:
    """Whether ``char`` is a control, a joiner, a variation selector or a tag."""
    return unicodedata.category(char) in ("Cc", "Cf", "Cs") or is_selector_or_tag(char)


def is_selector_or_tag(char: str) -> bool:
    """Whether ``char`` is a variation selector or a tag, which only colour fonts use."""
    code = ord(char)
    return 0xFE00 <= code <= 0xFE0F or 0xE0020 <= code <= 0xE007F or 0xE0100 <= code <= 0xE01EF


@lru_cache(maxsize=4096)
def _extends(char: str) -> bool:
    """Whether ``char`` always belongs to the preceding cluster (GB9, GB9a)."""
    code = ord(char)
    return (
        unicodedata.category(char) in ("Mn", "Me", "Mc")
        or char in "\u200c\u200d\u0e33\u0eb3\uff9e\uff9f"
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
    )


@lru_cache(maxsize=4096)
def grapheme_clusters(text: str) -> tuple[str, ...]:
    """Splits ``text`` into grapheme clusters: a letter with its marks, an emoji sequence."""
    if text.isascii() and "\r" not in text:
        return tuple(text)
    pieces: list[str] = []
    for char in text:
        if pieces and _continues_cluster(pieces[-1], char):
            pieces[-1] += char
        else:
            pieces.append(char)
    return tuple(pieces)


def _continues_cluster(before: str, char: str) -> bool:
    """Whether no boundary is between ``before`` and ``char`` (GB3 to GB9b)."""
    last = before[-1]
    if last + char == "\r\n":
        return True
    if _is_control(last):
        return False
    return _extends(char) or (not _is_control(char) and (last in _PREPENDED or _joins(before, char)))


def _joins(before: str, char: str) -> bool:
    """Rules for Hangul, emoji and flags (GB6 to GB8, GB11 to GB13), and GB9c for all scripts of India."""
    last = before[-1]
    if last == _JOINER:
        return (is_emoji(before) and not _is_regional(char)) or _is_virama(before[-2:-1])
    if _is_regional(char) and _is_regional(last):
        return len(before) % 2 == 1
    if last >= "\u1100" and (followers := _HANGUL_FOLLOWERS.get(_hangul_type(last))):
        return _hangul_type(char) in followers
    return _is_virama(last) and unicodedata.category(char) == "Lo"


@lru_cache(maxsize=4096)
def _is_control(char: str) -> bool:
    return unicodedata.category(char) in _CONTROLS and char not in _PREPENDED and not _extends(char)


@lru_cache(maxsize=4096)
def _hangul_type(char: str) -> str:
    """Returns the type of a Hangul syllable or jamo: L, V, T, LV or LVT; "-" for other characters."""
    code = ord(char)
    if 0xAC00 <= code <= 0xD7A3:
        return "LVT" if (code - 0xAC00) % 28 else "LV"
    return next((kind for kind, ranges in _JAMO if _in_ranges(code, ranges)), "-")


def _is_virama(char: str) -> bool:
    return bool(char) and unicodedata.combining(char) == 9 and "\u0900" <= char <= "\u0dff"


def _is_regional(char: str) -> bool:
    return 0x1F1E6 <= ord(char) <= 0x1F1FF


@lru_cache(maxsize=4096)
def is_emoji(cluster: str) -> bool:
    """Whether a cluster has emoji presentation, by its first character and its selectors."""
    if cluster.isascii() or "\ufe0e" in cluster:
        return False
    codes = [ord(char) for char in cluster]
    return _in_ranges(codes[0], _EMOJI) or _VARIATION_16 in codes or _KEYCAP in codes


@lru_cache(maxsize=8192)
def is_ideographic(char: str) -> bool:
    """Whether ``char`` belongs to a script whose lines may end after nearly every character."""
    return _in_ranges(ord(char), _IDEOGRAPHIC)


def split_segments(paragraph: str) -> list[tuple[str, str]]:
    """Splits a paragraph where lines may end. Returns pairs of a piece and its separator: a space or nothing.

    A soft hyphen remains at the end of its piece.
    """
    segments: list[tuple[str, str]] = []
    for word in _split_at_spaces(paragraph):
        pieces = [word] if word.isalnum() and word.isascii() else _split_word(word)
        segments += [(piece, "") for piece in pieces[:-1]]
        segments.append((pieces[-1], " "))
    return segments


def _split_at_spaces(paragraph: str) -> list[str]:
    if paragraph.isascii():
        return paragraph.split()
    spaced = "".join(" " if char in _BREAKING_SPACES else char for char in paragraph)
    return [word for word in spaced.split(" ") if word]


def _split_word(word: str) -> list[str]:
    pieces: list[str] = []
    last = ""  # first character of the last cluster
    for cluster in grapheme_clusters(word):
        if cluster == ZERO_WIDTH_SPACE:
            pieces.append("")
        elif pieces and _extends(cluster[0]):  # a mark on a control character
            pieces[-1] += cluster
            continue
        elif pieces and not (pieces[-1] and _may_break(pieces[-1], last, cluster)):
            pieces[-1] += cluster
        else:
            pieces.append(cluster)
        last = cluster[0]
    return [piece for piece in pieces if piece] or [word]


def _may_break(before: str, last: str, cluster: str) -> bool:
    """Whether a line may end between ``before``, whose last cluster starts with ``last``, and ``cluster``."""
    first = cluster[0]
    if first in _NO_BREAK_BEFORE or last in _NO_BREAK_AFTER:
        return False
    if last == SOFT_HYPHEN:
        return True
    if last in _BREAK_AFTER:
        # Only between letters, not in "-5", "1/2" or "--"; not in Hebrew (LB21a).
        between_letters = before[-2:-1].isalpha() and first.isalpha()
        return between_letters and unicodedata.bidirectional(before[-2]) != "R"
    if before[-1] == _JOINER:
        return False
    return is_ideographic(last) or is_ideographic(first) or is_emoji(cluster)


def resolve_soft_hyphens(line: str) -> str:
    """Removes soft hyphens inside a line and shows one at its end."""
    if SOFT_HYPHEN not in line:
        return line
    inner = line[:-1].replace(SOFT_HYPHEN, "")
    return inner + ("-" if line.endswith(SOFT_HYPHEN) else line[-1:])


def needs_hyphen(head: str, tail: str) -> bool:
    """Whether an emergency break between ``head`` and ``tail`` needs a hyphen."""
    if not head or not head[-1].isalpha() or not tail[:1].isalpha() or is_ideographic(head[-1]):
        return False
    return unicodedata.bidirectional(head[-1]) == "L" and ord(head[-1]) < _FIRST_INDIC
