"""The predecessor's paths: each row of the tables in docs/migrate.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from previewops.api.legacy_payload import map_id, map_payload
from previewops.contract import find_violations
from tests.api_support import ApiUnderTest, serve_api
from tests.docs.documents import ROOT
from tests.docs.test_migrate import PAGE, accepted_there

EXAMPLES = ROOT / "schemas" / "examples"

Job = dict[str, Any]


def request_of(job: Job) -> Job:
    mapped = map_payload(job)
    assert find_violations(mapped) == []
    request: Job = mapped["previewRequest"]
    return request


def check_ids() -> None:
    mapped = map_payload(accepted_there(jobId="proj:chapter 1", projectId="ä/b"))
    assert find_violations(mapped) == []
    assert mapped["jobId"].startswith("proj-chapter-1-")
    assert map_id("proj:chapter-1") != map_id("proj/chapter-1"), "different jobs stay different"
    assert map_id("plain-1.x_y") == "plain-1.x_y"
    assert len(map_id("ü" * 5_000)) < 100


def check_missing() -> None:
    job = accepted_there()
    del job["requestId"], job["dryRun"]
    mapped = map_payload(job)
    assert find_violations(mapped) == []
    assert (mapped["requestId"], mapped["dryRun"]) == ("job-1", False)


def check_unknown_at_the_top() -> None:
    assert "chapter" not in map_payload(accepted_there(chapter="one"))


def check_unknown_below() -> None:
    request = request_of(
        accepted_there(
            request__chapter="one",
            request__chapterId="chapter-1",
            request__steps=[{"id": "s", "voice": "anna"}],
            request__assets=[{"id": "a", "uri": "a.png", "kind": "x"}],
            request__audio={"uri": "a.mp3", "lang": "de"},
            request__options={"lang": "de"},
        )
    )
    assert (request["x-chapter"], request["chapterId"]) == ("one", "chapter-1")
    assert request["steps"][0]["x-voice"] == "anna"
    assert request["assets"][0]["x-kind"] == "x"
    assert request["audio"]["x-lang"] == request["options"]["x-lang"] == "de"


def check_null() -> None:
    request = request_of(
        accepted_there(request__audio=None, request__title=None, request__steps=[{"text": None}])
    )
    assert (request["audio"], "title" in request, request["steps"]) == ({}, False, [{}])


def check_step() -> None:
    (step,) = request_of(
        accepted_there(
            request__assets=[{"id": "a", "uri": "a.png"}],
            request__steps=[{"id": "s", "body": "Text", "assetId": "a", "durationSec": 2.5}],
        )
    )["steps"]
    assert step == {"id": "s", "text": "Text", "assetIds": ["a"], "durationMs": 2500}


def check_asset() -> None:
    for name in ("url", "path", "src"):
        (asset,) = request_of(accepted_there(request__assets=[{name: "a.png"}]))["assets"]
        assert asset == {"id": "asset-1", "uri": "a.png"}


def check_audio() -> None:
    for name in ("narration", "url", "path", "src"):
        audio = request_of(accepted_there(request__audio={name: "a.mp3", "volume": 0.5}))["audio"]
        assert audio == {"uri": "a.mp3", "gainDb": -6.02}
    assert request_of(accepted_there(request__audio={"src": "a.mp3", "volume": 0}))["audio"]["gainDb"] == -60


def check_option(name: str, given: object, expected: object, becomes: str | None = None) -> None:
    options = request_of(accepted_there(request__options={name: given}))["options"]
    assert options[becomes or name] == expected


def check_times() -> None:
    mapped = map_payload(accepted_there(createdAt=1_764_000_000_000, updatedAt="2026-11-28T10:00:00"))
    assert find_violations(mapped) == []
    assert (mapped["createdAt"], mapped["updatedAt"]) == ("2025-11-24T16:00:00.000Z", "2026-11-28T10:00:00Z")


def check_captions() -> None:
    check_option("captions", given=False, expected=False, becomes="includeCaptions")
    assert request_of(accepted_there())["options"]["format"] == "mp4"


def check_qualities() -> None:
    for word, number in (("low", 60), ("medium", 80), ("high", 95)):
        check_option("quality", word, number)


def check_resolution() -> None:
    check_option("resolution", {"width": 640, "height": 360}, "640x360")


def check_attempts() -> None:
    assert map_payload(accepted_there(attempts=-1))["attempts"] == 0


RULES = {
    "a jobId or projectId with other characters": check_ids,
    "no `requestId`, no `dryRun`": check_missing,
    "unknown fields at the top level": check_unknown_at_the_top,
    "unknown fields of request, steps, assets, audio, options": check_unknown_below,
    "`null`": check_null,
    "`body` of a step, `assetId`, `durationSec`": check_step,
    "`url`, `path`, `src` of an asset; no `id`": check_asset,
    "`narration`, `url`, `path`, `src` of the audio; `volume`": check_audio,
    "`resolution` with width and height": check_resolution,
    "`quality` as low, medium, high": check_qualities,
    "`captions`; no `format`": check_captions,
    "times in epoch ms or without a zone": check_times,
    "negative `attempts`": check_attempts,
}


def rows(first: str) -> set[str]:
    """The first cells of the table that begins with ``first``, without their marks of code."""
    lines = PAGE.read_text("utf-8").splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith(f"| {first} |"))
    cells = set()
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        cells.add(line.split("|")[1].strip())
    return cells


def test_every_rule_is_tested() -> None:
    assert rows("the predecessor's") == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_each_mapped_payload_is_valid(rule: str) -> None:
    RULES[rule]()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_payloads_of_the_contract_keep_their_meaning(path: Path) -> None:
    job = json.loads(path.read_text("utf-8"))
    mapped = map_payload(job)
    mapped["previewRequest"]["options"].pop("format", None)
    job["previewRequest"].setdefault("options", {}).pop("format", None)
    assert mapped == job


@pytest.mark.parametrize(
    "job",
    [
        accepted_there(request__assets=[{"id": "a", "uri": "a.mp4", "type": "video"}]),
        accepted_there(request__options={"format": "mov"}),
        accepted_there(priority="urgent"),
        accepted_there(request__assets=[{"id": "a", "path": "C:\\a.png"}]),
        accepted_there(request__title="x" * 600),
        accepted_there(createdAt=-1),
        accepted_there(request__options={"resolution": {"width": "640"}}),
        accepted_there(request__steps={"a": 1}),
        accepted_there(request__audio="a.mp3"),
        {"jobId": 3},
        {},
    ],
)
def test_the_rest_is_rejected(job: Job) -> None:
    assert find_violations(map_payload(job))


@pytest.fixture
async def api(redis_url: str, tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with serve_api(redis_url, tmp_path, legacy=True) as served:
        yield served


@pytest.mark.redis
async def test_each_legacy_path_is_served(api: ApiUnderTest, tmp_path: Path) -> None:
    job = accepted_there(jobId="proj:1", request__options={"quality": "high"})
    submitted = await api.client.post("/api/preview/job", json=job)
    assert (submitted.status_code, submitted.json()) == (202, {"jobId": "proj:1", "status": "queued"})
    assert (await api.client.post("/api/render", json=job)).status_code == 200
    early = await api.client.get("/api/preview/job/proj:1/artifact")
    assert (early.status_code, early.json()["state"]) == (400, "waiting")
    assert (await api.client.get("/api/render/proj:1/status")).json()["status"] == "queued"
    bundle = _publish(tmp_path, map_id("proj:1"))
    (claim,) = await api.queue_driver.claim()
    assert (await api.client.get("/api/render/proj:1/status")).json()["status"] == "running"
    await api.queue_driver.finish(claim, bundle)
    status = (await api.client.get("/api/preview/job/proj:1/status")).json()
    assert (status["state"], status["progress"], status["jobId"]) == ("completed", 100, "proj:1")
    assert all(isinstance(status[name], int) for name in ("createdAt", "processedOn", "finishedOn"))
    assert status["result"] == {
        "status": "success",
        "artifactPath": f"previews/p/{map_id('proj:1')}/animation.mp4",
        "containerPath": f"previews/p/{map_id('proj:1')}/container.json",
    }
    for path, content in (
        ("/api/preview/job/proj:1/artifact", b"moving"),
        ("/api/preview/proj:1/artifact", b"moving"),
        ("/api/render/proj:1/artifacts", b"moving"),
        ("/previews/p/proj:1/poster.webp", b"still"),
    ):
        assert (await api.client.get(path)).content == content, path
    assert (await api.client.get("/api/render/proj:1/manifest")).json()["files"]
    assert (await api.client.get("/previews/other/proj:1/poster.webp")).status_code == 404
    served = {
        f"{method} {route.path.replace(':path}', '}')}"
        for route in api.routes
        for method in (route.methods or set()) - {"HEAD"}
    }
    documented = {row.strip("`") for row in rows("path")}
    assert documented <= served


@pytest.mark.redis
async def test_a_failed_job_is_failed_and_an_invalid_one_is_400(api: ApiUnderTest) -> None:
    await api.queue_driver.add_dead_letters("a")
    status = (await api.client.get("/api/preview/job/a/status")).json()
    assert status["state"] == "failed"
    assert status["failedReason"]
    video = accepted_there(request__assets=[{"id": "a", "uri": "a.mp4", "type": "video"}])
    rejected = await api.client.post("/api/preview/job", json=video)
    assert rejected.status_code == 400
    assert rejected.json()["errors"][0]["pointer"] == "/previewRequest/assets/0/type"
    unknown = await api.client.get("/api/preview/job/nobody/status")
    assert (unknown.status_code, list(unknown.json())) == (404, ["error"])


@pytest.mark.redis
async def test_without_the_option_these_paths_do_not_exist(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path) as api:
        assert (await api.client.get("/api/preview/job/a/status")).status_code == 404


def _publish(folder: Path, job_id: str) -> Job:
    bundle = folder / "previews" / "p" / job_id
    bundle.mkdir(parents=True)
    files = []
    for name, content, kind in (
        ("animation.mp4", b"moving", "video/mp4"),
        ("poster.webp", b"still", "image/webp"),
    ):
        (bundle / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append({"path": name, "bytes": len(content), "sha256": digest, "mediaType": kind})
    (bundle / "container.json").write_text(json.dumps({"version": 1, "files": files}))
    return {"bundle": str(bundle), "artifacts": files}
