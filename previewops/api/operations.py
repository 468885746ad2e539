"""The routes of the queue as a whole: figures, pause, health, and whether this process lives and is of use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import Backend, answer
from previewops.api.bodies import Bodies, demand_json
from previewops.api.forms import MOST_BYTES, REASON_CHARACTERS, Form, acting, expect_no_query
from previewops.api.problems import problem_of
from previewops.clock import iso_from_ms
from previewops.errors import RedisUnavailable
from previewops.health import RECENT_S, Status, Thresholds, judge, unreachable
from previewops.healthfacts import gather
from previewops.metrics import CONTENT_TYPE, Reading, expose, take_reading
from previewops.queue import PauseState

HISTORY_S = 3600


class Operations:
    """What can be asked and done of the whole queue.

    ``thresholds`` are what health is judged by; ``acts_as`` names whoever gives no name.
    """

    def __init__(self, backend: Backend, bodies: Bodies, thresholds: Thresholds, acts_as: str) -> None:
        self._backend = backend
        self._bodies = bodies
        self._thresholds = thresholds
        self._acts_as = acts_as

    async def figures(self, request: Request) -> Response:
        """``GET /api/preview/queue/metrics``: the same as ``stats --json``."""
        expect_no_query(request)
        async with self._backend.reached():
            snapshot = await self._backend.snapshots.take(history_s=HISTORY_S)
        return answer(snapshot.as_json())

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``: the same figures for Prometheus, as ``previewops metrics`` prints them."""
        expect_no_query(request)
        try:
            async with self._backend.reached():
                reading = await take_reading(self._backend.redis, self._backend.settings)
        except RedisUnavailable as error:  # it did not answer in the time that a request has
            reading = Reading(None, problem_of(error).detail)
        text = expose(reading, self._backend.settings)
        return Response(text, media_type=CONTENT_TYPE)

    async def pause(self, request: Request) -> Response:
        """``POST /api/preview/queue/pause``: stops claims."""
        return await self._switch(request, self._backend.queue.pause)

    async def resume(self, request: Request) -> Response:
        """``POST /api/preview/queue/resume``: lets claims go on."""
        return await self._switch(request, self._backend.queue.resume)

    async def health(self, request: Request) -> Response:
        """``GET /api/preview/worker/health``: the verdict of ``health --json``, as 200 or 503."""
        expect_no_query(request)
        try:
            async with self._backend.reached():
                snapshot = await self._backend.snapshots.take(history_s=RECENT_S, runs=True)
                facts = await gather(self._backend.redis, self._backend.settings, snapshot)
        except RedisUnavailable as error:
            found = unreachable(problem_of(error).detail)
        else:
            found = judge(facts, self._thresholds)
        fine = found.status in (Status.OK, Status.WARNING)
        return answer(found.as_json(), 200 if fine else 503)

    async def alive(self, request: Request) -> Response:
        """``GET /livez``: this process answers."""
        expect_no_query(request)
        return answer({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """``GET /readyz``: Redis answers, so that jobs can be taken."""
        expect_no_query(request)
        async with self._backend.reached():
            await self._backend.redis.ping()
        return answer({"status": "ready"})

    async def _switch(self, request: Request, act: Callable[..., Awaitable[PauseState]]) -> Response:
        expect_no_query(request)
        demand_json(request)
        async with self._bodies.read(request, MOST_BYTES) as raw:
            form = Form.of_body(raw)
        why = form.text("reason", most=REASON_CHARACTERS) or ""
        form.done()
        async with self._backend.reached():
            state = await act(who=acting(request.headers) or self._acts_as, why=why)
        return answer(
            {
                "paused": state.paused,
                "changed": state.changed,
                "pausedAt": None if state.since_ms is None else iso_from_ms(state.since_ms),
                "pausedBy": state.who or None,
                "pausedWhy": state.why or None,
            }
        )
