"""The routes of dead letters: list them a page at a time, requeue and discard them in bounded acts."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.backend import Backend, answer
from previewops.api.bodies import Bodies, demand_json
from previewops.api.errors import BadForm
from previewops.api.forms import MOST_BYTES, REASON_CHARACTERS, Form, acting, expect_no_query
from previewops.listviews import BulkOutcome, Cursor, DeadFilter
from previewops.states import Priority
from previewops.terms import FIELDS, Terms, UnknownFields, read_terms

MOST_ROWS = 500
MOST_IDS = 500
MOST_PER_ACT = 1_000
"""Dead letters that one request changes at most: another request goes on where it left off."""
ID_CHARACTERS = 256
ACT_TIMEOUT_S = 30.0
"""How long an act may take, which looks through all dead letters. One that is cut short is on record."""

CURSOR_CHARACTERS = 1_000

_CURSOR = re.compile(r"([0-9]{1,16})~(.+)", re.DOTALL | re.ASCII)
_ONLY_SOURCE = "1"
"""Dead letters are listed from one index at a time."""

_Act = Callable[[DeadFilter, str, str, int], Awaitable[BulkOutcome]]


class Letters:
    """What can be done with dead letters. ``acts_as`` names whoever gives no name."""

    def __init__(self, backend: Backend, bodies: Bodies, acts_as: str) -> None:
        self._backend = backend
        self._bodies = bodies
        self._acts_as = acts_as

    async def list(self, request: Request) -> Response:
        """``GET /api/preview/dlq``: a page, newest first, and ``next``, by which the page after it is asked for."""
        query = Form.of_query(request.query_params)
        chosen = _filter(query, ())
        limit = query.whole("limit", least=1, most=MOST_ROWS, default=50)
        cursor = _cursor(query)
        query.done()
        async with self._backend.reached():
            page = await self._backend.letters.page(chosen, cursor=cursor, limit=limit)
        rows = [record.as_json() for record in page.rows]
        return answer({"deadLetters": rows, "next": _written(page.cursor)})

    async def requeue(self, request: Request) -> Response:
        """``POST /api/preview/dlq/requeue``: gives dead letters a new life."""
        form = await self._form(request)
        named = form.choice("priority", [each.value for each in Priority])

        async def act(chosen: DeadFilter, who: str, why: str, most: int) -> BulkOutcome:
            rank = None if named is None else Priority(named)
            return await self._backend.letters.requeue(chosen, who=who, why=why, priority=rank, most=most)

        return await self._act(request, form, act)

    async def discard(self, request: Request) -> Response:
        """``POST /api/preview/dlq/discard``: deletes dead letters for good."""
        form = await self._form(request)

        async def act(chosen: DeadFilter, who: str, why: str, most: int) -> BulkOutcome:
            return await self._backend.letters.discard(chosen, who=who, why=why, most=most)

        return await self._act(request, form, act)

    async def _form(self, request: Request) -> Form:
        expect_no_query(request)
        demand_json(request)
        async with self._bodies.read(request, MOST_BYTES) as raw:
            return Form.of_body(raw)

    async def _act(self, request: Request, form: Form, act: _Act) -> Response:
        chosen = _filter(form, form.texts("jobIds", most=MOST_IDS, characters=ID_CHARACTERS))
        everything, dry_run = form.flag("all"), form.flag("dryRun")
        why = form.text("reason", most=REASON_CHARACTERS) or ""
        most = form.whole("limit", least=1, most=MOST_PER_ACT, default=MOST_PER_ACT)
        form.done()
        narrowed = chosen != DeadFilter()
        if everything is narrowed:
            raise BadForm(
                "all does not go with jobIds or a filter" if everything else "no dead letter is named",
                hint='give jobIds, error, project, fingerprint, olderThan or filter, or "all": true alone',
            )
        async with self._backend.reached_for_long(ACT_TIMEOUT_S):
            if dry_run:
                outcome = await self._counted(chosen)
            else:
                outcome = await act(chosen, acting(request.headers) or self._acts_as, why, most)
        return answer(_told(outcome, dry_run))

    async def _counted(self, chosen: DeadFilter) -> BulkOutcome:
        if not chosen.job_ids:
            return BulkOutcome(0, 0, await self._backend.letters.count(chosen))
        found = {record.job_id for record in await self._backend.letters.newest(chosen, limit=MOST_IDS)}
        return BulkOutcome(0, 0, len(found), chosen.missing(found))


def _told(outcome: BulkOutcome, dry_run: bool) -> dict[str, Any]:
    """``matched`` were meant; each of them was done, skipped (it was gone meanwhile) or left for another request.

    ``notFound`` are the ids of the request that meant nothing.
    """
    return {
        "matched": outcome.done + outcome.skipped + outcome.left,
        "done": outcome.done,
        "skipped": outcome.skipped,
        "left": outcome.left,
        "notFound": list(outcome.missing),
        "dryRun": dry_run,
    }


def _filter(form: Form, job_ids: tuple[str, ...]) -> DeadFilter:
    fingerprint = form.text("fingerprint", most=64)
    terms = Terms()
    try:
        terms = read_terms(form.text("filter") or "")
    except UnknownFields as error:
        form.refuse("filter", "unknown-field", f"names no field: {', '.join(error.names)}", ", ".join(FIELDS))
    return DeadFilter(
        job_ids,
        form.text("error"),
        form.text("project"),
        fingerprint and fingerprint.lower(),
        form.age_ms("olderThan"),
        terms or Terms(),
    )


def _written(cursor: Cursor | None) -> str | None:
    """A place as ``next`` tells it: when that letter died, in server ms, and its id."""
    return None if cursor is None else f"{cursor.score.decode()}~{quote(cursor.member, safe='')}"


def _cursor(query: Form) -> Cursor | None:
    """Reads what ``_written`` wrote. Anybody can make one up; it is then a place like another."""
    text = query.text("cursor", most=CURSOR_CHARACTERS)
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        query.refuse("cursor", "cursor", "is no place in this list", "the `next` of an earlier page")
        return None
    return Cursor(_ONLY_SOURCE, match[1].encode(), unquote_to_bytes(match[2]))
