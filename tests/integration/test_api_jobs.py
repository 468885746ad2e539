"""Jobs over HTTP: submit one or a batch, status, cancel."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from previewops.api import job_routes
from previewops.api.jsonl_submit import MAX_DETAILED_LINES, MAX_LINE_VIOLATIONS, MAX_LINES
from previewops.contract.limits import MAX_PAYLOAD_BYTES, MAX_VIOLATIONS
from previewops.metrics.lifetime_counters import REJECTION_REASONS, LifetimeCounters
from previewops.schemas import example
from tests.api_support import JOBS, ApiUnderTest, require_problem, serve_api
from tests.integration.cli_program import payload
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis

HANGS_S = 60
"""Sequential requests would take minutes."""
LINES = {"content-type": "application/jsonl"}


@pytest.fixture
async def api(redis_url: str, tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with serve_api(redis_url, tmp_path) as served:
        yield served


def lines(*documents: Any) -> bytes:
    return b"".join(
        (item if isinstance(item, bytes) else json.dumps(item).encode()) + b"\n" for item in documents
    )


async def test_job_is_202_then_200(api: ApiUnderTest) -> None:
    first = await api.client.post(JOBS, json=payload("a"))
    again = await api.client.post(JOBS, json=payload("a"))
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json() == {"jobId": "a", "status": "waiting", "new": True}
    assert again.json() == {"jobId": "a", "status": "waiting", "new": False}
    assert first.headers["location"] == again.headers["location"] == f"{JOBS}/a/status"
    status = await api.client.get(first.headers["location"])
    assert status.json() == (await api.backend.queue.status("a")).as_json()


async def test_resubmitting_a_cancelled_job_reports_when_its_id_is_reusable(api: ApiUnderTest) -> None:
    await api.client.post(JOBS, json=payload("a"))
    await api.client.delete(f"{JOBS}/a")
    again = (await api.client.post(JOBS, json=payload("a"))).json()
    assert (again["status"], again["new"]) == ("cancelled", False)
    assert again["freeFrom"] in again["hint"]
    response = require_problem(await api.client.post(JOBS, json=payload("a", dryRun=True)), 409, "conflict")
    assert again["freeFrom"] in response["hint"]


async def test_another_payload_with_the_same_id_is_a_conflict(api: ApiUnderTest) -> None:
    await api.client.post(JOBS, json=payload("a"))
    response = require_problem(await api.client.post(JOBS, json=payload("a", dryRun=True)), 409, "conflict")
    assert "job a already exists (waiting)" in response["detail"]


async def test_all_violations_are_reported(api: ApiUnderTest) -> None:
    bad = example("invalid/03-wrong-types")
    response = require_problem(await api.client.post(JOBS, json=bad), 422, "invalid-payload")
    beside = Path(__file__).parents[2] / "schemas/examples/invalid/03-wrong-types.errors.json"
    assert response["errors"] == json.loads(beside.read_text("utf-8"))
    assert (await api.backend.snapshots.read()).backlog == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"jobId": NaN}', b"[" * 100_000])
async def test_body_that_is_not_a_payload_is_422(api: ApiUnderTest, body: bytes) -> None:
    response = await api.client.post(JOBS, content=body, headers={"content-type": "application/json"})
    assert require_problem(response, 422, "invalid-payload")["errors"]


async def test_uris_are_checked_against_the_asset_roots(api: ApiUnderTest) -> None:
    request = {"steps": [], "assets": [{"id": "x", "uri": "/etc/passwd"}], "audio": {}}
    response = require_problem(
        await api.client.post(JOBS, json=payload("a", previewRequest=request)), 422, "invalid-payload"
    )
    assert response["errors"][0]["pointer"] == "/previewRequest/assets/0/uri"


async def test_names_of_themes_are_checked_where_the_themes_are(redis_url: str, tmp_path: Path) -> None:
    for name in ("acme", *(f"brand-{number}" for number in range(40))):
        (tmp_path / f"{name}.toml").touch()
    job = payload("a", previewRequest={"steps": [], "assets": [], "audio": {}, "options": {"theme": "none"}})
    async with serve_api(redis_url, tmp_path, themes=tmp_path) as api:
        response = require_problem(await api.client.post(JOBS, json=job), 422, "invalid-payload")
        (error,) = response["errors"]
        assert (error["pointer"], error["code"]) == ("/previewRequest/options/theme", "theme-unknown")
        assert error["allowed"].startswith("light, dark, acme, brand-0")
        assert "more" in error["allowed"]
        assert len(error["allowed"]) < 300
        batch = await api.client.post(JOBS, content=lines(job), headers=LINES)
        assert "theme-unknown" in batch.text
        (tmp_path / "none.toml").touch()
        assert (await api.client.post(JOBS, json=job)).status_code == 202, "the folder is read again"
    for folder in (None, tmp_path / "missing"):
        async with serve_api(redis_url, tmp_path, themes=folder) as api:
            assert (
                await api.client.post(JOBS, json={**job, "jobId": f"{folder}".rpartition("/")[2]})
            ).is_success


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "text/json"])
async def test_submit_requires_a_json_content_type(api: ApiUnderTest, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = await api.client.post(JOBS, content=json.dumps(payload("a")), headers=headers)
    assert "application/json" in require_problem(response, 415, "unsupported-media-type")["detail"]


async def test_too_large_body_is_413_with_and_without_content_length(
    api: ApiUnderTest,
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (MAX_PAYLOAD_BYTES // 2)

    headers = {"content-type": "application/json"}
    declared = await api.client.post(JOBS, content=b" " * (MAX_PAYLOAD_BYTES + 1), headers=headers)
    undeclared = await api.client.post(JOBS, content=pieces(), headers=headers)
    for response in (declared, undeclared):
        assert str(MAX_PAYLOAD_BYTES) in require_problem(response, 413, "too-large")["detail"]


async def test_full_queue_is_429_with_retry_after(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path, queue_max=2) as api:
        responses = await asyncio.gather(
            *(api.client.post(JOBS, json=payload(f"job-{number}")) for number in range(5))
        )
    assert sorted(response.status_code for response in responses) == [202, 202, 429, 429, 429]
    rejected = next(response for response in responses if response.status_code == 429)
    assert "allowed 2" in require_problem(rejected, 429, "queue-full")["detail"]
    assert int(rejected.headers["retry-after"]) > 0


async def test_concurrent_submits_share_round_trips(api: ApiUnderTest) -> None:
    before = (await api.backend.redis.info("commandstats")).get("cmdstat_evalsha", {}).get("calls", 0)
    responses = await asyncio.gather(
        *(api.client.post(JOBS, json=payload(f"job-{number}")) for number in range(60))
    )
    after = (await api.backend.redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert {response.status_code for response in responses} == {202}
    assert {response.json()["jobId"] for response in responses} == {f"job-{number}" for number in range(60)}
    assert after - before < 30


async def test_concurrent_submits_get_their_own_result(api: ApiUnderTest) -> None:
    await api.client.post(JOBS, json=payload("taken"))
    new, same, other = await asyncio.gather(
        api.client.post(JOBS, json=payload("new")),
        api.client.post(JOBS, json=payload("taken")),
        api.client.post(JOBS, json=payload("taken", dryRun=True)),
    )
    assert (new.status_code, same.status_code, other.status_code) == (202, 200, 409)


async def test_batch_has_one_result_per_line(api: ApiUnderTest) -> None:
    await api.client.post(JOBS, json=payload("known"))
    body = lines(payload("a"), b"{", payload("known"), payload("known", dryRun=True), b"", {"jobId": 1})
    response = await api.client.post(JOBS, content=body, headers=LINES)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/jsonl"
    results = [json.loads(line) for line in response.text.splitlines()]
    assert [(item["line"], item["status"]) for item in results] == [
        (1, 202), (2, 422), (3, 200), (4, 409), (6, 422)
    ]  # fmt: skip
    assert results[0]["job"] == {"jobId": "a", "status": "waiting", "new": True}
    assert {item["pointer"] for item in results[4]["problem"]["errors"]} >= {"/jobId", "/projectId"}


async def test_batch_of_hundreds_keeps_its_order(api: ApiUnderTest) -> None:
    body = lines(*(payload(f"job-{number:03}") for number in range(350)))
    response = await api.client.post(JOBS, content=body, headers=LINES)
    results = [json.loads(line) for line in response.text.splitlines()]
    assert [item["job"]["jobId"] for item in results] == [f"job-{number:03}" for number in range(350)]
    assert (await api.backend.snapshots.read()).backlog == 350


async def test_batch_with_too_many_lines_or_bytes_is_413(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path, api_max_body_mb=1) as api:
        fits = await api.client.post(JOBS, content=b"{}\n" * MAX_LINES, headers=LINES)
        assert fits.status_code == 200
        many = await api.client.post(JOBS, content=b"{}\n" * (MAX_LINES + 1), headers=LINES)
        assert str(MAX_LINES) in require_problem(many, 413, "too-large")["detail"]
        large = await api.client.post(JOBS, content=b" " * 1_100_000, headers=LINES)
        require_problem(large, 413, "too-large")
        assert (await api.backend.snapshots.read()).backlog == 0


async def send_batch(api: ApiUnderTest, body: bytes) -> tuple[list[dict[str, Any]], int]:
    """Returns the results of a batch and the size of the response."""
    response = await api.client.post(JOBS, content=body, headers=LINES)
    assert response.status_code == 200
    return [json.loads(line) for line in response.text.splitlines()], len(response.content)


async def test_batch_of_invalid_lines_ends_early(api: ApiUnderTest) -> None:
    results, size = await send_batch(api, b"{}\n" * MAX_LINES)
    assert [item["line"] for item in results] == list(range(1, MAX_DETAILED_LINES + 3))
    assert {item["status"] for item in results} == {422}
    assert results[-1]["problem"]["type"] == "urn:previewops:problem:batch-stopped"
    assert size < 150_000
    assert await rejections(api) == {"invalid": MAX_DETAILED_LINES + 1}


async def test_batch_with_as_many_valid_lines_is_read_to_its_end(api: ApiUnderTest) -> None:
    count = MAX_DETAILED_LINES * 2
    pairs = [line for number in range(count) for line in (payload(f"job-{number}"), {})]
    results, _ = await send_batch(api, lines(*pairs))
    assert [item["status"] for item in results] == [202, 422] * count
    problems = [item["problem"] for item in results if "problem" in item]
    assert ["errors" in item for item in problems] == [True] * MAX_DETAILED_LINES + [
        False
    ] * MAX_DETAILED_LINES
    assert all("(and 4 more)" in item["detail"] for item in problems)


async def test_errors_of_one_line_are_capped_and_counted(api: ApiUnderTest) -> None:
    names = {f"name-{number}": 1 for number in range(90)}
    (result,), _ = await send_batch(api, lines(payload("a", **names)))
    errors = result["problem"]["errors"]
    assert len(errors) == MAX_LINE_VIOLATIONS + 1
    assert (errors[-1]["code"], errors[-1]["found"]) == ("more-violations", "90 violations")


async def test_errors_of_one_payload_are_capped_and_counted(api: ApiUnderTest) -> None:
    names = {f"name-{number}": 1 for number in range(60_000)}
    response = await api.client.post(JOBS, json=payload("a", **names))
    errors = require_problem(response, 422, "invalid-payload")["errors"]
    assert len(errors) == MAX_VIOLATIONS + 1
    assert errors[-1]["found"] == "more than 1000 violations"
    assert len(response.content) < 30_000


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (lines(*(payload(f"job-{number}") for number in range(200))), "application/jsonl"),
        (b"{}\n" * 100, "application/jsonl"),
        (json.dumps({f"name-{number}": 1 for number in range(500)}).encode(), "application/json"),
        (json.dumps(payload("a", previewRequest="x" * 200_000)).encode(), "application/json"),
    ],
    ids=["lines", "violations of lines", "violations", "bytes"],
)
async def test_large_work_uses_up_the_rate(
    redis_url: str, tmp_path: Path, body: bytes, content_type: str
) -> None:
    async with serve_api(redis_url, tmp_path, api_rate=1) as api:
        await api.client.post(JOBS, content=body, headers={"content-type": content_type})
        response = await api.client.get(f"{JOBS}/a/status")
        require_problem(response, 429, "too-many-requests")
        assert int(response.headers["retry-after"]) > 5
        assert (await api.client.get("/livez")).status_code == 200


async def test_concurrent_large_work_is_not_admitted_twice(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path, api_rate=10) as api:
        body = lines(*(payload(f"job-{number}") for number in range(1_000)))
        sent = [api.client.post(JOBS, content=body, headers=LINES) for _ in range(8)]
        responses = await asyncio.gather(*sent)
    assert sorted(response.status_code for response in responses) == [200, *[429] * 7]


async def test_one_payload_is_validated_at_a_time(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()
    validate = job_routes.validate

    def spy(*arguments: Any, **options: Any) -> Any:
        threads.add(threading.get_ident())
        return validate(*arguments, **options)

    monkeypatch.setattr(job_routes, "validate", spy)
    steps = [{"text": "x" * 5_000}] * 10
    large = [
        payload(f"job-{n}", previewRequest={"steps": steps, "assets": [], "audio": {}}) for n in range(8)
    ]
    responses = await asyncio.gather(*(api.client.post(JOBS, json=item) for item in large))
    assert {response.status_code for response in responses} == {202}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def rejections(api: ApiUnderTest) -> dict[str, int]:
    """Returns the metrics of rejected submits once no call is in flight."""
    await api.backend.submit_batcher.wait_until_idle()
    totals = LifetimeCounters.parse(await api.backend.redis.hgetall(api.backend.queue.keys.totals))
    return {reason: count for reason in REJECTION_REASONS if (count := totals.rejections(reason))}


async def test_rejected_submits_are_counted(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path, queue_max=1) as api:
        await api.client.post(JOBS, json=payload("a"))
        assert await rejections(api) == {}
        await api.client.post(JOBS, json=payload("a", dryRun=True))
        await api.client.post(JOBS, json=payload("b"))
        assert await rejections(api) == {"conflict": 1, "full": 1}
        await api.client.post(JOBS, json={})
        too_large = b" " * (MAX_PAYLOAD_BYTES + 1)
        await api.client.post(JOBS, content=too_large, headers={"content-type": "application/json"})
        assert await rejections(api) == {"conflict": 1, "full": 1, "invalid": 2}
        batch = lines(payload("a"), b"{", payload("b"), {})
        await api.client.post(JOBS, content=batch, headers=LINES)
        assert await rejections(api) == {"conflict": 1, "full": 2, "invalid": 4}


async def test_invalid_payload_is_422_without_redis(tmp_path: Path) -> None:
    async with serve_api("unix:///nonexistent/redis.sock", tmp_path) as api:
        require_problem(await api.client.post(JOBS, json={}), 422, "invalid-payload")
        await api.backend.submit_batcher.wait_until_idle()


async def test_a_job_is_cancelled_once(api: ApiUnderTest) -> None:
    await api.client.post(JOBS, json=payload("a"))
    done = await api.client.delete(f"{JOBS}/a?reason=wrong pictures", headers={"x-preview-user": "ann"})
    assert done.json() == {"jobId": "a", "status": "cancelled", "was": "waiting"}
    response = require_problem(await api.client.delete(f"{JOBS}/a"), 409, "wrong-state")
    assert "it is cancelled" in response["detail"]
    (event,) = (await api.backend.snapshots.read(events=1)).events
    assert (event.kind, event.fields["who"], event.fields["why"]) == ("cancelled", "ann", "wrong pictures")


async def test_a_cancelled_job_runs_again_once(api: ApiUnderTest) -> None:
    await api.client.post(JOBS, json=payload("a"))
    again = f"{JOBS}/a/run-again"
    require_problem(await api.client.post(again, json={}), 409, "wrong-state")
    await api.client.delete(f"{JOBS}/a")
    done = await api.client.post(again, json={"reason": "a new font"}, headers={"x-preview-user": "ann"})
    assert (done.status_code, done.headers["location"]) == (202, f"{JOBS}/a/status")
    assert done.json() == {"jobId": "a", "status": "waiting", "was": "cancelled"}
    (event,) = (await api.backend.snapshots.read(events=1)).events
    assert (event.kind, event.fields["who"], event.fields["why"]) == ("run-again", "ann", "a new font")
    await api.client.delete(f"{JOBS}/a")
    await api.backend.redis.delete("arq:result:a")
    require_problem(await api.client.post(again, json={}), 409, "payload-expired")
    require_problem(await api.client.post(f"{JOBS}/nobody/run-again", json={}), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/status"), ("DELETE", ""), ("GET", "/events"), ("GET", "/artifacts")]
)
async def test_an_unknown_job_is_not_found(api: ApiUnderTest, method: str, path: str) -> None:
    require_problem(await api.client.request(method, f"{JOBS}/nobody{path}"), 404, "not-found")


async def test_frozen_redis_is_503_within_the_timeout(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    server = redis_process(persistent=False)
    async with serve_api(server.url, tmp_path) as api:
        await api.client.post(JOBS, json=payload("a"))
        server.freeze()
        try:
            async with asyncio.timeout(HANGS_S):
                responses = await asyncio.gather(
                    *(api.client.post(JOBS, json=payload(f"job-{number}")) for number in range(50)),
                    *(api.client.get(f"{JOBS}/a/status") for _ in range(100)),
                    api.client.post(JOBS, content=lines(payload("b")), headers=LINES),
                    api.client.get("/readyz"),
                )
                metrics = await api.client.get("/metrics")
        finally:
            server.thaw()
        assert {response.status_code for response in responses} == {503}
        assert all(int(response.headers["retry-after"]) > 0 for response in responses)
        assert str(server.socket) not in responses[0].text
        assert metrics.status_code == 200
        assert 'preview_redis_up{queue="preview-jobs"} 0.0' in metrics.text
        again = await api.client.post(JOBS, json=payload("job-1"))
        assert again.status_code in (200, 202)
