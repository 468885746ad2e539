"""Signed links over HTTP: files and events without a token, uploads from a page, caching, other origins, proxies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from previewops.client import AsyncClient
from previewops.errors import UsageError
from tests.api_support import JOBS, ApiUnderTest, require_problem, serve_api
from tests.integration.cli_program import payload
from tests.integration.test_api_artifacts import FILES, MANIFEST, POSTER
from tests.integration.test_api_uploads import picture

pytestmark = pytest.mark.redis

KEY = "a-key-of-more-than-32-characters-0"
TOKEN = "acting-token-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ORIGIN = "https://app.example"
SETTINGS: dict[str, Any] = {
    "api_token": TOKEN,
    "link_key": (KEY,),
    "api_origins": (ORIGIN,),
}


@pytest.fixture
async def api(redis_url: str, tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    bundle = tmp_path / "previews" / "lessons" / "a"
    for name, (content, _) in FILES.items():
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_bytes(content)
    (bundle / "container.json").write_text(json.dumps(MANIFEST))
    (bundle / "preview.json").write_text("{}")
    proxies = (ip_network("127.0.0.1"),)
    settings = {**SETTINGS, "api_proxies": proxies, "api_sendfile": None}
    async with serve_api(redis_url, tmp_path, **settings) as served:
        result = {"bundle": str(bundle), "artifacts": MANIFEST["files"]}
        await served.queue_driver.complete("a", result=result)
        yield served


async def links_of(api: ApiUnderTest, job_id: str = "a") -> dict[str, Any]:
    response = await api.client.get(f"{JOBS}/{job_id}/status", headers=BEARER)
    links: dict[str, Any] = response.json()["links"]
    return links


async def test_files_are_served_by_their_links_and_may_be_cached(api: ApiUnderTest) -> None:
    links = await links_of(api)
    assert set(links["files"]) == set(FILES)
    require_problem(await api.client.get(f"{JOBS}/a/artifacts/poster.webp"), 401, "unauthorized")
    poster = await api.client.get(links["files"]["poster.webp"])
    assert poster.content == POSTER
    assert poster.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert poster.headers["cross-origin-resource-policy"] == "cross-origin"
    part = await api.client.get(links["files"]["poster.webp"], headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, POSTER[:10])
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert (await api.client.get(links["files"]["poster.webp"], headers=embedded)).status_code == 200
    assert links == await links_of(api), "a browser finds the same addresses in its cache"


async def test_a_link_is_no_token(api: ApiUnderTest) -> None:
    links = await links_of(api)
    query = links["status"].partition("?")[2]
    for method, path in (
        ("GET", f"{JOBS}/b/status"),
        ("GET", "/api/preview/dlq"),
        ("DELETE", f"{JOBS}/a"),
        ("POST", "/api/preview/upload-links"),
    ):
        require_problem(await api.client.request(method, f"{path}?{query}"), 403, "link-rejected")
    status = await api.client.get(links["status"])
    assert status.json()["links"]["expiresAt"] <= links["expiresAt"], "a link prolongs itself"


async def test_other_content_than_the_named_one_is_not_found(api: ApiUnderTest) -> None:
    path = f"{JOBS}/a/artifacts/poster.webp?sha256={'0' * 64}"
    require_problem(await api.client.get(path, headers=BEARER), 404, "no-such-artifact")
    path = f"{JOBS}/a/artifacts/preview.json?sha256={'0' * 64}"  # is not in the job's record
    require_problem(await api.client.get(path, headers=BEARER), 404, "no-such-artifact")
    plain = await api.client.get(f"{JOBS}/a/artifacts/poster.webp", headers=BEARER)
    assert plain.headers["cache-control"] == "private, no-cache"
    assert plain.headers["cross-origin-resource-policy"] == "same-origin"


async def test_a_page_uploads_and_follows_without_a_token(api: ApiUnderTest) -> None:
    require_problem(await api.client.post("/api/preview/upload-links", json={}), 401, "unauthorized")
    made = await api.client.post("/api/preview/upload-links", json={}, headers=BEARER)
    assert made.status_code == 201
    headers = {"Content-Type": "image/png", "Origin": ORIGIN}
    stored = await api.client.post(made.json()["url"], content=picture(), headers=headers)
    assert stored.status_code == 201
    assert stored.headers["access-control-allow-origin"] == ORIGIN
    links = await links_of(api)
    events = await api.client.get(links["events"])
    assert events.headers["content-type"].startswith("text/event-stream")
    (data,) = (line[6:] for line in events.text.splitlines() if line.startswith("data: "))
    assert set(json.loads(data)["links"]["files"]) == set(FILES)


async def test_pages_of_other_origins(api: ApiUnderTest) -> None:
    ask = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    preflight = await api.client.options(JOBS, headers=ask)
    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    page = {**BEARER, "Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}
    accepted = await api.client.post(JOBS, json=payload("c"), headers=page)
    assert accepted.headers["access-control-allow-origin"] == ORIGIN
    problem = await api.client.get(f"{JOBS}/nobody/status", headers=page)
    assert problem.headers["access-control-allow-origin"] == ORIGIN
    other = {**page, "Origin": "https://evil.example"}
    refused = await api.client.post(JOBS, json=payload("d"), headers=other)
    require_problem(refused, 403, "forbidden")
    assert "access-control-allow-origin" not in refused.headers
    asked = await api.client.options(JOBS, headers={**ask, "Origin": "https://evil.example"})
    require_problem(asked, 403, "forbidden")


@pytest.mark.parametrize("from_proxy", [True, False])
async def test_only_a_proxy_is_told_where_a_file_is(
    redis_url: str, tmp_path: Path, *, from_proxy: bool
) -> None:
    bundle = tmp_path / "previews" / "lessons" / "a"
    bundle.mkdir(parents=True)
    (bundle / "poster.webp").write_bytes(POSTER)
    entry = next(item for item in MANIFEST["files"] if item["path"] == "poster.webp")  # type: ignore[attr-defined,index]
    (bundle / "container.json").write_text(json.dumps({"version": 1, "files": [entry]}))
    proxies = (ip_network("127.0.0.1"),) if from_proxy else ()
    changes = {"api_proxies": proxies, "api_sendfile": "x-accel-redirect:/files"}
    async with serve_api(redis_url, tmp_path, **changes) as api:
        await api.queue_driver.complete("a", result={"bundle": str(bundle)})
        response = await api.client.get(f"{JOBS}/a/artifacts/poster.webp")
    if from_proxy:
        assert response.headers["x-accel-redirect"] == "/files/lessons/a/poster.webp"
        assert (response.content, response.headers["content-type"]) == (b"", "image/webp")
    else:
        assert "x-accel-redirect" not in response.headers
        assert response.content == POSTER


async def test_without_a_key_there_are_no_links(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path) as api:
        require_problem(await api.client.post("/api/preview/upload-links", json={}), 501, "links-disabled")
        await api.queue_driver.complete("a")
        assert "links" not in (await api.client.get(f"{JOBS}/a/status")).json()
        query = {"expires": "1", "signature": "x"}
        require_problem(await api.client.get(f"{JOBS}/a/status", params=query), 400, "bad-parameter")


async def test_the_client_makes_the_same_links(api: ApiUnderTest, redis_url: str) -> None:
    async with AsyncClient(redis_url, settings=api.backend.settings) as client:
        assert (await client.links("a")).as_json() == await links_of(api)
        stored = await api.client.post(
            await client.upload_link(), content=picture(), headers={"Content-Type": "image/png"}
        )
        assert stored.status_code == 201
        client.settings = type(client.settings)()
        with pytest.raises(UsageError, match="PREVIEW_LINK_KEY"):
            await client.upload_link()
