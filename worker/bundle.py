"""The task that a render process runs: a bundle in a staging folder, or the plan of one. Knows no queue."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from previewops.worker.assets import FileAssetOpener, storage_errors
from previewops.worker.render.artifacts import ArtifactWriter
from previewops.worker.render.fontfiles import FontSources
from previewops.worker.render.limits import Limits
from previewops.worker.render.manifest import write_manifests
from previewops.worker.render.plan import plan
from previewops.worker.render.render import render


def build(spec: dict[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
    """Builds what ``spec`` asks for and returns a short summary, all in JSON values.

    ``spec``: ``payload`` (valid by contract), ``roots`` (folders that assets may come from), ``staging`` (the
    folder to fill, made if need be, in one that exists; not needed for a dry run), ``limits`` (optional,
    names and values as in ``Limits``). When this returns, the bundle is on the disk; publishing it is the
    caller's act. ``fonts`` (optional) is as ``FontSources.as_json`` has it.

    Raises:
        PermanentJobError, TransientJobError: as ``render``.
        MemoryError: as it comes.
    """
    payload = spec["payload"]
    opener = FileAssetOpener(tuple(Path(root) for root in spec["roots"]))
    limits = Limits.from_mapping(spec.get("limits"))
    fonts = FontSources.from_json(spec.get("fonts"))
    if payload["dryRun"]:
        progress(0.0, "plan")
        return {"dryRun": True, "plan": plan(payload, opener=opener, limits=limits, fonts=fonts)}
    started = perf_counter()
    staging = Path(spec["staging"])
    with storage_errors():
        # Not its parents: a DATA_DIR that has gone, an unmounted disk say, is not made anew on what is beneath.
        staging.mkdir(exist_ok=True)
    result = render(payload, opener=opener, out=staging, limits=limits, progress=progress, fonts=fonts)
    writer = ArtifactWriter(staging)
    write_manifests(result, writer, payload)
    artifacts = sorted((*result.artifacts, *writer.written), key=lambda each: each.path)
    sync([staging / artifact.path for artifact in artifacts])
    return {
        "dryRun": False,
        "artifacts": [artifact.as_json() for artifact in artifacts],
        "durationMs": result.board.duration_ms,
        "width": result.board.size.width,
        "height": result.board.size.height,
        "renderMs": round((perf_counter() - started) * 1000),
        "warnings": list(result.warnings),
    }


def sync(paths: list[Path]) -> None:
    """Has ``paths`` and the folders they are in written to the disk.

    Raises:
        TransientJobError: io-error, disk-full.
    """
    with storage_errors():
        for path in [*paths, *dict.fromkeys(path.parent for path in paths)]:
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
