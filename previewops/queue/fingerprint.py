"""Failure fingerprints: they group dead letters by cause.

A fingerprint comes from what is stable: class, code and template of an error of this program, and the frames of any
other exception. Values of a job (paths, ids, sizes, hosts) never enter it: files have names of any shape, which no
pattern finds in a message.
"""

from __future__ import annotations

import hashlib
import re

FINGERPRINT_DIGITS = 12

FOREIGN_CODES = frozenset({"unexpected", "retry-asked"})
"""Codes of exceptions that are not this program's own: they have no template."""

_FRAMES = 3
"""Frames of a traceback that count, the last ones."""

_FRAME = re.compile(r'  File "([^"\n]*)", line \d+, in (.*)')
_ERRNO = re.compile(r"(?:[\w.]+: )?\[Errno (\d+)\]")
_SIGNAL = re.compile(r"was ended by (SIG[A-Z0-9]+|signal)")
_CRASHES = ("exited with status", "violated its protocol", "closed its connection", "died together")

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


def fingerprint(error_class: str, code: str, template: str) -> str:
    """Returns twelve hexadecimal digits that are equal for failures of one cause.

    ``template`` tells the causes of one code apart; it must not contain values of one job.
    """
    # A lone surrogate from a file name cannot be encoded as UTF-8.
    text = f"{error_class}\0{code}\0{template}".encode("utf-8", "backslashreplace")
    digest = hashlib.sha1(text, usedforsecurity=False)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]


def masked_fingerprint(error_class: str, code: str, message: str) -> str:
    """The fingerprint of versions before templates: the whole message, with what looks like a value masked."""
    return fingerprint(error_class, code, _VARIABLE.sub("*", message))


def foreign_template(message: str, traceback: str | None) -> str:
    """The template of an exception that has none: where it was raised, and the errno of a system error.

    Without a traceback it is the message with quoted names, paths, digests, ids and numbers masked.
    """
    frames = _frames(traceback or "")
    if not frames:
        return _VARIABLE.sub("*", message)
    errno = _ERRNO.match(message)
    return "\n".join((f"errno {errno[1]}" if errno else "", *frames))


def stored_template(code: str, reason: str, traceback: str | None) -> str:
    """The template of a dead letter as far as its stored fields tell it: earlier versions stored no template."""
    if code in FOREIGN_CODES:
        return foreign_template(reason, traceback)
    if code == "io-error":
        return reason.partition(":")[0]
    if code == "render-crashed":
        signal = _SIGNAL.search(reason)
        return signal[1] if signal else next((crash for crash in _CRASHES if crash in reason), "")
    if code == "invalid-payload":  # its template, the code of a violation, is not among the stored fields
        return _VARIABLE.sub("*", reason)
    return ""


def _frames(traceback: str) -> list[str]:
    """File, function and source line of the last frames of the first exception, the one that caused the others.

    Line numbers change with every version. The text of an exception follows its frames unindented: whatever it
    contains is not read.
    """
    frames: list[str] = []
    started = False
    lines = traceback.split("\n")
    for place, line in enumerate(lines):
        match = _FRAME.fullmatch(line)
        if match is None:
            if started and line and not line.startswith(" "):
                break
            continue
        started = True
        source = lines[place + 1].strip() if place + 1 < len(lines) else ""
        file = "/".join(match[1].split("/")[-2:])
        frames.append(f"{file} {match[2]} {source}")
    return frames[-_FRAMES:]
