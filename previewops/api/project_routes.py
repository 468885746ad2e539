"""Routes of projects: what they wait for and run, and their limits."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.caller import caller_of
from previewops.api.request_params import RequestParams, read_command
from previewops.api.responses import json_response
from previewops.disclosure import for_rest
from previewops.project_limits import MAX_ACTIVE, MAX_WEIGHT
from previewops.queue.projects import LimitChange, project_loads, set_project_limits

_MISSING = -1


class ProjectRoutes:
    """Routes of projects."""

    def __init__(self, backend: ApiBackend) -> None:
        self._backend = backend

    async def list(self, request: Request) -> Response:
        """``GET /api/preview/projects``: the caller's projects that wait, run jobs or have limits."""
        backend = self._backend
        async with backend.redis_permit():
            loads = await project_loads(backend.redis, backend.settings, projects=caller_of(request).projects)
        return json_response(for_rest(loads.as_json()))

    async def set_limits(self, request: Request) -> Response:
        """``PATCH /api/preview/projects/{project}/limits``: sets the weight or the maximum of active jobs."""
        params = await read_command(request, self._backend.bodies)
        weight = params.integer("weight", minimum=1, maximum=MAX_WEIGHT, default=_MISSING)
        max_active = params.integer("maxActive", minimum=0, maximum=MAX_ACTIVE, default=_MISSING)
        reason = params.reason()
        if weight == max_active == _MISSING:
            params.require_change("weight or maxActive")
        params.raise_violations()
        return await self._change(
            request,
            "keep" if weight == _MISSING else weight,
            "keep" if max_active == _MISSING else max_active,
            reason,
        )

    async def reset_limits(self, request: Request) -> Response:
        """``DELETE /api/preview/projects/{project}/limits``: removes what operators have set."""
        query = RequestParams.from_query(request.query_params)
        reason = query.reason()
        query.raise_violations()
        return await self._change(request, None, None, reason)

    async def _change(
        self, request: Request, weight: LimitChange, max_active: LimitChange, reason: str
    ) -> Response:
        backend, project = self._backend, request.path_params["project"]
        async with backend.redis_permit():
            limits = await set_project_limits(
                backend.redis,
                backend.settings,
                project,
                weight=weight,
                max_active=max_active,
                who=backend.operator(request),
                reason=reason,
            )
        return json_response(
            {
                "project": project,
                "changed": limits.changed,
                "weight": limits.weight,
                "maxActive": limits.max_active,
            }
        )
