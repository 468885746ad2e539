"""Lines of a recording: snapshots of a queue, and gaps. Pure: bytes and values, no files.

A line is a JSON object whose keys are the fields of the dataclasses; msgspec converts between the two.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec

from previewops.clock import MAX_DATE_MS
from previewops.health import Health
from previewops.snapshot.histogram import MAX_BIN
from previewops.snapshot.history import DAY_MIN, HOUR_S
from previewops.snapshot.model import MINUTE_MS, TEN_SECONDS_MS, CounterBucket, QueueEvent, Snapshot

T = TypeVar("T")

VERSION = 1
MAX_LINE_BYTES = 8 << 20
"""Longer lines are not read."""

_MAX_INT = 2**63 - 1
_SHOWN = 40
"""Characters of a line or value that an error repeats."""

_TAG = re.compile(rb'\{"t":([0-9]{1,15}),"(snapshot|gap)":')


@dataclass(frozen=True, slots=True)
class Header:
    """First line of a chapter: the queue, and the time between snapshots in s."""

    queue: str
    interval_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)]


@dataclass(frozen=True, slots=True)
class Frame:
    """A queue at one moment, and its health if that was evaluated."""

    snapshot: Snapshot
    health: Health | None = None

    @property
    def at_ms(self) -> int:
        """Time of the snapshot (server ms)."""
        return self.snapshot.now_ms


@dataclass(frozen=True, slots=True)
class Gap:
    """A missing snapshot at about ``at_ms`` (estimated server ms), and the reason."""

    at_ms: int
    reason: str


Entry: TypeAlias = Frame | Gap


@dataclass(frozen=True, slots=True)
class Tag:
    """Time and kind of an entry, read without the rest of its line."""

    at_ms: int
    is_frame: bool


class InvalidLine(ValueError):
    """A line that is not part of a recording. The message fits after "line 12: "."""


class NotARecordingLine(InvalidLine):
    """A first line that is not a header."""


class UnsupportedVersion(InvalidLine):
    """A header of a version that this module cannot read."""

    def __init__(self, version: int) -> None:
        super().__init__(f"found version {version}, supported is {VERSION}")
        self.version = version


class _Version(msgspec.Struct):
    previewops: Literal["recording"]
    version: int


class _Reason(msgspec.Struct):
    gap: str


def encode_header(header: Header) -> bytes:
    """Returns the first line of a chapter."""
    return _dump({"previewops": "recording", "version": VERSION, **asdict(header)}) + b"\n"


def parse_header(line: bytes) -> Header:
    """Parses the first line of a chapter.

    Raises:
        NotARecordingLine: the line is not a header.
        UnsupportedVersion: a later version wrote it.
    """
    try:
        fields = _load(line)
        version = msgspec.convert(fields, _Version).version
        if version != VERSION:
            raise UnsupportedVersion(version)
        return msgspec.convert(fields, Header)
    except UnsupportedVersion:
        raise
    except (InvalidLine, msgspec.ValidationError) as error:
        raise NotARecordingLine(f"{error}, in {line[:_SHOWN]!r}") from None


def encode(entry: Entry) -> bytes:
    """Returns the line of an entry. Numbers out of range become the nearest number in range."""
    if isinstance(entry, Gap):
        return _dump({"t": entry.at_ms, "gap": entry.reason}) + b"\n"
    fields = _limit(msgspec.to_builtins(entry, str_keys=True))
    return _dump({"t": entry.at_ms, **fields}) + b"\n"


def parse_tag(line: bytes) -> Tag:
    """Parses the first bytes of an entry.

    Raises:
        InvalidLine: they are not those of an entry.
    """
    match = _TAG.match(line)
    if match is None or int(match[1]) > MAX_DATE_MS:
        allowed = "an object with a time and a snapshot or a gap"
        raise InvalidLine(f"found {line[:_SHOWN]!r}, allowed is {allowed}")
    return Tag(int(match[1]), match[2] == b"snapshot")


def decode(line: bytes) -> Entry:
    """Parses an entry.

    Raises:
        InvalidLine: the line is not an entry; the message has the path of the invalid value.
    """
    tag = parse_tag(line)
    fields = _load(line)
    try:
        if not tag.is_frame:
            return Gap(tag.at_ms, msgspec.convert(fields, _Reason).gap)
        frame = msgspec.convert(fields, Frame, str_keys=True)
    except msgspec.ValidationError as error:
        raise InvalidLine(str(error)) from None
    _check_ranges(frame.snapshot, tag.at_ms)
    return frame


def pack(value: CounterBucket | QueueEvent) -> bytes:
    """Returns a value of a snapshot as JSON, which takes a tenth of its memory."""
    return _dump(msgspec.to_builtins(value, str_keys=True))


def unpack(packed: bytes, kind: type[T]) -> T:
    """Returns the value that ``pack`` was given."""
    return msgspec.convert(json.loads(packed), kind, str_keys=True)


def _dump(fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def _load(line: bytes) -> Any:
    if len(line) > MAX_LINE_BYTES:
        raise InvalidLine(f"found {len(line):,} bytes, allowed {MAX_LINE_BYTES:,}")
    try:
        fields = json.loads(line)
        limited = _limit(fields)
    except (ValueError, RecursionError):
        raise InvalidLine(f"found {line[:_SHOWN]!r}, which is not JSON") from None
    if fields != limited:
        raise InvalidLine(_find_difference(fields, limited))
    return fields


def _limit(value: Any, name: str = "") -> Any:
    """Returns ``value`` with 64-bit integers, finite floats and no time before 1970.

    Workers may report any number, and a file may hold any. ``name`` is the key of the value.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {key: _limit(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_limit(item, name) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else 0.0
    if value is None or 0 <= value <= _MAX_INT:
        return value
    is_time = name.endswith("_ms") and name != "clock_ahead_ms"
    return max(0 if is_time else -_MAX_INT, min(value, _MAX_INT))


def _find_difference(value: Any, limited: Any, path: str = "$") -> str:
    """Returns the path and the value of the first number that was limited."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if item != limited[key]:
                below = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}"
                return _find_difference(item, limited[key], below)
    return f"{str(value)[:_SHOWN]} is out of range - at {path[: 2 * _SHOWN]!r}"


def _check_ranges(snapshot: Snapshot, at_ms: int) -> None:
    """Raises InvalidLine for values that are of their type and would make no chart."""
    if snapshot.now_ms != at_ms:
        raise InvalidLine(f"found the time {snapshot.now_ms}, allowed that of the line ({at_ms})")
    if not 0 <= snapshot.history_s <= HOUR_S or not 0 <= snapshot.history_min <= DAY_MIN:
        raise InvalidLine(f"found a history of {snapshot.history_s} s and {snapshot.history_min} min")
    for bucket in (*snapshot.buckets, *snapshot.minutes):
        if bucket.width_ms not in (TEN_SECONDS_MS, MINUTE_MS):
            raise InvalidLine(f"found a bucket of {bucket.width_ms} ms")
        for number, count in (*bucket.wait.items(), *bucket.run.items()):
            if not 0 <= number <= MAX_BIN or count < 0:
                raise InvalidLine(f"found {count} in bin {number}, allowed 0 or more in bins 0 to {MAX_BIN}")
