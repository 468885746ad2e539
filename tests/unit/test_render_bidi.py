"""Bidirectional order, compared with FriBidi, which Raqm uses for text in one font."""

from __future__ import annotations

from importlib.resources import files

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw, ImageFont

from previewops.worker.render.labels import LANGUAGES, labels_for
from previewops.worker.render.layout.titlecard import format_facts
from previewops.worker.render.text.bidi import embedding_levels, paragraph_level, visual_order
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.typesetting import Typesetter

FONT = ImageFont.truetype(str(files("previewops.worker.fonts") / "DejaVuSans.ttf"), 20)
LETTERS = "אבגדabcd"
OTHERS = "0123456789 ()[]{}.,:;-+/%$!?\"'"
CONTROLS = ("\u2066\u2069", "\u2067\u2069", "\u2068\u2069")
UNKERNED = ["-kern"]


def by_raqm(text: str, base: int) -> Image.Image:
    image = Image.new("L", (1_000, 40))
    direction = "rtl" if base else "ltr"
    ImageDraw.Draw(image).text((10, 28), text, 255, FONT, anchor="ls", direction=direction, features=UNKERNED)
    return image


def by_levels(text: str, base: int) -> Image.Image:
    """Draws each character alone, in visual order by its level."""
    image = Image.new("L", (1_000, 40))
    canvas, x = ImageDraw.Draw(image), 10.0
    levels = embedding_levels(text, base)
    for at in visual_order(levels):
        if text[at] in "".join(CONTROLS):
            continue
        direction = "rtl" if levels[at] % 2 else "ltr"
        canvas.text((x, 28), text[at], 255, FONT, anchor="ls", direction=direction)
        x += FONT.getlength(text[at], direction=direction)
    return image


def differs(text: str, base: int) -> float:
    """Returns the mean difference per drawn column; a misplaced letter makes it large."""
    one, two = by_raqm(text, base), by_levels(text, base)
    columns = ImageChops.difference(one, two).resize((1_000, 1), Image.Resampling.BOX).tobytes()
    inked = sum(value > 0 for value in ImageChops.lighter(one, two).resize((1_000, 1)).tobytes())
    return sum(columns) / max(1, inked)


@settings(max_examples=150)
@given(st.text(LETTERS + OTHERS + OTHERS, min_size=1, max_size=30), st.integers(0, 1))
@example("אבג (abc) דהו", 1)
@example("abc (אבג) def.", 0)
@example("אב 12-34, 5% (גד)!", 1)
@example("a[b(א]c)ד", 0)
def test_lines_have_the_visual_order_of_fribidi(text: str, base: int) -> None:
    assert differs(text.strip() or "a", base) < 3


PARTS = st.text(LETTERS + OTHERS, max_size=8)


# One pair per line: FriBidi 1.0 breaks the rules for adjacent isolates.
@settings(max_examples=150)
@given(PARTS, st.sampled_from(CONTROLS), PARTS, PARTS, st.integers(0, 1))
def test_isolates_have_the_visual_order_of_fribidi(
    before: str, control: str, inside: str, after: str, base: int
) -> None:
    assert differs(f"x{before}{control[0]}{inside}{control[1]}{after}x", base) < 3


@pytest.mark.parametrize("control", ["\u2066", "\u2067", "\u2068"])
@pytest.mark.parametrize("text", ["אב {}c 1{} ג", "ab {}א 2{} c", "{}{}", "{}a", "a{}"])
def test_isolates_take_no_space_and_are_no_boxes(text: str, control: str) -> None:
    typesetter = Typesetter()
    isolated = text.format(control, "\u2069")
    lines = typesetter.fit_line(isolated, FontWeight.REGULAR, 40, 4_000).lines
    drawn = "".join(run.text for line in lines for run in line.runs)
    assert not set(drawn) & {"\u2066", "\u2067", "\u2068", "\u2069", "\ufffd"}
    assert typesetter.undrawn == ()
    plain = typesetter.measure(text.format("", ""), FontWeight.REGULAR, 40)
    assert sum(line.width for line in lines) == pytest.approx(plain, abs=1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_of_labels_run_left_to_right_in_every_language(language: str) -> None:
    text = format_facts(labels_for(language), 3, 65_000)
    (line,) = Typesetter().fit_line(text, FontWeight.REGULAR, 40, 4_000).lines
    seen = "".join(run.text[::-1] if run.rtl else run.text for run in line.runs)
    assert "1:05" in seen
    assert not set(seen) & set("\u2066\u2069")


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("plain", 0),
        ("12 אב", 1),
        ("(אב", 1),
        ("", 0),
        ("123", 0),
        ("\u2067אב\u2069 abc", 0),
        ("ا", 1),
    ],
)
def test_the_first_strong_character_sets_the_paragraph_level(text: str, base: int) -> None:
    assert paragraph_level(text) == base


def test_numbers_in_arabic_run_left_to_right() -> None:
    assert embedding_levels("سا 123 سا", 1) == [1, 1, 1, 2, 2, 2, 1, 1, 1]
    assert visual_order([1, 1, 2, 2, 1]) == [4, 2, 3, 1, 0]


def test_embeddings_and_overrides_set_levels() -> None:
    assert embedding_levels("a\u202bb\u202cc", 0)[0::2] == [0, 2, 0]
    assert embedding_levels("a\u202bbא\u202cc", 0) == [0, 0, 2, 1, 1, 0]
    assert embedding_levels("a\u202ebc\u202cd", 0) == [0, 0, 1, 1, 1, 0]
    assert embedding_levels("\u202b0\u202c:1", 0)[1::2] == [2, 1]


def test_trailing_whitespace_has_the_paragraph_level() -> None:
    assert embedding_levels("abc אב  ", 0) == [0, 0, 0, 0, 1, 1, 0, 0]
