"""Kinds of files that can be assets, by their first bytes. Pure."""

from __future__ import annotations

import re

SUPPORTED_KINDS = "JPEG, PNG, WebP, GIF, AVIF, WAV, MP3, Ogg, FLAC, AAC or M4A"

SIGNATURE_BYTES = 16
"""Bytes at the start of a file from which its kind is known."""

SIGNATURES = (
    ("png", rb"\x89PNG\r\n\x1a\n"),
    ("jpg", rb"\xff\xd8\xff"),
    ("gif", rb"GIF8[79]a"),
    ("webp", rb"RIFF....WEBP"),
    ("avif", rb"....ftypavi[fs]"),
    ("wav", rb"RIFF....WAVE"),
    ("ogg", rb"OggS"),
    ("flac", rb"fLaC"),
    ("m4a", rb"....ftyp(M4A |M4B |mp42|isom|dash)"),
    ("mp3", rb"ID3"),
    # MPEG audio or ADTS frame headers: eleven set bits, two of the version, two of the layer, which is 0 in ADTS.
    ("aac", rb"\xff[\xe0\xe1\xe8\xe9\xf0\xf1\xf8\xf9]"),
    ("mp3", rb"\xff[\xe0-\xff]"),
)
"""Extensions, and patterns of the start of a file."""

EXTENSIONS = tuple(dict.fromkeys(extension for extension, _ in SIGNATURES))
"""Extensions of stored assets."""


def detect_extension(head: bytes) -> str | None:
    """Returns the file extension for the signature at the start of ``head``, or None."""
    for extension, signature in SIGNATURES:
        if re.match(signature, head, re.DOTALL):
            return extension
    return None
