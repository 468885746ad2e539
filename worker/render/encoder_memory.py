"""Memory of encoders and of drawing large frames, which decoders do not get. Does not import Pillow."""

from __future__ import annotations

from dataclasses import replace

from previewops.job_errors import PermanentJobError
from previewops.worker.render.limits import MIB, RESERVED_BYTES, RenderLimits
from previewops.worker.render.storyboard import Storyboard

# Address space measured at 3840x2160: VP9 617 MiB, H.264 172 MiB, AVIF 286 MiB. Others keep one encoded frame.
_BYTES_PER_PIXEL = {"webm": 78, "mp4": 23, "avif": 38}
_DRAWING_BYTES_PER_PIXEL = (
    15  # a card, what covers a picture that plays in it, the picture, and the encoder's copy
)
_RESERVED_PIXELS = 1_280 * 720  # of a frame for which RESERVED_BYTES suffice
_DECODER_MIN_BYTES = 64 * MIB  # for the pictures of the job


def reserve_memory(storyboard: Storyboard, limits: RenderLimits) -> RenderLimits:
    """Returns ``limits`` with the memory that encoders and drawing leave for decoding.

    Raises:
        PermanentJobError: outputs-too-large.
    """
    kinds = (*storyboard.animations, storyboard.image_format)
    pixels = storyboard.size.pixels
    taken = sum(_BYTES_PER_PIXEL.get(kind, 0) for kind in kinds) * pixels
    taken += _DRAWING_BYTES_PER_PIXEL * max(0, pixels - _RESERVED_PIXELS)
    needed = RESERVED_BYTES + _DECODER_MIN_BYTES + taken
    if taken > _DECODER_MIN_BYTES and needed > limits.memory_bytes:
        width, height = storyboard.size
        found = f"{needed // MIB} MiB for {', '.join(dict.fromkeys(kinds))} at {width}x{height}"
        allowed = f"at most {limits.memory_bytes // MIB} MiB"
        raise PermanentJobError(
            "outputs-too-large",
            f"memory of the outputs: found {found}, allowed {allowed}",
            hint="use a smaller options.resolution or fewer outputs, or raise PREVIEW_MEMORY_LIMIT_MB",
            found=found,
            allowed=allowed,
        )
    return replace(limits, memory_bytes=max(RESERVED_BYTES, limits.memory_bytes - taken))
