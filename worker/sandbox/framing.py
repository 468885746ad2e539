"""Length-framed JSON between the worker and its render processes, the same in both directions.

A frame is a 4-byte big-endian length and that many bytes of UTF-8 JSON holding one object. JSON and not
pickle: a render process decodes hostile images, and unpickling what it sends would hand it the worker.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NoReturn

HEADER = struct.Struct("!I")
MAX_FRAME_BYTES = 8 * 1024 * 1024


class ProtocolError(Exception):
    """What arrived is no frame of this protocol: too long, not JSON, or no object."""


def encode_frame(message: dict[str, Any]) -> bytes:
    """``message`` as a frame.

    Raises:
        BadFrame: the message is longer than ``MAX_FRAME_BYTES`` or holds what JSON cannot.
    """
    try:
        body = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"{len(body)} bytes; allowed are {MAX_FRAME_BYTES}")
    return HEADER.pack(len(body)) + body


def body_length(header: bytes) -> int:
    """Length in bytes of the body that follows ``header``.

    Raises:
        BadFrame: it is longer than ``MAX_FRAME_BYTES``; nothing of it should be read.
    """
    length: int = HEADER.unpack(header)[0]
    if length > MAX_FRAME_BYTES:
        raise ProtocolError(f"{length} bytes announced; allowed are {MAX_FRAME_BYTES}")
    return length


def decode_body(body: bytes) -> dict[str, Any]:
    """The object in ``body``.

    Raises:
        BadFrame: not UTF-8, not JSON (NaN and Infinity are not), nested too deep, or not an object.
    """
    try:
        message = json.loads(body, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"a JSON {type(message).__name__}; allowed is an object")
    return message


def _reject_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")
