"""Routes of jobs: submit one or many, read the status, reschedule, cancel, run again."""

from __future__ import annotations

import time

import structlog
from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.body_reader import JSON, JSON_LINES, check_media_type
from previewops.api.caller import Caller, Permission, caller_of, require_permission
from previewops.api.errors import BodyTooLarge
from previewops.api.jsonl_submit import submit_lines
from previewops.api.rate_limit import bill_of
from previewops.api.request_params import RequestParams, read_command
from previewops.api.responses import json_response
from previewops.contract import Payload, parse_payload, validate
from previewops.contract.limits import MAX_PAYLOAD_BYTES
from previewops.errors import InvalidPayload
from previewops.queue.batches import check_batch_id
from previewops.queue.due_time import NOW
from previewops.queue.submit_options import NO_OPTIONS, SubmitOptions
from previewops.states import JobState, Priority
from previewops.stores.job_deletion import delete_job

_THREAD_FROM_BYTES = 16_384
"""Payloads from this size on are validated in a thread, so that the event loop stays responsive."""


DELETION_TIMEOUT_S = 30.0
"""Time in seconds for a deletion, which waits for the store. It can be repeated."""


class JobRoutes:
    """Routes of jobs."""

    def __init__(self, backend: ApiBackend) -> None:
        self._backend = backend

    async def submit(self, request: Request) -> Response:
        """``POST /api/preview/jobs``: one job as JSON, or a batch as JSON Lines; options in the query."""
        try:
            return await self._submit(request)
        except (InvalidPayload, BodyTooLarge) as error:
            self._backend.submit_batcher.count_invalid()
            if isinstance(error, InvalidPayload):
                bill_of(request).charge_violations(len(error.violations))
            raise

    async def _submit(self, request: Request) -> Response:
        options, closes_batch = self._options(request)
        allowed = f"{JSON} or, for a batch, {JSON_LINES[0]}"
        if check_media_type(request, allowed, JSON_LINES) != JSON:
            return await submit_lines(self._backend, request, options, closes_batch=closes_batch)
        async with self._backend.bodies.read(request, MAX_PAYLOAD_BYTES) as raw:
            bill_of(request).charge(size_bytes=len(raw))
            payload = await self._validate(raw)
            structlog.contextvars.bind_contextvars(jobId=payload.job_id, requestId=payload.request_id)
            receipt = await self._backend.submit(caller_of(request), payload, options)
        if closes_batch and options.batch is not None:
            await self._backend.close_batch(caller_of(request), options.batch, payload.project_id)
        # A jobId consists of letters, digits, '.', '_' and '-', which need no escaping.
        location = f"/api/preview/jobs/{receipt.job_id}/status"
        return json_response(receipt.as_json(), 202 if receipt.new else 200, {"Location": location})

    def _options(self, request: Request) -> tuple[SubmitOptions, bool]:
        """Returns the options of a submit, and whether it closes its batch."""
        if not request.query_params:
            return NO_OPTIONS, False
        query = RequestParams.from_query(request.query_params)
        replace = query.flag("replace")
        due = query.due_time("notBefore", _now_ms())
        batch, closes_batch = query.text("batchId", max_length=128), query.flag("closeBatch")
        if closes_batch and batch is None:
            query.add_violation("closeBatch", "missing-name", "is given without batchId", "with batchId")
        query.raise_violations()
        if batch is not None:
            check_batch_id(batch)
        return SubmitOptions(self._backend.operator(request) if replace else None, due, batch), closes_batch

    async def status(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/status``: as ``status --json``, without paths of a host."""
        record = await self._backend.job_record(request)
        return json_response(self._backend.describe_job(request, record))

    async def reschedule(self, request: Request) -> Response:
        """``PATCH /api/preview/jobs/{jobId}``: another priority or earliest start, until the job runs."""
        params = await read_command(request, self._backend.bodies)
        named = params.choice("priority", [priority.value for priority in Priority])
        due = params.due_time("notBefore", _now_ms())
        now, reason = params.boolean("now"), params.reason()
        if now and due is not None:
            params.add_violation("now", "conflict", "is given beside notBefore", "one of them")
        elif named is None and due is None and not now:
            params.require_change("priority, notBefore or now")
        params.raise_violations()
        caller, job_id = caller_of(request), request.path_params["jobId"]
        async with self._backend.redis_permit():
            await self._backend.queue.reschedule(
                job_id,
                priority=None if named is None else Priority(named),
                due=NOW if now else due,
                who=self._backend.operator(request),
                reason=reason,
                projects=caller.projects,
            )
        return json_response(self._backend.describe_job(request, await self._backend.job_record(request)))

    async def cancel(self, request: Request) -> Response:
        """``DELETE /api/preview/jobs/{jobId}``: cancels a job; with ``?bundle=1`` deletes it and its bundle."""
        query = RequestParams.from_query(request.query_params)
        reason, project_id = query.reason(), query.text("project", max_length=100)
        deletes = query.flag("bundle")
        query.raise_violations()
        if deletes:
            return await self._delete(request, project_id, reason)
        caller, job_id = caller_of(request), request.path_params["jobId"]
        require_permission(caller, Permission.SUBMIT)
        async with self._backend.redis_permit():
            before = await self._backend.queue.cancel(
                job_id,
                who=self._backend.operator(request),
                reason=reason,
                projects=_narrowed(caller, project_id),
            )
        return json_response({"jobId": job_id, "status": "cancelled", "was": before.value})

    async def run_again(self, request: Request) -> Response:
        """``POST /api/preview/jobs/{jobId}/run-again``: renders a completed or cancelled job again."""
        params = await read_command(request, self._backend.bodies)
        reason = params.reason()
        params.raise_violations()
        job_id = request.path_params["jobId"]
        async with self._backend.redis_permit():
            before = await self._backend.queue.run_again(
                job_id,
                who=self._backend.operator(request),
                reason=reason,
                projects=caller_of(request).projects,
            )
        location = f"/api/preview/jobs/{job_id}/status"
        body = {"jobId": job_id, "status": JobState.WAITING.value, "was": before.value}
        return json_response(body, 202, {"Location": location})

    async def _delete(self, request: Request, project_id: str | None, reason: str) -> Response:
        caller = caller_of(request)
        require_permission(caller, Permission.OPERATE)
        async with self._backend.redis_permit(timeout_s=DELETION_TIMEOUT_S):
            deleted = await delete_job(
                self._backend.queue,
                self._backend.store,
                request.path_params["jobId"],
                who=self._backend.operator(request),
                reason=reason,
                project_id=project_id,
                projects=caller.projects,
            )
        return json_response(deleted.as_json())

    async def _validate(self, raw: bytes) -> Payload:
        def check() -> Payload:
            return validate(parse_payload(raw), policy=self._backend.asset_policy)

        if len(raw) < _THREAD_FROM_BYTES:
            return check()
        return await self._backend.validate_in_thread(check)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _narrowed(caller: Caller, project_id: str | None) -> frozenset[str] | None:
    """The projects of the caller, or the one that the request names, if it is among them."""
    if project_id is None:
        return caller.projects
    named = frozenset((project_id,))
    return named if caller.projects is None else named & caller.projects
