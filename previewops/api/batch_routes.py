"""Routes of batches: read one, close it, cancel its jobs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.caller import caller_of
from previewops.api.request_params import RequestParams, read_command
from previewops.api.responses import json_response

CANCEL_TIMEOUT_S = 30.0
"""Time in seconds for the cancellation of all jobs of a batch. It can be repeated."""


class BatchRoutes:
    """Routes of batches."""

    def __init__(self, backend: ApiBackend) -> None:
        self._backend = backend

    async def status(self, request: Request) -> Response:
        """``GET /api/preview/batches/{batchId}``: counts and state."""
        async with self._backend.redis_permit():
            batch = await self._backend.batches.status(
                request.path_params["batchId"], projects=caller_of(request).projects
            )
        return json_response(batch.as_json())

    async def close(self, request: Request) -> Response:
        """``POST /api/preview/batches/{batchId}/close``: no job joins the batch any more."""
        params = await read_command(request, self._backend.bodies)
        params.raise_violations()
        async with self._backend.redis_permit():
            batch = await self._backend.batches.close(
                request.path_params["batchId"], projects=caller_of(request).projects
            )
        return json_response(batch.as_json())

    async def cancel(self, request: Request) -> Response:
        """``DELETE /api/preview/batches/{batchId}``: closes the batch and cancels its pending jobs."""
        query = RequestParams.from_query(request.query_params)
        reason = query.reason()
        query.raise_violations()
        batch_id, projects = request.path_params["batchId"], caller_of(request).projects
        async with self._backend.redis_permit(timeout_s=CANCEL_TIMEOUT_S):
            cancelled = await self._backend.batches.cancel(
                batch_id, who=self._backend.operator(request), reason=reason, projects=projects
            )
            batch = await self._backend.batches.status(batch_id, projects=projects)
        return json_response({"cancelled": cancelled, "batch": batch.as_json()})
