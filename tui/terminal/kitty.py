"""Messages of Kitty's graphics protocol."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_PIECE = 4096
"""Maximum length of one message."""


def in_pieces(number: int, image: Image) -> str:
    """The messages that send an image to the terminal under the id ``number``."""
    png = io.BytesIO()
    image.save(png, "PNG")
    data = b64encode(png.getvalue()).decode()
    starts = range(0, len(data), _PIECE)
    return "".join(
        f"\x1b_Gi={number},f=100,q=2,m={int(start != starts[-1])};{data[start : start + _PIECE]}\x1b\\"
        for start in starts
    )
