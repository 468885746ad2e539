"""The routes of artifacts: the manifest of a bundle and each of its files, whole or in part."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from previewops.api.backend import ApiBackend
from previewops.api.errors import ArtifactNotServed, RangeNotSatisfiable
from previewops.api.ranges import RangeSelection, SelectionKind, select_range
from previewops.api.request_params import require_no_query
from previewops.bundles import MANIFEST_FILE, OpenArtifact, open_artifact
from previewops.errors import ArtifactNotFound, BundleNotFound
from previewops.queue.records import JobRecord
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


class ArtifactRoutes:
    """The files of completed jobs."""

    def __init__(self, backend: ApiBackend) -> None:
        self._backend = backend

    async def manifest(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/artifacts``: container.json, byte by byte as it was published."""
        return await self._file(request, MANIFEST_FILE)

    async def file(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/artifacts/{name}``: one file of the bundle."""
        return await self._file(request, request.path_params["name"])

    async def _file(self, request: Request, name: str) -> Response:
        require_no_query(request)
        job_id = request.path_params["jobId"]
        async with self._backend.redis_slot():
            record = await self._backend.queue.status(job_id)
        if record.state is not JobState.COMPLETED:
            raise ArtifactNotServed(
                f"job {job_id} is {record.state.value}; a job has artifacts when it is completed",
                hint="GET …/events tells when it ends",
            )
        if (record.result or {}).get("bundle") is None:
            raise ArtifactNotServed(f"job {job_id} was a dry run, which makes no artifacts")
        file = await asyncio.to_thread(_opened, self._backend.settings.data_dir, record, name)
        selection = select_range(request.method, request.headers, _etag(file), file.size)
        if selection.kind is SelectionKind.NOT_SATISFIABLE:
            file.close()
            raise RangeNotSatisfiable(
                f"the file has {file.size} bytes, and none in that range",
                headers=(("Content-Range", f"bytes */{file.size}"),),
            )
        return _FileResponse(file, selection, with_body=request.method != "HEAD")


def _opened(data_dir: Path, record: JobRecord, name: str) -> OpenArtifact:
    """The file of the bundle. Where a bundle would be on this machine is nobody's business outside."""
    try:
        return open_artifact(data_dir, record, name)
    except ArtifactNotFound as error:
        raise ArtifactNotServed(
            f"job {record.job_id} has no artifact of that name",
            hint="GET …/artifacts lists the names there are",
        ) from error
    except BundleNotFound as error:
        raise ArtifactNotServed(
            f"the bundle of job {record.job_id} is not there, or is not what was published",
            hint="it may have been pruned, or DATA_DIR is another folder than the workers'",
        ) from error


def _etag(file: OpenArtifact) -> str:
    """The strong validator of the content."""
    return f'"{file.sha256}"'


class _FileResponse(StreamingResponse):
    """The selected bytes of a file, which is closed however the sending ends."""

    def __init__(self, file: OpenArtifact, selection: RangeSelection, *, with_body: bool) -> None:
        status = {SelectionKind.FULL: 200, SelectionKind.PARTIAL: 206, SelectionKind.NOT_MODIFIED: 304}[
            selection.kind
        ]
        headers = {
            "ETag": _etag(file),
            "Accept-Ranges": "bytes",
            # A job that is requeued may publish other bytes under the same name.
            "Cache-Control": "private, no-cache",
        }
        if selection.kind is not SelectionKind.NOT_MODIFIED:
            headers["Content-Length"] = str(selection.length)
        if selection.kind is SelectionKind.PARTIAL:
            headers["Content-Range"] = f"bytes {selection.start}-{selection.end - 1}/{file.size}"
        sent = selection if with_body else RangeSelection(selection.kind, 0, 0)
        media_type = file.media_type if file.media_type in SENT_AS else _OCTETS
        super().__init__(_pieces(file, sent), status, headers, media_type=media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def _pieces(file: OpenArtifact, selection: RangeSelection) -> AsyncIterator[bytes]:
    at = selection.start
    while at < selection.end:
        piece = await asyncio.to_thread(os.pread, file.descriptor, min(CHUNK_BYTES, selection.end - at), at)
        if not piece:
            raise OSError("a published file was cut short")
        yield piece
        at += len(piece)
