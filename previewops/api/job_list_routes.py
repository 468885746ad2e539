"""Route of the list of jobs: pages by state and project, newest first."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

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
_PARTS = 3


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
        cursor = _decode_cursor(query)
        query.raise_violations()
        terms = () if project is None else (FilterTerm(project, "project"),)
        projects = caller_of(request).projects
        async with self._backend.redis_permit():
            page = await self._jobs.page(
                state=None if state is None else JobState(state),
                query=FilterQuery(terms),
                projects=projects,
                cursor=cursor,
                limit=limit,
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
    parts = [cursor.part, cursor.score.decode("latin-1"), cursor.member.decode("latin-1")]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def _decode_cursor(query: RequestParams) -> Cursor | None:
    text = query.text("cursor", max_length=_CURSOR_CHARACTERS)
    if text is None:
        return None
    try:
        parts = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
        if isinstance(parts, list) and len(parts) == _PARTS and all(isinstance(part, str) for part in parts):
            part, score, member = parts
            float(score)
            if part.isascii() and part.isdigit() and len(part) == 1:
                return Cursor(part, score.encode("latin-1"), member.encode("latin-1"))
    except ValueError:  # of base64, JSON, UTF-8 and the number
        pass
    query.add_violation("cursor", "cursor", "is not a cursor of this list", "next of the previous page")
    return None
