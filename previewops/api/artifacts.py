"""The routes of artifacts: the manifest of a bundle and each of its files, whole or in part."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from previewops.api.backend import Backend
from previewops.api.errors import NoArtifacts, NoSuchRange
from previewops.api.forms import expect_no_query
from previewops.api.ranges import Part, Selection, select
from previewops.bundles import CONTAINER, OpenArtifact, open_artifact
from previewops.errors import BundleElsewhere, NoSuchArtifact
from previewops.records import JobRecord
from previewops.states import JobState

CHUNK_BYTES = 262_144

_OCTETS = "application/octet-stream"
SENT_AS = frozenset(
    {
        "image/webp",
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/apng",
        "image/avif",
        "video/webm",
        "video/mp4",
        "application/json",
        "text/vtt",
    }
)
"""The media types that files are sent as; others are octets. No browser runs any of these, whatever is listed."""


class Artifacts:
    """The files of completed jobs."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def manifest(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/artifacts``: container.json, byte by byte as it was published."""
        return await self._file(request, CONTAINER)

    async def file(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/artifacts/{name}``: one file of the bundle."""
        return await self._file(request, request.path_params["name"])

    async def _file(self, request: Request, name: str) -> Response:
        expect_no_query(request)
        job_id = request.path_params["jobId"]
        async with self._backend.reached():
            record = await self._backend.queue.status(job_id)
        if record.state is not JobState.COMPLETED:
            raise NoArtifacts(
                f"job {job_id} is {record.state.value}; a job has artifacts when it is completed",
                hint="GET …/events tells when it ends",
            )
        if (record.result or {}).get("bundle") is None:
            raise NoArtifacts(f"job {job_id} was a dry run, which makes no artifacts")
        file = await asyncio.to_thread(_opened, self._backend.settings.data_dir, record, name)
        selection = select(request.method, request.headers, _etag(file), file.size)
        if selection.part is Part.NONE:
            file.close()
            raise NoSuchRange(
                f"the file has {file.size} bytes, and none in that range",
                headers=(("Content-Range", f"bytes */{file.size}"),),
            )
        return _FileResponse(file, selection, with_body=request.method != "HEAD")


def _opened(data_dir: Path, record: JobRecord, name: str) -> OpenArtifact:
    """The file of the bundle. Where a bundle would be on this machine is nobody's business outside."""
    try:
        return open_artifact(data_dir, record, name)
    except NoSuchArtifact as error:
        raise NoArtifacts(
            f"job {record.job_id} has no artifact of that name",
            hint="GET …/artifacts lists the names there are",
        ) from error
    except BundleElsewhere as error:
        raise NoArtifacts(
            f"the bundle of job {record.job_id} is not there, or is not what was published",
            hint="it may have been pruned, or DATA_DIR is another folder than the workers'",
        ) from error


def _etag(file: OpenArtifact) -> str:
    """The strong validator of the content."""
    return f'"{file.sha256}"'


class _FileResponse(StreamingResponse):
    """The selected bytes of a file, which is closed however the sending ends."""

    def __init__(self, file: OpenArtifact, selection: Selection, *, with_body: bool) -> None:
        status = {Part.WHOLE: 200, Part.RANGE: 206, Part.NOTHING_NEW: 304}[selection.part]
        headers = {
            "ETag": _etag(file),
            "Accept-Ranges": "bytes",
            # A job that is requeued may publish other bytes under the same name.
            "Cache-Control": "private, no-cache",
        }
        if selection.part is not Part.NOTHING_NEW:
            headers["Content-Length"] = str(selection.length)
        if selection.part is Part.RANGE:
            headers["Content-Range"] = f"bytes {selection.start}-{selection.end - 1}/{file.size}"
        sent = selection if with_body else Selection(selection.part, 0, 0)
        media_type = file.media_type if file.media_type in SENT_AS else _OCTETS
        super().__init__(_pieces(file, sent), status, headers, media_type=media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def _pieces(file: OpenArtifact, selection: Selection) -> AsyncIterator[bytes]:
    at = selection.start
    while at < selection.end:
        piece = await asyncio.to_thread(os.pread, file.descriptor, min(CHUNK_BYTES, selection.end - at), at)
        if not piece:
            raise OSError("a published file was cut short")
        yield piece
        at += len(piece)
