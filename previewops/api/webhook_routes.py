"""Routes of webhook messages: list them, send failed ones again."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.request_params import RequestParams, read_command
from previewops.api.responses import json_response
from previewops.disclosure import for_rest
from previewops.queue.webhooks import MAX_LISTED, Webhooks

_STATES = ("failed", "waiting")
_DEFAULT_LIMIT = 100
_MAX_ID_LENGTH = 100


class WebhookRoutes:
    """Routes of webhook messages."""

    def __init__(self, backend: ApiBackend) -> None:
        self._backend = backend
        self._webhooks = Webhooks(backend.redis, backend.settings)

    async def list(self, request: Request) -> Response:
        """``GET /api/preview/webhooks``: the oldest that failed, or that are to be sent."""
        query = RequestParams.from_query(request.query_params)
        state = query.choice("state", _STATES) or "failed"
        limit = query.integer("limit", minimum=1, maximum=MAX_LISTED, default=_DEFAULT_LIMIT)
        query.raise_violations()
        async with self._backend.redis_permit():
            page = await self._webhooks.list_messages(failed=state == "failed", limit=limit)
        messages = [for_rest(message.as_json()) for message in page.messages]
        return json_response({"total": page.total, "messages": messages})

    async def resend(self, request: Request) -> Response:
        """``POST /api/preview/webhooks/resend``: queues failed messages again."""
        params = await read_command(request, self._backend.bodies)
        ids = params.text_list("ids", max_items=MAX_LISTED, max_length=_MAX_ID_LENGTH)
        params.raise_violations()
        async with self._backend.redis_permit():
            count = await self._webhooks.resend(ids, who=self._backend.operator(request))
        return json_response({"resent": count})
