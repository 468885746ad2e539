"""Dead letters as rows and text, selections, and text of dialogs."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
from previewops.queue.filter_query import FilterQuery, parse_filter
from previewops.queue.pages import Cursor
from previewops.states import JobState, Priority
from previewops.tui.viewmodel.columns import fit_widths
from previewops.tui.viewmodel.dead.dialog_text import (
    DIALOG_COLUMNS,
    CountPreview,
    GroupCount,
    format_count_lines,
    format_discard_lines,
    format_requeue_lines,
    requeue_title,
)
from previewops.tui.viewmodel.dead.frame import ListExtent, format_empty_lines, subtitle_of, title_of
from previewops.tui.viewmodel.dead.paging import Paging, row_range
from previewops.tui.viewmodel.dead.rows import (
    ALL_COLUMNS,
    GROUP_COLUMNS,
    ONE_GROUP_COLUMNS,
    ago,
    filter_groups,
    format_group_cells,
    format_group_lines,
    format_job_cells,
    format_job_lines,
    restrict_to_errors,
)
from previewops.tui.viewmodel.dead.selection import DeadListQuery, select
from previewops.tui.viewmodel.spans import plain_text, width_of
from tests.tui import scenes

LETTERS = scenes.dead_records()
MISSING = next(letter for letter in LETTERS if letter.code == "asset-missing")
GROUP = DeadLetterGroup("9a1c33d0be77", 41, scenes.NOW_MS - 7_200_000, scenes.NOW_MS - 31_000, MISSING)
OTHER = DeadLetterGroup(
    "41f0c2aa9310",
    22,
    0,
    scenes.NOW_MS,
    next(letter for letter in LETTERS if letter.code == "deadline-exceeded"),
)
HERE = DeadListQuery(group=GROUP)
FLAT = DeadListQuery(flat=True)


def text(lines: object) -> str:
    return "\n".join(map(plain_text, lines))  # type: ignore[call-overload]


# -- pages ----------------------------------------------------------------------------------------------


def test_pages_lead_there_and_back() -> None:
    second, third = cast("Cursor", 1), cast("Cursor", 2)
    first = Paging()
    assert (first.is_first, first.cursor, first.start) == (True, None, 0)
    page = first.next(second, 200).next(third, 150)
    assert (page.is_first, page.cursor, page.start) == (False, third, 350)
    assert (page.previous().cursor, page.previous().start) == (second, 200)
    assert page.previous().previous() == first
    assert first.previous() == first


@pytest.mark.parametrize(
    ("start", "rows", "total", "expected"),
    [
        (200, 200, 82_114, "201-400 of 82,114"),
        (0, 12, None, "1-12"),
        (0, 1, 1, "1 of 1"),
        (400, 1, 401, "401-401 of 401"),
        (0, 0, None, "none"),
        (0, 0, 3, "none of 3"),
        (0, 200, 199, "1-200 of 200"),
    ],
)
def test_how_much_is_shown(start: int, rows: int, total: int | None, expected: str) -> None:
    assert row_range(start, rows, total) == expected


# -- rows -----------------------------------------------------------------------------------------------


def test_a_cause_is_its_count_its_share_and_its_newest_reason() -> None:
    cells = [plain_text(cell) for cell in format_group_cells(GROUP, 82, scenes.NOW_MS)]
    assert cells[0] == "41"
    assert cells[1].endswith(" 50 %")
    assert cells[2:5] == ["asset-missing", "30 s ago", "2 h ago"]
    assert cells[5].startswith("no file boards/")
    assert len(cells) == len(GROUP_COLUMNS)


@pytest.mark.parametrize(("count", "total", "expected"), [(1, 9_000, "<1 %"), (3, 0, "0 %"), (9, 3, "100 %")])
def test_shares_at_their_ends(count: int, total: int, expected: str) -> None:
    cells = format_group_cells(replace(GROUP, count=count), total, scenes.NOW_MS)
    assert plain_text(cells[1]).split("·")[-1].strip().endswith(expected)
    assert f" {expected}" in plain_text(cells[1]), "the bar does not touch the figure"


def test_a_job_is_its_id_error_and_reason() -> None:
    letter = replace(MISSING, requeues=2, attempts=1, crashes=2, priority=Priority.LOW)
    cells = [plain_text(cell) for cell in format_job_cells(letter, scenes.NOW_MS, with_error=True)]
    assert cells[0] == letter.job_id
    assert cells[2] == "asset-missing"
    assert cells[4:7] == ["low", "3", "2"]
    assert len(cells) == len(ALL_COLUMNS)
    assert len(format_job_cells(letter, scenes.NOW_MS, with_error=False)) == len(ONE_GROUP_COLUMNS)


def test_text_of_jobs_steers_no_terminal() -> None:
    hostile = replace(MISSING, job_id="a\x1b[2Jb", reason="c\x1b]0;x\x07\nd", code="e\u202e", project_id="\r")
    shown = text(format_job_cells(hostile, scenes.NOW_MS, with_error=True))
    shown += text(format_job_lines(scenes.full_dead_record(hostile), scenes.NOW_MS, 60))
    shown += text(format_group_lines(replace(GROUP, example=hostile), 82, scenes.NOW_MS, 60))
    assert shown.replace("\n", "").isprintable()


def test_ages_are_those_of_the_list_of_all_jobs() -> None:
    now = scenes.NOW_MS
    assert ago(now - 1_000, now) == "<10 s ago"
    assert ago(now - 59_000, now) == "50 s ago"
    assert ago(now - 60_000, now) == "1 min ago"
    assert ago(None, now) == "-"


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        (GROUP_COLUMNS, {"count", "share", "error", "last", "reason"}),
        (ALL_COLUMNS, {"job", "error", "died", "reason"}),
        (ONE_GROUP_COLUMNS, {"job", "project", "died", "tries", "reason"}),
    ],
)
def test_eighty_columns_have_room_for_what_matters(columns: object, titles: set[str]) -> None:
    named = cast("tuple", columns)  # type: ignore[type-arg]
    widths = fit_widths(named, 80 - 2 - 2 - 2 - 1)  # frame, padding, marks, scroll bar
    assert {column.title for column, width in zip(named, widths, strict=True) if width} == titles


# -- the panel of one -----------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [38, 60, 120])
def test_the_panel_shows_all_facts_within_its_width(columns: int) -> None:
    letter = replace(MISSING, reason="a reason that is long " * 20, requeues=2)
    lines = format_job_lines(scenes.full_dead_record(letter), scenes.NOW_MS, columns)
    assert max(map(width_of, lines)) <= columns
    panel_text = " ".join(text(lines).split())
    assert panel_text.count("a reason that is long") == 20, "nothing is cut"
    assert "requeued 2 times before" in panel_text
    assert "project morris" in panel_text
    assert panel_text.index("attempt 3") < panel_text.index("attempt 2") < panel_text.index("attempt 1"), (
        "newest first"
    )
    assert panel_text.count("Traceback (most recent call last):") == 3
    assert "raise PermanentJobError(" in panel_text


def test_the_panel_reports_a_changed_state_or_missing_attempts() -> None:
    waiting = replace(MISSING, state=JobState.WAITING, reason=None, code=None, error_class=None)
    panel_text = text(format_job_lines(waiting, scenes.NOW_MS, 100))
    assert "not a dead letter any more: it is waiting" in panel_text
    assert "no reason was recorded" in panel_text
    assert "No failed attempt was recorded." in panel_text
    assert "unknown" in panel_text


# -- what is meant --------------------------------------------------------------------------------------


def test_causes_are_filtered_by_their_errors() -> None:
    groups = (GROUP, OTHER)
    assert filter_groups(groups, parse_filter("")) == groups
    assert filter_groups(groups, parse_filter("deadline")) == (OTHER,)
    assert filter_groups(groups, parse_filter("!deadline")) == (GROUP,)
    assert filter_groups(groups, parse_filter("! deadline")) == (GROUP,)
    assert filter_groups(groups, parse_filter("permanentjoberror")) == (GROUP,)
    assert filter_groups(groups, parse_filter("error:deadline")) == (OTHER,)
    assert filter_groups(groups, parse_filter("priority:")) == groups, "a word that is being typed"


@pytest.mark.parametrize("typed", ["project:morris", "!priority:low", "! id:lesson", "missing worker:w1"])
def test_causes_are_not_filtered_by_unsupported_fields(typed: str) -> None:
    view = DeadListQuery(terms=parse_filter(typed))
    assert filter_groups((GROUP, OTHER), view.terms) == ()
    subtitle = subtitle_of(view, fetch_error="", examined=None, frozen=False, counting=None)
    assert subtitle == "groups are filtered by error text only"
    lines = text(format_empty_lines(view, ListExtent(0, total=2), fetch_error="", frozen=False))
    assert "filtered by error text,\nnot by " in lines
    assert "f lists the jobs, esc clears the filter." in lines


def test_a_filter_of_causes_ignores_ids_and_projects() -> None:
    assert (
        str(restrict_to_errors(parse_filter("missing !board error:x")))
        == "error:missing !error:board error:x"
    )
    assert restrict_to_errors(parse_filter("! a")).inverted
    assert DeadListQuery(terms=parse_filter("missing")).filter == DeadLetterFilter(
        query=parse_filter("error:missing")
    )


def test_the_filter_of_a_list_includes_other_pages() -> None:
    terms = parse_filter("chess")
    assert DeadListQuery().filter == DeadLetterFilter()
    assert DeadListQuery(flat=True, terms=terms).filter == DeadLetterFilter(query=terms)
    assert DeadListQuery(group=GROUP, terms=terms).filter == DeadLetterFilter(
        fingerprint=GROUP.fingerprint, query=terms
    )


def test_selection_is_everything_else_marks_else_cursor() -> None:
    everything = select(FLAT, everything=True, marks=["a", "b"], cursor="c", shown=["a", "c"])
    assert everything is not None
    assert (everything.filters, everything.keys, everything.single_job_id) == ((DeadLetterFilter(),), (), "")
    marked = select(FLAT, everything=False, marks=["a", "b"], cursor="c", shown=["a", "c"])
    assert marked is not None
    assert (marked.filters, marked.keys) == ((DeadLetterFilter(job_ids=("a", "b")),), ("a", "b"))
    assert (marked.label, marked.single_job_id, marked.hidden_count) == ("the 2 marked", "", 1)
    under = select(HERE, everything=False, marks=[], cursor="c", shown=["a", "c"])
    assert under is not None
    assert (under.filters, under.single_job_id, under.hidden_count) == (
        (DeadLetterFilter(job_ids=("c",)),),
        "c",
        0,
    )
    assert select(FLAT, everything=False, marks=[], cursor="", shown=[]) is None


def test_selection_of_causes_is_groups() -> None:
    view = DeadListQuery()
    marked = select(view, everything=False, marks=["f1", "f2"], cursor="f3", shown=["f1", "f2", "f3"])
    assert marked is not None
    assert marked.filters == (DeadLetterFilter(fingerprint="f1"), DeadLetterFilter(fingerprint="f2"))
    assert (marked.label, marked.single_job_id) == ("the 2 marked groups", "")
    under = select(view, everything=False, marks=[], cursor="f3", shown=["f1", "f2", "f3"])
    assert under is not None
    assert (under.filters, under.label) == ((DeadLetterFilter(fingerprint="f3"),), "this group")


def test_selection_of_a_filtered_cause_is_matching_jobs() -> None:
    view = DeadListQuery(terms=parse_filter("missing !board"))
    subtitle = subtitle_of(view, fetch_error="", examined=None, frozen=False, counting=None)
    assert subtitle == "commands affect matching jobs only"
    terms = parse_filter("error:missing !error:board")
    assert view.filter == DeadLetterFilter(query=terms)
    under = select(view, everything=False, marks=[], cursor="f3", shown=["f3"])
    assert under is not None
    assert under.filters == (DeadLetterFilter(fingerprint="f3", query=terms),)
    assert under.label == "matching jobs of this group"
    marked = select(view, everything=False, marks=["f1", "f2"], cursor="f3", shown=["f1", "f2", "f3"])
    assert marked is not None
    assert marked.filters == tuple(DeadLetterFilter(fingerprint=key, query=terms) for key in ("f1", "f2"))


# -- the frame ------------------------------------------------------------------------------------------


def test_title_of_list_and_selection() -> None:
    assert title_of(DeadListQuery(), ListExtent(None)) == "dead letters by group"
    assert title_of(DeadListQuery(), ListExtent(5, total=5, dead=82)) == "82 dead letters, 5 groups"
    assert title_of(DeadListQuery(), ListExtent(200, total=200, complete=False)) == "200 largest groups"
    page = ListExtent(200, start=200, total=82_114)
    assert title_of(FLAT, page) == "dead letters 201-400 of 82,114"
    assert title_of(FLAT, replace(page, marked=3)) == "dead letters 201-400 of 82,114 · 3 marked"
    assert title_of(FLAT, replace(page, marked=3, selected=82_114)).endswith(" · all 82,114 selected")
    assert title_of(HERE, ListExtent(41, total=41)) == "asset-missing 1-41 of 41"
    assert title_of(HERE, ListExtent(None)) == "asset-missing"


def test_the_title_of_a_filtered_list() -> None:
    narrowed = DeadListQuery(flat=True, terms=parse_filter("chess"))
    assert title_of(narrowed, ListExtent(3, total=3, selected=3)).endswith("all 3 that match selected")
    assert (
        title_of(DeadListQuery(terms=parse_filter("chess")), ListExtent(1, total=5, dead=82))
        == "1 of 5 groups"
    )


def test_subtitle_of_freshness() -> None:
    usual = {"fetch_error": "", "examined": None, "frozen": False, "counting": None}
    assert subtitle_of(DeadListQuery(), **usual) == ""  # type: ignore[arg-type]
    assert subtitle_of(FLAT, **usual) == "esc: back to the groups"  # type: ignore[arg-type]
    assert subtitle_of(DeadListQuery(flat=True, terms=parse_filter("x")), **usual) == ""  # type: ignore[arg-type]
    for change, expected in (
        ({"fetch_error": "gone"}, "not updated: gone"),
        ({"examined": 40_000}, "searching: 40,000 examined"),
        ({"frozen": True}, "frozen"),
        ({"counting": 0, "fetch_error": "gone"}, "counting …"),
        ({"counting": 40_000, "fetch_error": "gone"}, "counting … 40,000 examined, esc cancels"),
    ):
        assert subtitle_of(FLAT, **{**usual, **change}) == expected  # type: ignore[arg-type]


def test_empty_states() -> None:
    def empty(view: DeadListQuery, shown: int | None, fetch_error: str = "", frozen: bool = False) -> str:
        return text(format_empty_lines(view, ListExtent(shown), fetch_error=fetch_error, frozen=frozen))

    assert empty(DeadListQuery(), None) == "loading …"
    assert "z unfreezes it" in empty(DeadListQuery(), None, frozen=True)
    assert "no server listens" in empty(DeadListQuery(), None, fetch_error="no server listens")
    assert "There are no dead letters." in empty(DeadListQuery(), 0)
    assert "No dead letters of this group are left." in empty(HERE, 0)
    assert 'No dead letter matches "two words"' in empty(
        DeadListQuery(flat=True, terms=parse_filter('"two words"')), 0
    )
    assert "No group matches x" in empty(DeadListQuery(terms=parse_filter("x")), 0)


# -- dialogs --------------------------------------------------------------------------------------------

PARTS = tuple(GroupCount(count, f"code-{count}", "reason " * 30) for count in (40, 30, 20, 10, 5, 4, 3))


def test_count_lines_start_with_the_total() -> None:
    lines = format_count_lines(CountPreview(112, PARTS))
    counts = text(lines)
    assert counts.splitlines()[0] == "112 dead letters of 7 groups"
    assert "code-5" in counts
    assert "code-4 " not in counts
    assert "  7  of other groups" in counts
    assert max(map(width_of, lines)) <= DIALOG_COLUMNS
    assert "of 1 group and more" in text(format_count_lines(CountPreview(50, PARTS[:1])))
    assert (
        text(format_count_lines(CountPreview(1, (GroupCount(1, "a", "b"),)))).splitlines()[0]
        == "1 dead letter"
    )


def test_dialogs_state_the_consequences() -> None:
    tally = CountPreview(3, (GroupCount(3, "asset-missing", "no file"),))
    own = text(format_requeue_lines(tally, None, paused=False))
    assert "with their own priority" in own
    assert "paused" not in own
    assert "The queue is paused" in text(format_requeue_lines(tally, Priority.LOW, paused=True))
    assert "with priority low" in text(format_requeue_lines(tally, Priority.LOW, paused=True))
    assert requeue_title(3, Priority.HIGH) == "Requeue 3 dead letters as high"
    assert requeue_title(1, None) == "Requeue 1 dead letter"
    assert "They are deleted permanently, with payloads." in text(format_discard_lines(tally))
    assert "It is deleted permanently" in text(format_discard_lines(replace(tally, count=1)))


def test_a_view_without_terms_is_not_narrowed() -> None:
    assert not DeadListQuery(terms=FilterQuery()).is_filtered
    assert DeadListQuery(terms=parse_filter("x")).is_filtered
