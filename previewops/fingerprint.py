"""A short name for a kind of failure, so that ten thousand dead letters read as three groups."""

from __future__ import annotations

import hashlib
import re

FINGERPRINT_DIGITS = 12

_VARIABLE = re.compile(
    r"""
      '[^']*' | "[^"]*"              # quoted names
    | (?:[\w.@+-]*/)+[\w.@+-]*       # paths and addresses
    | \b[0-9a-fA-F]{8,}\b            # ids and digests
    | \d+(?:\.\d+)?                  # numbers
    """,
    re.VERBOSE,
)


def fingerprint(error_class: str, code: str, message: str) -> str:
    """Twelve hexadecimal digits that failures of one cause share.

    What varies from job to job within a message (quoted names, paths, digests, numbers) does not count.
    """
    shape = _VARIABLE.sub("*", message)
    digest = hashlib.sha1(f"{error_class}\0{code}\0{shape}".encode(), usedforsecurity=False)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]
