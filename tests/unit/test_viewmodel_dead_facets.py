"""What is in a cause: counts by project, host and hour."""

from __future__ import annotations

import pytest

from previewops.queue.dead_letter_facets import HOUR_MS, DeadLetterFacets, FacetCounter, host_of
from previewops.queue.filter_query import parse_filter
from previewops.tui.viewmodel.dead.facets import (
    COLUMNS,
    MAX_VALUES,
    Facet,
    FacetKind,
    facet_cells,
    list_facets,
    sample_text,
)

HOUR = 498_750 * HOUR_MS


@pytest.mark.parametrize(
    ("worker", "host"),
    [
        ("render-1-4001-00f1", "render-1"),
        ("vm-7-a1b2c3", "vm"),
        ("named by hand", "named by hand"),
        ("render-1", "render-1"),
        ("", ""),
    ],
)
def test_the_host_of_a_worker(worker: str, host: str) -> None:
    assert host_of(worker) == host


def test_counts_of_several_calls_add_up() -> None:
    counter = FacetCounter()
    counter.add(3, {"a": 2, "b": 1}, {"h-1-aa": 2, "h-2-bb": 1}, {7: 3})
    counter.add(1, {"a": 1}, {"": 1}, {8: 1})
    facets = counter.facets(complete=False)
    assert facets.projects == {"a": 3, "b": 1}
    assert facets.hosts == {"h": 3, "": 1}
    assert facets.hours == {7 * HOUR_MS: 3, 8 * HOUR_MS: 1}
    assert sample_text(facets, 9_000) == "the newest 4 of 9,000"


def test_the_largest_come_first_and_hours_from_the_newest_on() -> None:
    facets = DeadLetterFacets(
        counted=1_000,
        projects={f"p{number}": number for number in range(1, MAX_VALUES + 4)},
        hosts={"": 1, "render-1": 9},
        hours={HOUR: 1, HOUR + HOUR_MS: 9},
    )
    rows = list_facets(facets)
    projects = [row for row in rows if row.kind is FacetKind.PROJECT]
    assert [row.value for row in projects[:2]] == [f"p{MAX_VALUES + 3}", f"p{MAX_VALUES + 2}"]
    assert (projects[-1].rest, projects[-1].count) == (3, 1 + 2 + 3)
    assert [row.value for row in rows if row.kind is FacetKind.HOST] == ["render-1", ""]
    assert [row.hour_ms for row in rows if row.kind is FacetKind.HOUR] == [HOUR + HOUR_MS, HOUR]
    assert len({row.key for row in rows}) == len(rows)
    assert all(len(facet_cells(row, 1_000, first=True)) == len(COLUMNS) for row in rows)


@pytest.mark.parametrize(
    ("facet", "fields"),
    [
        (Facet(FacetKind.PROJECT, "kids", 1), {"project": "kids"}),
        (Facet(FacetKind.PROJECT, 'two "words"', 1), {"project": 'two "words"'}),
        (Facet(FacetKind.HOST, "render-1", 1), {"worker": "render-1-4001-00f1"}),
    ],
)
def test_the_filter_of_a_facet_finds_its_jobs(facet: Facet, fields: dict[str, str]) -> None:
    assert facet.can_filter
    query = parse_filter(facet.filter_text)
    assert query.matches(fields)
    assert not query.matches({"project": "others", "worker": "render-11-4001-00f1"})


def test_a_sum_or_nothing_cannot_be_filtered() -> None:
    assert not Facet(FacetKind.PROJECT, "", 9, rest=3).can_filter
    assert not Facet(FacetKind.HOST, "", 9).can_filter
    assert not Facet(FacetKind.PROJECT, "a\0b", 9).can_filter
    assert Facet(FacetKind.HOUR, "10:00", 9, HOUR).can_filter
