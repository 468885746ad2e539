"""Length-prefixed JSON between the worker and its render processes, in both directions.

A frame is a 4-byte big-endian length and that many bytes of UTF-8 JSON holding one object. Not pickle: a render
process decodes hostile images, and unpickling its output would hand over the worker.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NoReturn

HEADER = struct.Struct("!I")
MAX_FRAME_BYTES = 8 * 1024 * 1024


class ProtocolError(Exception):
    """A message violates the protocol: too long, not JSON, not an object, or unexpected."""


def encode_frame(message: dict[str, Any]) -> bytes:
    """Encodes ``message``. Raises ProtocolError if it is longer than ``MAX_FRAME_BYTES`` or not JSON."""
    try:
        body = _ENCODER.encode(message).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"frame: found {len(body)} bytes, allowed {MAX_FRAME_BYTES}")
    return HEADER.pack(len(body)) + body


def body_length(header: bytes, max_bytes: int = MAX_FRAME_BYTES) -> int:
    """Length in bytes of the body after ``header``.

    Raises:
        ProtocolError: it is longer than ``max_bytes``; the body must not be read.
    """
    length: int = HEADER.unpack(header)[0]
    if length > max_bytes:
        raise ProtocolError(f"frame: found {length} bytes, allowed {max_bytes}")
    return length


def decode_body(body: bytes) -> dict[str, Any]:
    """Decodes the object in ``body``.

    Raises:
        ProtocolError: not UTF-8, not JSON (NaN and Infinity are not), nested too deep, or not an object.
    """
    try:
        message = _DECODER.decode(str(body, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"message: found {type(message).__name__}, allowed object")
    return message


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


# json.dumps and json.loads would make new ones for each message.
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_reject_constant)
