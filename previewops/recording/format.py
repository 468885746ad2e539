"""Lines of a recording: looks at a queue, and why there was none. Pure: bytes and values, no files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from previewops.clock import MAX_DATE_MS
from previewops.health import Health
from previewops.recording.forms import HEALTH, SNAPSHOT
from previewops.recording.patch import Plain, applied, difference
from previewops.recording.plain import Unfit, unfit
from previewops.snapshot.model import Snapshot

VERSION = 1
MOST_LINE_BYTES = 8 << 20
"""A line that is longer is not read."""

_HEALTH_KEY = "H"
_TIME = re.compile(rb'\{"t":([0-9]{1,15}),"([fdg])":')


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a chapter: which queue it is of, and how often it was looked at (s)."""

    queue: str
    interval_s: float


@dataclass(frozen=True, slots=True)
class Frame:
    """A queue at one moment, and the verdicts on it if they were known."""

    snapshot: Snapshot
    health: Health | None = None

    @property
    def at_ms(self) -> int:
        """When that was (server ms)."""
        return self.snapshot.now_ms


@dataclass(frozen=True, slots=True)
class Gap:
    """No look at about ``at_ms`` (server ms, reckoned), and why."""

    at_ms: int
    reason: str


Entry: TypeAlias = Frame | Gap


@dataclass(frozen=True, slots=True)
class Tag:
    """When an entry is of, and what it is, without reading it whole: f and d are looks, g a gap."""

    at_ms: int
    mark: str

    @property
    def is_look(self) -> bool:
        """Whether it is a look at the queue."""
        return self.mark != "g"


class InvalidLine(ValueError):
    """A line is none of a recording. The message says what was found, and fits after "line 12: "."""


class NotARecordingLine(InvalidLine):
    """It does not even begin like one."""


class UnsupportedVersion(InvalidLine):
    """It is one, of a version that is not known here."""

    def __init__(self, version: int) -> None:
        super().__init__(f"it is of version {version}; up to {VERSION} is read here")
        self.version = version


def heading_line(heading: Header) -> bytes:
    """The first line of a chapter."""
    return _line(
        {
            "previewops": "recording",
            "version": VERSION,
            "queue": heading.queue,
            "every": heading.interval_s,
        }
    )


def parse_header(line: bytes) -> Header:
    """What the first line of a chapter says.

    Raises:
        Foreign: it is the first line of something else.
        TooNew: a later version wrote it.
    """
    try:
        plain = _parsed(line)
    except InvalidLine as error:
        raise NotARecordingLine(str(error)) from None
    if plain.get("previewops") != "recording" or type(plain.get("version")) is not int:
        raise NotARecordingLine(f"it begins with {line[:40]!r}")
    if plain["version"] != VERSION:
        raise UnsupportedVersion(plain["version"])
    queue, every_s = plain.get("queue"), plain.get("every")
    if not isinstance(queue, str) or not isinstance(every_s, int | float) or not 0 < every_s <= 86_400:
        raise NotARecordingLine(f"its heading is {line[:80]!r}")
    return Header(queue, float(every_s))


def tag_of(line: bytes) -> Tag:
    """When an entry is of and what it is, from its first bytes.

    Raises:
        Unreadable: it begins like no entry.
    """
    match = _TIME.match(line)
    if match is None or int(match[1]) > MAX_DATE_MS:
        raise InvalidLine(f"it begins with {line[:40]!r}, and not with a time and what it is")
    return Tag(int(match[1]), match[2].decode())


class Encoder:
    """Writes the entries of one chapter: the first look whole, the others as what differs from it."""

    def __init__(self) -> None:
        self._whole: Plain | None = None

    def encode(self, entry: Entry) -> bytes:
        """The entry's line."""
        if isinstance(entry, Gap):
            return _line({"t": entry.at_ms, "g": entry.reason})
        plain = _plain(entry)
        if self._whole is None:
            self._whole = plain
            return _line({"t": entry.at_ms, "f": plain})
        return _line({"t": entry.at_ms, "d": difference(self._whole, plain)})


class Decoder:
    """Reads the entries of one chapter. Only the last whole look has to be read before one that is not whole."""

    def __init__(self) -> None:
        self._whole: Plain | None = None

    def decode(self, line: bytes) -> Entry:
        """The entry of a line.

        Raises:
            Unreadable: it is none; the message says what was found.
        """
        tag = tag_of(line)
        if tag.is_look:
            plain = self.plain(line)
            try:
                health = HEALTH.take(plain[_HEALTH_KEY]) if _HEALTH_KEY in plain else None
                return Frame(SNAPSHOT.take(plain, now_ms=tag.at_ms), health)
            except Unfit as error:
                raise InvalidLine(str(error)) from None
        reason = _parsed(line).get("g")
        if not isinstance(reason, str):
            raise InvalidLine(f"the reason of the gap is {str(reason)[:40]!r}")
        return Gap(tag.at_ms, reason)

    def plain(self, line: bytes) -> Plain:
        """The look of a line as an object whose values have not been looked at yet.

        Raises:
            Unreadable: it is no look.
        """
        parsed = _parsed(line)
        whole = parsed.get("f")
        if isinstance(whole, dict):
            self._whole = whole
            return whole
        if self._whole is None:
            raise InvalidLine("there is no whole look before it that it could be a change of")
        try:
            return dict(applied(self._whole, parsed.get("d")))
        except (ValueError, TypeError) as error:
            raise InvalidLine(f"{error}") from None


def _plain(look: Frame) -> Plain:
    plain = SNAPSHOT.put(look.snapshot)
    if look.health is not None:
        plain[_HEALTH_KEY] = HEALTH.put(look.health)
    return plain


def _line(value: Plain) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _parsed(line: bytes) -> Plain:
    if len(line) > MOST_LINE_BYTES:
        raise InvalidLine(f"it has {len(line):,} bytes; {MOST_LINE_BYTES:,} are read at the most")
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidLine(f"it begins with {line[:40]!r}, which is no JSON") from None
    if not isinstance(value, dict):
        raise InvalidLine(str(unfit("an object", value)))
    return value
