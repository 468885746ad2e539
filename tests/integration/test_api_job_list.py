"""The list of jobs over HTTP: every job once, by state and project, in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api_support import JOBS, ApiUnderTest, require_problem, serve_api
from tests.integration.cli_program import payload

pytestmark = pytest.mark.redis


@pytest.fixture
async def api(redis_url: str, tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with serve_api(redis_url, tmp_path, link_key=("k" * 40,)) as served:
        yield served


async def list_all(api: ApiUnderTest, **query: Any) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {**query, **({} if cursor is None else {"cursor": cursor})}
        page = (await api.client.get(JOBS, params=params)).json()
        jobs += page["jobs"]
        cursor = page["next"]
        if cursor is None:
            return jobs


async def test_pages_have_every_job_once(api: ApiUnderTest) -> None:
    await api.queue_driver.complete("done-1", "done-2")
    await api.queue_driver.add_dead_letters("dead", project="other")
    await api.queue_driver.submit(*(payload(f"w{number}", project="les") for number in range(7)))
    for limit in (1, 3, 500):
        jobs = await list_all(api, limit=limit)
        assert len(jobs) == len({job["jobId"] for job in jobs}) == 10
    assert {job["jobId"] for job in await list_all(api, state="dead")} == {"dead"}
    assert {job["jobId"] for job in await list_all(api, project="lessons")} == {"done-1", "done-2"}
    assert len(await list_all(api, project="les", limit=2)) == 7, "a part of another name is not the name"
    assert all(job["links"]["status"] for job in jobs)


@pytest.mark.parametrize(
    "query",
    [
        {"state": "failed"},
        {"limit": "0"},
        {"limit": "501"},
        {"project": ""},
        {"cursor": "x"},
        {"cursor": "1~2"},
        {"cursor": "1~x~y"},
        {"cursor": "one~1~y"},
        {"since": "1h"},
    ],
)
async def test_invalid_queries_are_rejected(api: ApiUnderTest, query: dict[str, str]) -> None:
    require_problem(await api.client.get(JOBS, params=query), 400, "bad-parameter")


@pytest.mark.parametrize(
    "cursor", ["9~1~y", "99~1~y", "0~nan~y", "2~inf~y", "3~-1e999~", "3~-1~", "1~9e+99~%ff", "0~1.5~\n"]
)
async def test_an_invented_cursor_does_no_harm(api: ApiUnderTest, cursor: str) -> None:
    await api.queue_driver.submit(*(payload(f"w{number}") for number in range(3)))
    assert (await api.client.get(JOBS, params={"cursor": cursor})).status_code in (200, 400)
