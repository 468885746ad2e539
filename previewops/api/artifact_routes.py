"""Routes of artifacts: manifest and files of a bundle, complete or by range."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.errors import ArtifactNotServed, RangeNotSatisfiable
from previewops.api.ranges import RangeSelection, SelectionKind, select_range
from previewops.api.responses import ClosingResponse
from previewops.errors import ArtifactNotFound, BundleNotFound
from previewops.queue.records import JobRecord
from previewops.states import JobState
from previewops.stores.manifest import MANIFEST_FILE, OCTETS, SAFE_MEDIA_TYPES
from previewops.stores.port import BundleStore, OpenArtifact


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
            raise ArtifactNotServed(
                f"job {record.job_id} is {record.state.value}; only completed jobs have artifacts",
                hint="GET …/events reports when the job ends",
            )
        if (record.result or {}).get("bundle") is None:
            raise ArtifactNotServed(f"job {record.job_id} was a dry run, which has no artifacts")
        file = await asyncio.to_thread(_open, self._backend.store, record, name)
        selection = select_range(request.method, request.headers, f'"{file.sha256}"', file.size)
        if selection.kind is SelectionKind.NOT_SATISFIABLE:
            file.close()
            raise RangeNotSatisfiable(
                f"range outside the file of {file.size} bytes",
                headers=(("Content-Range", f"bytes */{file.size}"),),
            )
        with_body = request.method != "HEAD" and selection.start < selection.end
        try:
            parts = (
                await asyncio.to_thread(file.stream, selection.start, selection.end)
                if with_body
                else iter(())
            )
        except BaseException:
            file.close()
            raise
        return _respond(file, selection, parts)


def _open(store: BundleStore, record: JobRecord, name: str) -> OpenArtifact:
    """Opens a file of the bundle. Errors do not disclose paths of this machine."""
    try:
        return store.open(record, name)
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


def _respond(file: OpenArtifact, selection: RangeSelection, parts: Iterator[bytes]) -> Response:
    status = {SelectionKind.FULL: 200, SelectionKind.PARTIAL: 206, SelectionKind.NOT_MODIFIED: 304}
    headers = {
        "ETag": f'"{file.sha256}"',
        "Accept-Ranges": "bytes",
        # A requeued job may publish other bytes under the same name.
        "Cache-Control": "private, no-cache",
    }
    if selection.kind is not SelectionKind.NOT_MODIFIED:
        headers["Content-Length"] = str(selection.length)
    if selection.kind is SelectionKind.PARTIAL:
        headers["Content-Range"] = f"bytes {selection.start}-{selection.end - 1}/{file.size}"
    resources = AsyncExitStack()
    resources.callback(file.close)
    return ClosingResponse(
        _chunks(parts),
        resources,
        status_code=status[selection.kind],
        headers=headers,
        media_type=file.media_type if file.media_type in SAFE_MEDIA_TYPES else OCTETS,
    )


async def _chunks(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(next, parts, b""):
        yield chunk
