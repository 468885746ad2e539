"""Paths, states, times and results of the predecessor, for clients that cannot change yet: ``api --legacy-routes``.

They need the same tokens and have the same limits as the paths that they stand for. /openapi.json lacks them.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from previewops.api.artifact_routes import ArtifactRoutes
from previewops.api.backend import ApiBackend
from previewops.api.body_reader import JSON, check_media_type
from previewops.api.caller import Permission, caller_of, require
from previewops.api.legacy_payload import map_id, map_payload
from previewops.api.problems import build_problem
from previewops.api.rate_limit import bill_of
from previewops.api.request_params import Endpoint, reject_query
from previewops.api.responses import json_response
from previewops.contract import parse_payload, validate
from previewops.contract.limits import MAX_PAYLOAD_BYTES
from previewops.disclosure import for_rest
from previewops.errors import InvalidPayload, PreviewopsError
from previewops.queue.records import JobRecord
from previewops.states import JobState

_STATES = {JobState.DEAD: "failed", JobState.CANCELLED: "failed"}
_RENDER_STATES = {
    **_STATES,
    JobState.WAITING: "queued",
    JobState.DELAYED: "queued",
    JobState.ACTIVE: "running",
}
_MAIN_FILES = ("animation.", "poster.")


class LegacyRoutes:
    """Routes of the predecessor."""

    def __init__(self, backend: ApiBackend, artifacts: ArtifactRoutes) -> None:
        self._backend = backend
        self._artifacts = artifacts

    def routes(self) -> list[Route]:
        """Returns every route; errors are ``{"error": …}``."""

        def route(path: str, endpoint: Endpoint, method: str = "GET") -> Route:
            permission = Permission.SUBMIT if method == "POST" else Permission.READ
            checked = _with_plain_errors(require(endpoint, permission))
            return Route(path, reject_query(checked), methods=[method])

        return [
            route("/api/preview/job", self.submit, "POST"),
            route("/api/preview/job/{jobId}/status", self.status),
            route("/api/preview/job/{jobId}/artifact", self.artifact),
            route("/api/preview/{jobId}/artifact", self.artifact),
            route("/api/render", self.submit, "POST"),
            route("/api/render/{jobId}/status", self.render_status),
            route("/api/render/{jobId}/artifacts", self.artifact),
            route("/api/render/{jobId}/manifest", self.manifest),
            route("/previews/{projectId}/{jobId}/{name:path}", self.static),
        ]

    async def submit(self, request: Request) -> Response:
        """``POST /api/preview/job`` and ``/api/render``: maps the payload and submits it."""
        check_media_type(request, JSON)
        async with self._backend.bodies.read(request, MAX_PAYLOAD_BYTES) as raw:
            bill_of(request).charge(size_bytes=len(raw))
            body = parse_payload(raw)
            policy = self._backend.asset_policy
            payload = await self._backend.validate_in_thread(
                lambda: validate(map_payload(body), policy=policy)
            )
            receipt = await self._backend.submit(caller_of(request), payload)
        return json_response({"jobId": body["jobId"], "status": "queued"}, 202 if receipt.new else 200)

    async def status(self, request: Request) -> Response:
        """``GET /api/preview/job/{jobId}/status``."""
        return json_response(_as_legacy(await self._record(request), request.path_params["jobId"], _STATES))

    async def render_status(self, request: Request) -> Response:
        """``GET /api/render/{jobId}/status``."""
        return json_response(
            _as_legacy(await self._record(request), request.path_params["jobId"], _RENDER_STATES)
        )

    async def artifact(self, request: Request) -> Response:
        """``GET …/artifact``: the animation of a completed job, else its poster."""
        record = await self._record(request)
        name = _main_file(record)
        if name is None:
            error = f"job is not completed: it is {record.state.value}"
            return json_response(
                {"error": error, "state": _STATES.get(record.state, record.state.value)}, 400
            )
        return await self._file(request, record.job_id, name)

    async def manifest(self, request: Request) -> Response:
        """``GET /api/render/{jobId}/manifest``: container.json."""
        return await self._file(request, map_id(request.path_params["jobId"]), "container.json")

    async def static(self, request: Request) -> Response:
        """``GET /previews/{projectId}/{jobId}/{name}``: one file of a bundle."""
        record = await self._record(request)
        if record.project_id != map_id(request.path_params["projectId"]):
            return json_response({"error": "no such file"}, 404)
        return await self._file(request, record.job_id, request.path_params["name"])

    async def _record(self, request: Request) -> JobRecord:
        return await self._backend.read_job(caller_of(request), map_id(request.path_params["jobId"]))

    async def _file(self, request: Request, job_id: str, name: str) -> Response:
        request.scope["path_params"] = {"jobId": job_id, "name": name}
        return await self._artifacts.file(Request(request.scope, request.receive))


def _with_plain_errors(endpoint: Endpoint) -> Endpoint:
    async def call(request: Request) -> Response:
        try:
            return await endpoint(request)
        except PreviewopsError as error:
            problem = build_problem(error)
            status = 400 if isinstance(error, InvalidPayload) else problem.status
            body: dict[str, Any] = {"error": problem.detail}
            if problem.violations:
                body["errors"] = [violation.as_json() for violation in problem.violations]
            return json_response(body, status, dict(problem.headers))

    return call


def _as_legacy(record: JobRecord, job_id: str, states: dict[JobState, str]) -> dict[str, Any]:
    """Returns a status in the predecessor's form: epoch ms, progress 0 to 100."""
    main = _main_file(record)
    bundle = for_rest(record.result or {}).get("bundle")
    result = None
    if record.state is JobState.COMPLETED:
        result = {
            "status": "success",
            "artifactPath": None if main is None else f"{bundle}/{main}",
            "containerPath": None if main is None else f"{bundle}/container.json",
        }
    failed = states.get(record.state) == "failed"
    return {
        "jobId": job_id,
        "state": states.get(record.state, record.state.value),
        "status": states.get(record.state, record.state.value),
        "progress": round(record.fraction * 100),
        "attemptsMade": record.as_json()["attemptsMade"],
        "createdAt": record.accepted_ms,
        "processedOn": record.claimed_ms,
        "finishedOn": record.finished_ms,
        "failedReason": for_rest(record.reason or record.state.value) if failed else None,
        "result": result,
    }


def _main_file(record: JobRecord) -> str | None:
    """Returns the name of the file that the predecessor's artifact was; None without a bundle."""
    result = record.result or {}
    if record.state is not JobState.COMPLETED or result.get("bundle") is None:
        return None
    names = [str(entry.get("path")) for entry in result.get("artifacts") or () if isinstance(entry, dict)]
    return next((name for start in _MAIN_FILES for name in names if name.startswith(start)), None)
