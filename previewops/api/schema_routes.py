"""Routes of the OpenAPI document and the payload schema."""

from __future__ import annotations

from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.request_params import require_no_query
from previewops.schemas import openapi_text, schema_text

_CACHED = {"Cache-Control": "max-age=300"}


async def openapi(request: Request) -> Response:
    """``GET /openapi.json``."""
    require_no_query(request)
    return Response(_encoded(openapi_text()), headers=_CACHED, media_type="application/json")


async def payload_schema(request: Request) -> Response:
    """``GET /preview-job.schema.json``."""
    require_no_query(request)
    return Response(_encoded(schema_text()), headers=_CACHED, media_type="application/schema+json")


@cache
def _encoded(text: str) -> bytes:
    return text.encode()
