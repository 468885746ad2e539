"""Parsing bytes: each kind of invalid text gives a violation with position, found and allowed."""

from __future__ import annotations

import io

import pytest

from previewops.contract import ParsedLine, parse_lines, parse_payload
from previewops.contract.limits import MAX_DEPTH_LEVELS, MAX_PAYLOAD_BYTES, MAX_VIOLATIONS
from previewops.errors import InvalidPayload, Violation


def violations_of(raw: bytes, **options: int) -> tuple[Violation, ...]:
    with pytest.raises(InvalidPayload) as caught:
        parse_payload(raw, **options)  # type: ignore[arg-type]
    return caught.value.violations


def only(raw: bytes, **options: int) -> Violation:
    (violation,) = violations_of(raw, **options)
    return violation


def test_an_object_is_read_as_json_reads_it() -> None:
    raw = '{"a": [1, 2.5, "é\\u00e9", true, null], "b": {"c": -0.0}}'.encode()
    assert parse_payload(raw) == {"a": [1, 2.5, "éé", True, None], "b": {"c": 0.0}}


def test_whitespace_is_reported_as_empty() -> None:
    assert only(b" \n").as_json() == {
        "pointer": "",
        "code": "not-json",
        "message": "is empty",
        "found": "no text",
        "allowed": "one JSON object",
    }


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"a": 1,\n "b": }', "line 2, column 7"),
        (b'{"a": 1} {}', "line 1, column 10"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'{"a": "\x01"}', "line 1, column 8"),
        (b'{"a": 1', "the end of the text at line 1, column 8"),
        (b'{"a": "\\x"}', "line 1, column 8"),
        (b'{"a": 01}', "line 1, column 8"),
    ],
)
def test_syntax_error_has_line_and_column(raw: bytes, place: str) -> None:
    violation = only(raw)
    assert violation.code == "not-json"
    assert place in violation.found


def test_invalid_utf8_has_its_position() -> None:
    violation = only('{"ü": "\n'.encode() + b'\xff"}')
    assert (violation.code, violation.found) == ("not-utf8", "byte 0xff at line 2, column 1 (byte 9)")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_mark_is_rejected(encoding: str) -> None:
    assert only("{}".encode(encoding)).code == "byte-order-mark"


@pytest.mark.parametrize("value", [b"[]", b"null", b"1", b'"x"', b"true"])
def test_non_objects_are_rejected(value: bytes) -> None:
    assert (only(value).pointer, only(value).code) == ("", "type")


def test_all_invalid_numbers_have_pointers() -> None:
    raw = b'{"a": [NaN, Infinity, {"b": -Infinity}], "c~d/e": 1e999, "i": 9007199254740992, "ok": 1e308}'
    assert [(item.pointer, item.code, item.found) for item in violations_of(raw)] == [
        ("/a/0", "not-finite", "NaN"),
        ("/a/1", "not-finite", "Infinity"),
        ("/a/2/b", "not-finite", "-Infinity"),
        ("/c~0d~1e", "not-finite", "1e999"),
        ("/i", "integer-range", "9007199254740992"),
    ]


def test_huge_integer_is_rejected_unconverted() -> None:
    violation = only(b'{"n": -' + b"9" * 100_000 + b"}")
    assert (violation.pointer, violation.code) == ("/n", "integer-range")
    assert len(violation.found) <= 40


def test_largest_and_smallest_integers_are_accepted() -> None:
    assert parse_payload(b'{"n": [9007199254740991, -9007199254740991]}') == {"n": [2**53 - 1, 1 - 2**53]}


def test_repeated_names_are_reported_at_every_level() -> None:
    violations = violations_of(b'{"a": 1, "b": [{"x": 1, "x": 2, "x": 3}], "a": 2}')
    assert [(item.pointer, item.code) for item in violations] == [
        ("/a", "repeated-name"),
        ("/b/0/x", "repeated-name"),
    ]


def test_unprintable_repeated_name_is_reported_at_its_object() -> None:
    violation = only(b'{"o": {"\\u001b[2J": 1, "\\u001b[2J": 2}}')
    assert violation.pointer == "/o"
    assert "\x1b" not in violation.found


