"""Lines of spans: cutting, padding, wrapping, columns. Widths are in terminal columns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from previewops.tui.viewmodel.columns import GAP, TableColumn, fit_widths
from previewops.tui.viewmodel.spans import (
    Line,
    Span,
    Tone,
    beside,
    clean_span,
    clip,
    clip_middle,
    justify,
    pad,
    plain_text,
    width_of,
)
from previewops.tui.viewmodel.wrap import wrap

_TEXTS = st.text(st.sampled_from("ab cé漢字한·…"), max_size=30)
_LINES = st.lists(st.builds(Span, _TEXTS, st.sampled_from(Tone)), max_size=5).map(tuple)


@given(_LINES, st.integers(0, 60))
def test_a_clipped_line_fits_and_a_short_one_is_unchanged(line: Line, columns: int) -> None:
    clipped = clip(line, columns)
    assert width_of(clipped) <= columns
    if width_of(line) <= columns and columns:
        assert clipped == line
    elif columns and line:
        assert plain_text(clipped).endswith("…")


@given(_LINES, st.integers(0, 60))
def test_a_line_that_loses_its_middle_fits(line: Line, columns: int) -> None:
    assert width_of(clip_middle(line, columns)) <= columns


def test_clip_middle_keeps_both_ends() -> None:
    assert plain_text(clip_middle((Span("1124-104326-corrupt-asset"),), 17)) == "1124-104…pt-asset"
    assert plain_text(clip_middle((Span("short"),), 17)) == "short"


@given(_LINES, st.integers(0, 60), st.booleans())
def test_a_padded_line_is_exactly_as_wide(line: Line, columns: int, right: bool) -> None:
    assert width_of(pad(line, columns, right=right)) == columns


@given(_LINES, _LINES, st.integers(1, 60))
def test_two_ends_share_one_line(left: Line, right: Line, columns: int) -> None:
    assert width_of(justify(left, right, columns)) <= columns


@given(_LINES, st.integers(2, 40))
def test_wrapping_keeps_the_text_within_the_width(line: Line, columns: int) -> None:
    rows = wrap(line, columns)
    assert all(width_of(row) <= columns or not plain_text(row)[columns:].strip() for row in rows)
    characters = "".join(plain_text(line).split())
    assert "".join("".join(plain_text(row).split()) for row in rows) == characters


def test_words_stay_whole_where_they_fit() -> None:
    rows = wrap((Span("requeue these dead "), Span("letters", Tone.STRONG)), 13)
    assert [plain_text(row).rstrip() for row in rows] == ["requeue these", "dead letters"]


def test_clean_span_removes_control_sequences() -> None:
    assert "\x1b" not in clean_span("lesson\x1b[2J").text
    assert "\n" not in clean_span("two\nlines").text


def test_blocks_stand_beside_each_other() -> None:
    rows = beside([([(Span("a"),)], 3), ([(Span("b"),), (Span("c"),)], 2)], gap=1)
    assert [plain_text(row) for row in rows] == ["a   b ", "    c "]


def test_columns_grow_and_drop() -> None:
    columns = (
        TableColumn("ID", 10, grow=1),
        TableColumn("STATE", 8),
        TableColumn("WORKER", 12, drop=2),
        TableColumn("AGE", 6, drop=1),
    )
    widths = fit_widths(columns, 100)
    assert sum(widths) + 3 * GAP == 100
    assert widths[0] > 10
    narrow = fit_widths(columns, 30)
    assert narrow[2] == 0
    assert narrow[3] == 6
    narrowest = fit_widths(columns, 5)
    assert narrowest == (10, 8, 0, 0), "columns that are never dropped stay, even where they do not fit"
