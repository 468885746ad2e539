"""Conditional and range requests."""

from __future__ import annotations

import pytest

from previewops.api.ranges import SelectionKind, select_range

ETAG = '"abc"'
SIZE = 100


@pytest.mark.parametrize(
    ("value", "part", "start", "end"),
    [
        ("bytes=0-9", SelectionKind.PARTIAL, 0, 10),
        ("bytes=90-", SelectionKind.PARTIAL, 90, 100),
        ("bytes=-10", SelectionKind.PARTIAL, 90, 100),
        ("bytes=-1000", SelectionKind.PARTIAL, 0, 100),
        ("bytes=99-99", SelectionKind.PARTIAL, 99, 100),
        ("bytes=50-1000", SelectionKind.PARTIAL, 50, 100),
        ("Bytes = 1 - 2", SelectionKind.PARTIAL, 1, 3),
        ("bytes=100-", SelectionKind.NOT_SATISFIABLE, 0, 0),
        ("bytes=100-200", SelectionKind.NOT_SATISFIABLE, 0, 0),
        ("bytes=-0", SelectionKind.NOT_SATISFIABLE, 0, 0),
        ("bytes=9-0", SelectionKind.FULL, 0, 100),
        ("bytes=-", SelectionKind.FULL, 0, 100),
        ("bytes=0-1,5-6", SelectionKind.FULL, 0, 100),
        ("lines=0-1", SelectionKind.FULL, 0, 100),
        ("bytes=a-b", SelectionKind.FULL, 0, 100),
        ("bytes=٠-٩", SelectionKind.FULL, 0, 100),
        (f"bytes=0-{'9' * 40}", SelectionKind.FULL, 0, 100),
        ("", SelectionKind.FULL, 0, 100),
    ],
)
def test_ranges(value: str, part: SelectionKind, start: int, end: int) -> None:
    result = select_range("GET", {"range": value}, ETAG, SIZE)
    assert (result.kind, result.start, result.end) == (part, start, end)


@pytest.mark.parametrize(
    ("if_range", "part"),
    [
        (ETAG, SelectionKind.PARTIAL),
        ('"old"', SelectionKind.FULL),
        (f"W/{ETAG}", SelectionKind.FULL),
        ("Tue, 15 Nov 1994", SelectionKind.FULL),
    ],
)
def test_if_range_mismatch_selects_the_full_file(if_range: str, part: SelectionKind) -> None:
    assert select_range("GET", {"range": "bytes=0-1", "if-range": if_range}, ETAG, SIZE).kind is part


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (ETAG, True),
        (f"W/{ETAG}", True),
        (f'"x", {ETAG}', True),
        ("*", True),
        ('"x"', False),
        ("abc", False),
        ("", False),
    ],
)
def test_matching_etag_is_304(value: str, known: bool) -> None:
    result = select_range("GET", {"if-none-match": value, "range": "bytes=0-1"}, ETAG, SIZE)
    assert (result.kind is SelectionKind.NOT_MODIFIED) is known


def test_head_has_no_ranges() -> None:
    assert select_range("HEAD", {"range": "bytes=0-1"}, ETAG, SIZE).kind is SelectionKind.FULL


def test_an_empty_file_has_no_range() -> None:
    assert select_range("GET", {"range": "bytes=0-0"}, ETAG, 0).kind is SelectionKind.NOT_SATISFIABLE
    assert select_range("GET", {}, ETAG, 0).length == 0
