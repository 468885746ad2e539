"""The event feed: rows, holding, and details of an event."""

from __future__ import annotations

import pytest

from previewops.queue.filter_query import parse_filter
from previewops.snapshot.model import QueueEvent
from previewops.tui.viewmodel.event_text import event_description, event_subject, format_event_line
from previewops.tui.viewmodel.events import feed as shape
from previewops.tui.viewmodel.events.feed import EventFeed
from previewops.tui.viewmodel.spans import plain_text
from tests.tui.scenes import EVENTS, NOW_MS

DAY = 86_400_000


def event(kind: str, number: int = 1, **fields: str) -> QueueEvent:
    return QueueEvent(f"{NOW_MS}-{number}", NOW_MS, kind, fields)


def kinds(events: list[QueueEvent]) -> list[str]:
    return [event.kind for event in events]


def test_the_newest_comes_first() -> None:
    assert kinds(EventFeed().shown(EVENTS))[:3] == ["retry", "dead", "resumed"]


def test_a_held_feed_counts_new_events() -> None:
    frozen_events = EventFeed().hold(EVENTS)
    more = (*EVENTS, event("dead"), event("resumed", 2, who="ada"))
    assert frozen_events.shown(more) == EventFeed().shown(EVENTS)
    assert frozen_events.waiting(more) == 2
    assert frozen_events.hold(more) is frozen_events
    assert frozen_events.follow().shown(more)[0].kind == "resumed"
    assert frozen_events.follow().waiting(more) == 0


def test_a_held_feed_keeps_dropped_events() -> None:
    frozen_events = EventFeed().hold(EVENTS[:2])
    assert kinds(frozen_events.shown(EVENTS[5:])) == kinds(EventFeed().shown(EVENTS[:2]))
    assert frozen_events.waiting(EVENTS[5:]) == len(EVENTS) - 5


def test_operator_actions_only() -> None:
    shown = EventFeed(operators_only=True).shown(EVENTS)
    assert kinds(shown) == ["resumed", "paused", "requeued", "command", "cancelled"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("kind:dead", ["dead"]),
        ("who:grace", ["cancelled"]),
        ("id:lesson-12", ["recovered"]),
        ("worker:3998", ["recovered", "worker-exited"]),
        ("error:asset-missing", ["dead"]),
        ("error:PermanentJobError", ["dead"]),
        ("SIGKILL !lesson", ["worker-exited"]),
        ("! who:@", ["retry", "dead", "recovered", "worker-exited"]),
        ("scale", ["command"]),
    ],
)
def test_filters(typed: str, expected: list[str]) -> None:
    assert kinds(EventFeed(terms=parse_filter(typed)).shown(EVENTS)) == expected


def test_subtitle_of_the_feed() -> None:
    assert shape.subtitle(EventFeed(), 9, 0) == "9 events · following"
    frozen_events = EventFeed(terms=parse_filter("kind:dead"), operators_only=True).hold(EVENTS)
    assert (
        shape.subtitle(frozen_events, 1, 1_200)
        == "/ kind:dead · operator actions · 1 event · 1,200 new, f follows"
    )


def test_empty_states_of_the_feed() -> None:
    def empty_text(feed: EventFeed) -> str:
        return " ".join(plain_text(line) for line in shape.format_empty_lines(feed))

    assert "no events yet" in empty_text(EventFeed())
    assert "esc clears the filter" in empty_text(EventFeed(terms=parse_filter("x")))
    assert "o shows all events" in empty_text(EventFeed(operators_only=True))


def test_times_have_their_date_only_when_it_is_another_day() -> None:
    now, before = event("dead"), QueueEvent("1-0", NOW_MS - DAY, "dead", {})
    assert plain_text(shape.cells(now, NOW_MS)[0]) == "06:03:07"
    assert plain_text(shape.cells(before, NOW_MS)[0]) == "11-23 06:03"
    assert shape.dated([now, before], NOW_MS)
    assert not shape.dated([now], NOW_MS)
    assert not shape.dated([], NOW_MS)


def test_event_rows_have_subject_and_description() -> None:
    by_kind = {event.kind: event for event in EVENTS}
    assert event_subject(by_kind["worker-exited"]) == "render-2-3998-00f1"
    assert event_subject(by_kind["command"]) == "render-1-3990"
    assert event_subject(by_kind["paused"]) == ""
    assert plain_text(event_description(by_kind["retry"])).strip() == (
        "asset-incomplete: the upload is under way  retry in 1.8 s"
    )
    assert plain_text(event_description(by_kind["command"])) == "scale 2 workers by ada@ops: evening peak"
    assert (
        plain_text(event_description(by_kind["recovered"])).strip()
        == "killed by SIGKILL  on render-2-3998-00f1"
    )
    assert "58 jobs, 2 skipped" in plain_text(event_description(by_kind["requeued"]))
    assert plain_text(format_event_line(by_kind["cancelled"])).endswith("trial-8 by grace@ops: sent twice")


