"""Projects over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api_support import ApiUnderTest, require_problem, serve_api
from tests.queue_support import payload

pytestmark = pytest.mark.redis

PROJECTS = "/api/preview/projects"


@pytest.fixture
async def api(redis_url: str, tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with serve_api(redis_url, tmp_path) as served:
        yield served


async def test_limits_are_set_and_reset_while_jobs_wait(api: ApiUnderTest) -> None:
    await api.backend.queue.submit_many([payload(f"a{number}", project="a") for number in range(2)])
    limits = f"{PROJECTS}/a/limits"
    done = await api.client.patch(limits, json={"weight": 3, "maxActive": 1, "reason": "long renders"})
    assert done.json() == {"project": "a", "changed": True, "weight": 3, "maxActive": 1}
    again = await api.client.patch(limits, json={"weight": 3})
    assert again.json() == {"project": "a", "changed": False, "weight": 3, "maxActive": 1}
    data = (await api.client.get(PROJECTS)).json()
    (row,) = data["projects"]
    assert row["oldestWaitMs"] >= 0
    assert {**row, "oldestWaitMs": 0} == {
        **{"project": "a", "waiting": 2, "active": 0, "weight": 3, "maxActive": 1, "held": False},
        "oldestWaitMs": 0,
    }
    assert data["waitingProjects"] == 1
    reset = await api.client.delete(limits, params={"reason": "done"})
    assert reset.json() == {"project": "a", "changed": True, "weight": 1, "maxActive": None}
    others = await api.client.patch(f"{PROJECTS}/*/limits", json={"maxActive": 0})
    assert others.json() == {"project": "*", "changed": True, "weight": 1, "maxActive": None}
    events = (await api.backend.snapshots.read(events=10)).events
    assert [dict(event.fields)["project"] for event in events if event.kind == "project-limits"] == [
        "a",
        "a",
        "*",
    ]


async def test_invalid_limits_are_problems(api: ApiUnderTest) -> None:
    limits = f"{PROJECTS}/a/limits"
    for body in ({}, {"weight": 0}, {"weight": 1.5}, {"maxActive": -1}, {"weight": 1, "colour": 2}):
        require_problem(await api.client.patch(limits, json=body), 422, "bad-form")
    (violation,) = require_problem(await api.client.patch(limits, json={"weight": 0}), 422, "bad-form")[
        "errors"
    ]
    assert violation["pointer"] == "/weight"
    (violation,) = require_problem(await api.client.patch(limits, json={}), 422, "bad-form")["errors"]
    assert violation["pointer"] == "", "the body as a whole"
    response = await api.client.patch(f"{PROJECTS}/a..b/limits", json={"weight": 2})
    require_problem(response, 400, "usage")
