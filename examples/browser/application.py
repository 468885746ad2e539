"""The application behind the page: it decides who may do what, and hands out links. Replace it by yours.

export PREVIEW_LINK_KEY=$(openssl rand -hex 32) PREVIEW_API_URL=http://localhost:8080
export PREVIEW_API_ORIGINS=http://localhost:8000
previewops up --no-tui &
previewops api &
uvicorn examples.browser.application:app --port 8000      # http://localhost:8000
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from previewops import AsyncClient
from previewops.errors import PreviewopsError

PAGE = Path(__file__).parent
MAX_PICTURES = 20
UPLOADED = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{2,5}")
"""Uris of uploads. A stranger may not name other files: those of PREVIEW_ASSET_ROOTS would be drawn."""

previews = AsyncClient()


async def create_upload_link(request: Request) -> JSONResponse:
    """Returns an address to which the page can upload. Check here who is signed in."""
    return JSONResponse({"url": await previews.upload_link()})


async def create_preview(request: Request) -> JSONResponse:
    """Submits a job over uploaded pictures; returns its links."""
    body = await request.json()
    uris, title = body.get("uris"), str(body.get("title", ""))
    if not isinstance(uris, list) or not 0 < len(uris) <= MAX_PICTURES:
        return JSONResponse({"error": f"pictures: allowed 1 to {MAX_PICTURES}"}, 422)
    if not all(isinstance(uri, str) and UPLOADED.fullmatch(uri) for uri in uris):
        return JSONResponse({"error": "pictures: allowed are uploaded ones"}, 422)
    job_id = uuid.uuid4().hex
    payload = {
        "jobId": job_id,
        "projectId": "storyboards",
        "requestId": job_id,
        "dryRun": False,
        "previewRequest": {
            "title": title,
            "steps": [{"assetIds": [f"picture-{number}"]} for number in range(len(uris))],
            "assets": [{"id": f"picture-{number}", "uri": uri} for number, uri in enumerate(uris)],
            "audio": {},
            "options": {"format": "mp4", "resolution": "640x360"},
        },
    }
    try:
        await previews.submit(payload)
    except PreviewopsError as error:
        return JSONResponse({"error": error.message}, 422)
    links = await previews.links(job_id)
    return JSONResponse({"jobId": job_id, "links": links.as_json()}, 202)


app = Starlette(
    routes=[
        Route("/upload-link", create_upload_link, methods=["POST"]),
        Route("/previews", create_preview, methods=["POST"]),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
)
