"""Reads the bodies of requests: of the right media type, bounded each and all together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO

from starlette.requests import Request

from previewops.api.errors import BodyTooLarge, Overloaded, UnsupportedMediaType

JSON = "application/json"
JSON_LINES = ("application/jsonl", "application/x-ndjson")

MAX_TOTAL_BODY_BYTES = 64 * 1024 * 1024
"""Bytes of bodies that may be in memory at a time, over all requests. One batch of any allowed size always may."""


def request_media_type(request: Request) -> str:
    """What the body is said to be, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_json(request: Request) -> None:
    """Turns away what is not declared as JSON. A page of another site cannot declare that unasked.

    Raises:
        UnsupportedMediaType: it is something else, or nothing.
    """
    found = request_media_type(request)
    if found != JSON:
        raise unsupported_media_type(found, JSON)


def unsupported_media_type(found: str, allowed: str) -> UnsupportedMediaType:
    """The refusal of a media type."""
    return UnsupportedMediaType(
        f"Content-Type is {found or 'missing'}; allowed is {allowed}",
        headers=(("Accept", JSON),),
    )


class BodyReader:
    """The bodies that are in memory, counted."""

    def __init__(self, max_total_bytes: int) -> None:
        self._most_bytes = max_total_bytes
        self._held_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request, max_bytes: int) -> AsyncIterator[bytes]:
        """The whole body, which counts until the block is left.

        Raises:
            TooLarge: it has more than ``most_bytes``.
            Overloaded: other requests hold all the memory there is for bodies.
            ClientDisconnect: the client went away in the middle.
        """
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > max_bytes:
            raise _too_large(f"{int(declared)} bytes", max_bytes)
        held = 0
        # Not a list of pieces to be joined: they and the whole would be there together. Its value is no copy.
        gathered = BytesIO()
        try:
            async for chunk in request.stream():
                if held + len(chunk) > max_bytes:
                    raise _too_large("more", max_bytes)
                if self._held_bytes + len(chunk) > self._most_bytes and self._held_bytes > held:
                    raise Overloaded("too many large bodies are being read", retry_after_s=2)
                held += len(chunk)
                self._held_bytes += len(chunk)
                gathered.write(chunk)
            whole = gathered.getvalue()
            del gathered
            yield whole
        finally:
            self._held_bytes -= held


def _too_large(found: str, most_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body has {found}; allowed are {most_bytes} bytes",
        hint="split a batch; a job with large pictures names files instead of data: uris",
        headers=(("Connection", "close"),),
    )
