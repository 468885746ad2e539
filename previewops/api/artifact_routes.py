"""Routes of artifacts: manifest and files of a bundle, complete or by range."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.errors import ApiError, ArtifactNotServed, NotCompleted, RangeNotSatisfiable
from previewops.api.link_access import LINK, VerifiedLink
from previewops.api.ranges import RangeSelection, SelectionKind, select_range
from previewops.api.request_middleware import FROM_PROXY
from previewops.api.request_params import RequestParams
from previewops.api.responses import ClosingResponse, json_response
from previewops.api.sendfile import sendfile_header
from previewops.errors import ArtifactNotFound, BundleNotFound, BundleReplaced
from previewops.queue.records import JobRecord
from previewops.states import JobState
from previewops.stores.manifest import MANIFEST_FILE, OCTETS, SAFE_MEDIA_TYPES
from previewops.stores.port import BundleStore, OpenArtifact

MAX_READS = 3
"""Attempts to send a file, each after the bundle was replaced meanwhile."""


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
        """``GET /api/preview/jobs/{jobId}/artifacts``: container.json as published, byte by byte.

        With PREVIEW_ARTIFACT_LINKS each file has a ``url`` besides.
        """
        record = await self._completed(request)
        if self._links_s:
            return await _repeat(lambda: asyncio.to_thread(self._linked_manifest, record))
        return await _repeat(lambda: self._send(request, record, MANIFEST_FILE))

    async def file(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/artifacts/{name}``: one file of the bundle, or a redirection to it.

        ``?sha256=`` names the content: caches may keep it, and another content is not found.
        """
        query = RequestParams.from_query(request.query_params)
        digest = query.text("sha256", max_length=64)
        query.raise_violations()
        record, name = await self._completed(request), request.path_params["name"]
        if digest is not None:
            _check_digest(record, name, digest)
        if self._links_s and request.method == "GET":  # a link is signed for one method
            link: VerifiedLink | None = request.scope.get(LINK)
            left_s = self._links_s if link is None else max(1, link.expires_s - int(time.time()))
            seconds = min(self._links_s, left_s)
            return await _repeat(lambda: asyncio.to_thread(self._redirect, record, name, seconds))
        return await _repeat(lambda: self._send(request, record, name, digest))

    @property
    def _links_s(self) -> int:
        return self._backend.settings.artifact_links

    async def _completed(self, request: Request) -> JobRecord:
        record = await self._backend.job_record(request)
        if record.has_bundle:
            return record
        if record.state is not JobState.COMPLETED:
            raise _not_completed(record)
        raise ArtifactNotServed(f"job {record.job_id} was a dry run, which has no artifacts")

    def _redirect(self, record: JobRecord, name: str, seconds: int) -> Response:
        url = self._urls(record, [name], seconds)[name]
        # The link expires, and is a permission to download the file: no cache may keep it.
        return Response(status_code=307, headers={"Location": url, "Cache-Control": "private, no-store"})

    def _linked_manifest(self, record: JobRecord) -> Response:
        file = _open(self._backend.store, record, MANIFEST_FILE)
        try:
            manifest = json.loads(b"".join(file.stream(0, file.size)))
        finally:
            file.close()
        urls = self._urls(record, [entry["path"] for entry in manifest["files"]], self._links_s)
        for entry in manifest["files"]:
            entry["url"] = urls[entry["path"]]
        return json_response(manifest, headers={"Cache-Control": "private, no-store"})

    def _urls(self, record: JobRecord, names: list[str], seconds: int) -> dict[str, str]:
        with _undisclosed(record):
            return self._backend.store.signed_urls(record, names, seconds=seconds)

    async def _send(
        self, request: Request, record: JobRecord, name: str, digest: str | None = None
    ) -> Response:
        file = await asyncio.to_thread(_open, self._backend.store, record, name)
        if digest is not None and file.sha256 != digest:
            file.close()
            raise _other_content(record)
        selection = select_range(request.method, request.headers, f'"{file.sha256}"', file.size)
        if selection.kind is SelectionKind.NOT_SATISFIABLE:
            file.close()
            raise RangeNotSatisfiable(
                f"range outside the file of {file.size} bytes",
                headers=(("Content-Range", f"bytes */{file.size}"),),
            )
        if selection.kind is not SelectionKind.NOT_MODIFIED and request.scope.get(FROM_PROXY):
            sendfile = sendfile_header(
                self._backend.settings.api_sendfile, self._backend.settings.data_dir, record, name
            )
            if sendfile is not None:
                file.close()
                headers = {**_headers(file, digest), **sendfile}
                return Response(headers=headers, media_type=_media_type(file))
        parts: Iterator[bytes] = iter(())
        if request.method != "HEAD" and selection.length:
            try:
                parts = await asyncio.to_thread(file.stream, selection.start, selection.end)
            except BaseException:
                file.close()
                raise
        return _respond(file, selection, parts, digest)


