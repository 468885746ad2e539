"""Properties of characters: what is visible, what is an emoji, which script a letter belongs to."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

ZERO_WIDTH_SPACE = "\u200b"
SOFT_HYPHEN = "\u00ad"
NO_BREAK_SPACES = "\u00a0\u202f"
JOINER = "\u200d"
_VARIATION_15, _VARIATION_16 = "\ufe0e", "\ufe0f"
_KEYCAP = "\u20e3"

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
    *((0x1F232, 0x1F236), (0x1F238, 0x1F23A), (0x1F250, 0x1F251), (0x1F300, 0x1F320), (0x1F32D, 0x1F335)),
    *((0x1F337, 0x1F37C), (0x1F37E, 0x1F393), (0x1F3A0, 0x1F3CA), (0x1F3CF, 0x1F3D3), (0x1F3E0, 0x1F3F0)),
    *((0x1F3F4, 0x1F3F4), (0x1F3F8, 0x1F43E), (0x1F440, 0x1F440), (0x1F442, 0x1F4FC), (0x1F4FF, 0x1F53D)),
    *((0x1F54B, 0x1F54E), (0x1F550, 0x1F567), (0x1F57A, 0x1F57A), (0x1F595, 0x1F596), (0x1F5A4, 0x1F5A4)),
    *((0x1F5FB, 0x1F64F), (0x1F680, 0x1F6C5), (0x1F6CC, 0x1F6CC), (0x1F6D0, 0x1F6D2), (0x1F6D5, 0x1F6D8)),
    *((0x1F6DC, 0x1F6DF), (0x1F6EB, 0x1F6EC), (0x1F6F4, 0x1F6FC), (0x1F7E0, 0x1F7EB), (0x1F7F0, 0x1F7F0)),
    *((0x1F90C, 0x1F93A), (0x1F93C, 0x1F945), (0x1F947, 0x1F9FF), (0x1FA70, 0x1FAFF)),
)
_SKIN_TONES = (0x1F3FB, 0x1F3FF)
_IDEOGRAPHIC = (
    *((0x2E80, 0x303E), (0x3041, 0x312F), (0x3190, 0x33FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),
    *((0xA000, 0xA4CF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF01, 0xFF60), (0xFFE0, 0xFFE6)),
    *((0x1B000, 0x1B2FF), (0x20000, 0x3FFFD)),  # without Korean: its lines end at spaces
)
# Default_Ignorable_Code_Point, without the categories Cc and Cf.
_IGNORABLE = (
    *((0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164)),
    *((0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0020, 0xE007F), (0xE0100, 0xE01EF)),
)
_BRAILLE_BLANK = "\u2800"
# Format characters with a glyph: signs before Arabic, Syriac and Kaithi numbers.
_VISIBLE_FORMATS = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
_IDEOGRAPHIC_SCRIPTS = frozenset(
    ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL", "HALFWIDTH", "FULLWIDTH", "YI")
)


def _in_ranges(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


@lru_cache(maxsize=8192)
def is_invisible(char: str) -> bool:
    """Whether ``char`` has no glyph: a control, a joiner, a filler, a variation selector, a tag."""
    if unicodedata.category(char) in ("Cc", "Cf", "Cs"):
        return char not in _VISIBLE_FORMATS
    return _in_ranges(ord(char), _IGNORABLE)


def is_blank(text: str) -> bool:
    """Whether nothing of ``text`` is visible: it has only spaces and invisible characters."""
    return all(char.isspace() or char == _BRAILLE_BLANK or is_invisible(char) for char in text)


@lru_cache(maxsize=4096)
def is_emoji(cluster: str) -> bool:
    """Whether a cluster has emoji presentation (UTS #51): by first character, selectors, skin tones, joiners."""
    if cluster.isascii() or _VARIATION_15 in cluster:
        return False
    if _VARIATION_16 in cluster or _KEYCAP in cluster or _in_ranges(ord(cluster[0]), _EMOJI):
        return True
    rest = cluster[1:]
    if any(_SKIN_TONES[0] <= ord(char) <= _SKIN_TONES[1] for char in rest):
        return True
    return JOINER in rest and any(_in_ranges(ord(char), _EMOJI) for char in rest)


@lru_cache(maxsize=8192)
def is_ideographic(char: str) -> bool:
    """Whether ``char`` belongs to a script whose lines may end after nearly every character."""
    return _in_ranges(ord(char), _IDEOGRAPHIC)


@lru_cache(maxsize=8192)
def script_of(char: str) -> str:
    """Returns the script of a letter as the first word of its name, "CJK" for East Asian; "" for other characters.

    Python has no script property; the names of letters begin with it.
    """
    if unicodedata.category(char)[0] not in "LM":
        return ""
    name = unicodedata.name(char, "").split(" ", 1)[0].split("-", 1)[0]
    if name in ("COMBINING", "MODIFIER", "VARIATION", ""):
        return ""
    return "CJK" if name in _IDEOGRAPHIC_SCRIPTS else name


def is_hangul(char: str) -> bool:
    """Whether ``char`` is a Korean syllable."""
    return "\uac00" <= char <= "\ud7a3"
