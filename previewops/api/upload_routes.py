"""Routes of uploads: pictures and sounds, stored by the SHA-256 of their content."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.asset_quota import MAX_UPLOADS, AssetQuota
from previewops.api.backend import MIB, ApiBackend
from previewops.api.body_reader import too_large
from previewops.api.caller import caller_of
from previewops.api.client_address import ClientAddresses, client_key
from previewops.api.errors import AssetNotStored, LinksDisabled, UnsupportedMediaType, UploadsDisabled
from previewops.api.rate_limit import bill_of
from previewops.api.request_params import read_command
from previewops.api.responses import json_response
from previewops.asset_roots import ASSETS_FOLDER
from previewops.clock import iso_from_ms
from previewops.queue.job_links import ASSETS_PATH, upload_link
from previewops.settings import Settings
from previewops.stores.asset_drafts import AssetDraft, sweep_drafts
from previewops.stores.assets import SHA256, AssetStore, StoredAsset
from previewops.stores.selection import open_assets

WRITE_BYTES = MIB
"""Bytes of an upload that are written at once, in a thread; the event loop receives as many meanwhile."""

_MEDIA_TYPES = (
    "application/octet-stream",
    "application/pdf",
    "application/ogg",
    "image/",
    "audio/",
    "video/",
)
"""Accepted types, or their beginnings. The content decides the kind; a form of another site can send none of them."""


class UploadRoutes:
    """Routes of uploads. The store opens with the first request."""

    def __init__(self, backend: ApiBackend, clients: ClientAddresses) -> None:
        self._backend = backend
        self._clients = clients
        settings = backend.settings
        self._max_bytes = settings.asset_max_mb * MIB
        self._assets: AssetStore | None = None
        self._quota = AssetQuota(
            lambda: self._store().list_assets(),
            max_bytes=settings.uploads_max_mb * MIB,
            max_files=settings.uploads_max_files,
            per_client=settings.api_share(MAX_UPLOADS),
        )

    async def put(self, request: Request) -> Response:
        """``PUT /api/preview/assets/{sha256}``: stores the body, which must have that digest."""
        return await self._receive(request, _digest(request))

    async def post(self, request: Request) -> Response:
        """``POST /api/preview/assets``: stores the body."""
        return await self._receive(request, None)

    async def find(self, request: Request) -> Response:
        """``GET /api/preview/assets/{sha256}``: the uri of a stored asset. Counts as a use of it."""
        check_enabled(self._backend.settings)
        digest = _digest(request)
        asset = await asyncio.to_thread(lambda: self._store().find(digest))
        if asset is None:
            raise AssetNotStored(f"no asset with the SHA-256 {digest} is stored", hint="upload it with PUT")
        return json_response(_as_json(asset))

    async def link(self, request: Request) -> Response:
        """``POST /api/preview/upload-links``: an address to which a browser can upload without a token."""
        params = await read_command(request, self._backend.bodies)
        params.raise_violations()
        check_enabled(self._backend.settings)
        if self._backend.signer is None:
            raise LinksDisabled
        url, expires_s = upload_link(self._backend.signer, now_s=time.time())
        body = {"url": url, "expiresAt": iso_from_ms(expires_s * 1000), "maxBytes": self._max_bytes}
        return json_response(body, 201)

    def _store(self) -> AssetStore:
        if self._assets is None:
            self._assets = open_assets(self._backend.settings)
            sweep_drafts(self._assets.drafts)
        return self._assets

    async def _receive(self, request: Request, sha256: str | None) -> Response:
        check_enabled(self._backend.settings)
        _check_media_type(request)
        declared = request.headers.get("content-length", "")
        size_bytes = int(declared) if declared.isdigit() else self._max_bytes
        if size_bytes > self._max_bytes:
            raise too_large(f"{size_bytes} bytes", self._max_bytes)
        address = request.client.host if request.client else ""
        client = caller_of(request).name or ("" if self._clients.is_shared(address) else client_key(address))
        bill_of(request).charge_upload(size_bytes)
        async with self._quota.admit(client, size_bytes):
            assets = await asyncio.to_thread(self._store)
            draft = await asyncio.to_thread(AssetDraft, assets.drafts, self._max_bytes)
            try:
                await _write(request, draft)
                asset = await asyncio.to_thread(lambda: draft.commit(assets, sha256=sha256))
            finally:
                await asyncio.shield(asyncio.to_thread(draft.close))
            self._quota.count_stored(asset.bytes)
        return json_response(_as_json(asset), 201, {"Location": f"{ASSETS_PATH}/{asset.sha256}"})


async def _write(request: Request, draft: AssetDraft) -> None:
    """Writes the body in parts. One part is written while the next is received, so that two are in memory."""
    writing: asyncio.Future[None] | None = None
    part = bytearray()
    try:
        async for chunk in request.stream():
            part += chunk
            if len(part) >= WRITE_BYTES:
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(asyncio.to_thread(draft.write, part))
                part = bytearray()
    finally:
        if writing is not None:
            await asyncio.wait([writing])
    if writing is not None:
        await writing
    await asyncio.to_thread(draft.write, part)


def check_enabled(settings: Settings) -> None:
    """Checks that an uploaded asset can be used by a job.

    Raises:
        UploadsDisabled: it cannot.
    """
    if not settings.uploads_max_mb:
        raise UploadsDisabled("PREVIEW_UPLOADS_MAX_MB: found 0, allowed 1 or more for uploads")
    if settings.store is None and settings.asset_roots is not None:
        folder = (settings.data_dir / ASSETS_FOLDER).resolve()
        if folder not in [root.resolve() for root in settings.asset_roots]:
            raise UploadsDisabled(
                "PREVIEW_ASSET_ROOTS: DATA_DIR/assets is missing, so no job can use an upload"
            )


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media_type.startswith(_MEDIA_TYPES):
        raise UnsupportedMediaType(
            f"Content-Type: found {media_type or 'nothing'}, allowed application/octet-stream or the file's own type"
        )


def _digest(request: Request) -> str:
    text = str(request.path_params["sha256"])
    if SHA256.fullmatch(text) is None:
        raise AssetNotStored("sha256: allowed are 64 hexadecimal digits in lower case")
    return text


def _as_json(asset: StoredAsset) -> dict[str, Any]:
    return {"sha256": asset.sha256, "uri": asset.uri, "bytes": asset.bytes, "kind": asset.extension}
