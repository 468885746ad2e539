"""Builds a complete bundle, or a dry-run plan, from a payload. Independent of the queue.

``build`` is the task of a render process; ``build_bundle`` does the same with a given asset opener and output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from math import inf
from time import perf_counter
from typing import Any

from previewops.worker.assets.opener import AssetOpener
from previewops.worker.publish.output import Output
from previewops.worker.render.artifacts import ArtifactWriter
from previewops.worker.render.dry_run import plan_render
from previewops.worker.render.limit_checks import check_limits
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.manifest import CONTAINER, PREVIEW, write_manifests
from previewops.worker.render.render import ThumbnailCache, render
from previewops.worker.render.storyboard import Storyboard, read_storyboard
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.sandbox.child import TaskContext
from previewops.worker.sandbox.file_client import RemoteAssets, RemoteOutput, RemoteThumbnails
from previewops.worker.themes.definition import ThemeDefinition

ProgressCallback = Callable[[float, str], None]

PROGRESS_INTERVAL_S = 0.5
"""Least time between two reports of a render process. The worker publishes the last one once a second."""


def build(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Builds a bundle and returns a short summary, as JSON values.

    ``spec``: ``payload`` (valid); ``limits`` (optional, fields of ``RenderLimits``); ``thumbnails``, whether the
    worker caches some; ``fonts`` (optional), see ``FontSources.as_json``; ``theme`` (optional), see
    ``ThemeDefinition.as_json``. ``context`` opens assets and creates files; the publisher flushes them.

    Raises:
        PermanentJobError, TransientJobError: as ``render``.
        MemoryError: not converted.
    """
    payload = spec["payload"]
    theme = ThemeDefinition.from_json(spec.get("theme"))
    storyboard = read_storyboard(payload, theme)
    assets = RemoteAssets(context, storyboard.assets)
    with closing(assets), closing(RemoteOutput(context)) as output:
        return build_bundle(
            payload,
            storyboard=storyboard,
            opener=assets,
            output=output,
            limits=RenderLimits.from_mapping(spec.get("limits")),
            limits_checked=True,
            fonts=FontSources.from_json(spec.get("fonts")),
            theme=theme,
            progress=throttle(context, PROGRESS_INTERVAL_S),
            cached_thumbnails=RemoteThumbnails(context) if spec.get("thumbnails") else None,
        )


def throttle(
    report: ProgressCallback, interval_s: float, clock: Callable[[], float] = perf_counter
) -> ProgressCallback:
    """Returns a function that passes on progress, but drops what follows within ``interval_s`` of the last report."""
    next_s = -inf

    def report_sometimes(share: float, phase: str) -> None:
        nonlocal next_s
        if clock() >= next_s:
            next_s = clock() + interval_s
            report(share, phase)

    return report_sometimes


def build_bundle(
    payload: Mapping[str, Any],
    *,
    storyboard: Storyboard | None = None,
    opener: AssetOpener,
    output: Output,
    limits: RenderLimits,
    limits_checked: bool = False,
    progress: ProgressCallback,
    fonts: FontSources | None = None,
    theme: ThemeDefinition | None = None,
    cached_thumbnails: ThumbnailCache | None = None,
) -> dict[str, Any]:
    """Renders a valid payload and its manifests to ``output``, or plans a dry run. Returns a summary in JSON values.

    ``storyboard`` is that of ``payload``, if it has been read. ``limits_checked``: the worker has already called
    ``check_limits``. ``theme`` is the named one that it chooses.

    Raises:
        PermanentJobError, TransientJobError: as ``check_limits`` and ``render``.
        MemoryError: not converted.
    """
    storyboard = storyboard or read_storyboard(payload, theme)
    if not limits_checked:
        check_limits(storyboard, limits)
    if payload["dryRun"]:
        progress(0.0, "plan")
        return {"dryRun": True, "plan": plan_render(storyboard, opener=opener, limits=limits, fonts=fonts)}
    started = perf_counter()
    writer = ArtifactWriter(output, limits.output_bytes)
    writer.expect((CONTAINER, PREVIEW))
    result = render(
        storyboard,
        opener=opener,
        writer=writer,
        limits=limits,
        progress=progress,
        fonts=fonts,
        thumbnail_cache=cached_thumbnails,
    )
    write_manifests(result, writer, payload)
    artifacts = sorted(writer.written, key=lambda artifact: artifact.path)
    return {
        "dryRun": False,
        "artifacts": [artifact.as_json() for artifact in artifacts],
        "durationMs": result.storyboard.shown_ms,
        "width": result.storyboard.size.width,
        "height": result.storyboard.size.height,
        "renderMs": round((perf_counter() - started) * 1000),
        "warnings": list(result.warnings),
    }
