"""What a job may ask for at all, checked before anything is drawn."""

from __future__ import annotations

from previewops.errors import PermanentJobError
from previewops.worker.assets import AssetOpener
from previewops.worker.render.gallery import Inspected
from previewops.worker.render.limits import Limits
from previewops.worker.render.sound import SoundTrack, demand_sound
from previewops.worker.render.storyboard import Storyboard


def check_bounds(board: Storyboard, limits: Limits) -> None:
    """Refuses what ``limits`` do not allow, before any asset is opened.

    Raises:
        PermanentJobError: resolution-too-large, too-many-steps, too-long.
    """
    width, height = board.size
    if max(board.size) > limits.side:
        raise _beyond(
            "resolution-too-large",
            f"a resolution of {width}x{height}",
            f"{limits.side} pixels a side",
            hint="ask for a smaller options.resolution",
        )
    if len(board.steps) > limits.steps:
        raise _beyond(
            "too-many-steps",
            f"{len(board.steps)} steps",
            f"{limits.steps} steps",
            hint="spread them over several jobs, or raise PREVIEW_STEPS_MAX",
        )
    if board.duration_ms > limits.length_ms:
        raise _beyond(
            "too-long",
            f"{board.duration_ms} ms",
            f"{limits.length_ms} ms",
            hint="shorten the steps' durationMs, or raise PREVIEW_LENGTH_MAX_S",
        )


def _beyond(code: str, found: str, most: str, *, hint: str) -> PermanentJobError:
    return PermanentJobError(
        code,
        f"the job has {found}; at most {most} are allowed",
        hint=hint,
        found=found,
        allowed=f"at most {most}",
    )


def check_sound(
    board: Storyboard,
    inspected: dict[str, Inspected],
    opener: AssetOpener,
    limits: Limits,
    *,
    decoding: bool,
) -> None:
    """Refuses a sound track that is none; where gaps are allowed, marks it in ``inspected`` as lost instead.

    With ``decoding`` a sound that may be left out is decoded to its end, as a video that has begun with a sound track
    cannot go on without it. One that may not be left out shows its faults when the video is made.

    Raises:
        PermanentJobError: asset-unsupported, and what ``opener`` raises.
        TransientJobError: what ``opener`` raises.
    """
    heard = board.heard
    if heard is None or inspected[heard.asset_id].error is not None:
        return
    ref = board.assets[heard.asset_id].ref
    try:
        with opener.open(ref, max_bytes=limits.asset_bytes).file as file:
            demand_sound(ref, file)
            if decoding and board.gaps:
                for _ in SoundTrack(ref, file, heard, board.duration_ms).frames():
                    pass
    except PermanentJobError as refused:
        if not board.gaps:
            raise
        inspected[heard.asset_id] = Inspected(0, (), None, refused)
