"""Writes the duration of the animation into a WebM file.

FFmpeg counts the delay of Opus, 6.5 ms that no player plays, as part of the duration: 2.008 s for 2 s of pictures.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_HEAD_BYTES = 4_096  # the segment's information is at the start
_DURATION = b"\x44\x89\x88"  # the element's id, and its size: eight bytes, a float in ms


def set_duration(file: BinaryIO, duration_ms: int) -> None:
    """Replaces the duration in the header; ``file`` is open for reading and writing.

    Raises:
        ValueError: no duration.
    """
    file.seek(0)
    at = file.read(_HEAD_BYTES).find(_DURATION)
    if at < 0:
        raise ValueError("WebM: found no duration in its header, allowed one of eight bytes")
    file.seek(at + len(_DURATION))
    file.write(struct.pack(">d", duration_ms))
