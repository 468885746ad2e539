"""Parsing of worker count ranges."""

from __future__ import annotations

import pytest

from previewops.snapshot.fleet import MAX_WORKERS, WorkerCountRange


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("4", WorkerCountRange(4, 4)),
        ("1-8", WorkerCountRange(1, 8)),
        (" 0 ", WorkerCountRange(0, 0)),
        (f"0-{MAX_WORKERS}", WorkerCountRange(0, MAX_WORKERS)),
        ("3-3", WorkerCountRange(3, 3)),
    ],
)
def test_parse_number_or_range(text: str, bounds: WorkerCountRange) -> None:
    assert WorkerCountRange.parse(text) == bounds
    assert WorkerCountRange.parse(str(bounds)) == bounds


@pytest.mark.parametrize("text", ["", "-1", "8-1", "257", "1-257", "four", "1-", "1 8", "1--8", "٤", "1e2"])
def test_parse_rejects_anything_else(text: str) -> None:
    assert WorkerCountRange.parse(text) is None
