"""Memory of the encoders of several outputs, which work at the same time. Does not import Pillow."""

from __future__ import annotations

from dataclasses import replace

from previewops.job_errors import PermanentJobError
from previewops.worker.render.limits import MIB, RESERVED_BYTES, RenderLimits
from previewops.worker.render.storyboard import Storyboard

# Address space measured at 3840x2160: VP9 641 MiB, H.264 172 MiB, AVIF 286 MiB. Others keep one encoded frame.
_BYTES_PER_PIXEL = {"webm": 85, "mp4": 23, "avif": 38}
_DECODER_MIN_BYTES = 64 * MIB  # for the pictures of the job


def reserve_encoders(storyboard: Storyboard, limits: RenderLimits) -> RenderLimits:
    """Returns ``limits`` with less memory for decoding, if a job has several outputs.

    Raises:
        PermanentJobError: outputs-too-large.
    """
    if len(storyboard.animations) < 2:
        return limits
    kinds = (*storyboard.animations, storyboard.image_format)
    encoders = sum(_BYTES_PER_PIXEL.get(kind, 0) for kind in kinds) * storyboard.size.pixels
    needed = RESERVED_BYTES + _DECODER_MIN_BYTES + encoders
    if needed > limits.memory_bytes:
        width, height = storyboard.size
        found = f"{needed // MIB} MiB for {', '.join(storyboard.animations)} at {width}x{height}"
        allowed = f"at most {limits.memory_bytes // MIB} MiB"
        raise PermanentJobError(
            "outputs-too-large",
            f"options.outputs: found {found}, allowed {allowed}",
            hint="use a smaller options.resolution or fewer outputs, or raise PREVIEW_MEMORY_LIMIT_MB",
            found=found,
            allowed=allowed,
        )
    return replace(limits, memory_bytes=limits.memory_bytes - encoders)
