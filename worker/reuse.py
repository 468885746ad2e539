"""Work that was done before: whole bundles by what they were made from, thumbnails by the asset's content.

Blocking functions, called in threads. What a render process has made is kept as it is: one that was taken over by a
picture could leave a wrong result behind for that very picture, and for no other.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewops.contract import Payload
from previewops.worker.assets import OpenedAsset
from previewops.worker.render.jsonfile import encoded
from previewops.worker.store import Kept, Store, link_or_copy

BUNDLES, THUMBNAILS = "bundles", "thumbnails"
PREVIEW = "preview.json"

_REMEMBERED = 10_000  # digests
_RACY_S = 2.0  # a file that changed so lately may change again within one tick of its clock


class Digests:
    """SHA-256 of assets' content, remembered for files that are as they were."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int | str, ...], str] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, opened: OpenedAsset, now_s: float) -> str:
        """Hex digest of ``opened``, which is left at its beginning."""
        with self._lock:
            known = self._known.get(opened.identity)
        if known is not None:
            return known
        digest = opened.sha256()
        if opened.changed_s is not None and now_s - opened.changed_s > _RACY_S:
            with self._lock:
                self._known[opened.identity] = digest
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return digest


@dataclass(frozen=True, slots=True)
class MissedThumbnail:
    """A thumbnail that was asked for and is not kept: the asset's id, and the key it will have."""

    asset_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Reuse:
    """What one worker reuses from ``store``."""

    store: Store
    digests: Digests

    def take(self, key: str, request: Payload, staging: Path) -> dict[str, Any] | None:
        """Fills ``staging`` with the bundle of ``key`` under the ids of ``request``; None: there is none."""
        started = time.perf_counter()
        kept = self.store.find(BUNDLES, key)
        if kept is None:
            return None
        try:
            return _filled(staging, kept, request, started)
        except (OSError, KeyError, TypeError):  # it was pruned meanwhile, or is of another make
            shutil.rmtree(staging, ignore_errors=True)
            return None

    def keep(
        self, key: str, staging: Path, summary: Mapping[str, Any], missed: list[MissedThumbnail]
    ) -> None:
        """Keeps the bundle in ``staging``, and the thumbnails in it that were missed."""
        try:
            preview = json.loads((staging / PREVIEW).read_bytes())
        except (OSError, ValueError):
            return
        if any("error" in asset for asset in preview["assets"]):
            return  # what was lost may be there the next time, and is told of by the address it had
        names = [entry["path"] for entry in summary["artifacts"] if entry["path"] != PREVIEW]
        about = {"summary": dict(summary), "preview": preview}
        self.store.keep(BUNDLES, key, {name: staging / name for name in names}, about)
        assets = {asset["id"]: asset for asset in preview["assets"]}
        for thumbnail in missed:
            asset = assets.get(thumbnail.asset_id, {})
            if "thumbnail" in asset and "thumbhash" in asset:
                self.store.keep(
                    THUMBNAILS,
                    thumbnail.key,
                    {"thumbnail": staging / asset["thumbnail"]},
                    {name: asset[name] for name in ("thumbhash", "dominantColour")},
                )


def _filled(staging: Path, kept: Kept, request: Payload, started: float) -> dict[str, Any]:
    staging.mkdir()
    for name in kept.names:
        target = staging / name
        target.parent.mkdir(exist_ok=True)
        link_or_copy(kept.folder / name, target)
    ids = {"jobId": request.job_id, "projectId": request.project_id, "requestId": request.request_id}
    spent_ms = (time.perf_counter() - started) * 1000
    content = encoded({**kept.about["preview"], **ids, "timingsMs": {"reuse": round(spent_ms, 1)}})
    (staging / PREVIEW).write_bytes(content)
    ours = {"path": PREVIEW, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    summary: dict[str, Any] = kept.about["summary"]
    artifacts = [{**entry, **ours} if entry["path"] == PREVIEW else entry for entry in summary["artifacts"]]
    return {**summary, "artifacts": artifacts, "renderMs": round(spent_ms), "reused": True}
