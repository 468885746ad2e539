"""Batch submit: JSON Lines in, one result line per payload out, in order, streamed while the rest is processed.

Invalid lines cost more than valid ones and their reports are long, so both are bounded: later invalid lines have no
list of errors, and a batch of which most lines are invalid ends early.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from io import BytesIO
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import MIB, ApiBackend
from previewops.api.body_reader import JSON_LINES
from previewops.api.caller import Caller, caller_of
from previewops.api.errors import BatchStopped, BodyTooLarge, Overloaded, ProjectNotAllowed
from previewops.api.problems import build_problem
from previewops.api.rate_limit import Bill, bill_of
from previewops.api.responses import ClosingResponse, encode_json
from previewops.contract import ParsedLine, Payload, parse_lines, validate
from previewops.contract.violations import shorten_report
from previewops.errors import InvalidPayload, PreviewopsError, RedisUnavailable, Violation
from previewops.queue.queue import Receipt
from previewops.queue.submit_options import SubmitOptions

MAX_LINES = 10_000
CHUNK_LINES = 100
"""Lines per round trip."""
CHUNK_BYTES = 1_000_000

MAX_DETAILED_LINES = 100
"""Invalid lines whose errors are listed; further ones are reported without."""
MAX_LINE_VIOLATIONS = 10
"""Errors listed for one line; another entry counts the others."""

_LineResult = tuple[int, Receipt | PreviewopsError]


async def submit_lines(
    backend: ApiBackend, request: Request, options: SubmitOptions, *, closes_batch: bool = False
) -> Response:
    """Responds with 200 and one line per payload: line number, status of a single submit, job or problem.

    ``options`` are those of every job. ``closes_batch``: their batch is closed after the last line, if all lines were
    accepted.

    Raises:
        BodyTooLarge: the batch exceeds the limit of lines or bytes.
        RedisUnavailable: Redis failed before the first line was submitted.
    """
    resources = AsyncExitStack()
    try:
        max_bytes = backend.settings.api_max_body_mb * MIB
        raw = await resources.enter_async_context(backend.bodies.read(request, max_bytes))
        count = raw.count(b"\n") + (not raw.endswith(b"\n"))
        if count > MAX_LINES:
            raise BodyTooLarge(f"batch: found {count} lines, allowed {MAX_LINES}", hint="split the batch")
        bill = bill_of(request)
        bill.charge(size_bytes=len(raw), lines=count)
        batch = _LineSubmit(backend, caller_of(request), raw, bill, options, closes_batch=closes_batch)
        first = await batch.next()
        for _, result in first:
            if isinstance(result, RedisUnavailable | Overloaded):
                raise result  # while the response status can still be chosen
    except BaseException:
        await resources.aclose()
        raise
    return ClosingResponse(_stream_result_lines(batch, first), resources, media_type=JSON_LINES[0])


async def _stream_result_lines(batch: _LineSubmit, first: list[_LineResult]) -> AsyncIterator[bytes]:
    results = first
    while results:
        encoded = b"".join(_encode_line(number, result) for number, result in results)
        results = await batch.next()
        if not results:  # before the last lines, so that a client that has read them finds the batch closed
            await batch.close_batch()
        yield encoded


class _LineSubmit:
    """Lines of one batch, processed in chunks."""

    def __init__(
        self,
        backend: ApiBackend,
        caller: Caller,
        raw: bytes,
        bill: Bill,
        options: SubmitOptions,
        *,
        closes_batch: bool,
    ) -> None:
        self._backend = backend
        self._caller = caller
        self._bill = bill
        self._options = options
        self._closes_batch = closes_batch
        self._project = ""
        self._rejected = False
        self._stream = BytesIO(raw)
        self._lines = parse_lines(self._stream)
        self._valid = 0
        self._invalid = 0
        self._violations = 0
        self._stopped = False

    async def next(self) -> list[_LineResult]:
        """Submits the next lines in one round trip and returns their results; empty at the end."""
        if self._stopped:
            return []
        validated = await self._backend.validate_in_thread(self._validate_chunk)
        payloads = [payload for _, payload in validated if isinstance(payload, Payload)]
        invalid = sum(isinstance(error, InvalidPayload) for _, error in validated)
        self._bill.charge_violations(self._violations)
        self._violations = 0
        try:
            async with self._backend.redis_permit():
                results: list[Receipt | PreviewopsError] = list(
                    await self._backend.queue.submit_many(
                        payloads,
                        invalid=invalid,
                        quotas=[self._caller.quota] * len(payloads),
                        options=[self._options] * len(payloads),
                    )
                )
        except (RedisUnavailable, Overloaded) as error:
            results = [error] * len(payloads)
        self._rejected = (
            self._rejected
            or len(results) < len(validated)
            or any(isinstance(result, PreviewopsError) for result in results)
        )
        self._project = payloads[0].project_id if payloads else self._project
        submitted = iter([await self._conceal(result) for result in results])
        return [
            (number, next(submitted) if isinstance(payload, Payload) else payload)
            for number, payload in validated
        ]

    async def close_batch(self) -> None:
        """Closes the batch of the jobs after the last line, unless a line was rejected."""
        if self._closes_batch and self._options.batch is not None and not self._rejected and self._project:
            with suppress(PreviewopsError):  # the response has begun; the batch then stays open
                await self._backend.close_batch(self._caller, self._options.batch, self._project)

    async def _conceal(self, result: Receipt | PreviewopsError) -> Receipt | PreviewopsError:
        if isinstance(result, Receipt):
            return result
        return await self._backend.conceal_conflict(self._caller, result)

    def _validate_chunk(self) -> list[tuple[int, Payload | PreviewopsError]]:
        """Validates a chunk, limited in lines and bytes: a parsed payload is many times as large as its text."""
        start = self._stream.tell()
        validated: list[tuple[int, Payload | PreviewopsError]] = []
        for line in islice(self._lines, CHUNK_LINES):
            if self._invalid > max(MAX_DETAILED_LINES, self._valid):
                self._stopped = True
                validated.append((line.number, BatchStopped(self._invalid, self._invalid + self._valid)))
                break
            validated.append((line.number, self._validate(line)))
            if self._stream.tell() - start > CHUNK_BYTES:
                break
        return validated

    def _validate(self, line: ParsedLine) -> Payload | PreviewopsError:
        try:
            if line.error is not None:
                raise line.error
            payload = validate(line.payload, policy=self._backend.asset_policy)
        except InvalidPayload as error:
            self._invalid += 1
            self._violations += len(error.violations)
            error.violations = self._shorten(error.violations)
            return error
        self._valid += 1
        try:
            self._caller.check_project(payload.project_id)
        except ProjectNotAllowed as error:
            return error
        return payload

    def _shorten(self, violations: Sequence[Violation]) -> tuple[Violation, ...]:
        if self._invalid > MAX_DETAILED_LINES:
            return ()
        return tuple(shorten_report(violations, MAX_LINE_VIOLATIONS))


def _encode_line(number: int, result: Receipt | PreviewopsError) -> bytes:
    body: dict[str, Any]
    if isinstance(result, Receipt):
        body = {"line": number, "status": 202 if result.new else 200, "job": result.as_json()}
    else:
        problem = build_problem(result)
        body = {"line": number, "status": problem.status, "problem": problem.as_json()}
    return encode_json(body) + b"\n"
