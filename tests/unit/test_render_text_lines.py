"""Lines of text: counted work, direction by paragraph, breaks of addresses, languages without spaces."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFont

from previewops.worker.render.text.bidi import embedding_levels, paragraph_level, visual_order
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.paragraphs import TextAnalyser, normalise
from previewops.worker.render.text.segmentation import line_breaks
from previewops.worker.render.text.typesetting import TextBlock, Typesetter

WORDS = " ".join("".join(random.Random(n).choices("abcdefghij", k=5)) for n in range(700))
KINDS = {
    "words": WORDS,
    "alternating directions": "a\u05d0" * 2_000,
    "isolates": "\u2067\u05d0" * 2_000,
    "embeddings": "\u202b\u05d0" * 2_000,
    "isolates by their text": "\u2068\u05d0" * 2_000,
    "joined emoji": "\U0001f469\u200d" * 2_000,
    "combining marks": ("a" + "\u0301" * 7) * 500,
    "one letter with marks": "a" + "\u0301" * 3_999,
    "Arabic without blanks": "\u0628" * 4_000,
    "one word": "W" * 4_000,
    "brackets": "(a)(\u05d0)" * 666,
    "soft hyphens": "a\u00ad" * 2_000,
    "no-break spaces": "word\u00a0" * 800,
    "address": "https://example.com/a-b_c?d=e&f.g/" * 117,
    "Thai": "\u0e01\u0e32\u0e23" * 1_333,
    "Chinese": "\u6f22\u5b57" * 2_000,
}


@pytest.fixture
def shaped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of each text that Pillow shapes to measure it."""
    lengths: list[int] = []
    getlength = ImageFont.FreeTypeFont.getlength

    def counted(font: ImageFont.FreeTypeFont, text: str, *args: object, **kwargs: object) -> float:
        lengths.append(len(text))
        return getlength(font, text, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageFont.FreeTypeFont, "getlength", counted)
    return lengths


def fit(text: str, weight: FontWeight = FontWeight.REGULAR, *, width: int = 780, size: int = 44) -> TextBlock:
    return Typesetter().fit(text, weight, width=width, height=500, size=size, min_size=22)


def lines(text: str, width: int, size: int = 20) -> list[str]:
    block = Typesetter().fit(text, FontWeight.REGULAR, width=width, height=4_000, size=size, min_size=size)
    return [line.text for line in block.lines]


@pytest.mark.parametrize("weight", [FontWeight.REGULAR, FontWeight.BOLD])
@pytest.mark.parametrize("kind", KINDS)
def test_the_characters_that_are_shaped_are_bounded(kind: str, weight: FontWeight, shaped: list[int]) -> None:
    fit(KINDS[kind][:4_000], weight)
    assert sum(shaped) <= 8 * 4_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_paragraph_is_analysed_once_per_weight(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    analysed: list[str] = []
    paragraph = TextAnalyser.paragraph
    monkeypatch.setattr(
        TextAnalyser,
        "paragraph",
        lambda self, text, weight: analysed.append(text) or paragraph(self, text, weight),
    )
    fit(KINDS[kind], FontWeight.REGULAR)
    assert len(analysed) == 1
    fit(KINDS[kind], FontWeight.BOLD)
    assert len(analysed) <= 3  # small bold text is semibold


def visual_text(block: TextBlock) -> list[str]:
    """The lines as a reader sees them from left to right, with runs from right to left reversed."""
    return ["".join(run.text[::-1] if run.rtl else run.text for run in line.runs) for line in block.lines]


def test_dates_keep_their_order_wherever_the_line_ends() -> None:
    text = "عرض خاص خلال الفترة من 2025-11-28 إلى 2025-12-05 فقط في جميع الفروع"
    for width in range(140, 700, 30):
        seen = " ".join(visual_text(fit(text, width=width, size=24)))
        assert "28-11-2025" in seen, width
        assert "05-12-2025" in seen, width


@settings(max_examples=80)
@given(st.text("ab א ב 12-,.()\u202e\u202c\u2067\u2069", min_size=1, max_size=60), st.integers(40, 300))
def test_lines_have_the_levels_of_their_paragraph(text: str, width: int) -> None:
    block = Typesetter().fit(text, FontWeight.REGULAR, width=width, height=4_000, size=20, min_size=20)
    whole = normalise(text)
    levels = embedding_levels(whole, paragraph_level(whole))
    end = 0
    for line, shown in zip(block.lines, visual_text(block), strict=True):
        cut = line.text if line.text in whole[end:] else line.text.removesuffix("-")
        start = whole.index(cut, end)
        end = start + len(cut)
        shown_chars = (whole[start + index] for index in visual_order(levels[start:end]))
        expected = "".join(char for char in shown_chars if char not in CONTROLS)
        seen = "".join(char for char in shown if char not in CONTROLS)
        assert seen in (expected, expected + "-", "-" + expected) or cut != line.text


def test_an_override_turns_letters_around() -> None:
    (run,) = [run for run in fit("rlo \u202eevil.exe\u202c end").lines[0].runs if "evil" in run.text]
    assert run.rtl
    assert run.text.startswith("\u202e")


CONTROLS = "\u202d\u202e\u202c\u2067\u2069"
ADDRESSES = (
    "https://docs.example.com/en/latest/reference/settings.html?section=advanced&highlight=PREVIEW_ASSET_ROOTS",
    "averyveryverylongmailboxname.with.dots@subdomain.department.university.example.org",
    r"C:\Users\somebody\AppData\Local\Programs\Python\Python311\Lib\site-packages\previewops",
    "/usr/lib/python3/dist-packages/previewops/worker/render/text/segmentation",
    "PREVIEW_WORKER_CONCURRENCY_LIMIT_PER_HOST_AND_QUEUE",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "previewops.worker.render.text.segmentation.grapheme_clusters",
    "getElementsByTagNameAndAttributeValueRecursively",
)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("width", [60, 130, 240])
def test_addresses_are_broken_without_a_new_character(address: str, width: int) -> None:
    assert "".join(lines(address, width)) == address
    broken = lines(f"See {address} now", width)
    assert "".join("".join(broken).split()).replace("See", "", 1).removesuffix("now") == address


def test_addresses_break_behind_a_separator() -> None:
    broken = lines(ADDRESSES[4], 240)
    assert len(broken) > 2
    assert all(line.endswith("_") for line in broken[:-1])


def test_words_joined_by_no_break_spaces_are_broken_at_these() -> None:
    words = ["Das", "ist", "im", "ganzen", "Satz", "nicht", "zu", "trennen", "und", "bleibt", "beisammen"]
    broken = lines("\u00a0".join(words), 130)
    assert len(broken) > 3
    assert "\u00a0".join(broken).split("\u00a0") == words


@pytest.mark.parametrize(
    "words",
    [
        "ภาษา ไทย เป็น ภาษา ที่ มี ระดับ เสียง ของ คำ แน่นอน หรือ วรรณยุกต์",
        "ភាសាខ្មែរ ជា ភាសា កំណើត របស់ ជនជាតិ ខ្មែរ",
        "ພາສາ ລາວ ເປັນ ພາສາ ທາງການ",
    ],
)
def test_languages_without_spaces_break_between_words(words: str) -> None:
    text = "".join(words.split())
    places = [0, *line_breaks(text), len(text)]
    assert [text[start:end] for start, end in pairwise(places)] == words.split()
