"""Reads request bodies: checks the media type, limits each body and all bodies together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from io import BytesIO

from starlette.requests import Request

from previewops.api.errors import BodyTooLarge, Overloaded, UnsupportedMediaType

JSON = "application/json"
JSON_LINES = ("application/jsonl", "application/x-ndjson")

MAX_TOTAL_BODY_BYTES = 64 * 1024 * 1024
"""Bytes of all request bodies in memory. One batch of the maximum size always fits."""


def check_media_type(request: Request, allowed: str, others: Sequence[str] = ()) -> str:
    """Returns the Content-Type: application/json or one of ``others``. ``allowed`` describes them.

    A cross-site page cannot send any of them without a preflight.

    Raises:
        UnsupportedMediaType: another type, or none.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == JSON or media_type in others:
        return media_type
    raise UnsupportedMediaType(
        f"Content-Type: found {media_type or 'nothing'}, allowed {allowed}", headers=(("Accept", JSON),)
    )


class BodyReader:
    """Reads bodies and counts the bytes of those in memory."""

    def __init__(self, max_total_bytes: int) -> None:
        self._max_total_bytes = max_total_bytes
        self._held_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request, max_bytes: int) -> AsyncIterator[bytes]:
        """Yields the body, which is counted until the end of the block.

        Raises:
            BodyTooLarge: the body exceeds ``max_bytes``.
            Overloaded: the bodies of other requests use all the memory for bodies.
            ClientDisconnect: the client disconnected.
        """
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > max_bytes:
            raise too_large(f"{int(declared)} bytes", max_bytes)
        size = 0
        # Joining a list of chunks would hold the body twice. BytesIO.getvalue does not copy.
        buffer = BytesIO()
        try:
            async for chunk in request.stream():
                if size + len(chunk) > max_bytes:
                    raise too_large("more", max_bytes)
                if self._held_bytes + len(chunk) > self._max_total_bytes and self._held_bytes > size:
                    raise Overloaded("too many large request bodies", retry_after_s=2)
                size += len(chunk)
                self._held_bytes += len(chunk)
                buffer.write(chunk)
            body = buffer.getvalue()
            del buffer
            yield body
        finally:
            self._held_bytes -= size


def too_large(found: str, max_bytes: int) -> BodyTooLarge:
    """Returns the error for a body of more than ``max_bytes``; it closes the connection."""
    return BodyTooLarge(
        f"body: found {found}, allowed {max_bytes} bytes",
        hint="split a batch; in a job, name files instead of data: URIs",
        headers=(("Connection", "close"),),
    )
