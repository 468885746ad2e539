"""Bundles over HTTP: manifest, files, ranges; no other file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import chdir
from pathlib import Path

import pytest
import structlog

from previewops.stores.folder.reader import CHUNK_BYTES
from previewops.stores.manifest import SAFE_MEDIA_TYPES
from previewops.worker.render.encode.stills import MEDIA_TYPES
from tests.api_support import JOBS, ApiUnderTest, require_problem, serve_api
from tests.integration.cli_program import payload

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


async def test_manifest_is_sent_unchanged(api: ApiUnderTest, bundle: Path) -> None:
    response = await api.client.get(ARTIFACTS)
    assert response.content == (bundle / "container.json").read_bytes()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["etag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
    assert (await api.client.get(f"{ARTIFACTS}/container.json")).content == response.content
    assert (await api.client.get(f"{ARTIFACTS}/preview.json")).json() == {"version": 1}


@pytest.mark.parametrize("path", FILES)
async def test_every_file_has_its_checksum_and_media_type(api: ApiUnderTest, path: str) -> None:
    content, kind = FILES[path]
    response = await api.client.get(f"{ARTIFACTS}/{path}")
    assert response.content == content
    assert response.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert response.headers["content-length"] == str(len(content))
    # A media type that a browser could execute is replaced.
    media_type = {"text/vtt": "text/vtt; charset=utf-8", "text/html": "application/octet-stream"}.get(
        kind, kind
    )
    assert response.headers["content-type"] == media_type
    assert response.headers["cache-control"] == "private, no-cache"


async def test_head_of_a_file_has_no_body(api: ApiUnderTest) -> None:
    response = await api.client.head(f"{ARTIFACTS}/poster.webp", headers={"range": "bytes=0-1"})
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
async def test_range_is_206(api: ApiUnderTest, value: str, start: int, end: int) -> None:
    response = await api.client.get(f"{ARTIFACTS}/poster.webp", headers={"range": value})
    assert response.status_code == 206
    assert response.content == POSTER[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{len(POSTER)}"


async def test_range_beyond_the_end_is_416_and_if_range_mismatch_is_200(
    api: ApiUnderTest,
) -> None:
    beyond = await api.client.get(f"{ARTIFACTS}/poster.webp", headers={"range": f"bytes={len(POSTER)}-"})
    assert require_problem(beyond, 416, "no-such-range")
    assert beyond.headers["content-range"] == f"bytes */{len(POSTER)}"
    headers = {"range": "bytes=0-0", "if-range": '"other"'}
    assert (await api.client.get(f"{ARTIFACTS}/poster.webp", headers=headers)).status_code == 200


async def test_matching_etag_is_304(api: ApiUnderTest) -> None:
    first = await api.client.get(f"{ARTIFACTS}/poster.webp")
    again = await api.client.get(f"{ARTIFACTS}/poster.webp", headers={"if-none-match": first.headers["etag"]})
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
async def test_path_traversal_is_404(api: ApiUnderTest, name: str) -> None:
    response = await api.client.get(f"{ARTIFACTS}/{name}")
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
    await api.queue_driver.submit(payload("waits"))
    response = require_problem(await api.client.get(f"{JOBS}/dry/artifacts"), 404, "no-such-artifact")
    assert "dry run" in response["detail"]
    response = require_problem(
        await api.client.get(f"{JOBS}/waits/artifacts/poster.webp"), 404, "no-such-artifact"
    )
    assert "waits is waiting" in response["detail"]


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


async def test_descriptors_are_closed(api: ApiUnderTest) -> None:
    async def all_kinds() -> None:
        for headers in ({}, {"range": "bytes=0-1"}, {"range": "bytes=999999999-"}, {"if-none-match": "*"}):
            await api.client.get(f"{ARTIFACTS}/poster.webp", headers=headers)
        await api.client.get(f"{ARTIFACTS}/nothing")
        await api.client.get(f"{ARTIFACTS}/..%2Fb")
        await api.client.head(f"{ARTIFACTS}/poster.webp")

    await all_kinds()
    before = descriptors()
    for _ in range(5):
        await all_kinds()
    assert descriptors() == before
