"""A payload as editable text, and positions of violations in it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from previewops.contract import Payload, parse_payload, validate
from previewops.errors import InvalidPayload, Violation
from previewops.formatting import pluralize
from previewops.message_formatting import json_pointer, quote
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span
from previewops.tui.viewmodel.wrap import wrap_lines

SHOWN = 50
"""Maximum of violations listed; the others are counted."""

# A string that is not closed ends with the text: to search each one for its end would cost its square.
_PIECE = re.compile(r'"(?:[^"\\]++|\\.)*+"?+|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def format_editable(payload: Mapping[str, Any]) -> str:
    """The payload as indented JSON. Control and invisible characters are escaped."""
    text = json.dumps(payload, indent=2, ensure_ascii=False)
    return "".join(char if char == "\n" or char.isprintable() else json.dumps(char)[1:-1] for char in text)


def parse_edited(text: str, job_id: str) -> Payload:
    """Parses the text as a valid payload of that job.

    Raises:
        InvalidPayload: it is not JSON, violates the contract, or has another job's id.
    """
    # Pasted text may contain lone surrogates, which UTF-8 lacks: escaped, they are rejected as violations.
    raw = text.encode("utf-8", "backslashreplace")
    payload = validate(parse_payload(raw))
    if payload.job_id != job_id:
        found, allowed, text = quote(payload.job_id), quote(job_id), "must be the id of the edited job"
        raise InvalidPayload([Violation("/jobId", "another-job", text, found, allowed)])
    return payload


def locate_violation(text: str, violation: Violation) -> tuple[int, int] | None:
    """(row, column) from 0 of a violation; None if it is the whole text.

    For a missing member it is the position of the object that lacks it.
    """
    if violation.code == "not-json":
        return _locate_syntax_error(text)
    parts = violation.pointer.split("/")
    while len(parts) > 1:
        offset = _offset_of(text, "/".join(parts))
        if offset is not None:
            return _row_and_column(text, offset)
        parts.pop()
    return None


def _locate_syntax_error(text: str) -> tuple[int, int] | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno - 1, error.colno - 1
    return None


def _row_and_column(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n"), offset - before.rfind("\n") - 1


def _offset_of(text: str, pointer: str) -> int | None:
    path: list[str | int | None] = []  # the member or index of each open container; None before a member name
    for match in _PIECE.finditer(text):
        piece = match[0]
        if piece in "}]":
            path.pop()
        elif piece == ",":
            last = path[-1]
            path[-1] = last + 1 if isinstance(last, int) else None
        elif piece != ":":
            if path and path[-1] is None:
                path[-1] = str(json.loads(piece))
                continue
            if json_pointer([part for part in path if part is not None]) == pointer:
                return match.start()
            if piece in "{[":
                path.append(None if piece == "{" else 0)
    return None


def format_violation_lines(violations: Sequence[Violation], columns: int) -> list[Line]:
    """Each violation: pointer, message, found and allowed value."""
    lines: list[Line] = [(Span(f"✖ {pluralize(len(violations), 'violation')}: not requeued", Tone.BAD),)]
    for violation in violations[:SHOWN]:
        lines += [
            (
                clean_span(violation.pointer or "(document)", Tone.STRONG),
                clean_span(f"  {violation.message}"),
            ),
            (Span("  found    ", Tone.DIM), clean_span(violation.found)),
            (Span("  allowed  ", Tone.DIM), clean_span(violation.allowed)),
        ]
    if len(violations) > SHOWN:
        lines.append((Span(f"and {len(violations) - SHOWN:,} more", Tone.DIM),))
    return wrap_lines(lines, columns)
