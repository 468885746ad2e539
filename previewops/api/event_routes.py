"""Route of server-sent events: the progress of a job until it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.caller import caller_of
from previewops.api.client_address import ClientAddresses, client_key
from previewops.api.job_watcher import JobListener, JobWatcher
from previewops.api.responses import ClosingResponse, encode_json
from previewops.errors import JobNotFound
from previewops.queue.records import JobRecord

HEARTBEAT_S = 15.0
"""Interval in seconds of keep-alive comments, so that proxies keep an idle connection open."""

RECONNECT_MS = 2_000
LAST_EVENT_ID = "end"
"""Id of the last event. A client that reconnects with it gets 204, which ends reconnecting."""


class EventRoutes:
    """Routes of event streams."""

    def __init__(
        self,
        backend: ApiBackend,
        watcher: JobWatcher,
        clients: ClientAddresses,
        *,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._backend = backend
        self._clients = clients
        self._watcher = watcher
        self._heartbeat_s = heartbeat_s

    async def stream(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/events``."""
        record = await self._backend.job_record(request)
        if request.headers.get("last-event-id") == LAST_EVENT_ID and not record.state.pending:
            return Response(status_code=204)
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        resources = AsyncExitStack()
        listener = resources.enter_context(self._watcher.subscribe(record, self._holders(request)))
        return ClosingResponse(
            self._events(request, listener),
            resources,
            headers={"X-Accel-Buffering": "no"},
            media_type="text/event-stream",
        )

    def _holders(self, request: Request) -> tuple[str, ...]:
        """Returns what may hold only a share of the streams: a token of limited rights, one client's address."""
        address = request.client.host if request.client else ""
        share = caller_of(request).share
        holders = [] if share is None else [share]
        if not self._clients.is_shared(address):
            holders.append(f"the client {client_key(address)}")
        return tuple(holders)

    async def _events(self, request: Request, listener: JobListener) -> AsyncIterator[bytes]:
        caller = caller_of(request)
        yield f"retry: {RECONNECT_MS}\n\n".encode()
        while True:
            while (
                listener.record is not None
                and listener.record.state.pending
                and caller.may_see(listener.record)
            ):
                yield _event("progress", _progress(listener.record))
                if not await self._wait_for_change(listener):
                    return
                while not listener.changed.is_set():
                    yield b": keep-alive\n\n"
                    if not await self._wait_for_change(listener):
                        return
                listener.changed.clear()
            try:
                record = await self._backend.read_job(caller, listener.job_id)
            except JobNotFound:
                yield _event("gone", {"jobId": listener.job_id}, LAST_EVENT_ID)
                return
            if not record.state.pending:
                yield _event("end", self._backend.describe_job(request, record), LAST_EVENT_ID)
                return
            # The job was requeued between the two reads.
            listener.record = record

    async def _wait_for_change(self, listener: JobListener) -> bool:
        """Waits for a change or for the heartbeat interval. Returns False if the process is shutting down."""
        waits = [asyncio.ensure_future(event.wait()) for event in (listener.changed, self._watcher.closing)]
        try:
            await asyncio.wait(waits, timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return not self._watcher.closing.is_set()


def _event(name: str, data: dict[str, Any], event_id: str | None = None) -> bytes:
    id_line = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {name}\n{id_line}data: ".encode() + encode_json(data) + b"\n\n"


def _progress(record: JobRecord) -> dict[str, Any]:
    """Returns the fields that change while a job is pending."""
    fields = record.as_json()
    names = ("jobId", "status", "progress", "phase", "worker", "attemptsMade", "startedAt")
    return {name: fields[name] for name in names}
