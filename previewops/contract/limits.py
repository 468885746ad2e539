"""Limits and defaults of the contract that the schema alone does not hold. Units are in the names.

Limits that a setting may lower are in ``previewops.contract_maxima``.
"""

from __future__ import annotations

from typing import Final

from previewops.contract_maxima import MAX_LENGTH_S

# The document.
MAX_PAYLOAD_BYTES: Final = 1_048_576
MAX_DEPTH_LEVELS: Final = 64
MAX_VALUES: Final = MAX_PAYLOAD_BYTES  # a JSON text of n bytes holds fewer than n values
MAX_SAFE_INTEGER: Final = 2**53 - 1  # doubles, as in JavaScript and Lua, skip integers beyond it (RFC 7493)
MAX_INTEGER_DIGITS: Final = len(str(MAX_SAFE_INTEGER))
MAX_VIOLATIONS: Final = 100  # listed for one payload; one more reports the number of others
MAX_COUNTED_VIOLATIONS: Final = 1_000  # found in one payload; then the search ends

# Pictures.
MIN_SIDE_PX: Final = 64
MAX_SIDE_PX: Final = 3_840
MAX_FRAME_PX: Final = 3_840 * 2_160
DEFAULT_RESOLUTION: Final = "1280x720"
DEFAULT_FORMAT: Final = "webp"
DEFAULT_IMAGE_FORMAT: Final = "jpeg"
"""Of stills beside an animation whose format stills cannot have; otherwise they have the animation's format."""

DEFAULT_FPS: Final = 12
DEFAULT_VIDEO_FPS: Final = 25
"""Of assets that play in formats of video, where a higher rate costs little."""

DEFAULT_QUALITY_PERCENT: Final = 80
DEFAULT_THEME: Final = "light"
DEFAULT_ON_ASSET_ERROR: Final = "fail"
DEFAULT_TRANSITION: Final = "none"

EVEN_SIDED_FORMATS: Final[frozenset[str]] = frozenset({"webm", "mp4"})
"""Formats that need an even width and height for their usual 4:2:0 chroma subsampling."""

# Time.
DEFAULT_STEP_MS: Final = 2_000
MIN_STEP_MS: Final = 100
TITLE_CARD_MS: Final = 2_000
MAX_TOTAL_MS: Final = MAX_LENGTH_S * 1_000

# Uris of assets.
MAX_PATH_BYTES: Final = 4_096  # PATH_MAX of Linux
MAX_INLINE_BYTES: Final = 524_288  # of a data: uri, decoded
