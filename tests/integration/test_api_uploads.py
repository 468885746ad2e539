"""Uploads over HTTP: stored by digest, streamed, typed by content, within bounds."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from previewops.api.asset_quota import MAX_UPLOADS, AssetQuota
from previewops.api.errors import AssetsFull, Overloaded
from previewops.api.rate_limit import UPLOADED_BYTES_PER_TOKEN
from previewops.client import Client
from previewops.errors import InvalidPayload, UsageError
from previewops.queue.asset_references import digests_in_use
from previewops.settings import Settings
from previewops.stores.asset_drafts import AssetKindUnsupported
from previewops.stores.assets import StoredAsset
from tests.api_support import JOBS, ApiUnderTest, require_problem, serve_api
from tests.integration.cli_program import Program, payload

pytestmark = pytest.mark.redis

ASSETS = "/api/preview/assets"
OCTETS = {"Content-Type": "application/octet-stream"}


def picture(color: str = "red") -> bytes:
    out = BytesIO()
    Image.new("RGB", (40, 30), color).save(out, "PNG")
    return out.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def job_with(*uris: str, job_id: str = "with-assets") -> dict[str, Any]:
    job = payload(job_id)
    job["previewRequest"]["assets"] = [{"id": f"a{n}", "uri": uri} for n, uri in enumerate(uris)]
    return job


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
async def api(redis_url: str, tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with serve_api(redis_url, tmp_path) as served:
        yield served


async def test_an_upload_has_a_uri_for_payloads(api: ApiUnderTest, tmp_path: Path) -> None:
    content = picture()
    sha256 = digest(content)
    path = f"{ASSETS}/{sha256}"
    require_problem(await api.client.get(path), 404, "no-such-asset")
    for send in (
        lambda: api.client.put(path, content=content, headers=OCTETS),
        lambda: api.client.post(ASSETS, content=content, headers={"Content-Type": "image/png"}),
    ):
        stored = await send()
        assert stored.status_code == 201
        assert stored.headers["location"] == path
        assert stored.json() == {
            "sha256": sha256,
            "uri": f"{sha256[:2]}/{sha256}.png",
            "bytes": len(content),
            "kind": "png",
        }
    assert (await api.client.head(path)).status_code == 200
    assert (await api.client.get(path)).json() == stored.json()
    assert (tmp_path / "assets" / stored.json()["uri"]).read_bytes() == content
    job = await api.client.post(JOBS, json=job_with(stored.json()["uri"]))
    assert job.status_code == 202


async def test_every_kind_is_accepted_under_its_own_media_type(api: ApiUnderTest) -> None:
    for kind in ("application/pdf", "application/ogg", "image/svg+xml", "audio/mpeg", "video/mp4"):
        stored = await api.client.post(ASSETS, content=b"none", headers={"Content-Type": kind})
        require_problem(stored, 415, "asset-kind-unsupported")


async def test_rejected_uploads_leave_nothing(api: ApiUnderTest, tmp_path: Path) -> None:
    async def put(content: bytes, sha256: str, headers: dict[str, str] | None = None) -> Any:
        return await api.client.put(f"{ASSETS}/{sha256}", content=content, headers=headers or OCTETS)

    content = picture()
    require_problem(await put(content, "0" * 64), 422, "asset-digest-mismatch")
    require_problem(await put(b"<html>" * 9, digest(b"<html>" * 9)), 415, "asset-kind-unsupported")
    require_problem(await put(b"", digest(b"")), 415, "asset-kind-unsupported")
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
        problem = await put(content, digest(content), {"Content-Type": kind})
        require_problem(problem, 415, "unsupported-media-type")
    for name in ("A" * 64, digest(content)[:-1]):
        require_problem(await put(content, name), 404, "no-such-asset")
    assert files(tmp_path) == []


async def test_the_size_is_bounded_announced_or_not(redis_url: str, tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield picture()
        while True:
            yield bytes(65_536)

    async with serve_api(redis_url, tmp_path, asset_max_mb=2) as api:
        announced = await api.client.post(ASSETS, content=picture() + bytes(2 << 20), headers=OCTETS)
        require_problem(announced, 413, "too-large")
        require_problem(
            await api.client.post(ASSETS, content=endless(), headers=OCTETS), 413, "asset-too-large"
        )
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"uploads_max_files": 1}, "assets-full", 507),
        ({"uploads_max_mb": 0}, "uploads-disabled", 501),
        ({"asset_roots": (Path("/srv/media"),)}, "uploads-disabled", 501),
    ],
    ids=["full", "switched off", "not a root"],
)
async def test_settings_bound_uploads(
    redis_url: str, tmp_path: Path, changes: dict[str, Any], code: str, status: int
) -> None:
    async with serve_api(redis_url, tmp_path, **changes) as api:
        responses = [
            await api.client.post(ASSETS, content=picture(color), headers=OCTETS) for color in ("red", "blue")
        ]
    require_problem(responses[-1], status, code)


async def test_a_large_upload_is_paid_for(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path, api_rate=1) as api:
        content = picture() + bytes(3 * UPLOADED_BYTES_PER_TOKEN)
        assert (await api.client.post(ASSETS, content=content, headers=OCTETS)).status_code == 201
        second = await api.client.post(ASSETS, content=content, headers=OCTETS)
        require_problem(second, 429, "too-many-requests")


async def test_quota_counts_what_is_stored_and_what_is_under_way() -> None:
    stored = [StoredAsset("a", "png", "a", 400, 0.0)]
    quota = AssetQuota(lambda: stored, max_bytes=1000, max_files=3, per_client=2)
    async with quota.admit("ann", 300):
        async with quota.admit("ann", 300):
            with pytest.raises(Overloaded, match="of one client"):
                async with quota.admit("ann", 1):
                    pass
            with pytest.raises(AssetsFull, match="found 3, allowed 3"):
                async with quota.admit("bob", 0):
                    pass
        with pytest.raises(AssetsFull, match="allowed 1000 bytes"):
            async with quota.admit("bob", 301):
                pass
    quota.count_stored(600)
    with pytest.raises(AssetsFull):
        async with quota.admit("bob", 1):
            pass


async def test_uploads_at_once_are_bounded() -> None:
    quota = AssetQuota(list, max_bytes=1000, max_files=1000, per_client=2)
    async with AsyncExitStack() as stack:
        for _ in range(MAX_UPLOADS):
            await stack.enter_async_context(quota.admit("", 1))
        with pytest.raises(Overloaded):
            await stack.enter_async_context(quota.admit("ann", 1))


async def test_prune_keeps_what_a_job_needs(api: ApiUnderTest, redis_url: str, tmp_path: Path) -> None:
    uris = {}
    for color in ("red", "blue", "green"):
        stored = await api.client.post(ASSETS, content=picture(color), headers=OCTETS)
        uris[color] = stored.json()["uri"]
    await api.client.post(JOBS, json=job_with(uris["red"]))
    for color in ("red", "blue"):
        os.utime(tmp_path / "assets" / uris[color], (1, 1))
    queue = api.backend.queue
    red = uris["red"][3:67]
    assert await digests_in_use(queue.redis, queue.settings) == {red}
    program = Program(tmp_path, redis_url, {"DATA_DIR": str(tmp_path)})
    shown = await asyncio.to_thread(program.run, "prune", "--assets", "1h")
    assert "1 unused asset would be removed" in shown.out
    done = await asyncio.to_thread(program.run, "prune", "--assets", "1h", "--apply", "--json")
    assert done.json["assets"] == {"count": 1, "bytes": len(picture("blue"))}
    left = {path.name for path in files(tmp_path / "assets")}
    assert left == {Path(uris[color]).name for color in ("red", "green")}


async def test_the_client_uploads_files(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(picture())
    (tmp_path / "mine" / "notes.txt").write_text("no picture")
    settings = replace(Settings(), redis_url=redis_url, data_dir=tmp_path / "data")

    def use() -> None:
        with Client(redis_url, settings=settings) as client:
            uri = client.upload(tmp_path / "mine" / "a.png")
            assert uri == client.upload(BytesIO(picture()))
            with pytest.raises(AssetKindUnsupported):
                client.upload(tmp_path / "mine" / "notes.txt")
            with pytest.raises(UsageError):
                client.upload(tmp_path / "mine")
            for wrong in ("a.png", 3):
                with pytest.raises(TypeError, match="source"):
                    client.upload(wrong)  # type: ignore[arg-type]
            job = job_with(str(tmp_path / "mine" / "a.png"))
            assert client.submit(job, upload=True).new
            stored = client.status("with-assets").payload or {}
            assert stored["previewRequest"]["assets"][0]["uri"] == uri
            with pytest.raises(InvalidPayload) as caught:
                client.submit(job_with(str(tmp_path / "mine" / "notes.txt"), job_id="other"), upload=True)
            assert caught.value.violations[0].code == "import-unknown-kind"

    await asyncio.to_thread(use)
