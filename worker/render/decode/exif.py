"""The orientation in EXIF metadata, the only metadata that turns a picture."""

from __future__ import annotations

import struct
from contextlib import suppress

MAX_EXIF_BYTES = 65_536
"""Bytes of EXIF that are searched for the orientation."""

_ORIENTATION = 0x0112  # EXIF tag


def find_orientation(exif: bytes | None) -> int | None:
    """Returns the EXIF orientation, 1 to 8; None if there is none. Reads only the first table of tags."""
    tiff = (exif or b"")[:MAX_EXIF_BYTES].removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    with suppress(struct.error):  # truncated metadata does not make the picture invalid
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, at)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(order + {1: "B", 4: "I"}.get(kind, "H"), tiff, at + 8)
                return value if 1 <= value <= 8 else None
    return None
