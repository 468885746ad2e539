"""Routes of dead letters: list pages, requeue and discard in bounded bulk commands."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.caller import caller_of
from previewops.api.errors import InvalidRequestBody
from previewops.api.request_params import RequestParams, read_command
from previewops.api.responses import json_response
from previewops.disclosure import for_rest
from previewops.queue.dead_letter_filter import BulkResult, DeadLetterFilter
from previewops.queue.filter_query import FILTER_FIELDS, FilterQuery, UnknownFilterFields, parse_filter
from previewops.queue.pages import Cursor
from previewops.queue.tolerant_values import NO_UNREADABLE_KEYS
from previewops.states import Priority

MAX_PAGE_SIZE = 500
MAX_JOB_IDS = 500
MAX_PER_REQUEST = 1_000
"""Maximum number of dead letters that one request changes; further requests change the rest."""
ID_CHARACTERS = 256
MAX_FILTER_TERMS = 20
"""Terms of a filter. Redis compares each of them with every dead letter, and does nothing else meanwhile."""
BULK_TIMEOUT_S = 30.0
"""Time in seconds for a bulk command, which scans all dead letters. A timeout is recorded as an event."""

CURSOR_CHARACTERS = 1_000

_CURSOR = re.compile(r"([0-9]{1,16})~(.+)", re.DOTALL | re.ASCII)
_ONLY_SOURCE = "1"
"""Dead letters are listed from a single index."""


class DeadLetterRoutes:
    """Routes of dead letters."""

    def __init__(self, backend: ApiBackend) -> None:
        self._backend = backend

    async def list(self, request: Request) -> Response:
        """``GET /api/preview/dlq``: a page, newest first, with ``next``, the cursor of the following page."""
        query = RequestParams.from_query(request.query_params)
        selection = _filter(query, ())
        limit = query.integer("limit", minimum=1, maximum=MAX_PAGE_SIZE, default=50)
        cursor = _decode_cursor(query)
        query.raise_violations()
        projects = caller_of(request).projects
        selection = replace(selection, projects=projects)
        async with self._backend.redis_permit():
            page = await self._backend.dead_letters.page(selection, cursor=cursor, limit=limit)
        rows = [for_rest(record.as_json()) for record in page.rows]
        following = _encode_cursor(page.cursor)
        # The keys of damaged records contain jobIds, and nobody knows of which project.
        unreadable = page.unreadable if projects is None else NO_UNREADABLE_KEYS
        return json_response({"deadLetters": rows, "next": following, "unreadable": unreadable.as_json()})

    async def requeue(self, request: Request) -> Response:
        """``POST /api/preview/dlq/requeue``: requeues dead letters."""
        params = await read_command(request, self._backend.bodies)
        named = params.choice("priority", [priority.value for priority in Priority])

        async def execute(selection: DeadLetterFilter, **options: Any) -> BulkResult:
            priority = None if named is None else Priority(named)
            return await self._backend.dead_letters.requeue(selection, priority=priority, **options)

        return await self._run(request, params, execute)

    async def discard(self, request: Request) -> Response:
        """``POST /api/preview/dlq/discard``: deletes dead letters permanently."""
        params = await read_command(request, self._backend.bodies)
        return await self._run(request, params, self._backend.dead_letters.discard)

    async def _run(
        self, request: Request, params: RequestParams, execute: Callable[..., Awaitable[BulkResult]]
    ) -> Response:
        selection = _filter(
            params, params.text_list("jobIds", max_items=MAX_JOB_IDS, max_length=ID_CHARACTERS)
        )
        everything, dry_run = params.boolean("all"), params.boolean("dryRun")
        reason = params.reason()
        max_jobs = params.integer("limit", minimum=1, maximum=MAX_PER_REQUEST, default=MAX_PER_REQUEST)
        params.raise_violations()
        is_narrowed = selection != DeadLetterFilter()
        if everything is is_narrowed:
            raise InvalidRequestBody(
                "all cannot be combined with jobIds or a filter"
                if everything
                else "no dead letters selected",
                hint='give jobIds, error, project, fingerprint, olderThan or filter, or only "all": true',
            )
        selection = replace(selection, projects=caller_of(request).projects)
        async with self._backend.long_redis_permit(BULK_TIMEOUT_S):
            if dry_run:
                result = await self._count(selection)
            else:
                who = self._backend.operator(request)
                result = await execute(selection, who=who, reason=reason, max_jobs=max_jobs)
        return json_response(_result_json(result, dry_run))

    async def _count(self, selection: DeadLetterFilter) -> BulkResult:
        if not selection.job_ids:
            return BulkResult(0, 0, await self._backend.dead_letters.count(selection))
        found_ids = {
            record.job_id for record in await self._backend.dead_letters.newest(selection, limit=MAX_JOB_IDS)
        }
        return BulkResult(0, 0, len(found_ids), selection.missing_ids(found_ids))


def _result_json(result: BulkResult, dry_run: bool) -> dict[str, Any]:
    """``matched`` is the sum of done, skipped (no longer a dead letter) and left (for another request).

    ``notFound`` are ids of the request without a dead letter.
    """
    return {
        "matched": result.done + result.skipped + result.left,
        "done": result.done,
        "skipped": result.skipped,
        "left": result.left,
        "notFound": list(result.missing),
        "dryRun": dry_run,
    }


def _filter(params: RequestParams, job_ids: tuple[str, ...]) -> DeadLetterFilter:
    fingerprint = params.text("fingerprint", max_length=64)
    query_terms = FilterQuery()
    try:
        query_terms = parse_filter(params.text("filter") or "")
    except UnknownFilterFields as error:
        params.add_violation(
            "filter", "unknown-field", f"unknown field: {', '.join(error.names)}", ", ".join(FILTER_FIELDS)
        )
    if len(query_terms) > MAX_FILTER_TERMS:
        params.add_violation("filter", "max-terms", "has too many terms", f"{MAX_FILTER_TERMS} terms")
    return DeadLetterFilter(
        job_ids,
        params.text("error"),
        params.text("project"),
        fingerprint and fingerprint.lower(),
        params.age_ms("olderThan"),
        query_terms or FilterQuery(),
    )


def _encode_cursor(cursor: Cursor | None) -> str | None:
    """Encodes a cursor as ``next``: time of death in server ms, and job id."""
    return None if cursor is None else f"{cursor.score.decode()}~{quote(cursor.member, safe='')}"


def _decode_cursor(query: RequestParams) -> Cursor | None:
    """Decodes a cursor. Clients may construct one; any position is valid."""
    text = query.text("cursor", max_length=CURSOR_CHARACTERS)
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        query.add_violation("cursor", "cursor", "is not a cursor", "`next` of an earlier page")
        return None
    return Cursor(_ONLY_SOURCE, match[1].encode(), unquote_to_bytes(match[2]))
