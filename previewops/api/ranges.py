"""Conditional and partial requests (RFC 9110, sections 13 and 14), for files whose ETag is their SHA-256. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_RANGE = re.compile(r"bytes\s*+=\s*+([0-9]{0,18})\s*+-\s*+([0-9]{0,18})\s*+", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class SelectionKind(StrEnum):
    """Kind of response to a conditional or range request."""

    FULL = "whole"  # 200
    PARTIAL = "range"  # 206
    NOT_MODIFIED = "not modified"  # 304
    NOT_SATISFIABLE = "none"  # 416


@dataclass(frozen=True, slots=True)
class RangeSelection:
    """Bytes ``start`` to ``end`` (exclusive) of a file; empty if no content is sent."""

    kind: SelectionKind
    start: int
    end: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.end - self.start


def select_range(method: str, headers: Mapping[str, str], etag: str, size: int) -> RangeSelection:
    """Selects the bytes of a file of ``size`` bytes that a request asks for.

    ``headers`` have lower-case names; ``etag`` is a strong one, with quotes. A malformed range, another unit or
    several ranges select the whole file, as RFC 9110 permits.
    """
    full = RangeSelection(SelectionKind.FULL, 0, size)
    if _matches(headers.get("if-none-match", ""), etag):
        return RangeSelection(SelectionKind.NOT_MODIFIED, 0, 0)
    if_range = headers.get("if-range")
    if method != "GET" or (if_range is not None and if_range.strip() != etag):
        return full
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or not any(match.groups()):
        return full
    return _clip(match[1], match[2], size) or full


def _clip(first: str, last: str, size: int) -> RangeSelection | None:
    unsatisfiable = RangeSelection(SelectionKind.NOT_SATISFIABLE, 0, 0)
    if not first:
        length = min(int(last), size)
        return RangeSelection(SelectionKind.PARTIAL, size - length, size) if length else unsatisfiable
    if last and int(last) < int(first):
        return None  # malformed
    if int(first) >= size:
        return unsatisfiable
    end = min(int(last) + 1, size) if last else size
    return RangeSelection(SelectionKind.PARTIAL, int(first), end)


def _matches(if_none_match: str, etag: str) -> bool:
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)
