"""Routes of the API and its middleware."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from previewops.api import schema_routes
from previewops.api.artifact_routes import ArtifactRoutes
from previewops.api.auth import AccessPolicy, AuthMiddleware
from previewops.api.backend import ApiBackend
from previewops.api.dead_letter_routes import DeadLetterRoutes
from previewops.api.errors import ApiError
from previewops.api.event_routes import HEARTBEAT_S, EventRoutes
from previewops.api.job_routes import JobRoutes
from previewops.api.job_watcher import JobWatcher
from previewops.api.queue_routes import QueueRoutes
from previewops.api.rate_limit import RateLimitMiddleware, TokenBuckets
from previewops.api.request_middleware import RequestMiddleware
from previewops.clock import Clock
from previewops.health import Thresholds

JOBS = "/api/preview/jobs"
QUEUE = "/api/preview/queue"
DEAD = "/api/preview/dlq"


def build_routes(
    backend: ApiBackend,
    watcher: JobWatcher,
    thresholds: Thresholds,
    *,
    heartbeat_s: float = HEARTBEAT_S,
) -> list[Route]:
    """Returns every route."""
    jobs = JobRoutes(backend)
    artifacts = ArtifactRoutes(backend)
    events = EventRoutes(backend, watcher, heartbeat_s=heartbeat_s)
    queue = QueueRoutes(backend, thresholds)
    dead_letters = DeadLetterRoutes(backend)
    return [
        Route(JOBS, jobs.submit, methods=["POST"]),
        Route(JOBS + "/{jobId}/status", jobs.status),
        Route(JOBS + "/{jobId}/events", events.stream),
        Route(JOBS + "/{jobId}/artifacts", artifacts.manifest),
        Route(JOBS + "/{jobId}/artifacts/{name:path}", artifacts.file),
        Route(JOBS + "/{jobId}", jobs.cancel, methods=["DELETE"]),
        Route(QUEUE + "/metrics", queue.stats),
        Route(QUEUE + "/pause", queue.pause, methods=["POST"]),
        Route(QUEUE + "/resume", queue.resume, methods=["POST"]),
        Route(DEAD, dead_letters.list),
        Route(DEAD + "/requeue", dead_letters.requeue, methods=["POST"]),
        Route(DEAD + "/discard", dead_letters.discard, methods=["POST"]),
        Route("/api/preview/worker/health", queue.health),
        Route("/metrics", queue.metrics),
        Route("/livez", queue.alive),
        Route("/readyz", queue.ready),
        Route("/openapi.json", schema_routes.openapi),
        Route("/preview-job.schema.json", schema_routes.payload_schema),
    ]


def build_app(
    routes: list[Route], access: AccessPolicy, *, rate: int, clock: Clock, new_id: Callable[[], str]
) -> ASGIApp:
    """Returns the application. ``rate`` is requests per second and client, 0 for no limit."""
    app: ASGIApp = AuthMiddleware(_RaisingRouter(Router(routes, redirect_slashes=False)), access)
    if rate:
        # Outside of authentication, so that guessing tokens is limited too.
        app = RateLimitMiddleware(app, TokenBuckets(rate), clock=clock)
    return RequestMiddleware(app, clock=clock, new_id=new_id)


def build_error_app(error: ApiError, *, clock: Clock, new_id: Callable[[], str]) -> ASGIApp:
    """Returns an application that answers every request with ``error``, in the usual middleware."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return RequestMiddleware(refuse, clock=clock, new_id=new_id)


class _RaisingRouter:
    """Router that raises routing errors instead of sending plain text."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self._router(scope, receive, send)
