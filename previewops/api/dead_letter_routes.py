"""Routes of dead letters: list pages, requeue and discard in bounded bulk commands."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend, json_response
from previewops.api.body_reader import BodyReader, require_json
from previewops.api.errors import InvalidRequestBody
from previewops.api.request_params import (
    MAX_BODY_BYTES,
    MAX_REASON_LENGTH,
    RequestParams,
    acting_operator,
    require_no_query,
)
from previewops.queue.filter_query import FILTER_FIELDS, FilterQuery, UnknownFilterFields, parse_filter
from previewops.queue.pages import BulkResult, Cursor, DeadLetterFilter
from previewops.states import Priority

MAX_PAGE_SIZE = 500
MAX_JOB_IDS = 500
MAX_PER_REQUEST = 1_000
"""Maximum number of dead letters that one request changes; further requests change the rest."""
ID_CHARACTERS = 256
BULK_TIMEOUT_S = 30.0
"""Time in seconds for a bulk command, which scans all dead letters. A timeout is recorded as an event."""

CURSOR_CHARACTERS = 1_000

_CURSOR = re.compile(r"([0-9]{1,16})~(.+)", re.DOTALL | re.ASCII)
_ONLY_SOURCE = "1"
"""Dead letters are listed from a single index."""

_Act = Callable[[DeadLetterFilter, str, str, int], Awaitable[BulkResult]]


class DeadLetterRoutes:
    """Routes of dead letters. ``default_operator`` is recorded for requests without X-Preview-User."""

    def __init__(self, backend: ApiBackend, bodies: BodyReader, default_operator: str) -> None:
        self._backend = backend
        self._bodies = bodies
        self._acts_as = default_operator

    async def list(self, request: Request) -> Response:
        """``GET /api/preview/dlq``: a page, newest first, with ``next``, the cursor of the following page."""
        query = RequestParams.from_query(request.query_params)
        chosen = _filter(query, ())
        limit = query.integer("limit", minimum=1, maximum=MAX_PAGE_SIZE, default=50)
        cursor = _cursor(query)
        query.raise_violations()
        async with self._backend.redis_slot():
            page = await self._backend.dead_letters.page(chosen, cursor=cursor, limit=limit)
        rows = [record.as_json() for record in page.rows]
        return json_response({"deadLetters": rows, "next": _written(page.cursor)})

    async def requeue(self, request: Request) -> Response:
        """``POST /api/preview/dlq/requeue``: requeues dead letters."""
        form = await self._form(request)
        named = form.choice("priority", [each.value for each in Priority])

        async def act(chosen: DeadLetterFilter, who: str, why: str, most: int) -> BulkResult:
            rank = None if named is None else Priority(named)
            return await self._backend.dead_letters.requeue(
                chosen, who=who, why=why, priority=rank, max_jobs=most
            )

        return await self._act(request, form, act)

    async def discard(self, request: Request) -> Response:
        """``POST /api/preview/dlq/discard``: deletes dead letters permanently."""
        form = await self._form(request)

        async def act(chosen: DeadLetterFilter, who: str, why: str, most: int) -> BulkResult:
            return await self._backend.dead_letters.discard(chosen, who=who, why=why, max_jobs=most)

        return await self._act(request, form, act)

    async def _form(self, request: Request) -> RequestParams:
        require_no_query(request)
        require_json(request)
        async with self._bodies.read(request, MAX_BODY_BYTES) as raw:
            return RequestParams.from_body(raw)

    async def _act(self, request: Request, form: RequestParams, act: _Act) -> Response:
        chosen = _filter(form, form.text_list("jobIds", max_items=MAX_JOB_IDS, max_length=ID_CHARACTERS))
        everything, dry_run = form.boolean("all"), form.boolean("dryRun")
        why = form.text("reason", max_length=MAX_REASON_LENGTH) or ""
        most = form.integer("limit", minimum=1, maximum=MAX_PER_REQUEST, default=MAX_PER_REQUEST)
        form.raise_violations()
        narrowed = chosen != DeadLetterFilter()
        if everything is narrowed:
            raise InvalidRequestBody(
                "all cannot be combined with jobIds or a filter"
                if everything
                else "no dead letters selected",
                hint='give jobIds, error, project, fingerprint, olderThan or filter, or only "all": true',
            )
        async with self._backend.long_redis_slot(BULK_TIMEOUT_S):
            if dry_run:
                outcome = await self._counted(chosen)
            else:
                outcome = await act(chosen, acting_operator(request.headers) or self._acts_as, why, most)
        return json_response(_told(outcome, dry_run))

    async def _counted(self, chosen: DeadLetterFilter) -> BulkResult:
        if not chosen.job_ids:
            return BulkResult(0, 0, await self._backend.dead_letters.count(chosen))
        found = {
            record.job_id for record in await self._backend.dead_letters.newest(chosen, limit=MAX_JOB_IDS)
        }
        return BulkResult(0, 0, len(found), chosen.missing_ids(found))


def _told(outcome: BulkResult, dry_run: bool) -> dict[str, Any]:
    """``matched`` is the sum of done, skipped (no longer a dead letter) and left (for another request).

    ``notFound`` are ids of the request without a dead letter.
    """
    return {
        "matched": outcome.done + outcome.skipped + outcome.left,
        "done": outcome.done,
        "skipped": outcome.skipped,
        "left": outcome.left,
        "notFound": list(outcome.missing),
        "dryRun": dry_run,
    }


def _filter(form: RequestParams, job_ids: tuple[str, ...]) -> DeadLetterFilter:
    fingerprint = form.text("fingerprint", max_length=64)
    terms = FilterQuery()
    try:
        terms = parse_filter(form.text("filter") or "")
    except UnknownFilterFields as error:
        form.add_violation(
            "filter", "unknown-field", f"unknown field: {', '.join(error.names)}", ", ".join(FILTER_FIELDS)
        )
    return DeadLetterFilter(
        job_ids,
        form.text("error"),
        form.text("project"),
        fingerprint and fingerprint.lower(),
        form.age_ms("olderThan"),
        terms or FilterQuery(),
    )


def _written(cursor: Cursor | None) -> str | None:
    """Encodes a cursor as ``next``: time of death in server ms, and job id."""
    return None if cursor is None else f"{cursor.score.decode()}~{quote(cursor.member, safe='')}"


def _cursor(query: RequestParams) -> Cursor | None:
    """Decodes a cursor. Clients may construct one; any position is valid."""
    text = query.text("cursor", max_length=CURSOR_CHARACTERS)
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        query.add_violation("cursor", "cursor", "is not a cursor", "`next` of an earlier page")
        return None
    return Cursor(_ONLY_SOURCE, match[1].encode(), unquote_to_bytes(match[2]))
