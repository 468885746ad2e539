"""A short name for a kind of failure, so that ten thousand dead letters read as three groups."""

from __future__ import annotations

import hashlib
import re

FINGERPRINT_DIGITS = 12

_VARIABLE = re.compile(
    r"""
      (?<!\w)'[^\n]*?'(?!\w)                       # quoted names; an apostrophe within a word opens none
    | (?<!\w)"[^\n]*?"(?!\w)
    | (?<![\w.@+~%:-])(?:[\w.@+~%:-]*/)+[\w.@+~%:?=&\#-]*  # paths and addresses
    | (?<![\w-])[\w-]*\d[\w-]*(?:[.,:+]\d[\w-]*)*   # numbers, and words with a digit: ids, sizes, versions
    | \b[a-fA-F]{8,}\b                              # digests that happen to have none
    """,
    re.VERBOSE,
)


def fingerprint(error_class: str, code: str, message: str) -> str:
    """Twelve hexadecimal digits that failures of one cause share.

    What varies from job to job within a message (quoted names, paths, digests, ids, numbers) does not count.
    """
    shape = _VARIABLE.sub("*", message)
    # Half of a surrogate pair, out of a file's name, has no UTF-8.
    text = f"{error_class}\0{code}\0{shape}".encode("utf-8", "backslashreplace")
    digest = hashlib.sha1(text, usedforsecurity=False)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]
