"""Redaction and truncation of log fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from previewops.disclosure import redact
from previewops.logs.redaction import MAX_ITEMS, MAX_LINE, MAX_TEXT, MAX_TRACEBACK, sanitize


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("nothing of note", "nothing of note"),
        ("at redis://ann:hunter2@host:1/0 now", "at redis://ann:***@host:1/0 now"),
        ("at rediss://:hunter2@host", "at rediss://:***@host"),
        ("unix:///run/redis.sock?password=hunter2", "unix:///run/redis.sock?password=***"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("get 'https://cdn/a.png?X-Sig=hunter2&b=1'", "get 'https://cdn/a.png?***'"),
        ("https://cdn/a.png#hunter2", "https://cdn/a.png?***"),
        ("https://ann:hunter2@cdn/a.png", "https://ann:***@cdn/a.png"),
        ("https://ann:hun/ter@2@cdn/a.png", "https://ann:***@cdn/a.png"),
        ("https://ann:hunter2@cdn/a?to=a@b&X-Sig=hunter2", "https://ann:***@cdn/a?***"),
        ("https://cdn/a.png", "https://cdn/a.png"),
        ("https://cdn:8080/a@2x.png", "https://cdn:8080/a@2x.png"),
        ("at redis://:hunt@er/2@host:1/0 now", "at redis://:***@host:1/0 now"),
        ("data:image/png;base64,aHVudGVyMg==", "data:image/png;base64,***"),
        ("Authorization: Bearer hunter2hunter2", "Authorization: Bearer ***"),
        ("basic aHVudGVyMg==", "basic ***"),
        ("PREVIEW_API_TOKEN=hunter2", "PREVIEW_API_TOKEN=***"),
        ('{"password": "hunter2", "a": 1}', '{"password": "***", "a": 1}'),
        ("api_key=hunter2&x=1", "api_key=***&x=1"),
        ("pwd=hunter2; x", "pwd=***; x"),
        ("token: 'hunter 2' then", "token: '***' then"),
        ("token: 'hunter\" 2' then", "token: '***' then"),
        ('{"password": "h\\"unter 2", "a": 1}', '{"password": "***", "a": 1}'),
        ('{"password": "hunter2\\\\", "a": 1}', '{"password": "***", "a": 1}'),
        (
            '{"said": "{\\"password\\": \\"hunter 2\\", \\"a\\": 1}"}',
            '{"said": "{\\"password\\": \\"***\\", \\"a\\": 1}"}',
        ),
        ('secret = "hunter 2, cut', 'secret = "***'),
        ("fencing token 7 is older than 9", "fencing token 7 is older than 9"),
    ],
)
def test_secrets_are_redacted(text: str, kept: str) -> None:
    assert redact(text) == kept
    assert sanitize({"event": "e", "message": text, "list": [{"a": text}]}) == {
        "event": "e",
        "message": kept,
        "list": [{"a": kept}],
    }


def test_non_finite_numbers_become_text() -> None:
    kept = sanitize({"error": float("nan"), "x": [float("inf"), 1.5], "y": {"z": -float("inf")}})
    assert kept == {"error": "nan", "x": ["inf", 1.5], "y": {"z": "-inf"}}


def test_payload_fields_are_redacted_everywhere() -> None:
    assert sanitize({"payload": {"title": "t"}, "x": {"body": "b", "n": 1}}) == {
        "payload": "***",
        "x": {"body": "***", "n": 1},
    }


def test_values_below_four_levels_become_text() -> None:
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    assert isinstance(sanitize({"x": deep})["x"][0][0][0][0], str)


def test_control_characters_are_escaped_and_tracebacks_keep_lines() -> None:
    kept = sanitize({"message": "a\x1b[2J\nb\u202e", "exception": "one\n  two\x07"})
    assert kept == {"message": "a\\u001b[2J\\u000ab\\u202e", "exception": "one\n  two\\u0007"}


def test_texts_lose_their_end_and_tracebacks_their_start() -> None:
    kept = sanitize({"message": "m" * 9_999, "exception": "e" * 99_999 + "!", "list": list(range(999))})
    assert kept["message"].startswith("mmm")
    assert kept["message"].endswith("m…")
    assert len(kept["message"]) <= MAX_TEXT
    assert kept["exception"].startswith("…e")
    assert kept["exception"].endswith("e!")
    assert len(kept["exception"]) <= MAX_TRACEBACK
    assert kept["list"] == list(range(MAX_ITEMS))


class Odd:
    def __str__(self) -> str:
        return "odd \x00"


def test_other_values_become_text() -> None:
    assert sanitize({"a": Odd(), "b": b"\xff", "c": None, "d": (1, True, 2.5)}) == {
        "a": "odd \\u0000",
        "b": "b'\\xff'",
        "c": None,
        "d": [1, True, 2.5],
    }


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=9), inner, max_size=8),
    max_leaves=40,
)


@settings(max_examples=30)
@given(
    fields=st.dictionaries(st.text(min_size=1, max_size=20), anything, max_size=12), times=st.integers(1, 400)
)
def test_any_event_is_one_bounded_json_line(fields: dict[str, Any], times: int) -> None:
    line = json.dumps(sanitize({**fields, "long": "\U0001f600\x1b" * times * 50}), allow_nan=False)
    assert len(line) <= 2 * MAX_LINE
    assert json.loads(line)["long"]
    assert line.isprintable()
