"""The payload editor's text: formatting, validation and positions."""

from __future__ import annotations

import json

import pytest

from previewops.errors import InvalidPayload, Violation
from previewops.message_formatting import json_pointer
from previewops.tui.viewmodel.payload_editor import (
    SHOWN,
    format_editable,
    format_violation_lines,
    locate_violation,
    parse_edited,
)
from previewops.tui.viewmodel.spans import plain_text, width_of
from tests.tui import scenes

PAYLOAD = scenes.full_dead_record(scenes.dead_records(1)[0]).payload or {}
JOB = str(PAYLOAD["jobId"])


def at(place: str, code: str = "type") -> Violation:
    return Violation(place, code, "is off", "this", "that")


def rejected(text: str, job_id: str = JOB) -> list[Violation]:
    with pytest.raises(InvalidPayload) as error:
        parse_edited(text, job_id)
    return list(error.value.violations)


def test_editable_text_parses_to_the_payload() -> None:
    text = format_editable(PAYLOAD)
    assert json.loads(text) == PAYLOAD
    assert "Мельница" in text, "people read it"
    assert parse_edited(text, JOB).raw == PAYLOAD


def test_nothing_hidden_reaches_the_terminal() -> None:
    hostile = {"a": "\x1b[2J\u202e\u2028\x9b\ud83d\U000e0001 fine ☃"}
    text = format_editable(hostile)
    assert text.replace("\n", "").isprintable()
    assert "fine ☃" in text
    assert json.loads(text) == hostile
    assert len(text.splitlines()) == 3, "one line a line of JSON"


def test_all_violations_are_listed() -> None:
    broken = {**PAYLOAD, "dryRun": "yes", "priority": "urgent"}
    pointers = {violation.pointer for violation in rejected(json.dumps(broken))}
    assert {"/dryRun", "/priority"} <= pointers


def test_semantics_are_checked_too() -> None:
    text = format_editable(PAYLOAD).replace('"id": "board"', '"id": "bord"')
    assert any("assetIds" in violation.pointer for violation in rejected(text))


def test_it_stays_the_same_job() -> None:
    (violation,) = rejected(format_editable({**PAYLOAD, "jobId": "another"}))
    assert (violation.pointer, violation.found, violation.allowed) == ("/jobId", '"another"', f'"{JOB}"')


def test_half_a_character_is_rejected_and_no_traceback() -> None:
    assert rejected(format_editable(PAYLOAD).replace("nine", "\ud83d"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": NaN}', "[" * 100_000, '{"a": 1, "a": 2}'])
def test_an_invalid_payload_is_rejected(text: str) -> None:
    assert rejected(text)


def test_the_position_of_invalid_json() -> None:
    text = '{\n  "a": 1,\n  b\n}'
    (violation,) = rejected(text)
    assert locate_violation(text, violation) == (2, 2)
    assert locate_violation("", rejected("")[0]) == (0, 0)


@pytest.mark.parametrize(
    ("where", "word"),
    [
        ("/jobId", '"j"'),
        ("/a~1b/~0", "17"),
        ("/steps/1/assetIds/0", '"x, }"'),
        ("/steps/1", '{"assetIds"'),
        ('/we"ird', "null"),
        ("/steps/0/title", '{"n"'),  # missing: its object
        ("/steps/7", "[{"),
    ],
)
def test_the_place_of_a_pointer(where: str, word: str) -> None:
    text = (
        '{"jobId": "j",\n "a/b": {"~": 17},\n'
        ' "steps": [{"n": [1, [2]]}, {"assetIds": ["x, }"]}],\n "we\\"ird": null}'
    )
    json.loads(text)
    place = locate_violation(text, at(where))
    assert place is not None
    row, column = place
    assert text.splitlines()[row][column:].startswith(word)


def test_the_whole_document_has_no_position() -> None:
    assert locate_violation("{}", at("")) is None
    assert locate_violation("{}", at("/missing")) is None


def test_every_value_of_a_document_is_found_where_it_is() -> None:
    text = format_editable(PAYLOAD)
    lines = text.splitlines()

    def visit(value: object, path: tuple[str | int, ...]) -> None:
        place = locate_violation(text, at(json_pointer(path)))
        if path:
            assert place is not None
            start = lines[place[0]][place[1] :]
            begins = start[0] if isinstance(value, dict | list) else json.loads(start.rstrip(","))
            assert begins == ("{" if isinstance(value, dict) else "[" if isinstance(value, list) else value)
        if isinstance(value, dict):
            for name, item in value.items():
                visit(item, (*path, name))
        elif isinstance(value, list):
            for number, item in enumerate(value):
                visit(item, (*path, number))

    visit({key: value for key, value in PAYLOAD.items() if key != "previewRequest"}, ())
    visit(PAYLOAD["previewRequest"], ("previewRequest",))


def test_violations_are_written_out_within_their_columns() -> None:
    lines = format_violation_lines([at(f"/steps/{number}") for number in range(SHOWN + 7)], 50)
    report = "\n".join(map(plain_text, lines))
    assert f"{SHOWN + 7} violations: not requeued" in report
    assert "/steps/0" in report
    assert "found    this" in report
    assert "allowed  that" in report
    assert "and 7 more" in report
    assert max(map(width_of, lines)) <= 50
    assert "1 violation:" in plain_text(format_violation_lines([at("")], 50)[0])
    assert "(document)" in "".join(map(plain_text, format_violation_lines([at("")], 50)))