@pytest.mark.parametrize("text", [rb'{"t": "\ud800"}', rb'{"t": "\uDC00 \ud83d\ude00"}'])
def test_lone_surrogate_is_rejected(text: bytes) -> None:
    assert (only(text).pointer, only(text).code) == ("/t", "lone-surrogate")


def test_surrogate_pair_is_one_character() -> None:
    assert parse_payload(rb'{"t": "\ud83d\ude00"}') == {"t": "\U0001f600"}


def test_maximum_depth_is_inclusive() -> None:
    inner = MAX_DEPTH_LEVELS - 1
    parse_payload(b'{"a":' + b"[" * inner + b"]" * inner + b"}")
    violation = only(b'{"a":\n' + b"[" * (inner + 1) + b"]" * (inner + 1) + b"}")
    assert (violation.code, violation.found) == ("too-deep", "level 65 at line 2, column 64")


@pytest.mark.parametrize("levels", [10_000, 1_000_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_thousands_of_levels_do_not_recurse(levels: int, opening: bytes) -> None:
    assert only(opening * min(levels, MAX_PAYLOAD_BYTES // len(opening))).code == "too-deep"


def test_brackets_in_strings_and_side_by_side_are_not_depth() -> None:
    text = b'{"s": "' + b"[" * 100 + rb"\"[\\" + b'", "l": [' + b",".join([b"[{}]"] * 100) + b"]}"
    assert len(parse_payload(text)["l"]) == 100


def test_brackets_after_unclosed_string_are_a_syntax_error() -> None:
    assert only(b'{"s": "' + b"[" * 100_000).code == "not-json"


def test_oversized_input_is_rejected_unparsed() -> None:
    violation = only(bytes(100_000_000))
    assert (violation.code, violation.found, violation.allowed) == (
        "too-large",
        "100000000 bytes",
        "1048576 bytes",
    )


def test_maximum_size_is_inclusive() -> None:
    assert parse_payload(b'{"a":1}', max_bytes=7) == {"a": 1}
    assert only(b'{"a":1}', max_bytes=6).code == "too-large"


def test_report_is_bounded() -> None:
    violations = violations_of(b'{"a":[' + b",".join([b"NaN"] * 100_000) + b"]}")
    assert len(violations) == MAX_VIOLATIONS + 1
    assert violations[-1].code == "more-violations"


def test_the_source_is_in_the_error() -> None:
    with pytest.raises(InvalidPayload, match=r"^job\.json: ") as caught:
        parse_payload(b"[]", source="job.json")
    assert caught.value.source == "job.json"


def lines(text: bytes, **options: int | str) -> list[ParsedLine]:
    return list(parse_lines(io.BytesIO(text), **options))  # type: ignore[arg-type]


def test_blank_lines_are_skipped() -> None:
    parsed = lines(b'{"a": 1}\r\n\n  \n{"b": 2}')
    assert [(line.number, line.payload, line.error) for line in parsed] == [
        (1, {"a": 1}, None),
        (4, {"b": 2}, None),
    ]


def test_invalid_line_has_its_number_and_later_lines_are_parsed() -> None:
    good, bad, after = lines(b'{"a": 1}\n{"b": \n{"c": 3}\n', source="jobs.jsonl")
    assert good.payload == {"a": 1}
    assert bad.payload is None
    assert bad.error is not None
    assert bad.error.source == "jobs.jsonl:2"
    assert after.payload == {"c": 3}
    assert str(lines(b"[]")[0].error).startswith("line 1: ")


@pytest.mark.parametrize("length", [21, 22, 23, 200_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_overlong_line_is_skipped(length: int, end: bytes) -> None:
    long, after = lines(b"x" * length + end + b'{"a": 1}' + end, max_bytes=20)
    assert long.error is not None
    assert [item.code for item in long.error.violations] == ["too-large"]
    assert (after.number, after.payload) == (2, {"a": 1})


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_maximum_line_length_is_inclusive(end: bytes) -> None:
    (line,) = lines(b'{"a":"0123456789012"}' + end, max_bytes=21)
    assert line.payload == {"a": "0123456789012"}
