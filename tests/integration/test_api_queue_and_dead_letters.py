"""Queue and dead letters over HTTP; middleware of every request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from previewops.api import queue_routes
from previewops.api.backend import LONG_REDIS_PERMITS
from previewops.api.dead_letter_routes import MAX_FILTER_TERMS
from previewops.api.request_head import MAX_QUERY_PARAMETERS
from previewops.metrics import CONTENT_TYPE, scrape
from tests.api_support import BASE, DEAD, JOBS, QUEUE, ApiUnderTest, require_problem, serve_api
from tests.integration.cli_program import ESCAPES, payload

pytestmark = pytest.mark.redis

TOKEN, READ = "acting-token-0123456789", "looking-token-0123456789"


@pytest.fixture
async def api(redis_url: str, tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with serve_api(redis_url, tmp_path) as served:
        yield served


async def events(api: ApiUnderTest) -> list[tuple[str, dict[str, str]]]:
    result = (await api.backend.snapshots.read(events=10)).events
    return [(event.kind, dict(event.fields)) for event in result]


async def test_queue_metrics_equal_stats_json(api: ApiUnderTest) -> None:
    await api.queue_driver.complete("a")
    await api.queue_driver.heartbeat()
    response = (await api.client.get(f"{QUEUE}/metrics")).json()
    expected = (await api.backend.snapshots.read(history_s=3600)).as_json()
    assert {**response, "at": ""} == {**expected, "at": ""}


async def test_queue_metrics_by_format(api: ApiUnderTest) -> None:
    await api.queue_driver.add_dead_letters("dies", project="kids")
    response = (await api.client.get(f"{QUEUE}/metrics", params={"by": "project"})).json()
    (row,) = response["breakdown"]["rows"]
    assert (row["value"], row["dead"], row["failureRate"]) == ("kids", 1, 1)
    assert "queue" in response
    rejected = await api.client.get(f"{QUEUE}/metrics", params={"by": "host"})
    assert rejected.status_code == 400


async def test_metrics_equal_the_command_output(api: ApiUnderTest) -> None:
    await api.queue_driver.complete("a")
    response = await api.client.get("/metrics")
    assert response.headers["content-type"] == CONTENT_TYPE
    expected = await scrape(api.backend.redis, api.backend.settings)
    names = [line.partition("{")[0] for line in expected.decode().splitlines()]
    assert [line.partition("{")[0] for line in response.text.splitlines()] == names
    assert "preview_redis_up" in response.text


async def test_metrics_report_a_hanging_redis(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: object) -> None:
        raise TimeoutError  # as asyncio.timeout raises it

    monkeypatch.setattr(queue_routes, "collect", hangs)
    response = await api.client.get("/metrics")
    assert response.status_code == 200
    assert 'preview_redis_up{queue="preview-jobs"} 0.0' in response.text


async def test_pause_and_resume(api: ApiUnderTest) -> None:
    headers = {"x-preview-user": "ann"}
    first = await api.client.post(f"{QUEUE}/pause", json={"reason": "new disks"}, headers=headers)
    assert (first.json()["paused"], first.json()["changed"]) == (True, True)
    again = await api.client.post(f"{QUEUE}/pause", json={})
    assert again.json() == {**first.json(), "changed": False}
    assert (again.json()["pausedBy"], again.json()["pausedWhy"]) == ("ann", "new disks")
    resumed = await api.client.post(f"{QUEUE}/resume", json={})
    assert (resumed.json()["paused"], resumed.json()["changed"]) == (False, True)
    assert [(kind, fields["who"]) for kind, fields in await events(api)] == [
        ("paused", "ann"), ("resumed", "api@test")
    ]  # fmt: skip


async def test_operator_name_is_escaped_and_truncated(api: ApiUnderTest) -> None:
    # httpx rejects such a header; a raw client sends it.
    text = ESCAPES + "ü" * 200
    headers = {"x-preview-user": text.encode()}
    await api.client.post(f"{QUEUE}/pause", json={}, headers=headers)
    ((_, fields),) = await events(api)
    assert fields["who"].isprintable()
    assert len(fields["who"]) == 100
    assert "ü" in fields["who"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"reason": 1}, "/reason"),
        ({"reason": ""}, "/reason"),
        ({"reason": None}, "/reason"),
        ({"reason": "x" * 501}, "/reason"),
        ({"why": "x"}, "/why"),
        ([], ""),
    ],
)
async def test_bodies_are_read_strictly(api: ApiUnderTest, body: Any, pointer: str) -> None:
    response = require_problem(await api.client.post(f"{QUEUE}/pause", json=body), 422, "bad-form")
    assert [item["pointer"] for item in response["errors"]] == [pointer]
    assert not (await api.backend.snapshots.read()).paused


@pytest.mark.parametrize("path", [f"{QUEUE}/pause", f"{QUEUE}/resume", f"{DEAD}/requeue", f"{DEAD}/discard"])
async def test_html_forms_are_rejected(api: ApiUnderTest, path: str) -> None:
    for headers in (
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
    ):
        require_problem(
            await api.client.post(path, content=b'{"all": true}', headers=headers),
            415,
            "unsupported-media-type",
        )


async def test_health_equals_the_command_output(api: ApiUnderTest) -> None:
    ill = await api.client.get("/api/preview/worker/health")
    assert (ill.status_code, ill.json()["status"]) == (503, "CRITICAL")
    await api.queue_driver.heartbeat()
    well = await api.client.get("/api/preview/worker/health")
    assert (well.status_code, well.json()["status"]) == (200, "WARNING")
    assert {check["name"] for check in well.json()["checks"]} >= {"workers", "redis", "persistence"}


async def test_alive_and_ready(api: ApiUnderTest) -> None:
    assert (await api.client.get("/livez")).json() == {"status": "alive"}
    assert (await api.client.get("/readyz")).json() == {"status": "ready"}


async def test_dead_letters_are_listed_in_pages(api: ApiUnderTest) -> None:
    for number in range(5):
        await api.queue_driver.add_dead_letters(
            f"job-{number}", project="lessons" if number % 2 else "trials"
        )
        await api.queue_driver.wait_for_next_ms()
    data: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"?limit=2&cursor={cursor}" if cursor else "?limit=2"
        page = (await api.client.get(DEAD + query)).json()
        data += [item["jobId"] for item in page["deadLetters"]]
        cursor = page["next"]
    assert data == [f"job-{number}" for number in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("error=asset-missing", ["b", "a"]),
        ("project=trials", ["c"]),
        ("filter=project:lessons !id:b", ["a"]),
        ("filter=!", ["c", "b", "a"]),
        ("olderThan=1h", []),
        ("error=timeout&project=lessons", []),
    ],
)
async def test_dead_letters_are_filtered(api: ApiUnderTest, query: str, expected: list[str]) -> None:
    await api.queue_driver.add_dead_letters("a")
    await api.queue_driver.wait_for_next_ms()
    await api.queue_driver.add_dead_letters("b")
    await api.queue_driver.wait_for_next_ms()
    await api.queue_driver.add_dead_letters("c", project="trials", code="timeout")
    page = (await api.client.get(f"{DEAD}?{query}")).json()
    assert [item["jobId"] for item in page["deadLetters"]] == expected


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=501", "/limit"),
        ("limit=+1", "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("limit=" + "9" * 50, "/limit"),
        ("olderThan=soon", "/olderThan"),
        ("cursor=x", "/cursor"),
        ("cursor=1~", "/cursor"),
        ("cursor=-1~a", "/cursor"),
        ("project=", "/project"),
        ("jobIds=a", "/jobIds"),
        ("filter=" + "+".join(["a"] * (MAX_FILTER_TERMS + 1)), "/filter"),
    ],
)
async def test_a_query_is_read_strictly(api: ApiUnderTest, query: str, pointer: str) -> None:
    response = require_problem(await api.client.get(f"{DEAD}?{query}"), 400, "bad-parameter")
    assert [item["pointer"] for item in response["errors"]] == [pointer]


async def test_query_of_many_names_has_a_short_response(api: ApiUnderTest) -> None:
    many = "&".join(f"n{number}" for number in range(10_000))
    require_problem(await api.client.get(f"/livez?{many}"), 400, "bad-request")
    fewer = "&".join(f"n{number}" for number in range(MAX_QUERY_PARAMETERS))
    response = require_problem(await api.client.get(f"/livez?{fewer}"), 400, "bad-parameter")
    assert len(response["errors"]) == MAX_QUERY_PARAMETERS


async def test_bulk_command_has_dry_run_limit_and_left_count(
    api: ApiUnderTest,
) -> None:
    for number in range(5):
        await api.queue_driver.add_dead_letters(f"job-{number}")
        await api.queue_driver.wait_for_next_ms()
    counted = await api.client.post(f"{DEAD}/requeue", json={"error": "asset-missing", "dryRun": True})
    assert counted.json() == {
        "matched": 5,
        "done": 0,
        "skipped": 0,
        "left": 5,
        "notFound": [],
        "dryRun": True,
    }
    some = await api.client.post(
        f"{DEAD}/requeue", json={"error": "asset-missing", "limit": 2, "reason": "they are back"}
    )
    assert some.json() == {"matched": 5, "done": 2, "skipped": 0, "left": 3, "notFound": [], "dryRun": False}
    kind, fields = (await events(api))[-1]
    assert kind == "requeued"
    assert {name: fields[name] for name in ("who", "why", "error", "done", "left")} == {
        "who": "api@test", "why": "they are back", "error": "asset-missing", "done": "2", "left": "3"
    }  # fmt: skip
    rest = await api.client.get(DEAD)
    assert [item["jobId"] for item in rest.json()["deadLetters"]] == ["job-2", "job-1", "job-0"]
    # notFound lists unknown ids, ids of pending jobs, and ids excluded by a filter.
    named = {"jobIds": ["job-2", "nobody", "job-4", "nobody"]}
    dry_run = await api.client.post(f"{DEAD}/discard", json={**named, "dryRun": True})
    assert (dry_run.json()["matched"], dry_run.json()["notFound"]) == (1, ["nobody", "job-4"])
    other = await api.client.post(f"{DEAD}/discard", json={**named, "error": "another"})
    assert (other.json()["done"], other.json()["notFound"]) == (0, ["job-2", "nobody", "job-4"])
    gone = await api.client.post(f"{DEAD}/discard", json=named)
    assert (gone.json()["done"], gone.json()["notFound"]) == (1, ["nobody", "job-4"])
    everything = await api.client.post(f"{DEAD}/discard", json={"all": True})
    assert (everything.json()["done"], everything.json()["left"]) == (2, 0)


async def test_bulk_commands_leave_redis_permits_to_others(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def counts(*_: object) -> int:
        under_way.release()
        await go_on.wait()
        return 0

    monkeypatch.setattr(api.backend.dead_letters, "count", counts)
    body = {"all": True, "dryRun": True}
    acts = [
        asyncio.create_task(api.client.post(f"{DEAD}/discard", json=body))
        for _ in range(LONG_REDIS_PERMITS + 1)
    ]
    for _ in range(LONG_REDIS_PERMITS):
        await under_way.acquire()
    assert (await api.client.get("/readyz")).status_code == 200
    done, _ = await asyncio.wait(acts, return_when=asyncio.FIRST_COMPLETED)
    (rejected,) = done
    require_problem(rejected.result(), 503, "overloaded")
    go_on.set()
    responses = await asyncio.gather(*acts)
    assert sorted(response.status_code for response in responses) == [200] * LONG_REDIS_PERMITS + [503]


async def test_requeue_with_another_priority(api: ApiUnderTest) -> None:
    await api.queue_driver.add_dead_letters("a")
    await api.client.post(f"{DEAD}/requeue", json={"jobIds": ["a"], "priority": "high"})
    assert (await api.backend.queue.status("a")).priority.value == "high"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"dryRun": True},
        {"all": False},
        {"all": True, "error": "x"},
        {"jobIds": []},
        {"jobIds": ["a", 1]},
        {"filter": " "},
        {"filter": "!projct:lessons"},
        {"all": "yes"},
        {"all": True, "limit": 0},
        {"all": True, "limit": 1.5},
        {"all": True, "limit": True},
        {"all": True, "priority": "urgent"},
        {"all": True, "everything": True},
    ],
)
async def test_bulk_command_without_a_selection_is_422(api: ApiUnderTest, body: dict[str, Any]) -> None:
    await api.queue_driver.add_dead_letters("a")
    require_problem(await api.client.post(f"{DEAD}/requeue", json=body), 422, "bad-form")
    assert (await api.backend.queue.status("a")).state.value == "dead"


async def test_unknown_paths_and_methods_are_problems(api: ApiUnderTest) -> None:
    require_problem(await api.client.get("/"), 404, "no-such-path")
    require_problem(await api.client.get(f"{JOBS}/a/status/"), 404, "no-such-path")
    response = await api.client.get(f"{DEAD}/requeue")
    assert require_problem(response, 405, "method-not-allowed")["detail"] == "method: found GET, allowed POST"
    assert response.headers["allow"] == "POST"
    response = await api.client.put(JOBS)
    assert require_problem(response, 405, "method-not-allowed")["detail"].endswith("allowed GET, HEAD, POST")
    wrong = require_problem(await api.client.get(f"{JOBS}/a"), 405, "method-not-allowed")
    assert wrong["detail"] == "method: found GET, allowed DELETE, PATCH"
    assert f"GET is supported by {JOBS}/{{jobId}}/status, " in wrong["hint"]
    wrong = require_problem(await api.client.post(DEAD, json={}), 405, "method-not-allowed")
    assert wrong["hint"] == f"POST is supported by {DEAD}/requeue, {DEAD}/discard"
    assert "hint" not in (await api.client.get(f"{QUEUE}/pause")).json()


async def test_request_id_is_returned_and_logged(api: ApiUnderTest) -> None:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as log:
        response = await api.client.post(JOBS, json=payload("a"), headers={"x-request-id": "from-ann.1"})
        made = await api.client.get("/livez?secret=1", headers={"x-request-id": "not allowed"})
    assert response.headers["x-request-id"] == "from-ann.1"
    assert made.headers["x-request-id"] == "made-1"
    first, second = log
    assert first["client"] == "127.0.0.1"
    assert {name: first[name] for name in ("event", "method", "path", "status", "httpId", "jobId", "requestId")} == {
        "event": "api.answered", "method": "POST", "path": JOBS, "status": 202, "httpId": "from-ann.1",
        "jobId": "a", "requestId": "a-request",
    }  # fmt: skip
    assert second["path"] == "/livez"
    assert "secret" not in str(second)


async def test_tokens_and_bodies_are_not_logged(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path, api_token=TOKEN, api_read_token=READ) as api:
        with structlog.testing.capture_logs() as log:
            rejected = await api.client.post(JOBS, json=payload("secret-job"))
            assert require_problem(rejected, 401, "unauthorized")
            assert rejected.headers["www-authenticate"].startswith("Bearer")
            read = {"authorization": f"Bearer {READ}"}
            assert (await api.client.get(f"{QUEUE}/metrics", headers=read)).status_code == 200
            require_problem(await api.client.post(f"{QUEUE}/pause", json={}, headers=read), 403, "forbidden")
            full = {"authorization": f"Bearer {TOKEN}"}
            assert (await api.client.post(JOBS, json=payload("a"), headers=full)).status_code == 202
            assert (await api.client.get("/livez")).status_code == 200
    assert not any(secret in json.dumps(log) for secret in (TOKEN, READ, "secret-job"))


async def test_rate_limit_is_429_with_retry_after(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path, api_rate=1) as api:
        responses = [await api.client.get(f"{QUEUE}/metrics") for _ in range(4)]
        probes = [await api.client.get(path) for path in ("/livez", "/readyz") * 4]
    assert {probe.status_code for probe in probes} == {200}, "a client may have the address of a probe"
    rejected = [response for response in responses if response.status_code == 429]
    assert require_problem(rejected[0], 429, "too-many-requests")
    assert int(rejected[0].headers["retry-after"]) >= 1


async def test_concurrent_readiness_probes_share_one_call(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def count_and_ping() -> bool:
        nonlocal calls
        calls += 1
        return bool(await ping())

    ping = api.backend.redis.ping
    monkeypatch.setattr(api.backend.redis, "ping", count_and_ping)
    responses = await asyncio.gather(*(api.client.get("/readyz") for _ in range(50)))
    assert {response.status_code for response in responses} == {200}
    assert 1 <= calls < 50


async def test_other_host_name_is_421(api: ApiUnderTest) -> None:
    require_problem(await api.client.get("/metrics", headers={"host": "evil.example"}), 421, "misdirected")


async def test_unexpected_error_is_500_without_details(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("inner secret")

    monkeypatch.setattr(api.backend.snapshots, "read", broken)
    transport = httpx.ASGITransport(app=api.app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        response = await client.get(f"{QUEUE}/metrics")
    assert "inner secret" not in response.text
    require_problem(response, 500, "internal")


async def test_every_response_has_security_headers(api: ApiUnderTest) -> None:
    for path in ("/livez", "/nowhere", "/openapi.json"):
        headers = (await api.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == ("max-age=300" if path == "/openapi.json" else "no-store")
        assert "access-control-allow-origin" not in headers
