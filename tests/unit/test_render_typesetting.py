"""Typesetting: text fits its box, keeps its words, and characters without a glyph are listed."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.paragraphs import ELLIPSIS, REPLACEMENT
from previewops.worker.render.text.sfnt import read_font_info
from previewops.worker.render.text.typesetting import TextBlock, Typesetter

PANGRAMS = {
    "latin": "Sphinx of black quartz, judge my vow — “yes” → ½ €",
    "extended": "Příliš žluťoučký kůň, zażółć gęślą jaźń, ğış",
    "vietnamese": "Trường Đại học Việt Nam",
    "greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "cyrillic": "Съешь ещё этих мягких французских булок, їжак",
    "hebrew": "דג סקרן שט בים",
    "arabic": "نص عربي بسيط",
    "symbols": "☃ ♟ ✓ ∑ 😀",
}


def texts(block: TextBlock) -> tuple[str, ...]:
    return tuple(line.text for line in block.lines)


@pytest.mark.parametrize("script", PANGRAMS)
@pytest.mark.parametrize("weight", list(FontWeight))
def test_every_documented_script_has_glyphs(script: str, weight: FontWeight) -> None:
    typesetter = Typesetter()
    block = typesetter.fit_line(PANGRAMS[script], weight, 24, 10_000)
    assert typesetter.undrawn == ()
    assert REPLACEMENT not in texts(block)[0]
    assert block.width > 0


def test_characters_without_a_glyph_are_replaced_and_listed() -> None:
    typesetter = Typesetter()
    block = typesetter.fit_line("ab 日本 c\U000e0041d", FontWeight.REGULAR, 20, 1_000)
    assert texts(block) == (f"ab {REPLACEMENT * 2} cd",)
    assert typesetter.undrawn == ("日", "本")


def test_a_mark_after_a_space_is_kept() -> None:
    block = Typesetter().fit_line("a \u0301\u00a0\u0300", FontWeight.REGULAR, 20, 1_000)
    assert texts(block) == ("a \u0301\u00a0\u0300",)


def test_the_replacement_character_has_a_glyph() -> None:
    typesetter = Typesetter()
    assert typesetter.measure(REPLACEMENT, FontWeight.REGULAR, 20) > 5
    assert texts(typesetter.fit_line(REPLACEMENT, FontWeight.BOLD, 20, 100)) == (REPLACEMENT,)
    assert typesetter.undrawn == ()


# The words of this line are a pixel narrower than the line.
@example("00C**)aanv«\u0354\x0c0AI.\u0380\u0526\u0588\u07e8\u07fb", FontWeight.SEMIBOLD, 167, 20)
@example("00\xad", FontWeight.REGULAR, 40, 20)  # the soft hyphen is drawn
@settings(max_examples=60)
@given(
    st.text(max_size=300),
    st.sampled_from(list(FontWeight)),
    st.integers(40, 600),
    st.integers(20, 300),
)
def test_fitted_text_stays_inside_its_box(text: str, weight: FontWeight, width: int, height: int) -> None:
    block = Typesetter().fit(text, weight, width=width, height=height, size=30, min_size=9)
    assert block.width <= width
    assert block.height <= max(height, block.size)
    assert 9 <= block.size <= 30


def test_long_text_shrinks_before_it_is_truncated() -> None:
    typesetter = Typesetter()
    box = {"width": 300, "height": 100, "size": 30, "min_size": 10}
    short = typesetter.fit("Short", FontWeight.REGULAR, **box)
    longer = typesetter.fit("Word " * 30, FontWeight.REGULAR, **box)
    longest = typesetter.fit("Word " * 300, FontWeight.REGULAR, **box)
    assert (short.size, short.truncated) == (30, False)
    assert 10 < longer.size < 30
    assert not longer.truncated
    assert (longest.size, longest.truncated) == (10, True)
    assert texts(longest)[-1].endswith(ELLIPSIS)


def test_lines_have_every_word_in_order() -> None:
    text = "One two three four five six seven eight nine ten eleven twelve"
    for weight in FontWeight:
        block = Typesetter().fit(text, weight, width=200, height=400, size=24, min_size=24)
        assert len(block.lines) > 2
        assert " ".join(texts(block)).split() == text.split()


def test_a_title_has_no_orphan() -> None:
    block = Typesetter().fit(
        "Compare the two best openings now", FontWeight.BOLD, width=520, height=200, size=30, min_size=30
    )
    typesetter = Typesetter()
    first, last = (
        typesetter.measure(line, FontWeight.BOLD, 30) for line in (texts(block)[0], texts(block)[-1])
    )
    assert len(block.lines) == 1 or last > first / 2


def test_a_word_wider_than_the_line_is_hyphenated() -> None:
    word = "Donaudampfschifffahrtsgesellschaft" * 3
    block = Typesetter().fit(word, FontWeight.REGULAR, width=150, height=900, size=20, min_size=20)
    assert "".join(line.removesuffix("-") for line in texts(block)) == word
    assert all(line.endswith("-") for line in texts(block)[:-1])


def test_line_breaks_of_the_text_are_kept() -> None:
    block = Typesetter().fit(
        "one\r\ntwo\n\nthree", FontWeight.REGULAR, width=400, height=400, size=20, min_size=20
    )
    assert texts(block) == ("one", "two", "", "three")


def test_drawn_pixels_stay_inside_the_measured_width() -> None:
    typesetter = Typesetter()
    block = typesetter.fit_line("Играём ☃ fair", FontWeight.SEMIBOLD, 32, 1_000)
    image = Image.new("L", (block.width + 40, block.height + 20), 0)
    typesetter.draw(image, 20, 10, block, 255)  # type: ignore[arg-type]
    bounds = image.getbbox()
    assert bounds is not None
    assert bounds[0] >= 17
    assert abs(bounds[2] - 20 - block.width) <= 4
    assert bounds[3] <= block.height + 20


def test_invalid_fonts_are_rejected() -> None:
    for content in (b"", b"\0\1\0\0" + b"\0" * 60, b"ttcf" + b"\xff" * 40, b"\0\1\0\0\0\3cmap"):
        with pytest.raises(ValueError, match="font"):
            read_font_info(BytesIO(content))
