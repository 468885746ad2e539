"""Charts of block characters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.tui.viewmodel.chart_drawing import (
    AXIS_COLUMNS,
    bar,
    column_chart,
    linear_axis,
    log_axis,
    sparkline,
    time_axis,
)
from previewops.tui.viewmodel.spans import Line, Tone, plain_text, width_of


def _label(value: float) -> str:
    return f"{value:g}"


def _chart(stacks: list[tuple[float, ...]], rows: int = 4) -> list[Line]:
    return column_chart(stacks, (Tone.DONE, Tone.DIED), rows=rows, scale=linear_axis(8), label=_label)


def test_a_column_is_as_high_as_its_value() -> None:
    rows = _chart([(10.0, 10.0), (5.0, 5.0), (0.0, 0.0)])
    columns = [plain_text(row)[AXIS_COLUMNS:] for row in rows]
    assert [row[0] for row in columns] == ["█", "█", "█", "█"]
    assert [row[1] for row in columns] == [" ", " ", "█", "█"]
    assert [row[2] for row in columns] == [" ", " ", " ", " "]


def test_the_upper_part_of_a_stack_has_its_own_tone_also_within_a_cell() -> None:
    (row,) = column_chart([(5.0, 10.0)], (Tone.DONE, Tone.DIED), rows=1, scale=linear_axis(10), label=_label)
    cell = row[-1]
    assert (cell.text, cell.tone, cell.background) == ("▄", Tone.DONE, Tone.DIED)


def test_one_failure_among_thousands_is_seen() -> None:
    for done in (9_000.0, 9_999.0):
        rows = column_chart(
            [(done, done + 1)], (Tone.DONE, Tone.DIED), rows=3, scale=linear_axis(10_000), label=_label
        )
        assert any(Tone.DIED in (span.tone, span.background) for row in rows for span in row)


def test_the_axis_is_labelled_at_both_ends() -> None:
    rows = [plain_text(row) for row in _chart([(1.0, 1.0)])]
    assert rows[0].split()[0] == "10"
    assert rows[-1].split()[0] == "0"
    assert {width_of(row) for row in _chart([(1.0, 1.0)] * 7)} == {AXIS_COLUMNS + 7}


@given(st.floats(0, 1e12))
def test_a_linear_axis_is_round_and_holds_the_value(most: float) -> None:
    scale = linear_axis(most)
    assert scale.high >= most
    assert scale.high >= 1
    mantissa = scale.high / 10 ** math.floor(math.log10(scale.high) + 1e-9)
    assert round(mantissa, 6) in (1, 2, 5)


@given(st.floats(0.2, 1e7), st.floats(1, 1e4))
def test_a_logarithmic_axis_holds_both_ends(least: float, factor: float) -> None:
    scale = log_axis(least, least * factor)
    assert 0 <= scale.fraction(least) <= scale.fraction(least * factor) <= 1
    assert scale.value_at(scale.fraction(least)) == pytest.approx(least)
    assert scale.fraction(0) == 0


def test_the_time_axis_has_its_labels_at_both_ends() -> None:
    line = plain_text(time_axis(40, ("-60 min", "-30", "now")))
    assert line[AXIS_COLUMNS:].startswith("-60 min")
    assert line.endswith("now")
    assert plain_text(time_axis(12, ("-60 min", "-45", "-30", "-15", "now"))).split() == ["-60", "min", "now"]


@given(st.floats(0, 2), st.integers(1, 50))
def test_a_bar_has_the_requested_width(share: float, columns: int) -> None:
    line = bar(share, columns, Tone.GOOD)
    assert width_of(line) == columns
    assert ("█" in plain_text(line) or plain_text(line)[0] in "▏▎▍▌▋▊▉") == (share > 0)


def test_a_spark_line_shows_the_course() -> None:
    assert sparkline([0, 1, 2]) == "▁▄█" or sparkline([0, 1, 2]) == "▁▅█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""
