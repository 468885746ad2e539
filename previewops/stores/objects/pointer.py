"""The pointer of a job's bundle, and what an attempt may do with it. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

_VERSION = 1
_PREFIX = re.compile(r"[A-Za-z0-9-]{1,80}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

REMOVED = ""
"""Prefix of the pointer to a bundle that was removed."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which attempt's files are the bundle.

    ``token`` is the fencing token of the last publication. Attempts with a token up to ``fence`` may not publish any
    more. ``prefix`` is the folder of the files beside the pointer, ``REMOVED`` if they were removed; ``manifest`` the
    SHA-256 of its ``container.json``; ``files`` and ``size_bytes`` count everything.
    """

    token: int
    fence: int
    prefix: str
    manifest: str
    files: int
    size_bytes: int

    @property
    def removed(self) -> bool:
        """Whether the bundle was removed."""
        return self.prefix == REMOVED

    def encode(self) -> bytes:
        """The pointer as JSON."""
        return json.dumps(
            {
                "v": _VERSION,
                "token": self.token,
                "fence": self.fence,
                "prefix": self.prefix,
                "manifest": self.manifest,
                "files": self.files,
                "bytes": self.size_bytes,
            },
            separators=(",", ":"),
        ).encode()

    def fenced(self, token: int) -> Pointer:
        """This pointer, closed for attempts with a token up to ``token``."""
        return replace(self, fence=max(self.fence, token))

    def tombstone(self) -> Pointer:
        """The pointer to the removed bundle."""
        return Pointer(self.token, self.fence, REMOVED, "0" * 64, 0, 0)


NO_BUNDLE = Pointer(0, 0, REMOVED, "0" * 64, 0, 0)
"""The pointer of a job that was never published."""


def parse_pointer(content: bytes) -> Pointer:
    """Parses a pointer; any writer of the bucket may have changed it.

    Raises:
        ValueError: it is invalid, or of another version.
    """
    try:
        raw: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the pointer is not JSON: {error}") from error
    match raw:
        case {
            "v": 1,
            "token": int(token),
            "fence": int(fence),
            "prefix": str(prefix),
            "manifest": str(manifest),
            "files": int(files),
            "bytes": int(size),
        } if (prefix == REMOVED or _PREFIX.fullmatch(prefix)) and _SHA256.fullmatch(manifest):
            return Pointer(token, fence, prefix, manifest, files, size)
    raise ValueError(f"the pointer is not of version {_VERSION}")


class Decision(Enum):
    """What an attempt does next."""

    STALE = auto()  # a later attempt has published, or the files of this one were swept
    PUBLISHED = auto()  # this attempt has published: a reply was lost
    KEEP = auto()  # the bundle has the same manifest: keep its files, move the fence
    REPLACE = auto()


def decide(current: Pointer | None, *, token: int, prefix: str, manifest: str) -> Decision:
    """Decides what the attempt with ``token``, whose files are below ``prefix``, does about the current pointer."""
    if current is None:
        return Decision.REPLACE
    if current.prefix == prefix:
        return Decision.PUBLISHED
    same = not current.removed and current.manifest == manifest
    if token == current.token == current.fence and same:
        return Decision.KEEP
    if token <= current.fence:
        return Decision.STALE
    return Decision.KEEP if same else Decision.REPLACE


def is_leftover(current: Pointer | None, prefix: str) -> bool:
    """Whether the files below ``prefix`` belong to no bundle, whatever still runs, once ``fenced`` is written."""
    return current is None or current.prefix != prefix


def token_of(prefix: str) -> int:
    """The fencing token of the attempt that wrote below ``prefix``, 0 if it does not begin with one."""
    digits = prefix.partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdecimal() else 0
