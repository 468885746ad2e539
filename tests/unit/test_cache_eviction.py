"""What goes first: what is too old, then what was longest unused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from previewops.worker.cache.eviction import select_evictions


@dataclass(frozen=True)
class Thing:
    name: str
    size: int
    used_s: float


THINGS = [Thing("new", 10, 900), Thing("old", 10, 100), Thing("middle", 10, 500)]


@pytest.mark.parametrize(
    ("bounds", "gone"),
    [
        ({}, []),
        ({"max_age_s": 10_000, "max_bytes": 30}, []),
        ({"max_bytes": 29}, ["old"]),
        ({"max_bytes": 10}, ["old", "middle"]),
        ({"max_bytes": 0}, ["old", "middle", "new"]),
        ({"max_age_s": 500}, ["old"]),
        ({"max_age_s": 499}, ["old", "middle"]),
        ({"max_age_s": 600, "max_bytes": 15}, ["old", "middle"]),
    ],
)
def test_surplus(bounds: dict[str, int], gone: list[str]) -> None:
    assert [thing.name for thing in select_evictions(THINGS, now_s=1_000, **bounds)] == gone
