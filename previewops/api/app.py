"""The routes, and the layers that every request passes on its way to them."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from previewops.api import documents
from previewops.api.artifacts import Artifacts
from previewops.api.backend import Backend
from previewops.api.bodies import ALL_BODIES_BYTES, Bodies
from previewops.api.errors import Refusal
from previewops.api.events import HEARTBEAT_S, Events
from previewops.api.guard import Access, Guard
from previewops.api.jobs import MIB, Jobs
from previewops.api.letters import Letters
from previewops.api.operations import Operations
from previewops.api.rates import RateLimit, Rates
from previewops.api.trace import Trace
from previewops.api.watch import Watch
from previewops.clock import Clock
from previewops.health import Thresholds

JOBS = "/api/preview/jobs"
QUEUE = "/api/preview/queue"
DEAD = "/api/preview/dlq"


def routes(
    backend: Backend,
    watch: Watch,
    thresholds: Thresholds,
    *,
    acts_as: str,
    heartbeat_s: float = HEARTBEAT_S,
) -> list[Route]:
    """Every path of the API. ``acts_as`` is the name of an act whose caller gives none."""
    bodies = Bodies(max(ALL_BODIES_BYTES, backend.settings.api_max_body_mb * MIB))
    jobs = Jobs(backend, bodies, acts_as)
    artifacts = Artifacts(backend)
    events = Events(backend, watch, heartbeat_s=heartbeat_s)
    operations = Operations(backend, bodies, thresholds, acts_as)
    letters = Letters(backend, bodies, acts_as)
    return [
        Route(JOBS, jobs.submit, methods=["POST"]),
        Route(JOBS + "/{jobId}/status", jobs.status),
        Route(JOBS + "/{jobId}/events", events.stream),
        Route(JOBS + "/{jobId}/artifacts", artifacts.manifest),
        Route(JOBS + "/{jobId}/artifacts/{name:path}", artifacts.file),
        Route(JOBS + "/{jobId}", jobs.cancel, methods=["DELETE"]),
        Route(QUEUE + "/metrics", operations.figures),
        Route(QUEUE + "/pause", operations.pause, methods=["POST"]),
        Route(QUEUE + "/resume", operations.resume, methods=["POST"]),
        Route(DEAD, letters.list),
        Route(DEAD + "/requeue", letters.requeue, methods=["POST"]),
        Route(DEAD + "/discard", letters.discard, methods=["POST"]),
        Route("/api/preview/worker/health", operations.health),
        Route("/metrics", operations.metrics),
        Route("/livez", operations.alive),
        Route("/readyz", operations.ready),
        Route("/openapi.json", documents.openapi),
        Route("/preview-job.schema.json", documents.payload_schema),
    ]


def create_app(
    served: list[Route], access: Access, *, rate: int, clock: Clock, new_id: Callable[[], str]
) -> ASGIApp:
    """The application. ``rate`` is requests a second for each client, 0 for no bound."""
    app: ASGIApp = Guard(_Routed(Router(served, redirect_slashes=False)), access)
    if rate:
        # Outside the guard: guessing tokens is bounded too.
        app = RateLimit(app, Rates(rate), clock=clock)
    return Trace(app, clock=clock, new_id=new_id)


def refusing(refusal: Refusal, *, clock: Clock, new_id: Callable[[], str]) -> ASGIApp:
    """An application that answers every request with ``refusal``, in the layer that all answers pass."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        raise refusal

    return Trace(refuse, clock=clock, new_id=new_id)


class _Routed:
    """A router that raises what it cannot route, instead of answering in plain text."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self._router(scope, receive, send)
