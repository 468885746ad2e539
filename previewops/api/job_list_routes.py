"""Route of the list of jobs: pages by state, project and batch, newest first."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import quote, unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import ApiBackend
from previewops.api.caller import caller_of
from previewops.api.request_params import RequestParams
from previewops.api.responses import json_response
from previewops.queue.filter_query import FilterQuery, FilterTerm
from previewops.queue.listing import JobList
from previewops.queue.pages import Cursor
from previewops.queue.tolerant_values import NO_UNREADABLE_KEYS
from previewops.states import JobState

MAX_PAGE_SIZE = 500
_DEFAULT_PAGE_SIZE = 50
_CURSOR_CHARACTERS = 1_000
_CURSOR = re.compile(
    r"([0-9])~(-?[0-9]{1,17}(?:\.[0-9]{1,20})?(?:e[+-][0-9]{1,2})?)~(.*)", re.DOTALL | re.ASCII
)


class JobListRoutes:
    """Route of the list of jobs."""

    def __init__(self, backend: ApiBackend) -> None:
        self._backend = backend
        self._jobs = JobList(backend.redis, backend.settings)

    async def list(self, request: Request) -> Response:
        """``GET /api/preview/jobs``: a page, newest first, with ``next``, the cursor of the following page."""
        query = RequestParams.from_query(request.query_params)
        state = query.choice("state", [state.value for state in JobState])
        project = query.text("project", max_length=100)
        limit = query.integer("limit", minimum=1, maximum=MAX_PAGE_SIZE, default=_DEFAULT_PAGE_SIZE)
        batch = query.text("batch", max_length=128)
        cursor = _decode_cursor(query)
        query.raise_violations()
        terms = () if project is None else (FilterTerm(project, "project"),)
        projects = caller_of(request).projects
        async with self._backend.redis_permit():
            wanted = None if state is None else JobState(state)
            if batch is None:
                page = await self._jobs.page(
                    state=wanted, query=FilterQuery(terms), projects=projects, cursor=cursor, limit=limit
                )
            else:
                page = await self._backend.batches.page(
                    batch, state=wanted, projects=projects, cursor=cursor, limit=limit
                )
        # The filter finds parts of a name.
        rows = [record for record in page.rows if project is None or record.project_id == project]
        return json_response(
            {
                "jobs": [self._backend.describe_job(request, replace(row, history=())) for row in rows],
                "next": None if page.cursor is None else _encode_cursor(page.cursor),
                # The keys of damaged records contain jobIds, and nobody knows of which project.
                "unreadable": (page.unreadable if projects is None else NO_UNREADABLE_KEYS).as_json(),
            }
        )


def _encode_cursor(cursor: Cursor) -> str:
    """Encodes a cursor as ``next``: number of the source, score and job id."""
    return f"{cursor.part}~{cursor.score.decode()}~{quote(cursor.member, safe='')}"


def _decode_cursor(query: RequestParams) -> Cursor | None:
    """Decodes a cursor. Clients may construct one; any position is valid."""
    text = query.text("cursor", max_length=_CURSOR_CHARACTERS)
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        query.add_violation("cursor", "cursor", "is not a cursor of this list", "next of the previous page")
        return None
    return Cursor(match[1], match[2].encode(), unquote_to_bytes(match[3]))
