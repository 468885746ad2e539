"""Terminal-safe formatting, and the acting operator's name."""

from __future__ import annotations

import io

import pytest

from previewops.cli.acting_operator import acting_operator, format_operator_name
from previewops.cli.payload_files import worst_exit_code
from previewops.formatting import (
    clean,
    display_width,
    format_age,
    format_bytes,
    format_duration,
    format_fields,
    format_table,
    parse_age_ms,
    pluralize,
    truncate,
)

DAY = 86_400_000


@pytest.mark.parametrize(
    "evil",
    ["\x1b[2J", "\x9b2J", "\r", "\n", "\t", "\x00", "\x07", "\x7f", "\u202e", "\u2066", "\u2028", "\ud800"],
)
def test_control_characters_are_escaped(evil: str) -> None:
    assert clean(f"a{evil}b").isprintable()
    assert clean(f"a{evil}b") != f"a{evil}b"


def test_letters_of_all_scripts_are_kept() -> None:
    assert clean("Mühle für 二人, “três” ✓") == "Mühle für 二人, “três” ✓"


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (-5, "just now"),
        (999, "just now"),
        (1_000, "1 s ago"),
        (59_999, "59 s ago"),
        (60_000, "1 min ago"),
        (4 * 60_000, "4 min ago"),
        (3 * 3_600_000, "3 h ago"),
        (2 * DAY, "2 d ago"),
    ],
)
def test_ages(passed: int, text: str) -> None:
    assert format_age(1_000_000_000_000 - passed, 1_000_000_000_000) == text


def test_missing_time_has_no_age() -> None:
    assert format_age(None, 5) == "-"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "-"),
        (0, "0 ms"),
        (999.4, "999 ms"),
        (999.6, "1.0 s"),
        (59_940, "59.9 s"),
        (59_960, "1 min 0 s"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 5 min"),
        (4 * DAY + 7_200_000, "4 d 2 h"),
    ],
)
def test_durations(ms: float | None, text: str) -> None:
    assert format_duration(ms) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB"), (5 << 30, "5.0 GiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("text", "ms"), [("30s", 30_000), ("15m", 900_000), ("2h", 7_200_000), (" 7d ", 7 * DAY), ("0s", 0)]
)
def test_parsed_ages(text: str, ms: int) -> None:
    assert parse_age_ms(text) == ms


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "1.5h", "7w", "٣d", "999999999999d", "7 d"])
def test_invalid_ages(text: str) -> None:
    assert parse_age_ms(text) is None


def test_a_table_is_aligned_by_columns_not_characters() -> None:
    lines = format_table(("NAME", "N"), [("二人", 1), ("abc", 20)], right=("N",))
    assert lines == ["NAME   N", "二人   1", "abc   20"]


def test_only_the_flexible_column_is_truncated() -> None:
    long_id = "j" * 50
    lines = format_table(("JOB", "REASON"), [(long_id, "r" * 100)], flexible="REASON", columns=80)
    assert lines[1] == f"{long_id}  {'r' * 27}…"
    lines = format_table(("JOB", "REASON"), [(long_id, "r" * 100)], flexible="REASON", columns=40)
    assert lines[1].startswith(f"{long_id}  rrrrrrrrrrr…")


def test_cells_stay_on_one_line() -> None:
    assert len(format_table(("A", "B"), [("x\ny", "z\r\n")])) == 2


def test_truncate_never_splits_a_wide_character() -> None:
    assert truncate("二人三脚", 5) == "二人…"
    assert display_width(truncate("二人三脚", 4)) <= 4


def test_fields_omit_missing_values_and_wrap_long_ones() -> None:
    lines = format_fields([("job", "j"), ("worker", None), ("reason", "word " * 30)], columns=40)
    assert lines[0] == "job     j"
    assert all(len(line) <= 40 for line in lines)
    assert all(line.startswith("        ") for line in lines[2:])
    assert " ".join(lines).count("word") == 30


def test_plurals() -> None:
    assert [pluralize(0, "job"), pluralize(1, "job"), pluralize(12_345, "job")] == [
        "0 jobs",
        "1 job",
        "12,345 jobs",
    ]


@pytest.mark.parametrize(
    ("codes", "code"),
    [([], 0), ([0, 0], 0), ([0, 1], 1), ([1, 75], 75), ([75, 69], 69), ([69, 65], 65), ([65, 2, 0], 2)],
)
def test_the_worst_code(codes: list[int], code: int) -> None:
    assert worst_exit_code(codes) == code


def test_who_is_the_person_behind_sudo() -> None:
    assert format_operator_name({}, "carol", "host") == "carol@host"
    assert format_operator_name({"SUDO_USER": "alice"}, "root", "host") == "alice@host"
    assert format_operator_name({"SUDO_USER": ""}, "root", "host") == "root@host"


def test_a_name_made_up_in_the_environment_is_harmless() -> None:
    name = format_operator_name({"SUDO_USER": "\x1b[2J" + "x" * 1000}, "root", "host")
    assert name.isprintable()
    assert len(name) <= 100


def test_this_process_has_an_operator() -> None:
    user, _, host = acting_operator().partition("@")
    assert user
    assert host


def test_a_table_in_a_pipe_is_not_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "the file does not exist " * 10
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert reason.strip() in format_table(("JOB", "REASON"), [("a", reason.strip())], flexible="REASON")[1]
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, format_table(("JOB", "REASON"), [("a", reason)], flexible="REASON"))) <= 40
