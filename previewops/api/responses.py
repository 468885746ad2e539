"""Responses of the API: JSON, and streams that release resources at the end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send


def encode_json(value: Any) -> bytes:
    """Encodes compact JSON. Lone surrogates, which jobs of a stock arq client may contain, are replaced."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns a response with ``body`` as JSON."""
    return Response(encode_json(body), status, media_type="application/json", headers=dict(headers or {}))


class ClosingResponse(StreamingResponse):
    """Streamed response that closes ``resources`` however sending ends."""

    def __init__(self, content: AsyncIterator[bytes], resources: AsyncExitStack, **options: Any) -> None:
        super().__init__(content, **options)
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._resources:
            await super().__call__(scope, receive, send)
