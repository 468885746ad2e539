"""Fonts of words: one font for a word, for all words of a script, and for emoji by their presentation."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from PIL import ImageFont

from previewops.worker.render.text.fontfiles import FontFile, FontSources
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.typesetting import Typesetter

DEJAVU = Path(str(files("previewops.worker.fonts"))) / "DejaVuSans.ttf"
EMOJI = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
URDU = "ہر کھلاڑی کے پاس نو مہرے"

Without = Callable[[str, str], FontFile]


@pytest.fixture
def without(tmp_path: Path) -> Without:
    """Makes a copy of DejaVu Sans under another name, without some characters."""

    def make(name: str, missing: str) -> FontFile:
        with TTFont(DEJAVU, lazy=True) as font:
            for table in font["cmap"].tables:
                table.cmap = {code: glyph for code, glyph in table.cmap.items() if chr(code) not in missing}
            for record in font["name"].names:
                if record.nameID in (1, 16):
                    record.string = name
            path = tmp_path / f"{name}.ttf"
            font.save(path)
        return FontFile(str(path))

    return make


def fonts_of(text: str, *fonts: FontFile, language: str | None = None) -> list[tuple[str, str]]:
    """Font and text of each run, in logical order as far as one direction goes."""
    block = Typesetter(FontSources(preferred=fonts), language).fit_line(text, FontWeight.REGULAR, 40, 4_000)
    return [(run.face.name, run.text) for run in block.lines[0].runs]


def test_a_word_has_one_font_with_all_its_letters(without: Without) -> None:
    runs = fonts_of("abc xyz", without("Poor", "y"), without("Rich", ""))
    assert runs == [("Poor", "abc "), ("Rich", "xyz")]


def test_all_words_of_a_joining_script_have_one_font(without: Without) -> None:
    arabic = "صباح فوق الضباب"
    runs = fonts_of(arabic, without("Poor", "ض"), without("Rich", ""))
    assert {name for name, text in runs if text.strip()} == {"Rich"}
    assert fonts_of("صباح فوق", without("Poor", "ض"), without("Rich", ""))[0][0] == "Poor"


def test_letters_that_no_font_has_together_come_one_by_one(without: Without) -> None:
    runs = fonts_of("ab", without("One", "b"), without("Other", "a"))
    assert [(name, text) for name, text in runs] in ([("Inter", "ab")], [("One", "a"), ("Other", "b")])


@pytest.mark.skipif(not EMOJI.exists(), reason="install fonts-noto-color-emoji")
@pytest.mark.parametrize(
    ("text", "coloured"),
    [
        ("مرحبا😀", "😀"),
        ("שלום❤️", "❤️"),
        ("晴☀️", "☀️"),
        ("a☝🏽", "☝🏽"),
        ("☃︎☃️", "☃️"),
        ("1️⃣1", "1️⃣"),
        ("❤\u200d🔥", "❤\u200d🔥"),
    ],
)
def test_emoji_have_the_colour_font_whatever_is_beside_them(text: str, coloured: str) -> None:
    sources = FontSources(system=(FontFile(str(EMOJI)),))
    block = Typesetter(sources).fit_line(text, FontWeight.REGULAR, 40, 4_000)
    runs = block.lines[0].runs
    assert [run.text for run in runs if run.face.info.coloured] == [coloured]


def test_selected_forms_and_compatibility_ideographs_are_kept() -> None:
    text = "葛\U000e0100城 \ufa19 \u795e"
    block = Typesetter(FontSources()).fit_line("a" + text, FontWeight.REGULAR, 40, 4_000)
    assert block.lines[0].text.count("\ufffd") == 4  # in no font of the package
    pytest.importorskip("manimgx_fonts_cjk")
    font = FontFile(str(files("manimgx_fonts_cjk") / "NotoSansCJK-VF.otf.ttc"))
    runs = fonts_of(text, font, language="ja")
    assert "".join(run for _, run in runs) == text


def test_a_variable_font_has_the_weight_of_the_design() -> None:
    pytest.importorskip("manimgx_fonts")
    font = FontFile(str(files("manimgx_fonts") / "NotoSansThai[wght].ttf"))
    typesetter = Typesetter(FontSources(preferred=(font,)))
    widths = {}
    for weight in FontWeight:
        (run,) = typesetter.fit_line("ภาษาไทย", weight, 40, 4_000).lines[0].runs
        assert run.face.weight == weight.weight_class
        widths[weight] = run.face.at_size(40).getlength(run.text)
    assert len(set(widths.values())) == 3


def test_both_quotes_around_chinese_characters_have_one_font() -> None:
    pytest.importorskip("manimgx_fonts_cjk")
    font = FontFile(str(files("manimgx_fonts_cjk") / "NotoSansCJK-VF.otf.ttc"))
    for language, count in (("zh-Hans", 1), (None, 2)):
        sources = FontSources(system=(font,))
        block = Typesetter(sources, language).fit_line("“门”", FontWeight.REGULAR, 40, 4_000)
        assert len(block.lines[0].runs) == count


@pytest.mark.skipif(not EMOJI.exists(), reason="install fonts-noto-color-emoji")
def test_each_emoji_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    getlength = ImageFont.FreeTypeFont.getlength

    def counted(font: ImageFont.FreeTypeFont, text: str, *args: object, **kwargs: object) -> float:
        measured.append(text)
        return getlength(font, text, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageFont.FreeTypeFont, "getlength", counted)
    typesetter = Typesetter(FontSources(system=(FontFile(str(EMOJI)),)))
    for size in (60, 30):
        text = "👷\u200d" * 2_000
        typesetter.fit(text, FontWeight.REGULAR, width=780, height=500, size=size, min_size=22)
    assert sum(map(len, measured)) < 100
