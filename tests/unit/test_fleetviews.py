"""Bounds as people type them."""

from __future__ import annotations

import pytest

from previewops.fleetviews import MOST_WORKERS, Bounds


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("4", Bounds(4, 4)),
        ("1-8", Bounds(1, 8)),
        (" 0 ", Bounds(0, 0)),
        (f"0-{MOST_WORKERS}", Bounds(0, MOST_WORKERS)),
        ("3-3", Bounds(3, 3)),
    ],
)
def test_a_number_or_a_range(text: str, bounds: Bounds) -> None:
    assert Bounds.parse(text) == bounds
    assert Bounds.parse(str(bounds)) == bounds


@pytest.mark.parametrize("text", ["", "-1", "8-1", "257", "1-257", "four", "1-", "1 8", "1--8", "٤", "1e2"])
def test_anything_else_is_none(text: str) -> None:
    assert Bounds.parse(text) is None
