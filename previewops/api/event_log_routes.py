"""Route of the queue's stored events: what happened, and what operators did."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.request_params import RequestParams
from previewops.api.responses import json_response
from previewops.disclosure import for_rest
from previewops.snapshot.event_log import EVENT_ID, MAX_PAGE_SIZE, event_as_json


class EventLogRoutes:
    """Pages of events."""

    def __init__(self, backend: ApiBackend) -> None:
        self._backend = backend

    async def list(self, request: Request) -> Response:
        """``GET /api/preview/events``: a page, newest first, with ``next``, the ``before`` of the following page."""
        query = RequestParams.from_query(request.query_params)
        operators = query.choice("only", ["operators"]) is not None
        before, age_ms = query.text("before"), query.age_ms("since")
        limit = query.integer("limit", minimum=1, maximum=MAX_PAGE_SIZE, default=100)
        if before is not None and EVENT_ID.fullmatch(before) is None:
            query.add_violation("before", "invalid", "is not an event id", "next of an earlier page")
        query.raise_violations()
        async with self._backend.redis_permit():
            since_ms = 0 if age_ms is None else max(0, await self._backend.dead_letters.now_ms() - age_ms)
            page = await self._backend.events.page(
                operators=operators, before=before, since_ms=since_ms, limit=limit
            )
        rows = [for_rest(event_as_json(event)) for event in page.events]
        return json_response({"events": rows, "next": page.next_id})
