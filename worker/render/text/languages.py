"""Languages (BCP 47): the tag that selects letterforms and labels, given by the payload or guessed from its texts.

A guess needs evidence: a script of one language, its letters, or several of its short words. Otherwise there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SAMPLE = 5_000  # characters that are looked at
_LAST_LATIN = "\u024f"
_FIRST_EAST_ASIAN = "\u2e80"
_EAST_ASIAN_WEIGHT = 3  # letters of an alphabet that a character replaces
_MIN_WORDS = 3  # different short words of a language
_MIN_LEAD = 2  # more than of any other language

_KANA = re.compile("[\u3041-\u30ff\uff66-\uff9f]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd]")
_ARABIC = re.compile("[\u0620-\u064a\u066e-\u06d3]")
_SIMPLIFIED = re.compile(
    "[们这来时个国说为会对学动发经过还后电开关长门见车东马鸟鱼风飞龙书画爱现样种问间无从张让"
    "给边进远运选认识读谁请谢题页图买卖钱铁银录点击设计视频错误结构数据项类线网络华语亲热业务专并丰举义乐习]"
)
_TRADITIONAL = re.compile(
    "[們這來時個國說為會對學動發經過還後電開關長門見車東馬鳥魚風飛龍書畫愛現樣種問間無從張讓"
    "給邊進遠運選認識讀誰請謝題頁圖買賣錢鐵銀錄點擊設計視頻錯誤結構數據項類線網絡華語親熱業務專並豐舉義樂習]"
)
# Letters that identify a language, tried in order. Arabic and Hebrew letters without such marks are the last.
_LETTERS = (
    ("ps", re.compile("[ټډړښځڅېۍڼ]")),
    ("ur", re.compile("[ٹڈڑںےہھ]")),
    ("fa", re.compile("[پچژگکی]")),
    ("ar", _ARABIC),
    ("yi", re.compile("[װױײ]")),
    ("he", re.compile("[\u05d0-\u05ea]")),
    ("mr", re.compile("ळ")),
    ("hi", re.compile("[\u0904-\u0939]")),
    ("th", re.compile("[\u0e01-\u0e2e]")),
    ("be", re.compile("[ўЎ]")),
    ("uk", re.compile("[їЇєЄґҐ]")),
    ("kk", re.compile("[әӘғҒқҚңҢұҰһҺ]")),
    ("ru", re.compile("[ыЫэЭёЁ]")),
)
_LATIN_LETTERS = (
    ("vi", re.compile("[ơưƠƯẠ-ỹ]")),
    ("pl", re.compile("[łŁ]")),
    ("tr", re.compile("[ğĞıİ]")),
    ("de", re.compile("ß")),
)
_WORDS = {
    "en": "the and of to in is for with on that you your this are from it as by be at",
    "de": "der die das und ist nicht mit ein eine auf für den von zu dem sich im wird sie auch",
    "fr": "le la les et est des une un du pour dans que qui sur avec pas vous ce en au",
    "es": "el la los las y es una un del para en que con por se su como más este al",
    "pt": "o os as e é uma um do da para em que com não por se no na mais ao",
    "it": "il lo la gli e è una un di del della per in che con non si nel sono al",
    "nl": "de het een en is van voor met op niet dat zijn te aan er ook bij naar uit je",
    "pl": "i w na z się nie do jest to że jak po co dla od przez są ten oraz o",
    "tr": "ve bir bu için ile da de çok olarak daha gibi kadar ne her sonra var en ki mi değil",
    "id": "yang dan di untuk dengan ini itu dari ke pada adalah tidak akan atau anda dalam oleh juga bisa saat",
}
_WORD_SETS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_REGION_SCRIPTS = {"tw": "zh-Hant", "hk": "zh-HK", "mo": "zh-HK", "hant": "zh-Hant"}
_RENAMED = {"iw": "he", "in": "id", "ji": "yi"}
_RIGHT_TO_LEFT = frozenset(("ar", "fa", "he", "ur", "ps", "yi", "ckb", "sd", "ug", "dv", "syr", "ks"))


def normalise_language(tag: str) -> str:
    """Returns a tag in its usual spelling; Chinese as zh-Hans, zh-Hant or zh-HK, by script or region."""
    first, *others = tag.replace("_", "-").lower().split("-")
    first = _RENAMED.get(first, first)
    if first in ("zh", "cmn", "yue"):
        default = "zh-HK" if first == "yue" else "zh-Hans"
        regions = [_REGION_SCRIPTS[part] for part in others if part in _REGION_SCRIPTS]
        return "zh-HK" if "zh-HK" in regions else next(iter(regions), default)
    spelled = (
        part.upper() if len(part) == 2 else part.title() if len(part) == 4 and part.isalpha() else part
        for part in others
    )
    return "-".join((first, *spelled))


def is_right_to_left(tag: str) -> bool:
    """Whether texts in a normalised language run from right to left."""
    return tag.partition("-")[0] in _RIGHT_TO_LEFT and "-Latn" not in tag


def guess_language(texts: Iterable[str]) -> str | None:
    """Returns the language of most of ``texts`` by script, letters and short words; None without evidence."""
    joined = "\n".join(texts)[:_SAMPLE]
    letters = [char for char in joined if char.isalpha()]
    foreign = sum(
        _weight(char) for char in letters if char > _LAST_LATIN and not "\u1e00" <= char <= "\u1eff"
    )
    if foreign > len(letters) / 2:
        matches = (language for language, pattern in _LETTERS if pattern.search(joined))
        return guess_letterforms([joined]) or next(matches, None)
    return _guess_by_words(joined)


def _weight(char: str) -> int:
    return _EAST_ASIAN_WEIGHT if char >= _FIRST_EAST_ASIAN else 1


def guess_letterforms(texts: Iterable[str]) -> str | None:
    """Returns the East Asian language whose forms Chinese characters have in ``texts``; None without such."""
    joined = "\n".join(texts)
    if _KANA.search(joined):
        return "ja"
    if _HANGUL.search(joined):
        return "ko"
    if not _HAN.search(joined):
        return None
    traditional = len(_TRADITIONAL.findall(joined)) > len(_SIMPLIFIED.findall(joined))
    return "zh-Hant" if traditional else "zh-Hans"


def is_east_asian(tag: str) -> bool:
    """Whether a normalised language is written with Chinese characters or Hangul."""
    return tag.partition("-")[0] in ("zh", "ja", "ko")


def _guess_by_words(text: str) -> str | None:
    words = set(re.findall(r"[^\W\d_]+", text.lower()))
    counts = sorted(
        ((len(words & common), language) for language, common in _WORD_SETS.items()), reverse=True
    )
    (most, language), (second, _) = counts[:2]
    if most >= _MIN_WORDS and most - second >= _MIN_LEAD:
        return language
    return next((language for language, pattern in _LATIN_LETTERS if pattern.search(text)), None)
