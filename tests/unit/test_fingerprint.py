"""Fingerprints: equal for failures with the same error, different for different errors."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.queue.fingerprint import FINGERPRINT_DIGITS, fingerprint

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-.äß ", min_size=1, max_size=20)
PATHS = st.lists(st.text("abcxyz0189_-.", min_size=1, max_size=8), min_size=1, max_size=5).map("/".join)


def shape(message: str) -> str:
    return fingerprint("SomeError", "some-code", message)


@given(name=NAMES)
def test_quoted_names_are_ignored(name: str) -> None:
    assert shape(f"the step's asset '{name}' isn't there") == shape("the step's asset 'x' isn't there")
    assert shape(f'no asset "{name}" in it') == shape('no asset "x" in it')


@given(number=st.integers() | st.floats(0, 1e12, allow_nan=False))
def test_numbers_are_ignored(number: float) -> None:
    assert shape(f"found {number} of them") == shape("found 7 of them")


@given(width=st.integers(0), height=st.integers(0))
def test_sizes_are_ignored(width: int, height: int) -> None:
    assert shape(f"{width}x{height} is {width * height:,} pixels") == shape("1x1 is 1 pixels")


@given(number=st.uuids())
def test_uuids_are_ignored_quoted_or_not(number: UUID) -> None:
    # Words without a digit count as text; one in 10^30 of these digests has no digit.
    assert shape(f"job {number} failed") == shape("job 550e8400-e29b-41d4-a716-446655440000 failed")


@given(digest=st.binary(min_size=4, max_size=32))
def test_digests_are_ignored(digest: bytes) -> None:
    assert shape(f"sha256 is {digest.hex()} here") == shape("sha256 is deadbeef here")


@given(path=PATHS)
def test_paths_and_urls_are_ignored(path: str) -> None:
    assert shape(f"cannot open /{path}: no such file") == shape("cannot open /srv/a.png: no such file")
    assert shape(f"GET https://example.org/{path}?x=1 failed") == shape(
        "GET https://example.org/x?x=1 failed"
    )


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("cannot read the image", "cannot write the image"),
        ("no file 'a'", "no folder 'a'"),
        ("the render's deadline passed", "the render's memory ran out"),
        ("'a' is missing but 'b' is there", "'a' is there but 'b' is missing"),
        ("", "x"),
    ],
)
def test_different_words_give_different_fingerprints(one: str, another: str) -> None:
    assert shape(one) != shape(another)


def test_class_and_code_change_the_fingerprint() -> None:
    fingerprints = {
        fingerprint(name, code, "it broke") for name in ("AError", "BError") for code in ("one", "two", "")
    }
    assert len(fingerprints) == 6
    assert fingerprint("a", "b", "c") != fingerprint("ab", "", "c")


@given(message=st.text())
def test_fingerprint_is_twelve_hexadecimal_digits(message: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", shape(message))
    assert FINGERPRINT_DIGITS == 12
    assert shape(message) == shape(message)


def test_lone_surrogate_is_accepted() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", shape("no file caf\udce9.png"))


@pytest.mark.parametrize("word", ["a" * 50_000, "a-" * 25_000, "'" * 20_000, '"' * 20_000])
def test_long_messages_take_linear_time(word: str) -> None:
    # Quadratic time would hit the test's time limit.
    assert shape(word)
