"""Routes of the whole queue: statistics, metrics, pause, health, liveness and readiness."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.problems import build_problem
from previewops.api.request_params import RequestParams, read_command
from previewops.api.responses import json_response
from previewops.clock import iso_from_ms
from previewops.disclosure import for_rest
from previewops.errors import LayoutUnsupported, RedisUnavailable
from previewops.health import (
    RECENT_WINDOW_S,
    Status,
    Thresholds,
    evaluate,
    newer_layout_health,
    unreachable_health,
)
from previewops.health.collect import collect_inputs
from previewops.metrics import CONTENT_TYPE, ScrapeResult, collect, render_exposition
from previewops.queue.queue import PauseState
from previewops.snapshot.breakdown import Dimension

HISTORY_S = 3600


class QueueRoutes:
    """Routes of the whole queue. ``thresholds`` are those of the health checks.

    With ``legacy`` the metrics are served under the predecessor's names too.
    """

    def __init__(self, backend: ApiBackend, thresholds: Thresholds, *, legacy: bool = False) -> None:
        self._backend = backend
        self._thresholds = thresholds
        self._legacy = legacy
        self._ping: asyncio.Task[None] | None = None

    async def stats(self, request: Request) -> Response:
        """``GET /api/preview/queue/metrics``: the same as ``stats --json``; ``by`` is its ``--by``."""
        query = RequestParams.from_query(request.query_params)
        dimension = query.choice("by", [one.value for one in Dimension])
        query.raise_violations()
        async with self._backend.redis_permit():
            stats = (await self._backend.snapshots.read(history_s=HISTORY_S)).as_json()
            if dimension is not None:
                breakdown = await self._backend.breakdowns.read(Dimension(dimension))
                stats["breakdown"] = breakdown.as_json()
        return json_response(for_rest(stats))

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``: the output of ``previewops metrics``."""
        try:
            async with self._backend.redis_permit():
                scrape = await collect(self._backend.redis, self._backend.settings)
        except RedisUnavailable as error:  # no reply within the time of a request
            scrape = ScrapeResult(None, build_problem(error).detail)
        text = render_exposition(scrape, self._backend.settings, legacy_names=self._legacy)
        return Response(text, media_type=CONTENT_TYPE)

    async def pause(self, request: Request) -> Response:
        """``POST /api/preview/queue/pause``: stops claims."""
        return await self._pause_or_resume(request, self._backend.queue.pause)

    async def resume(self, request: Request) -> Response:
        """``POST /api/preview/queue/resume``: allows claims again."""
        return await self._pause_or_resume(request, self._backend.queue.resume)

    async def health(self, request: Request) -> Response:
        """``GET /api/preview/worker/health``: the result of ``health --json``, with status 200 or 503."""
        try:
            async with self._backend.redis_permit():
                snapshot = await self._backend.snapshots.read(
                    history_s=RECENT_WINDOW_S, running_jobs=True, check_records=True
                )
                inputs = await collect_inputs(self._backend.redis, self._backend.settings, snapshot)
        except RedisUnavailable as error:
            health = unreachable_health(build_problem(error).detail)
        except LayoutUnsupported as error:
            health = newer_layout_health(error)
        else:
            health = evaluate(inputs, self._thresholds)
        healthy = health.status in (Status.OK, Status.WARNING)
        return json_response(for_rest(health.as_json()), 200 if healthy else 503)

    async def alive(self, request: Request) -> Response:
        """``GET /livez``: this process responds."""
        return json_response({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """``GET /readyz``: Redis responds, so jobs can be accepted.

        Requests that wait share one call: probes have no rate limit and need no token.
        """
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._ping_redis(), name="readyz")
        await asyncio.wait([self._ping])
        self._ping.result()
        return json_response({"status": "ready"})

    async def _ping_redis(self) -> None:
        async with self._backend.redis_permit():
            await self._backend.redis.ping()

    async def _pause_or_resume(
        self, request: Request, command: Callable[..., Awaitable[PauseState]]
    ) -> Response:
        params = await read_command(request, self._backend.bodies)
        reason = params.reason()
        params.raise_violations()
        async with self._backend.redis_permit():
            state = await command(who=self._backend.operator(request), reason=reason)
        return json_response(
            {
                "paused": state.paused,
                "changed": state.changed,
                "pausedAt": None if state.since_ms is None else iso_from_ms(state.since_ms),
                "pausedBy": state.who or None,
                "pausedWhy": for_rest(state.reason) or None,
            }
        )
