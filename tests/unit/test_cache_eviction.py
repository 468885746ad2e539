"""Eviction order: expired items, then the least recently used."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from previewops.worker.cache.eviction import select_evictions


@dataclass(frozen=True)
class Item:
    name: str
    size_bytes: int
    last_used_s: float


ITEMS = [Item("new", 10, 900), Item("old", 10, 100), Item("middle", 10, 500)]


@pytest.mark.parametrize(
    ("limits", "evicted"),
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
def test_evictions_come_in_order_of_last_use(limits: dict[str, int], evicted: list[str]) -> None:
    assert [item.name for item in select_evictions(ITEMS, now_s=1_000, **limits)] == evicted
