"""Pages of other origins that may use the API (CORS). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.types import Send

from previewops.api.problems import encode_headers

CROSS_ORIGIN = "previewops.cross-origin"
"""Key of a request's scope: whether pages of other origins may show the response."""

_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE"),
    (
        "Access-Control-Allow-Headers",
        "Authorization, Content-Type, If-None-Match, Last-Event-ID, Range, X-Preview-User, X-Request-Id",
    ),
    ("Access-Control-Max-Age", "600"),
)
_EXPOSED = "Content-Range, ETag, Location, Retry-After, X-Request-Id"


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """``origins`` are allowed pages, as in the Origin header: ``https://app.example``. No cookies are involved."""

    origins: frozenset[str] = frozenset()

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Whether the request comes from a page of an allowed origin. ``headers`` have lower-case names."""
        return headers.get("origin", "") in self.origins

    def is_preflight(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether a browser asks what a page of an allowed origin may send."""
        return method == "OPTIONS" and "access-control-request-method" in headers and self.allows(headers)

    def response_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Returns the headers that a response to a request with these ``headers`` needs."""
        if not self.origins:
            return []
        origin = dict(headers).get(b"origin", b"").decode("latin-1")
        if origin not in self.origins:
            return [(b"vary", b"Origin")]
        return encode_headers(
            [
                ("Vary", "Origin"),
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Expose-Headers", _EXPOSED),
            ]
        )


async def send_preflight(send: Send) -> None:
    """Responds to the question of a browser."""
    await send({"type": "http.response.start", "status": 204, "headers": encode_headers(_PREFLIGHT)})
    await send({"type": "http.response.body"})
