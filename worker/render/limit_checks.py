"""What a job may ask for at all, checked before any asset is opened. No Pillow here: a worker asks too."""

from __future__ import annotations

from previewops.errors import PermanentJobError
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.storyboard import Storyboard


def check_limits(board: Storyboard, limits: RenderLimits) -> None:
    """Refuses what ``limits`` do not allow, before any asset is opened.

    Raises:
        PermanentJobError: resolution-too-large, too-many-steps, too-many-assets, too-long.
    """
    width, height = board.size
    if max(board.size) > limits.side:
        raise _limit_error(
            "resolution-too-large",
            f"a resolution of {width}x{height}",
            f"{limits.side} pixels a side",
            hint="ask for a smaller options.resolution",
        )
    if len(board.steps) > limits.steps:
        raise _limit_error(
            "too-many-steps",
            f"{len(board.steps)} steps",
            f"{limits.steps} steps",
            hint="spread them over several jobs, or raise PREVIEW_STEPS_MAX",
        )
    if len(board.assets) > limits.assets:
        raise _limit_error(
            "too-many-assets",
            f"{len(board.assets)} assets",
            f"{limits.assets} assets",
            hint="spread them over several jobs, or raise PREVIEW_ASSETS_MAX",
        )
    if board.duration_ms > limits.length_ms:
        raise _limit_error(
            "too-long",
            f"{board.duration_ms} ms",
            f"{limits.length_ms} ms",
            hint="shorten the steps' durationMs, or raise PREVIEW_LENGTH_MAX_S",
        )


def _limit_error(code: str, found: str, allowed: str, *, hint: str) -> PermanentJobError:
    return PermanentJobError(
        code,
        f"the job has {found}; at most {allowed} are allowed",
        hint=hint,
        found=found,
        allowed=f"at most {allowed}",
    )
