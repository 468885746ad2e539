"""Bundles over HTTP: manifest, files, ranges; no other file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import chdir
from pathlib import Path

import httpx
import pytest
import structlog

from previewops.bucket_addresses import parse_bucket_address
from previewops.queue.records import JobRecord
from previewops.stores.folder.reader import CHUNK_BYTES
from previewops.stores.folder.store import FolderStore
from previewops.stores.manifest import SAFE_MEDIA_TYPES
from previewops.stores.objects.client import FailureReason, ObjectStoreFailure
from previewops.stores.objects.store import ObjectStore
from previewops.stores.port import BundleStore, OpenArtifact
from previewops.worker.render.encode.stills import MEDIA_TYPES
from tests.api_support import JOBS, ApiUnderTest, require_problem, serve_api
from tests.integration.cli_program import payload
from tests.object_servers import S3Server
from tests.store_support import memory_store

pytestmark = pytest.mark.redis

POSTER = os.urandom(2 * CHUNK_BYTES + 17)
FILES = {
    "poster.webp": (POSTER, "image/webp"),
    "frames/001.avif": (b"frame", "image/avif"),
    "animation.webm": (b"moving", "video/webm"),
    "captions.vtt": (b"WEBVTT\n", "text/vtt"),
    "odd.bin": (b"?", "text/html"),
}
MANIFEST = {
    "version": 1,
    "files": [
        {
            "path": path,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "mediaType": kind,
        }
        for path, (content, kind) in sorted(FILES.items())
    ],
}
ARTIFACTS = f"{JOBS}/a/artifacts"


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_media_type_of_every_rendered_file() -> None:
    assert set(MEDIA_TYPES.values()) == SAFE_MEDIA_TYPES


def put_links_in_place(bundle: Path, elsewhere: Path, secret: Path) -> None:
    (bundle / "poster.webp").unlink()
    (bundle / "poster.webp").symlink_to(secret)
    (bundle / "frames" / "001.avif").unlink()
    (bundle / "frames").rmdir()
    elsewhere.mkdir()
    (elsewhere / "001.avif").write_bytes(b"frame")
    (bundle / "frames").symlink_to(elsewhere)


def put_a_link_to_the_bundle_in_place(bundle: Path) -> None:
    bundle.rename(bundle.with_name("b"))
    bundle.symlink_to(bundle.with_name("b"))


def move_away(bundle: Path, to: Path) -> None:
    bundle.rename(to)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "previews" / "lessons" / "a"
    for path, (content, _) in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "container.json").write_text(json.dumps(MANIFEST, indent=1))
    (folder / "preview.json").write_text('{"version": 1}')
    (folder / "unlisted.txt").write_text("not listed")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
async def api(redis_url: str, tmp_path: Path, bundle: Path) -> AsyncIterator[ApiUnderTest]:
    async with serve_api(redis_url, tmp_path) as served:
        await served.queue_driver.complete("a", result={"bundle": str(bundle), "artifacts": []})
        yield served


@pytest.fixture(params=["folder", "memory", "ministack", pytest.param("radosgw", marks=pytest.mark.slow)])
async def stored_api(
    request: pytest.FixtureRequest, redis_url: str, tmp_path: Path, bundle: Path
) -> AsyncIterator[ApiUnderTest]:
    """The API over each kind of store."""
    store = make_store(request, tmp_path, bundle)
    async with serve_api(redis_url, tmp_path, store=store) as served:
        await served.queue_driver.complete("a", result={"bundle": str(bundle), "artifacts": []})
        yield served


def make_store(request: pytest.FixtureRequest, data_dir: Path, bundle: Path) -> BundleStore:
    """A store of the kind that the fixture's parameter names, with the bundle in it."""
    if request.param == "folder":
        return FolderStore(data_dir)
    server: S3Server | None = None if request.param == "memory" else request.getfixturevalue(request.param)
    store = memory_store() if server is None else server.make_store()
    store.publish(shutil.copytree(bundle, data_dir / "staging"), "lessons", "a", token=1)
    return store


