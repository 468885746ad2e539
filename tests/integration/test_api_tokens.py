"""Named tokens on every route: scopes, projects, rates, quotas and shares."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from previewops.api.named_tokens import format_entry
from tests.api_support import DEAD, JOBS, QUEUE, ApiUnderTest, require_problem, serve_api
from tests.integration.cli_program import Program, payload

pytestmark = pytest.mark.redis

SCOPES = ("submit", "read", "operate")
ASSETS = "/api/preview/assets"
BATCHES = "/api/preview/batches"
DIGEST = "0" * 64

SUBMIT, READ, OPERATE = {"submit"}, {"read"}, {"operate"}
WHOLE_QUEUE: set[str] = set()
"""Of a token that is limited to projects, no scope permits it; of another one, operate does."""
ANY = set(SCOPES)

ROUTES: dict[tuple[str, str], set[str]] = {
    ("POST", JOBS): SUBMIT,
    ("GET", JOBS): READ,
    ("GET", JOBS + "/{jobId}/status"): READ,
    ("GET", JOBS + "/{jobId}/events"): READ,
    ("GET", JOBS + "/{jobId}/artifacts"): READ,
    ("GET", JOBS + "/{jobId}/artifacts/{name:path}"): READ,
    ("POST", JOBS + "/{jobId}/run-again"): OPERATE,
    ("PATCH", JOBS + "/{jobId}"): SUBMIT,
    ("DELETE", JOBS + "/{jobId}"): SUBMIT,
    ("GET", BATCHES + "/{batchId}"): READ,
    ("POST", BATCHES + "/{batchId}/close"): SUBMIT,
    ("DELETE", BATCHES + "/{batchId}"): SUBMIT,
    ("POST", "/api/preview/upload-links"): SUBMIT,
    ("POST", ASSETS): SUBMIT,
    ("PUT", ASSETS + "/{sha256}"): SUBMIT,
    ("GET", ASSETS + "/{sha256}"): SUBMIT | READ,
    ("GET", QUEUE + "/metrics"): WHOLE_QUEUE,
    ("POST", QUEUE + "/pause"): WHOLE_QUEUE,
    ("POST", QUEUE + "/resume"): WHOLE_QUEUE,
    ("GET", DEAD): READ,
    ("POST", DEAD + "/requeue"): OPERATE,
    ("POST", DEAD + "/discard"): OPERATE,
    ("GET", "/api/preview/projects"): READ,
    ("PATCH", "/api/preview/projects/{project}/limits"): WHOLE_QUEUE,
    ("DELETE", "/api/preview/projects/{project}/limits"): WHOLE_QUEUE,
    ("GET", "/api/preview/webhooks"): WHOLE_QUEUE,
    ("POST", "/api/preview/webhooks/resend"): WHOLE_QUEUE,
    ("GET", "/api/preview/events"): WHOLE_QUEUE,
    ("GET", "/api/preview/worker/health"): WHOLE_QUEUE,
    ("GET", "/metrics"): WHOLE_QUEUE,
    ("GET", "/livez"): ANY,
    ("GET", "/readyz"): ANY,
    ("GET", "/openapi.json"): ANY,
    ("GET", "/preview-job.schema.json"): ANY,
    ("POST", "/api/preview/job"): SUBMIT,
    ("GET", "/api/preview/job/{jobId}/status"): READ,
    ("GET", "/api/preview/job/{jobId}/artifact"): READ,
    ("GET", "/api/preview/{jobId}/artifact"): READ,
    ("POST", "/api/render"): SUBMIT,
    ("GET", "/api/render/{jobId}/status"): READ,
    ("GET", "/api/render/{jobId}/artifacts"): READ,
    ("GET", "/api/render/{jobId}/manifest"): READ,
    ("GET", "/previews/{projectId}/{jobId}/{name:path}"): READ,
}
"""The scopes that permit each route. A route that is missing here fails the first test."""

BODIES: dict[str, Any] = {
    JOBS: payload("new", project="a"),
    "/api/preview/job": payload("old", project="a"),
    "/api/render": payload("old", project="a"),
    DEAD + "/requeue": {"all": True, "dryRun": True},
    DEAD + "/discard": {"all": True, "dryRun": True},
}


@dataclass(frozen=True)
class Tokens:
    """The file of tokens. The token of a name is ``token-of-NAME``."""

    path: Path

    def add(
        self, name: str, scopes: tuple[str, ...] = SCOPES, projects: str = "a", **limits: int
    ) -> dict[str, str]:
        """Adds a token, and returns the headers of its requests."""
        line = format_entry(
            f"token-of-{name}", name, scopes=scopes, projects=projects.split(),
            rate=limits.get("rate", 0), queue=limits.get("queue", 0),
        )  # fmt: skip
        self.path.touch(0o600)
        with self.path.open("a") as file:
            file.write(f"{line}\n")
        return {"authorization": f"Bearer token-of-{name}"}


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "tokens.toml")


@pytest.fixture
async def api(redis_url: str, tmp_path: Path, tokens: Tokens) -> AsyncIterator[ApiUnderTest]:
    """An API whose tokens were added before; ``limited`` and ``all`` have every scope."""
    tokens.add("limited")
    tokens.add("all", projects="*")
    for count in (1, 2):
        for scopes in combinations(SCOPES, count):
            tokens.add("-".join(scopes), scopes)
            tokens.add("-".join((*scopes, "all")), scopes, projects="*")
    async with serve_api(redis_url, tmp_path, legacy=True, api_tokens_file=tokens.path) as served:
        yield served


def of(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer token-of-{name}"}


async def send(
    api: ApiUnderTest, method: str, template: str, token: str | None, job: str = "a-1", project: str = "a"
) -> httpx.Response:
    path = template.replace("{jobId}", job).replace("{name:path}", "poster.webp").replace("{sha256}", DIGEST)
    path = path.replace("{projectId}", project)
    headers = {} if token is None else of(token)
    if template.startswith(ASSETS) and method in ("POST", "PUT"):
        return await api.client.request(
            method, path, content=b"no picture", headers={**headers, "content-type": "image/png"}
        )
    path = path.replace("{batchId}", "no-batch")
    body = (
        {"priority": "low"} if method == "PATCH" else BODIES.get(template, {}) if method == "POST" else None
    )
    method = "HEAD" if template.endswith("/events") else method  # a stream does not end
    return await api.client.request(method, path, json=body, headers=headers)


async def test_every_route_requires_its_scope(api: ApiUnderTest) -> None:
    known = {
        (method, route.path) for route in api.routes for method in (route.methods or ()) if method != "HEAD"
    }
    assert known == ROUTES.keys()
    await api.queue_driver.submit(payload("a-1", project="a"))
    for (method, path), permitted in ROUTES.items():
        is_public = path in ("/livez", "/readyz")
        assert (await send(api, method, path, None)).status_code == (200 if is_public else 401), path
        for count in (1, 2):
            for scopes in combinations(SCOPES, count):
                for suffix in ((), ("all",)):
                    token = "-".join((*scopes, *suffix))
                    needed = permitted or (OPERATE if suffix else WHOLE_QUEUE)
                    status = (await send(api, method, path, token)).status_code
                    allowed = is_public or not needed.isdisjoint(scopes)
                    assert (status != 403) == allowed, (method, path, token, status)
                    assert status != 401


async def test_jobs_of_other_projects_are_absent(api: ApiUnderTest) -> None:
    await api.queue_driver.complete("b-1", result={"bundle": "x", "artifacts": []})  # project lessons
    await api.queue_driver.submit(payload("b-2", project="b"), payload("a-1", project="a"))
    for method, path in ROUTES:
        if "{jobId}" not in path:
            continue
        absent = await send(api, method, path, "limited", "absent", "lessons")
        for job in ("b-1", "b-2"):
            other = await send(api, method, path, "limited", job, "lessons")
            assert other.status_code == absent.status_code == 404, (method, path)
            assert other.text.replace(job, "absent") == absent.text
            seen = await send(api, method, path, "all", job, "lessons")
            assert seen.text != other.text or seen.status_code != 404, (method, path)
        assert (await send(api, method, path, "limited", "a-1")).status_code != 403
    assert (await api.backend.queue.status("b-2")).state.value == "cancelled"  # by the token for all projects


async def test_jobs_of_other_projects_are_not_accepted(api: ApiUnderTest) -> None:
    response = await api.client.post(JOBS, json=payload("x", project="b"), headers=of("limited"))
    problem = require_problem(response, 403, "project-not-allowed")
    assert problem["detail"] == "projectId of token limited: found b, allowed a"
    lines = "\n".join(json.dumps(payload(f"line-{project}", project=project)) for project in "ab")
    batch = await api.client.post(
        JOBS, content=lines, headers={**of("limited"), "content-type": "application/jsonl"}
    )
    assert [json.loads(line)["status"] for line in batch.text.splitlines()] == [202, 403]
    legacy = await api.client.post("/api/preview/job", json=payload("x", project="b"), headers=of("limited"))
    assert legacy.status_code == 403


async def test_a_taken_id_reveals_nothing_of_another_project(api: ApiUnderTest) -> None:
    await api.queue_driver.submit(payload("one", project="b"), payload("two", project="a", requestId="r"))
    jobs = [payload(name, project="a") for name in ("one", "two")]
    first, second = [await api.client.post(JOBS, json=job, headers=of("limited")) for job in jobs]
    assert "waiting" not in require_problem(first, 409, "conflict")["detail"]
    assert "waiting" in require_problem(second, 409, "conflict")["detail"]
    batch = await api.client.post(
        JOBS,
        content="\n".join(map(json.dumps, jobs)),
        headers={**of("limited"), "content-type": "application/jsonl"},
    )
    details = [json.loads(line)["problem"]["detail"] for line in batch.text.splitlines()]
    assert details == [first.json()["detail"], second.json()["detail"]]


async def test_batches_of_other_projects_are_absent(api: ApiUnderTest) -> None:
    for project in "ab":
        response = await api.client.post(
            f"{JOBS}?batchId=of-{project}", json=payload(f"{project}-1", project=project), headers=of("all")
        )
        assert response.status_code == 202
    requests = (("GET", "", None), ("POST", "/close", {}), ("DELETE", "", None))
    for method, suffix, body in requests:
        path = f"{BATCHES}/of-b{suffix}"
        response = await api.client.request(method, path, json=body, headers=of("limited"))
        require_problem(response, 404, "no-such-batch")
    listed = await api.client.get(f"{JOBS}?batch=of-b", headers=of("limited"))
    assert listed.json()["jobs"] == []
    taken = await api.client.post(
        f"{JOBS}?batchId=of-b", json=payload("a-2", project="a"), headers=of("limited")
    )
    require_problem(taken, 409, "batch-conflict")
    assert (await api.client.get(f"{BATCHES}/of-b", headers=of("all"))).json()["status"] == "open"
    for method, suffix, body in requests:
        path = f"{BATCHES}/of-a{suffix}"
        response = await api.client.request(method, path, json=body, headers=of("limited"))
        assert response.status_code == 200


async def test_the_list_of_jobs_is_filtered(api: ApiUnderTest) -> None:
    for number, project in enumerate("abab"):
        await api.queue_driver.submit(payload(f"{project}-{number}", project=project))

    async def ids(query: str, token: str) -> list[str]:
        page = (await api.client.get(f"{JOBS}{query}", headers=of(token))).json()
        return sorted(row["jobId"] for row in page["jobs"])

    assert await ids("", "limited") == await ids("?state=waiting&limit=2", "limited") == ["a-0", "a-2"]
    assert await ids("?project=b", "limited") == []
    assert await ids("", "all") == ["a-0", "a-2", "b-1", "b-3"]


async def test_dead_letters_are_filtered(api: ApiUnderTest) -> None:
    await api.queue_driver.add_dead_letters("a-1", "a-2", project="a")
    await api.queue_driver.add_dead_letters("b-1", project="b")

    async def ids(query: str = "", token: str = "limited") -> list[str]:
        page = (await api.client.get(f"{DEAD}{query}", headers=of(token))).json()
        return sorted(row["jobId"] for row in page["deadLetters"])

    assert await ids() == await ids("?error=asset-missing") == ["a-1", "a-2"]
    assert await ids("?project=b") == []
    assert await ids(token="all") == ["a-1", "a-2", "b-1"]
    named = {"jobIds": ["a-1", "b-1"], "dryRun": True}
    counted = (await api.client.post(f"{DEAD}/requeue", json=named, headers=of("limited"))).json()
    assert (counted["matched"], counted["notFound"]) == (1, ["b-1"])
    done = (await api.client.post(f"{DEAD}/discard", json={"jobIds": ["b-1"]}, headers=of("limited"))).json()
    assert (done["done"], done["notFound"]) == (0, ["b-1"])
    everything = (await api.client.post(f"{DEAD}/requeue", json={"all": True}, headers=of("limited"))).json()
    assert (everything["matched"], everything["done"]) == (2, 2)
    assert await ids(token="all") == ["b-1"]


async def test_the_name_is_recorded_and_no_token_is(api: ApiUnderTest) -> None:
    headers = {**of("all"), "x-preview-user": "ann"}
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as log:
        await api.client.post(f"{QUEUE}/pause", json={"reason": "disks"}, headers=headers)
        await api.client.get(f"{JOBS}/absent/status", headers=of("limited"))
        await api.client.get(f"{JOBS}/absent/status", headers={"authorization": "Bearer guessed-token"})
    event = (await api.backend.snapshots.read(events=1)).events[0]
    assert dict(event.fields)["who"] == "all/ann"
    assert [line.get("token") for line in log] == ["all", "limited", None]
    assert "token-of" not in str(log)
    assert "guessed-token" not in str(log)


async def test_a_rate_is_its_own_and_429_names_it(redis_url: str, tmp_path: Path, tokens: Tokens) -> None:
    slow, other = tokens.add("slow", rate=1), tokens.add("other")
    async with serve_api(redis_url, tmp_path, api_tokens_file=tokens.path) as api:
        for _ in range(2):
            assert (await api.client.get(DEAD, headers=slow)).status_code == 200
        response = await api.client.get(DEAD, headers=slow)
        problem = require_problem(response, 429, "too-many-requests")
        assert problem["detail"] == "token slow exceeds its rate of 1 requests/s in PREVIEW_API_TOKENS_FILE"
        assert response.headers["retry-after"] == "1"
        assert (await api.client.get(DEAD, headers=other)).status_code == 200
        assert (await api.client.get("/readyz", headers=slow)).status_code == 200


async def test_large_work_is_charged_to_the_token(redis_url: str, tmp_path: Path, tokens: Tokens) -> None:
    slow = tokens.add("slow", rate=1)
    async with serve_api(redis_url, tmp_path, api_tokens_file=tokens.path) as api:
        lines = "\n".join(json.dumps(payload(f"job-{n}", project="a")) for n in range(100))
        headers = {**slow, "content-type": "application/jsonl"}
        assert (await api.client.post(JOBS, content=lines, headers=headers)).status_code == 200
        response = await api.client.post(JOBS, content=lines, headers=headers)
        assert int(response.headers["retry-after"]) > 1


async def test_a_queue_quota_counts_pending_jobs_of_the_projects(
    redis_url: str, tmp_path: Path, tokens: Tokens
) -> None:
    small, same = tokens.add("small", projects="a b", queue=3), tokens.add("same", projects="a c")
    async with serve_api(redis_url, tmp_path, api_tokens_file=tokens.path) as api:

        async def submit(job_id: str, project: str = "a", headers: dict[str, str] = small) -> httpx.Response:
            return await api.client.post(JOBS, json=payload(job_id, project=project), headers=headers)

        assert (await submit("1")).status_code == 202
        assert (await submit("2", headers=same)).status_code == 202  # counts: it is of the same project
        assert (await submit("c", "c", headers=same)).status_code == 202  # does not
        await api.queue_driver.submit(payload("3", project="b"))  # nor does it matter who submits
        rejected = await submit("4", "b")
        problem = require_problem(rejected, 429, "quota-exceeded")
        assert problem["detail"].startswith("queue quota of token small: found 3 pending jobs, allowed 3")
        assert int(rejected.headers["retry-after"]) > 0
        assert (await submit("1")).status_code == 200  # the same job again needs no room
        assert (await submit("5", headers=same)).status_code == 202  # no quota of its own
        await api.client.delete(f"{JOBS}/5", headers=same)
        await api.client.delete(f"{JOBS}/2", headers=same)
        assert (await submit("4", "b")).status_code == 202
        require_problem(await submit("6"), 429, "quota-exceeded")
        for claim in await api.queue_driver.claim(2):
            await api.queue_driver.finish(claim)
        lines = "\n".join(json.dumps(payload(f"line-{n}", project="a")) for n in range(4))
        batch = await api.client.post(
            JOBS, content=lines, headers={**small, "content-type": "application/jsonl"}
        )
        statuses = [json.loads(line)["status"] for line in batch.text.splitlines()]
        pending = [
            record.job_id
            for record in await api.backend.queue.records(["1", "2", "3", "4", "5", "line-0", "line-1"])
            if record.state.pending
        ]
        assert len(pending) == 3
        assert statuses == [202] * statuses.count(202) + [429] * statuses.count(429)
        assert statuses.count(429) >= 2


async def test_a_quota_holds_under_concurrent_submits(redis_url: str, tmp_path: Path, tokens: Tokens) -> None:
    small, whole = tokens.add("small", queue=5), tokens.add("whole", projects="*", queue=7)
    async with serve_api(redis_url, tmp_path, api_tokens_file=tokens.path) as api:

        async def submit(number: int, headers: dict[str, str], project: str) -> int:
            job = payload(f"{project}-{number}", project=project)
            return (await api.client.post(JOBS, json=job, headers=headers)).status_code

        statuses = await asyncio.gather(*(submit(number, small, "a") for number in range(30)))
        assert sorted(statuses) == [202] * 5 + [429] * 25
        statuses = await asyncio.gather(*(submit(number, whole, "b") for number in range(10)))
        assert sorted(statuses) == [202] * 2 + [429] * 8


async def test_ended_jobs_do_not_pile_up_in_a_quota(redis_url: str, tmp_path: Path, tokens: Tokens) -> None:
    small = tokens.add("small", queue=50)
    async with serve_api(redis_url, tmp_path, api_tokens_file=tokens.path) as api:
        for number in range(60):
            job = payload(f"job-{number}", project="a")
            assert (await api.client.post(JOBS, json=job, headers=small)).status_code == 202
            (claim,) = await api.queue_driver.claim()
            await api.queue_driver.finish(claim)
        key = api.backend.queue.keys.quota_prefix + "a"
        assert await api.backend.redis.zcard(key) <= 3
        assert await api.backend.redis.ttl(key) > 0


async def test_requeued_dead_letters_count(redis_url: str, tmp_path: Path, tokens: Tokens) -> None:
    small = tokens.add("small", queue=2)
    async with serve_api(redis_url, tmp_path, api_tokens_file=tokens.path) as api:
        await api.client.post(JOBS, json=payload("first", project="a"), headers=small)
        (claim,) = await api.queue_driver.claim()
        await api.queue_driver.dead_letter_claim(claim, code="x", message="broken")
        for job in ("second", "third"):
            response = await api.client.post(JOBS, json=payload(job, project="a"), headers=small)
            assert response.status_code == 202
        await api.client.post(f"{DEAD}/requeue", json={"all": True}, headers=small)
        await api.client.delete(f"{JOBS}/second", headers=small)
        response = await api.client.post(JOBS, json=payload("fourth", project="a"), headers=small)
        require_problem(response, 429, "quota-exceeded")


async def test_streams_and_connections_have_a_share_per_token(
    redis_url: str, tmp_path: Path, tokens: Tokens
) -> None:
    one, other = tokens.add("one"), tokens.add("other")
    limits = {"api_streams": 4, "api_connections": 6, "api_client_share": 50}
    async with serve_api(redis_url, tmp_path, api_tokens_file=tokens.path, **limits) as api:
        await api.queue_driver.submit(payload("job", project="a"))
        release, entered = asyncio.Event(), asyncio.Semaphore(0)
        original = api.backend.queue.status

        async def held(job_id: str) -> Any:
            entered.release()
            await release.wait()
            return await original(job_id)

        api.backend.queue.status = held  # type: ignore[method-assign]
        waiting = [asyncio.create_task(api.client.get(f"{JOBS}/job/status", headers=one)) for _ in range(3)]
        for _ in waiting:
            await entered.acquire()
        response = await api.client.get(DEAD, headers=one)
        problem = require_problem(response, 503, "overloaded")
        assert problem["detail"] == "connections of token one: found 3 in use, allowed as many"
        assert response.headers["connection"] == "close"
        assert (await api.client.get(DEAD, headers=other)).status_code == 200
        assert (await api.client.get("/livez", headers=one)).status_code == 200
        release.set()
        assert [(await task).status_code for task in waiting] == [200] * 3
        assert (await api.client.get(DEAD, headers=one)).status_code == 200
        record = await original("job")
        with (
            api.job_watcher.subscribe(record, ["token one"]),
            api.job_watcher.subscribe(record, ["token one"]),
        ):
            response = await api.client.get(f"{JOBS}/job/events", headers=one)
            assert "event streams of token one" in require_problem(response, 503, "overloaded")["detail"]


def test_a_new_token_opens_the_api(tmp_path: Path) -> None:
    program = Program(tmp_path)
    made = program.run("token", "new", "shop", "--scope", "read", "--project", "a", "--json").json
    assert made["token"] not in made["line"]
    (tmp_path / "tokens.toml").write_text(made["line"])
    listed = program.run("token", "list", "tokens.toml")
    assert (listed.code, listed.out) == (0, "shop  read  a\n")
    assert program.run("token", "list", "--json", PREVIEW_API_TOKENS_FILE="tokens.toml").json == {
        "tokens": [{"name": "shop", "scopes": ["read"], "projects": ["a"], "rate": 0, "queue": 0}]
    }
    (tmp_path / "tokens.toml").write_text(made["line"].replace("read", "rule"))
    broken = program.run("token", "list", "tokens.toml")
    assert (broken.code, "shop.scopes" in broken.err) == (2, True)
    assert program.run("token", "list").code == 2
    plain = program.run("token", "new", "shop", "--scope", "read", "--project", "*").out.splitlines()
    assert plain[0].startswith("pvo_")
    assert plain[1].startswith("shop = { sha256")
    assert program.run("token", "new", "a b", "--scope", "read", "--project", "*").code == 2
