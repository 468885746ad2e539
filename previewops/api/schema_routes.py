"""Routes of the OpenAPI document and the payload schema."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from previewops.schemas import openapi_text, schema_text

_CACHED = {"Cache-Control": "max-age=300"}


async def openapi(request: Request) -> Response:
    """``GET /openapi.json``."""
    return Response(openapi_text(), headers=_CACHED, media_type="application/json")


async def payload_schema(request: Request) -> Response:
    """``GET /preview-job.schema.json``."""
    return Response(schema_text(), headers=_CACHED, media_type="application/schema+json")
