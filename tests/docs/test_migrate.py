"""docs/migrate.md: what differs from the predecessor does differ."""

from __future__ import annotations

import json
from typing import Any

from previewops.contract import find_violations
from previewops.schemas import openapi_text
from tests.docs.documents import ROOT, table

PAGE = ROOT / "docs" / "migrate.md"


def accepted_there(**changes: Any) -> dict[str, Any]:
    """A payload of the predecessor. Names with two underscores change previewRequest."""
    request: dict[str, Any] = {"steps": [], "assets": [], "audio": {}}
    top = {"jobId": "job-1", "projectId": "p", "requestId": "r", "dryRun": False, "previewRequest": request}
    for name, value in changes.items():
        (request if name.startswith("request__") else top)[name.removeprefix("request__")] = value
    return top


DIFFERENCES: dict[str, list[dict[str, Any]]] = {
    "unknown fields of previewRequest": [accepted_there(request__chapter="one")],
    "unknown fields at the top level": [accepted_there(chapter="one")],
    "jobId, projectId": [accepted_there(jobId="proj:chapter-1"), accepted_there(projectId="my project")],
    "steps, assets, audio, options": [
        accepted_there(request__steps=[{"id": "s", "title": "One", "body": "Text"}]),
        accepted_there(request__assets=[{"id": "a", "path": "a.png"}]),
        accepted_there(request__assets=[{"id": "a", "url": "a.png"}]),
        accepted_there(request__audio={"narration": "a.mp3"}),
    ],
    "options.resolution": [accepted_there(request__options={"resolution": {"width": 640, "height": 360}})],
    "options.quality": [accepted_there(request__options={"quality": "high"})],
    "assets of type video": [accepted_there(request__assets=[{"id": "a", "uri": "a.mp4", "type": "video"}])],
    "audio: null, title: null": [accepted_there(request__audio=None), accepted_there(request__title=None)],
    "times": [accepted_there(createdAt=1_764_000_000_000), accepted_there(createdAt="2026-11-28T10:00:00")],
}
CHANGED = [
    accepted_there(request__metadata={"chapterId": "chapter-1"}),
    accepted_there(request__chapterId="chapter-1"),
    accepted_there(**{"request__x-chapterId": "chapter-1"}),
    accepted_there(jobId="proj-chapter-1"),
    accepted_there(request__steps=[{"id": "s", "title": "One", "text": "Text"}]),
    accepted_there(request__options={"resolution": "640x360", "quality": 80, "format": "mp4"}),
    accepted_there(createdAt="2026-11-28T10:00:00Z"),
]


def test_each_difference_of_payloads_is_one() -> None:
    assert find_violations(accepted_there()) == []
    rows = {row[0] for row in table(PAGE, "## What differs")}
    assert set(DIFFERENCES) <= rows
    for name, payloads in DIFFERENCES.items():
        for payload in payloads:
            assert find_violations(payload), (name, payload)
    for payload in CHANGED:
        assert find_violations(payload) == [], payload


def test_the_paths_of_the_predecessor_are_not_served() -> None:
    paths = set(json.loads(openapi_text())["paths"])
    assert {"/api/preview/jobs", "/api/preview/jobs/{jobId}/status", "/livez", "/readyz"} <= paths
    assert (
        not {"/api/preview/job", "/api/preview/job/{jobId}/status", "/api/preview/{jobId}/artifact"} & paths
    )
