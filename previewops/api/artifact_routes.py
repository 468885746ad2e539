"""Routes of artifacts: manifest and files of a bundle, complete or by range."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.errors import ArtifactNotServed, RangeNotSatisfiable
from previewops.api.ranges import RangeSelection, SelectionKind, select_range
from previewops.api.responses import ClosingResponse
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
"""Media types of responses; other files are sent as octets. Browsers do not execute any of them."""


_PLAYABLE = (
    "default-src 'none'; media-src 'self'; img-src 'self'; frame-ancestors 'none'; sandbox allow-same-origin"
)
"""Policy of responses with content. A browser that opens a video loads it again for its player, from the page's
origin, which a sandbox without allow-same-origin does not have. Scripts stay forbidden."""


class ArtifactRoutes:
    """Routes of the files of completed jobs."""

    def __init__(self, backend: ApiBackend) -> None:
        self._backend = backend

    async def manifest(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/artifacts``: container.json as published, byte by byte."""
        return await self._file(request, MANIFEST_FILE)

    async def file(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/artifacts/{name}``: one file of the bundle."""
        return await self._file(request, request.path_params["name"])

    async def _file(self, request: Request, name: str) -> Response:
        record = await self._backend.job_record(request)
        if record.state is not JobState.COMPLETED:
            raise _not_completed(record)
        if (record.result or {}).get("bundle") is None:
            raise ArtifactNotServed(f"job {record.job_id} was a dry run, which has no artifacts")
        file = await asyncio.to_thread(_open, self._backend.settings.data_dir, record, name)
        selection = select_range(request.method, request.headers, f'"{file.sha256}"', file.size)
        if selection.kind is SelectionKind.NOT_SATISFIABLE:
            file.close()
            raise RangeNotSatisfiable(
                f"range outside the file of {file.size} bytes",
                headers=(("Content-Range", f"bytes */{file.size}"),),
            )
        return _respond(file, selection, with_body=request.method != "HEAD")


def _not_completed(record: JobRecord) -> ArtifactNotServed:
    found = f"found a job that is {record.state.value}, allowed a completed one"
    if record.state.pending:
        return ArtifactNotServed(
            f"artifacts of job {record.job_id} do not exist yet: {found}",
            hint="try again when the job is completed; GET …/events reports its end",
        )
    return ArtifactNotServed(
        f"job {record.job_id} has no artifacts: {found}", hint="GET …/status reports why the job ended"
    )


def _open(data_dir: Path, record: JobRecord, name: str) -> OpenArtifact:
    """Opens a file of the bundle. Errors do not disclose paths of this machine."""
    try:
        return open_artifact(data_dir, record, name)
    except ArtifactNotFound as error:
        raise ArtifactNotServed(
            f"job {record.job_id} has no artifact with this name",
            hint="GET …/artifacts lists the names",
        ) from error
    except BundleNotFound as error:
        raise ArtifactNotServed(
            f"the bundle of job {record.job_id} is missing or was changed",
            hint="it may have been pruned, or DATA_DIR differs from the workers'",
        ) from error


def _respond(file: OpenArtifact, selection: RangeSelection, *, with_body: bool) -> Response:
    status = {SelectionKind.FULL: 200, SelectionKind.PARTIAL: 206, SelectionKind.NOT_MODIFIED: 304}
    headers = {
        "ETag": f'"{file.sha256}"',
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": _PLAYABLE,
        # A requeued job may publish other bytes under the same name.
        "Cache-Control": "private, no-cache",
    }
    if selection.kind is not SelectionKind.NOT_MODIFIED:
        headers["Content-Length"] = str(selection.length)
    if selection.kind is SelectionKind.PARTIAL:
        headers["Content-Range"] = f"bytes {selection.start}-{selection.end - 1}/{file.size}"
    sent = selection if with_body else RangeSelection(selection.kind, 0, 0)
    resources = AsyncExitStack()
    resources.callback(file.close)
    return ClosingResponse(
        _chunks(file, sent),
        resources,
        status_code=status[selection.kind],
        headers=headers,
        media_type=file.media_type if file.media_type in SENT_AS else _OCTETS,
    )


async def _chunks(file: OpenArtifact, selection: RangeSelection) -> AsyncIterator[bytes]:
    offset = selection.start
    while offset < selection.end:
        chunk = await asyncio.to_thread(
            os.pread, file.descriptor, min(CHUNK_BYTES, selection.end - offset), offset
        )
        if not chunk:
            raise OSError("a published file was truncated")
        yield chunk
        offset += len(chunk)
