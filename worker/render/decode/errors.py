"""The errors of picture files, in words of this program. A decoder's own words are in the traceback alone."""

from __future__ import annotations

from previewops.file_kinds import PICTURES, FileKind, list_names
from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef, permanent_asset_error
from previewops.worker.render.limits import RenderLimits

_ALLOWED = list_names(PICTURES)


class CutPicture(Exception):
    """The end of a file is missing, and pixels with it."""


def picture_error(ref: AssetRef, code: str, *, found: str, allowed: str, hint: str) -> PermanentJobError:
    """Returns the error of a picture that can never be drawn."""
    message = f"found {found}, allowed {allowed}"
    return permanent_asset_error(code, ref, message, found=found, allowed=allowed, hint=hint)


def damaged_picture(ref: AssetRef, kind: FileKind | None, error: BaseException) -> PermanentJobError:
    """Returns the error of a file of a supported kind that ``error`` keeps from being decoded, or of an empty one."""
    is_cut = isinstance(error, CutPicture) or "truncated" in str(error)
    if kind is None:
        found = "an empty file"
    else:
        found = f"{kind.name} data that {'ends in the middle' if is_cut else 'is damaged'}"
    allowed = f"a complete {_ALLOWED} file"
    return picture_error(
        ref, "asset-corrupt", found=found, allowed=allowed, hint="export or upload the picture again"
    )


def unsupported_picture(ref: AssetRef, kind: FileKind | None) -> PermanentJobError:
    """Returns the error of a file of another kind; None is an unknown one."""
    return picture_error(
        ref,
        "asset-unsupported",
        found=kind.name if kind else "an unknown file format",
        allowed=_ALLOWED,
        hint="convert the picture to one of these formats",
    )


def too_many_pixels(ref: AssetRef, found: str, limits: RenderLimits) -> PermanentJobError:
    """Returns the error of a frame of more pixels than the limit."""
    return picture_error(
        ref,
        "asset-too-many-pixels",
        found=found,
        allowed=f"at most {limits.frame_pixels} pixels per frame",
        hint="scale the picture down, or raise PREVIEW_FRAME_MAX_MP",
    )


def too_much_memory(ref: AssetRef, size: str, kind: str, allowed_px: int) -> PermanentJobError:
    """Returns the error of a picture that decoding in the memory of the process would not fit."""
    return picture_error(
        ref,
        "asset-too-many-pixels",
        found=f"{size} in {kind}",
        allowed=f"at most {allowed_px} pixels per frame of such a picture",
        hint="scale the picture down, convert it to a baseline JPEG, or raise PREVIEW_MEMORY_LIMIT_MB",
    )


def too_many_frames(ref: AssetRef, frames: int, size: str, limits: RenderLimits) -> PermanentJobError:
    """Returns the error of an animation of more frames, or more pixels over all frames, than the limits."""
    return picture_error(
        ref,
        "asset-too-many-frames",
        found=f"{'over ' if frames > limits.frames else ''}{min(frames, limits.frames)} "
        f"frame{'s' if frames > 1 else ''} of {size}",
        allowed=f"at most {limits.frames} frames and {limits.total_pixels} pixels over all frames",
        hint="shorten the animation or scale it down, or raise PREVIEW_FRAMES_MAX or PREVIEW_PICTURE_MAX_MP",
    )
