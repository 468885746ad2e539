"""The API in this process, on a real queue. Every response is checked against the OpenAPI document."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker
from starlette.routing import Route
from starlette.types import ASGIApp

from previewops.api.app import build_app, build_routes
from previewops.api.auth import AccessPolicy
from previewops.api.backend import ApiBackend
from previewops.api.client_address import ClientAddresses
from previewops.api.cors import CorsPolicy
from previewops.api.job_watcher import JobWatcher
from previewops.api.token_files import open_tokens_file
from previewops.clock import SystemClock
from previewops.health import Thresholds
from previewops.redis_server.connection import connect
from previewops.schemas import openapi_text
from previewops.settings import Settings
from previewops.stores.port import BundleStore
from tests.integration.cli_program import QueueDriver

JOBS = "/api/preview/jobs"
QUEUE = "/api/preview/queue"
DEAD = "/api/preview/dlq"
BASE = "http://localhost"
LEGACY = ("/api/preview/job/", "/api/preview/job", "/api/render", "/previews/")
"""Beginnings of the predecessor's paths, which the document does not describe."""


@cache
def document() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(openapi_text())
    return result


def resolve_reference(node: dict[str, Any]) -> dict[str, Any]:
    """Resolves a reference within the document."""
    while "$ref" in node and node["$ref"].startswith("#/"):
        result: Any = document()
        for step in node["$ref"][2:].split("/"):
            result = result[step]
        node = result
    return node


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """Returns every operation of the document by (method, path)."""
    return {
        (method.upper(), path): operation
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    }


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    method = "GET" if method == "HEAD" else method
    for (known, template), operation in operations().items():
        pattern = re.sub(r"{\w+}", "[^/]+", template.replace("{name}", ".+"))
        if known == method and re.fullmatch(pattern, path):
            return operation
    return None


def check_response(method: str, path: str, response: httpx.Response, body: bytes) -> None:
    """Checks the response against the document."""
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"]
    operation = operation_of(method, path)
    if operation is None:
        if path.startswith(LEGACY) or path.endswith("/artifact"):
            return
        if method == "OPTIONS" and response.status_code == 204:
            return  # a browser's question, which is part of HTTP and not of the API
        assert response.status_code in (401, 403, 404, 405)
        validate(body, {"$ref": "#/components/schemas/Problem"})
        return
    described = operation["responses"].get(str(response.status_code))
    assert described is not None, f"{method} {path} answers {response.status_code}, which is not described"
    described = resolve_reference(described)
    kind = response.headers.get("content-type", "").partition(";")[0]
    content = described.get("content", {})
    assert not content or method == "HEAD" or kind in content, f"{method} {path}: {kind} is not described"
    if kind.endswith("json") and body:
        validate(body, content[kind].get("schema", {}))


def validate(body: bytes, schema: dict[str, Any]) -> None:
    complete = {**schema, "components": document()["components"]}
    Draft202012Validator(complete, format_checker=FormatChecker()).validate(json.loads(body))


async def _checked(response: httpx.Response) -> None:
    body = await response.aread()
    check_response(response.request.method, response.request.url.path, response, body)


@dataclass
class ApiUnderTest:
    """The API and its services."""

    client: httpx.AsyncClient
    app: ASGIApp
    routes: list[Route]
    queue_driver: QueueDriver
    job_watcher: JobWatcher
    backend: ApiBackend


def ids() -> itertools.count[int]:
    return itertools.count(1)


@asynccontextmanager
async def serve_api(
    url: str,
    folder: Path,
    *,
    heartbeat_s: float = 15.0,
    poll_interval_s: float = 0.01,
    store: BundleStore | None = None,
    legacy: bool = False,
    **changes: Any,
) -> AsyncIterator[ApiUnderTest]:
    """Serves the queue at ``url``, with bundles in ``store`` or under ``folder``. ``changes`` are settings."""
    settings = replace(Settings(queue_max=10_000, data_dir=folder, api_rate=0), **changes)
    redis = connect(url, role="test", socket_timeout_s=2.0)
    backend = ApiBackend(redis, url, settings, working_dir=folder, default_operator="api@test", store=store)
    clients = ClientAddresses(settings.api_proxies)
    watch = JobWatcher(
        backend,
        max_listeners=settings.api_streams,
        per_holder=settings.api_share(settings.api_streams),
        poll_interval_s=poll_interval_s,
    )
    made = build_routes(backend, watch, Thresholds(), clients=clients, heartbeat_s=heartbeat_s, legacy=legacy)
    number = ids()
    app = build_app(
        made,
        AccessPolicy.from_settings(settings, loopback=True, named=open_tokens_file(settings)),
        clients=clients,
        rate=settings.api_rate,
        connections_per_token=settings.api_share(settings.api_connections),
        clock=SystemClock(),
        new_id=lambda: f"made-{next(number)}",
        signer=backend.signer,
        cors=CorsPolicy(frozenset(settings.api_origins)),
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url=BASE, event_hooks={"response": [_checked]}, timeout=60
    ) as client:
        yield ApiUnderTest(client, app, made, QueueDriver(redis, settings), watch, backend)
    await watch.aclose()
    await redis.aclose()


def require_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Checks a problem response and returns its body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    data: dict[str, Any] = response.json()
    assert (data["type"], data["status"]) == (f"urn:previewops:problem:{code}", status)
    return data
