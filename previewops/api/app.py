"""Routes of the API and its middleware."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from previewops.api import schema_routes
from previewops.api.artifact_routes import ArtifactRoutes
from previewops.api.auth import AccessPolicy
from previewops.api.backend import ApiBackend
from previewops.api.batch_routes import BatchRoutes
from previewops.api.caller import CALLER, Permission, require
from previewops.api.client_address import ClientAddresses
from previewops.api.connection_limits import BusyConnections
from previewops.api.cors import CROSS_ORIGIN, CorsPolicy, send_preflight
from previewops.api.dead_letter_routes import DeadLetterRoutes
from previewops.api.errors import ApiError, MethodNotAllowed
from previewops.api.event_log_routes import EventLogRoutes
from previewops.api.event_routes import HEARTBEAT_S, EventRoutes
from previewops.api.job_list_routes import JobListRoutes
from previewops.api.job_routes import JobRoutes
from previewops.api.job_watcher import JobWatcher
from previewops.api.legacy_routes import LegacyRoutes
from previewops.api.link_access import accept_link
from previewops.api.project_routes import ProjectRoutes
from previewops.api.queue_routes import QueueRoutes
from previewops.api.rate_limit import CallerRates, RateLimitMiddleware
from previewops.api.request_head import check_head
from previewops.api.request_middleware import RequestMiddleware
from previewops.api.request_params import Endpoint, reject_query
from previewops.api.upload_routes import UploadRoutes
from previewops.api.webhook_routes import WebhookRoutes
from previewops.clock import Clock
from previewops.health import Thresholds
from previewops.queue.job_links import ASSETS_PATH as ASSETS
from previewops.queue.job_links import JOBS_PATH as JOBS
from previewops.signed_links import LinkSigner

BATCHES = "/api/preview/batches"
QUEUE = "/api/preview/queue"
DEAD = "/api/preview/dlq"
WEBHOOKS = "/api/preview/webhooks"
PROJECTS = "/api/preview/projects"


def build_routes(
    backend: ApiBackend,
    watcher: JobWatcher,
    thresholds: Thresholds,
    *,
    clients: ClientAddresses,
    heartbeat_s: float = HEARTBEAT_S,
    legacy: bool = False,
) -> list[Route]:
    """Returns every route; with ``legacy`` those of the predecessor, and its names of metrics, too."""
    jobs = JobRoutes(backend)
    job_list = JobListRoutes(backend)
    artifacts = ArtifactRoutes(backend)
    events = EventRoutes(backend, watcher, clients, heartbeat_s=heartbeat_s)
    queue = QueueRoutes(backend, thresholds, legacy=legacy)
    dead_letters = DeadLetterRoutes(backend)
    uploads = UploadRoutes(backend, clients)
    webhooks = WebhookRoutes(backend)
    event_log = EventLogRoutes(backend)
    projects = ProjectRoutes(backend)
    batches = BatchRoutes(backend)

    submit, read = Permission.SUBMIT, Permission.READ
    operate, monitor, control = Permission.OPERATE, Permission.MONITOR, Permission.CONTROL

    def route(path: str, endpoint: Endpoint, method: str, *permissions: Permission) -> Route:
        return query_route(path, reject_query(endpoint), method, *permissions)

    def query_route(path: str, endpoint: Endpoint, method: str, *permissions: Permission) -> Route:
        return Route(path, require(endpoint, *permissions), methods=[method])

    return [
        query_route(JOBS, jobs.submit, "POST", submit),
        query_route(JOBS, job_list.list, "GET", read),
        route(JOBS + "/{jobId}/status", jobs.status, "GET", read),
        route(JOBS + "/{jobId}/events", events.stream, "GET", read),
        route(JOBS + "/{jobId}/artifacts", artifacts.manifest, "GET", read),
        query_route(JOBS + "/{jobId}/artifacts/{name:path}", artifacts.file, "GET", read),
        query_route(JOBS + "/{jobId}", jobs.cancel, "DELETE", submit, operate),
        route(JOBS + "/{jobId}/run-again", jobs.run_again, "POST", operate),
        route(JOBS + "/{jobId}", jobs.reschedule, "PATCH", submit),
        route(BATCHES + "/{batchId}", batches.status, "GET", read),
        route(BATCHES + "/{batchId}/close", batches.close, "POST", submit),
        query_route(BATCHES + "/{batchId}", batches.cancel, "DELETE", submit),
        route("/api/preview/upload-links", uploads.link, "POST", submit),
        route(ASSETS, uploads.post, "POST", submit),
        route(ASSETS + "/{sha256}", uploads.put, "PUT", submit),
        route(ASSETS + "/{sha256}", uploads.find, "GET", submit, read),
        query_route(QUEUE + "/metrics", queue.stats, "GET", monitor),
        route(QUEUE + "/pause", queue.pause, "POST", control),
        route(QUEUE + "/resume", queue.resume, "POST", control),
        query_route(DEAD, dead_letters.list, "GET", read),
        route(DEAD + "/requeue", dead_letters.requeue, "POST", operate),
        route(DEAD + "/discard", dead_letters.discard, "POST", operate),
        route(PROJECTS, projects.list, "GET", read),
        route(PROJECTS + "/{project}/limits", projects.set_limits, "PATCH", control),
        query_route(PROJECTS + "/{project}/limits", projects.reset_limits, "DELETE", control),
        query_route(WEBHOOKS, webhooks.list, "GET", monitor),
        route(WEBHOOKS + "/resend", webhooks.resend, "POST", control),
        query_route("/api/preview/events", event_log.list, "GET", monitor),
        route("/api/preview/worker/health", queue.health, "GET", monitor),
        route("/metrics", queue.metrics, "GET", monitor),
        route("/livez", queue.alive, "GET", *Permission),
        route("/readyz", queue.ready, "GET", *Permission),
        route("/openapi.json", schema_routes.openapi, "GET", *Permission),
        route("/preview-job.schema.json", schema_routes.payload_schema, "GET", *Permission),
        *(LegacyRoutes(backend, artifacts).routes() if legacy else ()),
    ]


def build_app(
    routes: list[Route],
    access: AccessPolicy,
    *,
    clients: ClientAddresses,
    rate: int,
    connections_per_token: int,
    clock: Clock,
    new_id: Callable[[], str],
    signer: LinkSigner | None = None,
    cors: CorsPolicy = CorsPolicy(),  # noqa: B008 - immutable
) -> ASGIApp:
    """Returns the application.

    Args:
        rate: requests per second of one client address, 0 for no limit.
        connections_per_token: connections on which requests of one named token are answered at once.
    """
    router = Router(routes, redirect_slashes=False)
    caller_rates, busy = CallerRates(), BusyConnections(connections_per_token)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        check_head(scope)
        headers = Headers(scope=scope)
        if cors.is_preflight(scope["method"], headers):
            await send_preflight(send)
            return
        link = accept_link(signer, scope, clock.now_ms() / 1000)
        allows_origin = cors.allows(headers)
        scope[CROSS_ORIGIN] = link is not None or allows_origin
        scope[CALLER] = caller = access.check(
            scope["method"],
            scope["path"],
            headers,
            has_link=link is not None,
            allows_origin=allows_origin,
        )
        if caller.name is not None:
            structlog.contextvars.bind_contextvars(token=caller.name)
        caller_rates.charge(scope, caller)
        scope["app"] = app  # the router then raises its errors instead of sending plain text
        try:
            with busy.hold(caller.name):
                await router(scope, receive, send)
        except HTTPException as error:
            if error.status_code != MethodNotAllowed.status:
                raise
            raise _method_not_allowed(routes, scope) from None

    # Outside of authentication, so that guessing tokens is limited too.
    app = RateLimitMiddleware(serve, rate, clock=clock)
    return RequestMiddleware(app, clients=clients, clock=clock, new_id=new_id, cors=cors)


def _method_not_allowed(routes: list[Route], scope: Scope) -> MethodNotAllowed:
    """Returns the error for a method that no route of the matching path supports."""
    method = scope["method"]
    matched = next(route for route in routes if route.endpoint is scope["endpoint"])
    others = [
        route.path.replace(":path}", "}")
        for route in routes
        if route.path.startswith(f"{matched.path}/") and method in (route.methods or ())
    ]
    allowed = {name for route in routes if route.path == matched.path for name in route.methods or ()}
    return MethodNotAllowed(method, sorted(allowed), others)


def build_error_app(
    error: ApiError, *, clients: ClientAddresses, clock: Clock, new_id: Callable[[], str]
) -> ASGIApp:
    """Returns an application that responds to every request with ``error``, in the usual middleware."""

    async def raise_error(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return RequestMiddleware(raise_error, clients=clients, clock=clock, new_id=new_id)
