"""Cache of rendered bundles by their inputs, and of thumbnails by the asset's content.

Blocking functions, called in threads. The content of files is stored as rendered: a render process compromised by a
picture can store wrong results, for its job and those that reuse them. Its list of files is checked against the files
that it was given: no other file is stored.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from previewops.contract import Payload
from previewops.worker.assets.opener import OpenedAsset
from previewops.worker.cache.store import CacheEntry, CacheStore, WriteOnlyStore, link_or_copy
from previewops.worker.render.jsonfile import encode_json

log = structlog.get_logger()

BUNDLES, THUMBNAILS = "bundles", "thumbnails"
PREVIEW = "preview.json"

_MAX_DIGESTS = 10_000  # digests
_PREVIEW_MAX_BYTES = 16 * 1024 * 1024  # of a preview.json: many times the largest
_MTIME_RESOLUTION_S = 2.0  # a file changed more recently may change again without another mtime


class DigestCache:
    """SHA-256 of assets' content, cached for unchanged files."""

    def __init__(self) -> None:
        self._digests: OrderedDict[tuple[int | str, ...], str] = OrderedDict()
        self._lock = threading.Lock()

    def digest(self, opened: OpenedAsset, now_s: float) -> str:
        """Hex digest of ``opened``. Rewinds its file."""
        with self._lock:
            known = self._digests.get(opened.identity)
        if known is not None:
            return known
        digest = opened.sha256()
        if opened.mtime_s is not None and now_s - opened.mtime_s > _MTIME_RESOLUTION_S:
            with self._lock:
                self._digests[opened.identity] = digest
                while len(self._digests) > _MAX_DIGESTS:
                    self._digests.popitem(last=False)
        return digest


@dataclass(frozen=True, slots=True)
class MissedThumbnail:
    """A thumbnail that was requested and is not in the cache: the asset's id and the cache key."""

    asset_id: str
    key: str


@dataclass(frozen=True, slots=True)
class RenderCache:
    """The render cache of one worker, in ``store``."""

    store: CacheStore
    digests: DigestCache

    def write_only(self) -> RenderCache:
        """A cache in the same place that finds nothing: results are rendered and replace the stored ones."""
        return replace(self, store=WriteOnlyStore(self.store.root))

    def find(self, key: str, request: Payload, staging: Path) -> dict[str, Any] | None:
        """Fills ``staging`` with the bundle of ``key``, with the ids of ``request``. Returns its summary, or None."""
        started = time.perf_counter()
        entry = self.store.find(BUNDLES, key)
        if entry is None:
            return None
        try:
            return _restore(staging, entry, request, started)
        except (OSError, KeyError, TypeError):  # it was evicted, or another version wrote it
            shutil.rmtree(staging, ignore_errors=True)
            return None

    def put(
        self,
        key: str,
        staging: Path,
        summary: Mapping[str, Any],
        missed_thumbnails: list[MissedThumbnail],
        *,
        created_paths: Set[str],
    ) -> None:
        """Stores the bundle in ``staging``, and those of its thumbnails that were missing.

        ``created_paths`` were given to the render process for writing. Stores nothing if its ``summary`` or
        ``preview.json`` names another path, or is malformed.
        """
        try:
            preview = _read_preview(staging / PREVIEW)
            if any("error" in asset for asset in preview["assets"]):
                return  # a missing asset may exist the next time, and the bundle names its address
            names = [_check_created(artifact["path"], created_paths) for artifact in summary["artifacts"]]
            thumbnails = dict(_thumbnails(preview, missed_thumbnails, created_paths))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("render.manifest-mismatch", found=repr(error))
            return
        files = {name: staging / name for name in names if name != PREVIEW}
        self.store.put(BUNDLES, key, files, {"summary": dict(summary), "preview": preview})
        for thumbnail_key, (path, about) in thumbnails.items():
            self.store.put(THUMBNAILS, thumbnail_key, {"thumbnail": staging / path}, about)


def _read_preview(path: Path) -> dict[str, Any]:
    """The preview.json that a render process wrote. Raises OSError, ValueError, TypeError, RecursionError."""
    with path.open("rb") as file:
        content = file.read(_PREVIEW_MAX_BYTES + 1)
    if len(content) > _PREVIEW_MAX_BYTES:
        raise ValueError(f"{path.name}: found more than {_PREVIEW_MAX_BYTES} bytes")
    preview = json.loads(content)
    if not isinstance(preview, dict):
        raise TypeError(f"{path.name} is not an object")
    return preview


def _thumbnails(
    preview: Mapping[str, Any], missed: list[MissedThumbnail], created: Set[str]
) -> Iterator[tuple[str, tuple[str, dict[str, str]]]]:
    assets = {asset["id"]: asset for asset in preview["assets"]}
    for thumbnail in missed:
        asset = assets.get(thumbnail.asset_id, {})
        # A thumbnail from the cache is not decoded, so a warning about its file would be lost. Fonts, on which text
        # in a drawing depends, are not part of the key.
        is_reusable = "warnings" not in asset and asset.get("format") != "svg"
        if "thumbnail" in asset and "thumbhash" in asset and is_reusable:
            about = {name: str(asset[name]) for name in ("thumbhash", "dominantColour")}
            yield thumbnail.key, (_check_created(asset["thumbnail"], created), about)


def _check_created(path: Any, created: Set[str]) -> str:
    """``path``, if the render process was given it. Raises ValueError."""
    if not isinstance(path, str) or path not in created:
        raise ValueError(f"a file that the process was not given: {path!r:.200}")
    return path


def _restore(staging: Path, entry: CacheEntry, request: Payload, started: float) -> dict[str, Any]:
    staging.mkdir()
    for name in entry.file_names:
        target = staging / name
        target.parent.mkdir(exist_ok=True)
        link_or_copy(entry.folder / name, target)
    ids = {"jobId": request.job_id, "projectId": request.project_id, "requestId": request.request_id}
    elapsed_ms = (time.perf_counter() - started) * 1000
    content = encode_json({**entry.metadata["preview"], **ids, "timingsMs": {"reuse": round(elapsed_ms, 1)}})
    (staging / PREVIEW).write_bytes(content)
    preview_artifact = {"path": PREVIEW, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    summary: dict[str, Any] = entry.metadata["summary"]
    artifacts = [
        {**artifact, **preview_artifact} if artifact["path"] == PREVIEW else artifact
        for artifact in summary["artifacts"]
    ]
    return {**summary, "artifacts": artifacts, "renderMs": round(elapsed_ms), "reused": True}