async def test_manifest_is_sent_unchanged(stored_api: ApiUnderTest, bundle: Path) -> None:
    response = await stored_api.client.get(ARTIFACTS)
    assert response.content == (bundle / "container.json").read_bytes()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["etag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
    assert (await stored_api.client.get(f"{ARTIFACTS}/container.json")).content == response.content
    assert (await stored_api.client.get(f"{ARTIFACTS}/preview.json")).json() == {"version": 1}


async def test_browser_that_opens_a_video_may_play_it(api: ApiUnderTest) -> None:
    for headers in ({}, {"range": "bytes=0-1"}):
        response = await api.client.get(f"{ARTIFACTS}/poster.webp", headers=headers)
        policy = response.headers.get_list("content-security-policy")
        # Chromium's player loads the address again, from the page's origin; scripts stay forbidden.
        expected = "media-src 'self'; img-src 'self'; frame-ancestors 'none'; sandbox allow-same-origin"
        assert policy == [f"default-src 'none'; {expected}"]
    missing = await api.client.get(f"{ARTIFACTS}/none")
    assert missing.headers["content-security-policy"].endswith("; sandbox")


@pytest.mark.parametrize("path", FILES)
async def test_every_file_has_its_checksum_and_media_type(stored_api: ApiUnderTest, path: str) -> None:
    content, kind = FILES[path]
    response = await stored_api.client.get(f"{ARTIFACTS}/{path}")
    assert response.content == content
    assert response.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert response.headers["content-length"] == str(len(content))
    # A media type that a browser could execute is replaced.
    media_type = {"text/vtt": "text/vtt; charset=utf-8", "text/html": "application/octet-stream"}.get(
        kind, kind
    )
    assert response.headers["content-type"] == media_type
    assert response.headers["cache-control"] == "private, no-cache"


async def test_head_of_a_file_has_no_body(stored_api: ApiUnderTest) -> None:
    response = await stored_api.client.head(f"{ARTIFACTS}/poster.webp", headers={"range": "bytes=0-1"})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(POSTER))


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-", 10, len(POSTER)),
        ("bytes=-5", len(POSTER) - 5, len(POSTER)),
        (f"bytes={CHUNK_BYTES - 1}-{CHUNK_BYTES}", CHUNK_BYTES - 1, CHUNK_BYTES + 1),
    ],
)
async def test_range_is_206(stored_api: ApiUnderTest, value: str, start: int, end: int) -> None:
    response = await stored_api.client.get(f"{ARTIFACTS}/poster.webp", headers={"range": value})
    assert response.status_code == 206
    assert response.content == POSTER[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{len(POSTER)}"


async def test_range_beyond_the_end_is_416_and_if_range_mismatch_is_200(
    stored_api: ApiUnderTest,
) -> None:
    beyond = await stored_api.client.get(
        f"{ARTIFACTS}/poster.webp", headers={"range": f"bytes={len(POSTER)}-"}
    )
    assert require_problem(beyond, 416, "no-such-range")
    assert beyond.headers["content-range"] == f"bytes */{len(POSTER)}"
    headers = {"range": "bytes=0-0", "if-range": '"other"'}
    assert (await stored_api.client.get(f"{ARTIFACTS}/poster.webp", headers=headers)).status_code == 200


async def test_matching_etag_is_304(stored_api: ApiUnderTest) -> None:
    first = await stored_api.client.get(f"{ARTIFACTS}/poster.webp")
    again = await stored_api.client.get(
        f"{ARTIFACTS}/poster.webp", headers={"if-none-match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    "name",
    [
        "unlisted.txt",
        "frames",
        "frames/",
        "../../../secret.txt",
        "..%2F..%2F..%2Fsecret.txt",
        "%2e%2e/%2e%2e/%2e%2e/secret.txt",
        "frames/..%2Fposter.webp",
        ".%2Fposter.webp",
        "%2Fetc%2Fpasswd",
        "poster.webp%00",
        "POSTER.WEBP",
        "nothing.webp",
    ],
)
async def test_path_traversal_is_404(stored_api: ApiUnderTest, name: str) -> None:
    response = await stored_api.client.get(f"{ARTIFACTS}/{name}")
    assert response.status_code == 404
    assert b"secret" not in response.content


@pytest.mark.parametrize("escape", ["../../../secret.txt", "/etc/passwd", "frames/../../../../secret.txt"])
async def test_tampered_manifest_cannot_leave_the_bundle(
    api: ApiUnderTest, bundle: Path, escape: str
) -> None:
    entry = {"path": escape, "bytes": 6, "sha256": "0" * 64, "mediaType": "image/webp"}
    (bundle / "container.json").write_text(json.dumps({"version": 1, "files": [entry]}))
    response = await api.client.get(f"{ARTIFACTS}/{escape.replace('/', '%2F')}")
    assert response.status_code == 404
    assert b"secret" not in response.content


async def test_symlinks_are_not_followed(api: ApiUnderTest, bundle: Path, tmp_path: Path) -> None:
    put_links_in_place(bundle, tmp_path / "elsewhere", tmp_path / "secret.txt")
    for name in ("poster.webp", "frames/001.avif"):
        require_problem(await api.client.get(f"{ARTIFACTS}/{name}"), 404, "no-such-artifact")
    put_a_link_to_the_bundle_in_place(bundle)
    require_problem(await api.client.get(ARTIFACTS), 404, "no-such-artifact")


async def test_special_files_and_changed_sizes_are_not_sent(api: ApiUnderTest, bundle: Path) -> None:
    (bundle / "poster.webp").write_bytes(b"shorter")
    (bundle / "captions.vtt").unlink()
    os.mkfifo(bundle / "captions.vtt")
    (bundle / "odd.bin").unlink()
    for name in ("poster.webp", "captions.vtt", "odd.bin"):
        require_problem(await api.client.get(f"{ARTIFACTS}/{name}"), 404, "no-such-artifact")


@pytest.mark.parametrize("content", ["", "[]", '{"files": 1}', '{"files": [1]}', "{}"])
async def test_invalid_manifest_is_404(api: ApiUnderTest, bundle: Path, content: str) -> None:
    (bundle / "container.json").write_text(content)
    require_problem(await api.client.get(f"{ARTIFACTS}/poster.webp"), 404, "no-such-artifact")


async def test_job_without_artifacts_is_404_with_the_reason(api: ApiUnderTest) -> None:
    await api.queue_driver.complete("dry", result={"plan": {}})
    await api.queue_driver.add_dead_letters("dies")
    await api.queue_driver.submit(payload("waits"))
    response = require_problem(await api.client.get(f"{JOBS}/dry/artifacts"), 404, "no-such-artifact")
    assert "dry run" in response["detail"]
    response = require_problem(
        await api.client.get(f"{JOBS}/waits/artifacts/poster.webp"), 409, "not-completed"
    )
    assert response["detail"] == (
        "artifacts of job waits do not exist yet: found a job that is waiting, allowed a completed one"
    )
    assert "try again when the job is completed" in response["hint"]
    response = require_problem(await api.client.get(f"{JOBS}/dies/artifacts"), 404, "no-such-artifact")
    assert response["detail"].startswith("job dies has no artifacts: found a job that is dead")


async def test_pruned_bundle_is_404(api: ApiUnderTest, bundle: Path) -> None:
    move_away(bundle, bundle.parents[2] / "pruned")
    assert "pruned" in require_problem(await api.client.get(ARTIFACTS), 404, "no-such-artifact")["hint"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES])
async def test_disk_error_is_503(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fails(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number), "/secret/place")

    monkeypatch.setattr(os, "open", fails)
    with structlog.testing.capture_logs() as log:
        response = await api.client.get(ARTIFACTS)
    problem = require_problem(response, 503, "storage-fails")
    assert os.strerror(number) in problem["detail"]
    assert "secret" not in response.text
    assert int(response.headers["retry-after"]) > 0
    (logged,) = (line for line in log if line["event"] == "api.unavailable")
    assert os.strerror(number) in logged["error"]


async def test_special_files_are_404_not_503(api: ApiUnderTest, bundle: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        (bundle / "odd.bin").unlink()
        with chdir(bundle):  # socket paths have a short maximum length
            bound.bind("odd.bin")
        require_problem(await api.client.get(f"{ARTIFACTS}/odd.bin"), 404, "no-such-artifact")
    entry = {"path": "x" * 300, "bytes": 1, "sha256": "0" * 64}
    (bundle / "container.json").write_text(json.dumps({"version": 1, "files": [entry]}))
    require_problem(await api.client.get(f"{ARTIFACTS}/{'x' * 300}"), 404, "no-such-artifact")


async def test_descriptors_are_closed(stored_api: ApiUnderTest) -> None:
    async def all_kinds() -> None:
        for headers in ({}, {"range": "bytes=0-1"}, {"range": "bytes=999999999-"}, {"if-none-match": "*"}):
            await stored_api.client.get(f"{ARTIFACTS}/poster.webp", headers=headers)
        await stored_api.client.get(f"{ARTIFACTS}/nothing")
        await stored_api.client.get(f"{ARTIFACTS}/..%2Fb")
        await stored_api.client.head(f"{ARTIFACTS}/poster.webp")

    await all_kinds()
    before = descriptors()
    for _ in range(5):
        await all_kinds()
    assert descriptors() <= before


@pytest.fixture
async def linking_api(
    redis_url: str, tmp_path: Path, bundle: Path, ministack: S3Server
) -> AsyncIterator[ApiUnderTest]:
    """The API with PREVIEW_ARTIFACT_LINKS."""
    store = ministack.make_store()
    store.publish(shutil.copytree(bundle, tmp_path / "staging"), "lessons", "a", token=1)
    async with serve_api(redis_url, tmp_path, store=store, artifact_links=60) as served:
        await served.queue_driver.complete("a", result={"bundle": "s3://x/a", "artifacts": []})
        yield served


async def test_links_lead_to_the_files_in_the_bucket(linking_api: ApiUnderTest) -> None:
    listed = (await linking_api.client.get(ARTIFACTS)).json()["files"]
    async with httpx.AsyncClient() as anybody:
        for entry in listed:
            content = FILES[entry["path"]][0]
            response = await linking_api.client.get(f"{ARTIFACTS}/{entry['path']}")
            assert (response.status_code, response.content) == (307, b"")
            assert "no-store" in response.headers["cache-control"]
            assert (await anybody.get(response.headers["location"])).content == content
            head = await linking_api.client.head(f"{ARTIFACTS}/{entry['path']}")
            assert (head.status_code, head.headers["content-length"]) == (200, str(len(content)))
            part = await anybody.get(entry["url"], headers={"range": "bytes=0-2"})
            assert (part.status_code, part.content) == (206, content[:3])
    require_problem(await linking_api.client.get(f"{ARTIFACTS}/nothing.webp"), 404, "no-such-artifact")


async def test_an_unavailable_store_is_503(redis_url: str, tmp_path: Path) -> None:
    class Away:
        unquoted_etags = False

        def get(self, path: str) -> object:
            raise ObjectStoreFailure(FailureReason.UNAVAILABLE, "connection refused")

    address = parse_bucket_address("s3://bucket")
    store = ObjectStore(address, make_client=lambda _address: Away())  # type: ignore[arg-type, return-value]
    async with serve_api(redis_url, tmp_path, store=store) as served:
        await served.queue_driver.complete("a", result={"bundle": "s3://x/a", "artifacts": []})
        for path in (ARTIFACTS, f"{ARTIFACTS}/poster.webp"):
            problem = require_problem(await served.client.get(path), 503, "storage-fails")
            assert "connection refused" in problem["detail"]


async def test_a_bundle_that_is_replaced_meanwhile_is_sent_in_its_new_state(
    redis_url: str, tmp_path: Path, bundle: Path
) -> None:
    store = memory_store(grace_s=0)
    store.publish(shutil.copytree(bundle, tmp_path / "staging"), "lessons", "a", token=1)
    opened: list[str] = []
    open_artifact = store.open

    def replace_after_open(record: JobRecord, name: str) -> OpenArtifact:
        file = open_artifact(record, name)
        if not opened:
            changed = shutil.copytree(bundle, tmp_path / "staging")
            (changed / "container.json").write_text(json.dumps(MANIFEST))
            store.publish(changed, "lessons", "a", token=2)
            assert store.sweep(time.time()) == 1
        opened.append(name)
        return file

    store.open = replace_after_open  # type: ignore[method-assign]
    async with serve_api(redis_url, tmp_path, store=store) as served:
        await served.queue_driver.complete("a", result={"bundle": "s3://x/a", "artifacts": []})
        assert (await served.client.get(f"{ARTIFACTS}/poster.webp")).content == POSTER
    assert opened == ["poster.webp"] * 2
