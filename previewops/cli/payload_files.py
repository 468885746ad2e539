"""Reader of FILE arguments: yields payloads one by one, of bounded size, each parsed or with its error."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from previewops.contract import AssetPolicy, Payload, parse_lines, parse_payload, validate
from previewops.contract.limits import MAX_PAYLOAD_BYTES
from previewops.errors import (
    EXIT_FAILED,
    EXIT_INVALID,
    EXIT_TRY_AGAIN,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    InvalidPayload,
    PreviewopsError,
    Violation,
)

STDIN = "-"
_LINE_SUFFIXES = (".jsonl", ".ndjson")
_WORST_FIRST = (EXIT_USAGE, EXIT_INVALID, EXIT_UNREACHABLE, EXIT_TRY_AGAIN, EXIT_FAILED)

EXIT_HELP = """\b
The exit code is the most severe of all payloads: 2 unreadable file, 65
invalid payload, 69 Redis unreachable, 75 queue full (try again), 1 other."""


class UnreadableFile(PreviewopsError):
    """FILE is missing or cannot be read."""

    exit_code = EXIT_USAGE
    code = "unreadable"

    def __init__(self, source: str, error: OSError) -> None:
        super().__init__(f"{source}: cannot read: {error.strerror or error}")


class ParsedPayload(NamedTuple):
    """One payload or its error, with its ``source`` and the base folder of relative URIs."""

    source: str
    base: Path
    payload: dict[str, Any] | None
    error: PreviewopsError | None

    def validate(self, policy: AssetPolicy) -> Payload:
        """Returns the valid payload.

        Raises:
            InvalidPayload: it violates the contract.
            PreviewopsError: it could not be read or parsed.
        """
        if self.error is not None:
            raise self.error
        return validate(self.payload, policy=policy, source=self.source)


def worst_exit_code(codes: Sequence[int]) -> int:
    """Returns the most severe of ``codes``."""
    return next((code for code in _WORST_FIRST if code in codes), 0)


def read_payloads(files: Sequence[str], *, lines: bool) -> Iterator[ParsedPayload]:
    """Yields every payload of ``files`` in order. "-" is standard input; ``lines``: each file is JSON Lines."""
    for name in files:
        yield from _read(name, lines or name.endswith(_LINE_SUFFIXES))


def read_payload(file: str) -> ParsedPayload:
    """Reads the only payload of ``file``; "-" is standard input."""
    return next(_read(file, lines=False))


def _read(name: str, lines: bool) -> Iterator[ParsedPayload]:
    source = "stdin" if name == STDIN else name
    base = Path.cwd() if name == STDIN else Path(name).parent
    with ExitStack() as stack:
        try:
            stream = _open(name, stack)
            if not lines:
                yield ParsedPayload(source, base, _read_single(stream, source), None)
                return
            for line in parse_lines(stream, source=source):
                yield ParsedPayload(f"{source}:{line.number}", base, line.payload, line.error)
        except InvalidPayload as error:
            yield ParsedPayload(source, base, None, error)
        except OSError as error:
            yield ParsedPayload(source, base, None, UnreadableFile(source, error))


def _open(name: str, stack: ExitStack) -> BinaryIO:
    if name != STDIN:
        return stack.enter_context(Path(name).open("rb"))
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return sys.stdin.buffer


def _read_single(stream: BinaryIO, source: str) -> dict[str, Any]:
    raw = stream.read(MAX_PAYLOAD_BYTES + 1)
    if len(raw) > MAX_PAYLOAD_BYTES:
        allowed = f"{MAX_PAYLOAD_BYTES} bytes"
        status = os.fstat(stream.fileno())
        found = f"{status.st_size} bytes" if stat.S_ISREG(status.st_mode) else f"more than {allowed}"
        raise InvalidPayload([Violation("", "too-large", "is too large", found, allowed)], source=source)
    return parse_payload(raw, source=source)
