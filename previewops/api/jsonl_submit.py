"""Batch submit: JSON Lines in, one result line per payload out, in order, streamed while the rest is processed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from io import BytesIO
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from previewops.api.backend import ApiBackend
from previewops.api.body_reader import JSON_LINES, BodyReader
from previewops.api.errors import BodyTooLarge, Overloaded
from previewops.api.problems import build_problem
from previewops.contract import ParsedLine, Payload, parse_lines, validate
from previewops.errors import InvalidPayload, PreviewopsError, RedisUnavailable
from previewops.queue.queue import Receipt

MAX_LINES = 10_000
AT_ONCE = 100
"""Lines per round trip."""
AT_ONCE_BYTES = 1_000_000

_Answer = tuple[int, Receipt | PreviewopsError]


async def submit_lines(backend: ApiBackend, bodies: BodyReader, request: Request, max_bytes: int) -> Response:
    """Responds with 200 and one line per payload: line number, status of a single submit, job or problem.

    Raises:
        BodyTooLarge: the batch exceeds the limit of lines or bytes.
        RedisUnavailable: Redis failed before the first line was submitted.
    """
    held = AsyncExitStack()
    try:
        raw = await held.enter_async_context(bodies.read(request, max_bytes))
        found = raw.count(b"\n") + (not raw.endswith(b"\n"))
        if found > MAX_LINES:
            raise BodyTooLarge(f"batch: found {found} lines, allowed {MAX_LINES}", hint="split the batch")
        batch = _Batch(backend, raw)
        first = await batch.next()
        _see_that_redis_answered(first)
    except BaseException:
        await held.aclose()
        raise
    return _LinesResponse(_answers(batch, first), held)


class _LinesResponse(StreamingResponse):
    """Streamed response; closes ``held`` at the end."""

    def __init__(self, lines: AsyncIterator[bytes], held: AsyncExitStack) -> None:
        super().__init__(lines, media_type=JSON_LINES[0])
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._held.aclose()


async def _answers(batch: _Batch, first: list[_Answer]) -> AsyncIterator[bytes]:
    some = first
    while some:
        yield b"".join(_line(number, found) for number, found in some)
        some = await batch.next()


def _see_that_redis_answered(answers: list[_Answer]) -> None:
    """Raises the first Redis failure, while the response status can still be chosen."""
    failures = [found for _, found in answers if isinstance(found, RedisUnavailable | Overloaded)]
    if failures:
        raise failures[0]


class _Batch:
    """Lines of one batch, processed in chunks."""

    def __init__(self, backend: ApiBackend, raw: bytes) -> None:
        self._backend = backend
        self._stream = BytesIO(raw)
        self._lines = parse_lines(self._stream)

    async def next(self) -> list[_Answer]:
        """Submits the next lines in one round trip and returns their results; empty at the end."""
        checked = await asyncio.to_thread(self._checked)
        payloads = [found for _, found in checked if isinstance(found, Payload)]
        invalid = len(checked) - len(payloads)
        try:
            async with self._backend.redis_slot():
                outcomes: list[Receipt | PreviewopsError] = list(
                    await self._backend.queue.submit_many(payloads, invalid=invalid)
                )
        except (RedisUnavailable, Overloaded) as error:
            outcomes = [error] * len(payloads)
        submitted = iter(outcomes)
        return [
            (number, next(submitted) if isinstance(found, Payload) else found) for number, found in checked
        ]

    def _checked(self) -> list[tuple[int, Payload | PreviewopsError]]:
        """Validates a chunk, limited in lines and bytes: a parsed payload is many times as large as its text."""
        began = self._stream.tell()
        found: list[tuple[int, Payload | PreviewopsError]] = []
        for line in islice(self._lines, AT_ONCE):
            found.append(_checked(self._backend, line))
            if self._stream.tell() - began > AT_ONCE_BYTES:
                break
        return found


def _checked(backend: ApiBackend, line: ParsedLine) -> tuple[int, Payload | PreviewopsError]:
    if line.error is not None:
        return line.number, line.error
    try:
        return line.number, validate(line.payload, policy=backend.asset_policy)
    except InvalidPayload as error:
        return line.number, error


def _line(number: int, found: Receipt | PreviewopsError) -> bytes:
    body: dict[str, Any]
    if isinstance(found, Receipt):
        body = {"line": number, "status": 202 if found.new else 200, "job": found.as_json()}
    else:
        problem = build_problem(found)
        body = {"line": number, "status": problem.status, "problem": problem.as_json()}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
