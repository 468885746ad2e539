"""Bursts of events: what is folded, and that nothing gets lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from previewops.snapshot.model import QueueEvent
from previewops.tui.viewmodel.events.bursts import (
    FOLD_FROM,
    FOLD_GAP_MS,
    Burst,
    burst_cells,
    fold,
    format_burst_line,
    format_burst_lines,
    key_of_entry,
)
from previewops.tui.viewmodel.events.feed import EventFeed, subtitle
from previewops.tui.viewmodel.spans import plain_text, width_of

NOW_MS = 1_795_500_187_250


def events(*kinds: str, step_ms: int = 100, **fields: str) -> list[QueueEvent]:
    """Events newest first; "kind!" is an operator's."""
    return [
        QueueEvent(
            f"{NOW_MS - number * step_ms}-0",
            NOW_MS - number * step_ms,
            kind.rstrip("!"),
            {"job": f"job-{number}", **fields, **({"who": "ada"} if kind.endswith("!") else {})},
        )
        for number, kind in enumerate(kinds)
    ]


def shape(entries: list[object]) -> list[object]:
    return [
        (entry.kind, len(entry.events)) if isinstance(entry, Burst) else entry.kind
        for entry in entries
        if isinstance(entry, Burst | QueueEvent)
    ]


def test_events_of_one_kind_in_a_row_are_folded() -> None:
    many = events(*["dead"] * 6, "retry", *["dead"] * 3, *["retry"] * 4)
    assert shape(list(fold(many))) == [("dead", 6), "retry", "dead", "dead", "dead", ("retry", 4)]


def test_a_pause_ends_a_burst() -> None:
    close = events(*["dead"] * FOLD_FROM, step_ms=FOLD_GAP_MS)
    assert shape(list(fold(close))) == [("dead", FOLD_FROM)]
    apart = events(*["dead"] * FOLD_FROM, step_ms=FOLD_GAP_MS + 1)
    assert shape(list(fold(apart))) == ["dead"] * FOLD_FROM


def test_what_operators_did_stands_alone() -> None:
    acts = events(*["requeued!"] * 9)
    assert shape(list(fold(acts))) == ["requeued"] * 9
    among = events(*["dead"] * 5, "dead!", *["dead"] * 5)
    assert shape(list(fold(among))) == [("dead", 5), "dead", ("dead", 5)]


def test_an_open_burst_lists_its_events_and_stays_open_while_it_grows() -> None:
    many = events(*["dead"] * 5)
    feed = EventFeed()
    (burst,) = feed.entries(many)
    assert isinstance(burst, Burst)
    feed = feed.toggle(burst)
    assert shape(feed.entries(many)) == [("dead", 5), *["dead"] * 5]
    newer = QueueEvent(f"{NOW_MS + 50}-0", NOW_MS + 50, "dead", {})
    grown = feed.entries([newer, *many])
    assert len(grown) == 7
    assert key_of_entry(grown[0]) == burst.key, "the cursor stays at the burst"
    assert len(feed.entries([newer, *many[:-1]])) == 6, "and if its oldest event is forgotten"
    assert isinstance(grown[0], Burst)
    assert shape(feed.toggle(grown[0]).entries(many)) == [("dead", 5)]
    assert shape(EventFeed(folding=False).entries(many)) == ["dead"] * 5


def test_a_burst_says_how_many_of_what_and_when() -> None:
    many = [
        *events(*["dead"] * 5, code="asset-missing"),
        *events(*["dead"] * 3, code="timeout"),
        *events("dead", code="\x1b[2J"),
        *events("dead"),
    ]
    (burst,) = fold(many)
    assert isinstance(burst, Burst)
    what = plain_text(burst_cells(burst, "05:00:00")[-1])
    assert what.startswith("asset-missing 5, timeout 3, ")
    assert "within" in what
    line = plain_text(format_burst_line(burst, 14))
    assert "dead" in line
    assert "10 times" in line
    details = "\n".join(map(plain_text, format_burst_lines(burst, 60)))
    for part in ("10 times", "first", "last", "jobs", "5  asset-missing", "without an error", "enter lists"):
        assert part in details
    assert "\x1b" not in details + line
    assert all(width_of(row) <= 40 for row in format_burst_lines(burst, 40)[4:])
    (alike,) = fold(events(*["retry"] * 4, code="timeout"))
    assert isinstance(alike, Burst)
    assert plain_text(burst_cells(alike, "")[-1]).startswith("timeout  within"), (
        "one cause needs no count of its own"
    )


def test_the_subtitle_counts_events_and_rows() -> None:
    assert subtitle(EventFeed(), 1_000, 0, rows=12).startswith("1,000 events in 12 rows")
    assert subtitle(EventFeed(), 3, 0, rows=3).startswith("3 events ·")


@given(
    st.lists(
        st.tuples(st.sampled_from(["dead", "retry", "dead!"]), st.integers(0, 2 * FOLD_GAP_MS)), max_size=60
    ),
    st.sets(st.integers(0, 59)),
)
def test_folding_loses_and_reorders_nothing(steps: list[tuple[str, int]], opened: set[int]) -> None:
    at_ms, stream = NOW_MS, []
    for number, (kind, step_ms) in enumerate(steps):
        at_ms -= step_ms
        fields = {"who": "ada"} if kind.endswith("!") else {}
        stream.append(QueueEvent(f"{number}", at_ms, kind.rstrip("!"), fields))
    entries = list(fold(stream, {str(number) for number in opened}))
    flat: list[QueueEvent] = []
    listed = iter(entries)
    for entry in listed:
        if isinstance(entry, Burst):
            assert len(entry.events) >= FOLD_FROM
            assert not any(event.fields.get("who") for event in entry.events)
            assert len({event.kind for event in entry.events}) == 1
            below = [next(listed) for _ in entry.events] if entry.is_open else list(entry.events)
            assert tuple(below) == entry.events
            flat += entry.events
        else:
            flat.append(entry)
    assert flat == stream
    keys = [key_of_entry(entry) for entry in entries]
    assert len(keys) == len(set(keys))
