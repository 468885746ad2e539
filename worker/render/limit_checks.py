"""Checks a storyboard against the limits before any asset is opened. The worker calls it: no import of Pillow."""

from __future__ import annotations

from previewops.job_errors import PermanentJobError
from previewops.worker.render.encoder_memory import reserve_memory
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.storyboard import Storyboard


def check_limits(storyboard: Storyboard, limits: RenderLimits) -> None:
    """Rejects a storyboard that exceeds ``limits``.

    Raises:
        PermanentJobError: resolution-too-large, too-many-steps, too-many-assets, too-long, outputs-too-large.
    """
    width, height = storyboard.size
    _check(
        "resolution-too-large",
        max(storyboard.size),
        limits.side,
        found=f"{width}x{height} pixels",
        unit="pixels per side",
        hint="use a smaller options.resolution",
    )
    hint = "split the preview into several jobs, or raise "
    steps, assets = len(storyboard.steps), len(storyboard.assets)
    _check("too-many-steps", steps, limits.steps, unit="steps", hint=hint + "PREVIEW_STEPS_MAX")
    _check("too-many-assets", assets, limits.assets, unit="assets", hint=hint + "PREVIEW_ASSETS_MAX")
    hint = "shorten the steps' durationMs, or raise "
    _check(
        "too-long", storyboard.duration_ms, limits.length_ms, unit="ms", hint=hint + "PREVIEW_LENGTH_MAX_S"
    )
    reserve_memory(storyboard, limits)


def _check(code: str, value: int, limit: int, *, unit: str, hint: str, found: str = "") -> None:
    if value > limit:
        found, allowed = found or f"{value} {unit}", f"at most {limit} {unit}"
        raise PermanentJobError(
            code, f"the job: found {found}, allowed {allowed}", hint=hint, found=found, allowed=allowed
        )
