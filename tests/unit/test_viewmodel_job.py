"""The job screen's lines: JSON, facts, artifacts, half blocks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.formatting import format_duration
from previewops.snapshot.model import QueueEvent
from previewops.states import JobState
from previewops.tui.viewmodel.event_text import event_description
from previewops.tui.viewmodel.half_blocks import Pixels, fit_size, half_block_rows
from previewops.tui.viewmodel.job.artifacts import BundleContents, BundleFile, parse_artifacts, parse_captions
from previewops.tui.viewmodel.job.facts import format_fact_lines, preview_placeholder
from previewops.tui.viewmodel.json_lines import MAX_LINES, format_json_lines, wrap_json
from previewops.tui.viewmodel.safe_numbers import parse_count, safe_count
from previewops.tui.viewmodel.spans import Tone, plain_text, width_of
from tests.tui import scenes

NOW = scenes.NOW_MS

plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="ascii")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def test_a_delayed_job_shows_when_it_is_due() -> None:
    job = replace(
        scenes.record("later", JobState.DELAYED),
        due_ms=NOW + 7_200_000,
        previous_ms=NOW - 1,
        attempts=0,
        crashes=0,
    )
    text = "\n".join(plain_text(line) for line in format_fact_lines(job, NOW, 60))
    assert text.startswith("◔ waiting for its time")
    assert "due       in 2 h" in text
    assert "the bundle of an earlier run" in text
    (placeholder, *_) = preview_placeholder(job, 60)
    assert "failed" not in plain_text(placeholder), "no attempt has failed yet"
    retried = replace(job, attempts=1)
    assert "an attempt has failed" in plain_text(preview_placeholder(retried, 60)[0])


def test_a_project_that_does_not_fit_beside_the_priority_has_a_row() -> None:
    job = replace(scenes.record("later", JobState.WAITING), project_id="a-long-project")
    wide, narrow = ([plain_text(line) for line in format_fact_lines(job, NOW, n)] for n in (60, 30))
    assert any(row.startswith("priority") and row.endswith("project a-long-project") for row in wide)
    assert "project   a-long-project" in narrow


@given(plain_json)
def test_joined_json_lines_are_the_json(value: object) -> None:
    text = "\n".join(plain_text(line) for line in format_json_lines(value))
    assert text.isprintable() or "\n" in text
    expected = json.dumps(value, ensure_ascii=False, indent=2)
    if expected.replace("\n", "").isprintable():
        assert text == expected


@given(plain_json, st.integers(min_value=20, max_value=80))
def test_wrapped_json_loses_nothing_but_blanks(value: object, columns: int) -> None:
    lines = format_json_lines(value)
    squeezed = "".join(plain_text(line) for line in lines).replace(" ", "")
    assert "".join(plain_text(line) for line in wrap_json(lines, columns)).replace(" ", "") == squeezed


def test_json_has_tones_by_kind_and_long_values_hang() -> None:
    name, _, value, *_ = format_json_lines({"a": "b"})[1][1:]
    assert (name.text, name.tone) == ('"a"', Tone.INFO)
    assert (value.text, value.tone) == ('"b"', Tone.TEXT)
    assert format_json_lines(7)[0][0].tone is Tone.GOOD
    assert format_json_lines(None)[0][0].tone is Tone.HIGH
    rows = wrap_json(format_json_lines({"text": "one two three four five six"}), 20)
    assert [plain_text(row) for row in rows] == [
        "{",
        '  "text": "one two',
        "    three four five",
        '    six"',
        "}",
    ]


def test_json_that_is_endless_or_bottomless_is_cut() -> None:
    lines = format_json_lines(list(range(MAX_LINES * 2)))
    assert len(lines) == MAX_LINES + 1
    assert "more lines" in plain_text(lines[-1])
    deep: Any = 1
    for _ in range(50_000):
        deep = [deep]
    assert "too deeply" in plain_text(format_json_lines(deep)[0])


def facts(**changes: object) -> str:
    job = replace(scenes.record("a", JobState.COMPLETED), **changes)  # type: ignore[arg-type]
    return "\n".join(plain_text(line) for line in format_fact_lines(job, NOW, 60))


def test_facts_start_with_the_error() -> None:
    text = "\n".join(plain_text(line) for line in format_fact_lines(scenes.DEAD_JOB, NOW, 60))
    first = text.splitlines()
    assert first[0] == "✖ dead letter"
    assert first[1].startswith("reason    no file boards/middle-game.png under the roots")
    assert "error     PermanentJobError / asset-missing" in text
    assert "tried     3 attempts failed" in text
    assert "group     9a1c33d0be77" in text


def test_facts_have_times_and_results() -> None:
    text = facts(result=scenes.RESULT, claimed_ms=NOW - 33_400, finished_ms=NOW - 31_000, requeues=2)
    assert "took      2.4 s" in text
    assert "tried     requeued 2 times" in text
    assert "waited" not in text, "the start of a later run is unknown"
    assert "shows     1280x720 pixels, 7.5 s long" in text
    assert "bundle    /srv/previews/morris/done-3" in text
    assert "warning   step 2" in text


@pytest.mark.parametrize("state", list(JobState))
@pytest.mark.parametrize("columns", [1, 20, 70])
def test_every_state_fits_any_width(state: JobState, columns: int) -> None:
    job = scenes.record("a", state, history=scenes.ATTEMPTS, progress=0.4, phase="frames")
    assert format_fact_lines(job, NOW, columns)
    assert preview_placeholder(job, columns)


def test_facts_are_wrapped_to_their_room() -> None:
    for line in format_fact_lines(replace(scenes.DEAD_JOB, reason="word " * 40), NOW, 36):
        assert width_of(line) <= 36


def test_invalid_results_have_no_artifacts() -> None:
    for result in (
        None,
        {},
        {"artifacts": 7},
        {"artifacts": [None, 3, {"path": 1, "bytes": 2}, {"path": "a"}]},
    ):
        assert parse_artifacts(result) == ()
    assert parse_artifacts({"artifacts": [{"path": "a", "bytes": 1}]}) == (BundleFile("a", 1, ""),)
    assert "reason" not in facts(result={"width": "x", "warnings": 3, "renderMs": None, "bundle": 1})


def test_images_come_poster_first() -> None:
    names = [picture.path for picture in BundleContents(parse_artifacts(scenes.RESULT)).pictures]
    assert names == [
        "poster.png",
        "frames/000-title.png",
        "frames/001.png",
        "frames/002.png",
        "sheet.png",
        "thumbs/board.png",
    ]


@pytest.mark.parametrize(
    "preview", [None, 3, [], {"frames": 3}, {"frames": [1, {}], "assets": [{}], "sheet": []}]
)
def test_captions_survive_any_preview_json(preview: object) -> None:
    assert parse_captions(preview) == {}


@given(*(st.integers(min_value=1, max_value=5_000) for _ in range(4)))
def test_images_fit_keep_their_aspect_ratio_and_are_not_enlarged(
    width: int, height: int, wide: int, high: int
) -> None:
    fitted = fit_size(width, height, wide, high)
    assert fitted[0] <= min(width, wide)
    assert fitted[1] <= min(height, high)
    assert fitted[0] in (width, wide) or fitted[1] in (height, high)
    scale = fitted[0] / width
    assert abs(height * scale - fitted[1]) <= max(1.0, height / width + 1)


def test_half_blocks_show_two_rows_of_pixels_in_one_of_cells() -> None:
    red, blue, white = b"\xff\0\0", b"\0\0\xff", b"\xff\xff\xff"
    rows = half_block_rows(Pixels(3, 3, red * 3 + blue * 2 + white + white * 3))
    assert [[run.cells for run in row] for row in rows] == [[2, 1], [3]]
    assert (rows[0][0].upper, rows[0][0].lower) == ((255, 0, 0), (0, 0, 255))
    assert rows[0][1].lower == (255, 255, 255)
    assert rows[1][0].lower is None, "a last row by itself stands on the ground"


@pytest.mark.parametrize("number", [pytest.param(10**400, id="400 digits"), 2**80, -1, True, 1.5, "7", None])
def test_numbers_that_are_none_are_left_out(number: object) -> None:
    assert safe_count(number) is None
    assert parse_artifacts({"artifacts": [{"path": "a.png", "bytes": number}]}) == ()
    assert parse_captions({"frames": [{"path": "a.png", "step": 1, "durationMs": number}]}) == {
        "a.png": "step 1"
    }
    result = {"renderMs": number, "width": 1, "height": 1, "durationMs": number}
    done = scenes.record("done", JobState.COMPLETED, result=result)
    facts = "\n".join(map(plain_text, format_fact_lines(done, scenes.NOW_MS, 80)))
    assert "1x1 pixels" in facts
    assert "rendered" not in facts
    plan = {"estimate": {"bytes": number, "ms": number}}
    dry = replace(done, result={"dryRun": True, "plan": plan})
    assert plain_text(preview_placeholder(dry, 80)[0]).strip() == "The plan of a dry run"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param("1500", 1_500, id="a delay"),
        pytest.param("9" * 5_000, None, id="5,000 digits"),
        pytest.param("-1", None, id="negative"),
        pytest.param("1.5", None, id="a fraction"),
        pytest.param("\u0663", None, id="a digit of another script"),
    ],
)
def test_digits_that_are_no_number_are_left_as_they_are(text: str, number: int | None) -> None:
    assert parse_count(text) == number
    shown = plain_text(event_description(QueueEvent("1-0", 1, "retry", {"delayMs": text})))
    assert (f"retry in {format_duration(number)}" if number is not None else "delayMs") in shown


def test_copies_at_other_widths_are_files_but_no_pictures() -> None:
    paths = (
        "frames/001-640.webp",
        "frames/001.webp",
        "frames/000-title.webp",
        "poster-640.webp",
        "poster.webp",
    )
    bundle = BundleContents(tuple(BundleFile(path, 1, "image/webp") for path in paths))
    assert [picture.path for picture in bundle.pictures] == [
        "poster.webp",
        "frames/001.webp",
        "frames/000-title.webp",
    ]
