"""Route of server-sent events: the progress of a job until it has ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from previewops.api.backend import ApiBackend
from previewops.api.job_watcher import JobListener, JobWatcher
from previewops.api.request_params import require_no_query
from previewops.errors import JobNotFound
from previewops.queue.records import JobRecord

HEARTBEAT_S = 15.0
"""Interval in seconds of keep-alive comments, so that proxies keep an idle connection open."""

RECONNECT_MS = 2_000
LAST_EVENT_ID = "end"
"""Id of the last event. A client that reconnects with it gets 204, which ends reconnecting."""


class EventRoutes:
    """Routes of event streams."""

    def __init__(self, backend: ApiBackend, watch: JobWatcher, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._backend = backend
        self._watch = watch
        self._heartbeat_s = heartbeat_s

    async def stream(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/events``."""
        require_no_query(request)
        job_id = request.path_params["jobId"]
        async with self._backend.redis_slot():
            record = await self._backend.queue.status(job_id)
        if request.headers.get("last-event-id") == LAST_EVENT_ID and not record.state.pending:
            return Response(status_code=204)
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        held = ExitStack()
        listener = held.enter_context(self._watch.subscribe(record))
        return _Stream(self._events(listener), held)

    async def _events(self, listener: JobListener) -> AsyncIterator[bytes]:
        yield f"retry: {RECONNECT_MS}\n\n".encode()
        while True:
            while listener.record is not None and listener.record.state.pending:
                yield _event("progress", _progress(listener.record))
                if not await self._news(listener):
                    return
                while not listener.changed.is_set():
                    yield b": keep-alive\n\n"
                    if not await self._news(listener):
                        return
                listener.changed.clear()
            whole = await self._whole(listener.job_id)
            if whole is None:
                yield _event("gone", {"jobId": listener.job_id}, LAST_EVENT_ID)
                return
            if not whole.state.pending:
                yield _event("end", whole.as_json(), LAST_EVENT_ID)
                return
            # The job was requeued between the two reads.
            listener.record = whole

    async def _news(self, listener: JobListener) -> bool:
        """Waits for a change or for the heartbeat interval. Returns False if the process is shutting down."""
        waits = [asyncio.ensure_future(event.wait()) for event in (listener.changed, self._watch.closing)]
        try:
            await asyncio.wait(waits, timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return not self._watch.closing.is_set()

    async def _whole(self, job_id: str) -> JobRecord | None:
        """Returns the complete record, or None if it is gone."""
        try:
            async with self._backend.redis_slot():
                return await self._backend.queue.status(job_id)
        except JobNotFound:
            return None


class _Stream(StreamingResponse):
    """Stream of one job's events; ends the subscription ``held`` at the end."""

    def __init__(self, events: AsyncIterator[bytes], held: ExitStack) -> None:
        super().__init__(events, headers={"X-Accel-Buffering": "no"}, media_type="text/event-stream")
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


def _event(name: str, data: dict[str, Any], event_id: str | None = None) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    told = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {name}\n{told}data: {text}\n\n".encode("utf-8", "replace")


def _progress(record: JobRecord) -> dict[str, Any]:
    """Returns the fields that change while a job is pending."""
    whole = record.as_json()
    names = ("jobId", "status", "progress", "phase", "worker", "attemptsMade", "startedAt")
    return {name: whole[name] for name in names}
