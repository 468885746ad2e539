"""Failure fingerprints: they group dead letters by error."""

from __future__ import annotations

import hashlib
import re

FINGERPRINT_DIGITS = 12

_VARIABLE = re.compile(
    r"""
      # Quoted names; an apostrophe within a word opens none. A name that is not closed ends with its line: to search
      # each one for its end would cost the square of the message.
      (?<!\w)'(?:[^'\n]++|'(?=\w))*+'?+
    | (?<!\w)"(?:[^"\n]++|"(?=\w))*+"?+
    | (?<![\w.@+~%:-])(?:[\w.@+~%:-]*/)+[\w.@+~%:?=&\#-]*  # paths and URLs
    | (?<![\w-])[\w-]*\d[\w-]*(?:[.,:+]\d[\w-]*)*   # numbers, and words with a digit: ids, sizes, versions
    | \b[a-fA-F]{8,}\b                              # digests without a digit
    """,
    re.VERBOSE,
)


def fingerprint(error_class: str, code: str, message: str) -> str:
    """Returns twelve hexadecimal digits that are equal for failures with the same error.

    Parts of a message that vary between jobs (quoted names, paths, digests, ids, numbers) are ignored.
    """
    shape = _VARIABLE.sub("*", message)
    # A lone surrogate from a file name cannot be encoded as UTF-8.
    text = f"{error_class}\0{code}\0{shape}".encode("utf-8", "backslashreplace")
    digest = hashlib.sha1(text, usedforsecurity=False)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]
