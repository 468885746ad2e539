"""Which summaries of a render process the worker accepts."""

from __future__ import annotations

from typing import Any

import pytest

from previewops.worker.sandbox.framing import ProtocolError
from previewops.worker.summary import check_summary

ARTIFACT = {"path": "poster.webp", "bytes": 9, "sha256": "0" * 64, "mediaType": "image/webp"}
BUNDLE = {
    "dryRun": False,
    "artifacts": [ARTIFACT],
    "durationMs": 1_000,
    "width": 2,
    "height": 3,
    "renderMs": 0,
    "warnings": ["a"],
}


def test_summaries_of_the_renderer_are_accepted() -> None:
    check_summary(BUNDLE, dry_run=False)
    check_summary({"dryRun": True, "plan": {}}, dry_run=True)


@pytest.mark.parametrize(
    "change",
    [
        {"bundle": "/etc"},
        {"reused": True},
        {"dryRun": True},
        {"dryRun": 0},
        {"width": -1},
        {"width": True},
        {"height": 1.5},
        {"durationMs": 1 << 60},
        {"renderMs": None},
        {"warnings": None},
        {"warnings": [1]},
        {"warnings": ["x" * 2_001]},
        {"warnings": ["x"] * 5_001},
        {"artifacts": {}},
        {"artifacts": [1]},
        {"artifacts": [{**ARTIFACT, "bytes": "9"}]},
        {"artifacts": [{**ARTIFACT, "path": None}]},
        {"artifacts": [{**ARTIFACT, "more": 1}]},
    ],
)
def test_other_summaries_are_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match="result: found"):
        check_summary({**BUNDLE, **change}, dry_run=False)


def test_a_field_may_not_be_missing() -> None:
    for name in BUNDLE:
        with pytest.raises(ProtocolError, match=f"no field '{name}'"):
            check_summary({key: value for key, value in BUNDLE.items() if key != name}, dry_run=False)
    with pytest.raises(ProtocolError, match="unknown field 'bundle'"):
        check_summary({"dryRun": True, "plan": {}, "bundle": "/etc"}, dry_run=True)
