"""Which bytes a conditional or partial request means."""

from __future__ import annotations

import pytest

from previewops.api.ranges import Part, select

ETAG = '"abc"'
SIZE = 100


@pytest.mark.parametrize(
    ("value", "part", "start", "end"),
    [
        ("bytes=0-9", Part.RANGE, 0, 10),
        ("bytes=90-", Part.RANGE, 90, 100),
        ("bytes=-10", Part.RANGE, 90, 100),
        ("bytes=-1000", Part.RANGE, 0, 100),
        ("bytes=99-99", Part.RANGE, 99, 100),
        ("bytes=50-1000", Part.RANGE, 50, 100),
        ("Bytes = 1 - 2", Part.RANGE, 1, 3),
        ("bytes=100-", Part.NONE, 0, 0),
        ("bytes=100-200", Part.NONE, 0, 0),
        ("bytes=-0", Part.NONE, 0, 0),
        ("bytes=9-0", Part.WHOLE, 0, 100),
        ("bytes=-", Part.WHOLE, 0, 100),
        ("bytes=0-1,5-6", Part.WHOLE, 0, 100),
        ("lines=0-1", Part.WHOLE, 0, 100),
        ("bytes=a-b", Part.WHOLE, 0, 100),
        ("bytes=٠-٩", Part.WHOLE, 0, 100),
        (f"bytes=0-{'9' * 40}", Part.WHOLE, 0, 100),
        ("", Part.WHOLE, 0, 100),
    ],
)
def test_ranges(value: str, part: Part, start: int, end: int) -> None:
    found = select("GET", {"range": value}, ETAG, SIZE)
    assert (found.part, found.start, found.end) == (part, start, end)


@pytest.mark.parametrize(
    ("if_range", "part"),
    [(ETAG, Part.RANGE), ('"old"', Part.WHOLE), (f"W/{ETAG}", Part.WHOLE), ("Tue, 15 Nov 1994", Part.WHOLE)],
)
def test_a_range_of_another_content_is_the_whole(if_range: str, part: Part) -> None:
    assert select("GET", {"range": "bytes=0-1", "if-range": if_range}, ETAG, SIZE).part is part


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
def test_what_the_client_has_is_not_sent_again(value: str, known: bool) -> None:
    found = select("GET", {"if-none-match": value, "range": "bytes=0-1"}, ETAG, SIZE)
    assert (found.part is Part.NOTHING_NEW) is known


def test_head_has_no_ranges() -> None:
    assert select("HEAD", {"range": "bytes=0-1"}, ETAG, SIZE).part is Part.WHOLE


def test_an_empty_file_has_no_range() -> None:
    assert select("GET", {"range": "bytes=0-0"}, ETAG, 0).part is Part.NONE
    assert select("GET", {}, ETAG, 0).length == 0
