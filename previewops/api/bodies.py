"""Reads the bodies of requests: of the right media type, bounded each and all together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO

from starlette.requests import Request

from previewops.api.errors import Overloaded, TooLarge, UnsupportedMediaType

JSON = "application/json"
JSON_LINES = ("application/jsonl", "application/x-ndjson")

ALL_BODIES_BYTES = 64 * 1024 * 1024
"""Bytes of bodies that may be in memory at a time, over all requests. One batch of any allowed size always may."""


def media_type(request: Request) -> str:
    """What the body is said to be, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def demand_json(request: Request) -> None:
    """Turns away what is not declared as JSON. A page of another site cannot declare that unasked.

    Raises:
        UnsupportedMediaType: it is something else, or nothing.
    """
    found = media_type(request)
    if found != JSON:
        raise unsupported(found, JSON)


def unsupported(found: str, allowed: str) -> UnsupportedMediaType:
    """The refusal of a media type."""
    return UnsupportedMediaType(
        f"Content-Type is {found or 'missing'}; allowed is {allowed}",
        headers=(("Accept", JSON),),
    )


class Bodies:
    """The bodies that are in memory, counted."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request, most_bytes: int) -> AsyncIterator[bytes]:
        """The whole body, which counts until the block is left.

        Raises:
            TooLarge: it has more than ``most_bytes``.
            Overloaded: other requests hold all the memory there is for bodies.
            ClientDisconnect: the client went away in the middle.
        """
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > most_bytes:
            raise _too_large(f"{int(declared)} bytes", most_bytes)
        held = 0
        # Not a list of pieces to be joined: they and the whole would be there together. Its value is no copy.
        gathered = BytesIO()
        try:
            async for chunk in request.stream():
                if held + len(chunk) > most_bytes:
                    raise _too_large("more", most_bytes)
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


def _too_large(found: str, most_bytes: int) -> TooLarge:
    return TooLarge(
        f"the body has {found}; allowed are {most_bytes} bytes",
        hint="split a batch; a job with large pictures names files instead of data: uris",
        headers=(("Connection", "close"),),
    )