def test_a_rejected_command_is_marked() -> None:
    rejected = event(
        "command", act="drain", target="w-1", host="h", outcome="refused", message="it is stopping", who="a"
    )
    assert event_subject(rejected) == "w-1"
    assert plain_text(event_description(rejected)) == "drain rejected: it is stopping by a"


def test_a_command_is_not_named_twice() -> None:
    done = event(
        "command",
        act="drain",
        target="w-1",
        host="h",
        outcome="done",
        message="drain of 1 worker begun",
        who="a",
    )
    assert plain_text(event_description(done)) == "drain of 1 worker begun by a"


def test_an_event_in_full_has_every_field_and_wraps_long_ones() -> None:
    long = event("dead", job="a", message="word " * 30, stray="x", empty="")
    lines = [plain_text(line) for line in shape.format_detail_lines(long, 40)]
    assert lines[0] == "dead  2026-11-24 06:03:07.250 UTC"
    assert lines[1] == "job         a"
    assert lines[2].startswith("message     word word")
    assert lines[3].startswith("            word")
    assert "stray       x" in lines
    assert not any(line.startswith("empty") for line in lines)
    assert lines[-1] == f"event id    {NOW_MS}-1"
    assert max(map(len, lines)) <= 40


def test_fields_are_written_in_words_with_units_and_unknown_ones_as_they_are() -> None:
    fields = {
        "who": "ada",
        "delayMs": "30000",
        "untilMs": f"{NOW_MS}",
        "dueMs": f"{NOW_MS}",
        "olderThanMs": "7200000",
        "done": "1200",
        "now": "1",
        "digestBefore": "0f3a",
        "stray": "5",
    }
    lines = [plain_text(line) for line in shape.format_detail_lines(event("requeued", **fields), 60)]
    assert lines[1:-1] == [
        "operator    ada",
        "delay       30 s",
        "until       2026-11-24 06:03 UTC",
        "due         2026-11-24 06:03:07 UTC",
        "older than  2 h 0 min",
        "jobs done   1,200",
        "run now     yes",
        "old payload 0f3a",
        "stray       5",
    ]


def test_a_damaged_number_keeps_its_field_name() -> None:
    lines = [plain_text(line) for line in shape.format_detail_lines(event("retry", delayMs="soon"), 60)]
    assert "delayMs     soon" in lines


def test_silences_and_reschedules_are_told_in_words() -> None:
    silenced = event("silenced", check="depth", untilMs=f"{NOW_MS}", level="warning", who="ada", why="import")
    assert event_subject(silenced) == "depth"
    description = plain_text(event_description(silenced)).split()
    assert " ".join(description) == "until 2026-11-24 06:03 UTC, up to warning by ada: import"
    for now, words in (("0", "with priority high by ada"), ("1", "with priority high, run now by ada")):
        moved = event("rescheduled", job="a", priority="high", now=now, who="ada")
        assert " ".join(plain_text(event_description(moved)).split()) == words


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("weight:3,active:1", "weight 3, at most 1 active"),
        ("active:none", "no maximum"),
        ("none", "none"),
        ("weight: x", "weight: x"),
    ],
)
def test_limits_of_a_project_are_told_in_words(limits: str, expected: str) -> None:
    event = QueueEvent(
        "1-1", NOW_MS, "project-limits", {"project": "shop", "limits": limits, "was": "weight:2"}
    )
    assert event_subject(event) == "shop"
    assert f"limits: {expected}, it was weight 2" in plain_text(event_description(event))
    assert "project" not in plain_text(event_description(event))


def test_untrusted_text_has_no_control_sequences() -> None:
    evil = event("\x1b[2J", job="\x9b2J", worker="\r", message="\x07", who="\u202e", **{"\x1b": "\x00"})
    text = "".join(
        plain_text(line)
        for line in (
            *shape.format_detail_lines(evil, 60),
            *shape.cells(evil, NOW_MS),
            format_event_line(evil),
        )
    )
    assert text.isprintable()


def test_a_replaced_and_a_rescheduled_job_are_described_in_words() -> None:
    replaced = event("replaced", job="a", was="completed", who="ann")
    assert "it was completed" in plain_text(event_description(replaced))
    later = event("rescheduled", job="a", dueMs=str(NOW_MS), who="ann")
    assert "due at 20" in plain_text(event_description(later))