def _check_digest(record: JobRecord, name: str, digest: str) -> None:
    """Rejects a digest that the record of the job contradicts. Saves a redirection to other content."""
    for entry in (record.result or {}).get("artifacts") or ():
        if isinstance(entry, dict) and entry.get("path") == name and entry.get("sha256") != digest:
            raise _other_content(record)


def _other_content(record: JobRecord) -> ArtifactNotServed:
    return ArtifactNotServed(
        f"the file of job {record.job_id} has another SHA-256: the bundle was replaced",
        hint="GET …/status has the current files",
    )


def _not_completed(record: JobRecord) -> ApiError:
    state = f"found a job that is {record.state.value}, allowed a completed one"
    if record.state.pending:
        return NotCompleted(
            f"artifacts of job {record.job_id} do not exist yet: {state}",
            hint="try again when the job is completed; GET …/events reports its end",
        )
    return ArtifactNotServed(
        f"job {record.job_id} has no artifacts: {state}", hint="GET …/status reports why the job ended"
    )


async def _repeat(respond: Callable[[], Awaitable[Response]]) -> Response:
    """Responds; again if the bundle was replaced meanwhile."""
    for _ in range(MAX_READS - 1):
        try:
            return await respond()
        except BundleReplaced:
            continue
    return await respond()


def _open(store: BundleStore, record: JobRecord, name: str) -> OpenArtifact:
    with _undisclosed(record):
        return store.open(record, name)


@contextmanager
def _undisclosed(record: JobRecord) -> Iterator[None]:
    """Errors within the block do not disclose paths of this machine."""
    try:
        yield
    except ArtifactNotFound as error:
        raise ArtifactNotServed(
            f"job {record.job_id} has no artifact with this name",
            hint="GET …/artifacts lists the names",
        ) from error
    except BundleNotFound as error:
        raise ArtifactNotServed(
            f"the bundle of job {record.job_id} is missing or was changed",
            hint="it may have been pruned, or DATA_DIR or PREVIEW_STORE differ from the workers'",
        ) from error


def _headers(file: OpenArtifact, digest: str | None) -> dict[str, str]:
    return {
        "ETag": f'"{file.sha256}"',
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": _PLAYABLE,
        # A requeued job may publish other bytes under the same name, but not under the same digest.
        "Cache-Control": "private, no-cache" if digest is None else "private, max-age=31536000, immutable",
    }


def _media_type(file: OpenArtifact) -> str:
    return file.media_type if file.media_type in SAFE_MEDIA_TYPES else OCTETS


def _respond(
    file: OpenArtifact, selection: RangeSelection, parts: Iterator[bytes], digest: str | None
) -> Response:
    status = {SelectionKind.FULL: 200, SelectionKind.PARTIAL: 206, SelectionKind.NOT_MODIFIED: 304}
    headers = _headers(file, digest)
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
        media_type=_media_type(file),
    )


async def _chunks(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(next, parts, b""):
        yield chunk
