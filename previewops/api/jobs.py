"""The routes of jobs: submit one or a batch, look, cancel."""

from __future__ import annotations

import asyncio

import structlog
from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import Backend, answer
from previewops.api.batch import answer_lines
from previewops.api.bodies import JSON, JSON_LINES, Bodies, media_type, unsupported
from previewops.api.errors import TooLarge
from previewops.api.forms import REASON_CHARACTERS, Form, acting, expect_no_query
from previewops.contract import Payload, parse_payload, validate
from previewops.contract.limits import MAX_PAYLOAD_BYTES
from previewops.errors import InvalidPayload
from previewops.queue import Receipt

MIB = 1024 * 1024
_BESIDE_THE_LOOP_BYTES = 16_384
"""From this size on a payload is validated in a thread: others are served meanwhile."""


class Jobs:
    """What can be done with jobs. ``acts_as`` names whoever gives no name."""

    def __init__(self, backend: Backend, bodies: Bodies, acts_as: str) -> None:
        self._backend = backend
        self._bodies = bodies
        self._acts_as = acts_as

    async def submit(self, request: Request) -> Response:
        """``POST /api/preview/jobs``: one job as JSON, or a batch as a job a line."""
        expect_no_query(request)
        try:
            return await self._submit(request)
        except (InvalidPayload, TooLarge):
            self._backend.intake.refused()
            raise

    async def _submit(self, request: Request) -> Response:
        found = media_type(request)
        if found in JSON_LINES:
            most = self._backend.settings.api_max_body_mb * MIB
            return await answer_lines(self._backend, self._bodies, request, most)
        if found != JSON:
            raise unsupported(found, f"{JSON}, or for a batch {JSON_LINES[0]}")
        async with self._bodies.read(request, MAX_PAYLOAD_BYTES) as raw:
            payload = await self._validated(raw)
            structlog.contextvars.bind_contextvars(jobId=payload.job_id, requestId=payload.request_id)
            receipt = await self._backend.intake.submit(payload)
        return answer(receipt.as_json(), 202 if receipt.new else 200, _located(receipt))

    async def status(self, request: Request) -> Response:
        """``GET /api/preview/jobs/{jobId}/status``: the same as ``status --json``."""
        expect_no_query(request)
        async with self._backend.reached():
            record = await self._backend.queue.status(request.path_params["jobId"])
        return answer(record.as_json())

    async def cancel(self, request: Request) -> Response:
        """``DELETE /api/preview/jobs/{jobId}``: cancels a job that has not ended."""
        query = Form.of_query(request.query_params)
        why = query.text("reason", most=REASON_CHARACTERS) or ""
        query.done()
        job_id = request.path_params["jobId"]
        async with self._backend.reached():
            before = await self._backend.queue.cancel(
                job_id, who=acting(request.headers) or self._acts_as, why=why
            )
        return answer({"jobId": job_id, "status": "cancelled", "was": before.value})

    async def _validated(self, raw: bytes) -> Payload:
        def check() -> Payload:
            return validate(parse_payload(raw), policy=self._backend.policy)

        if len(raw) < _BESIDE_THE_LOOP_BYTES:
            return check()
        return await asyncio.to_thread(check)


def _located(receipt: Receipt) -> dict[str, str]:
    # A jobId is letters, digits, '.', '_' and '-': nothing to escape.
    return {"Location": f"/api/preview/jobs/{receipt.job_id}/status"}
