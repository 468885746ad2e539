"""AVIF stills by Pillow: quality and speed, chosen by measurement.

Nine frames of 1280x720, half photograph and half text, against WebP of quality 80 (44 KiB, SSIM .976): speed 8 needs
32 KiB in nine times WebP's time, speed 9 45 KiB in three times, speed 7 30 KiB in twenty times. With colours at full
resolution (4:4:4) thin coloured text stays sharp, for 3 % more bytes. ``Storyboard.avif_speed`` chooses the speed.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Image, features
from PIL import __version__ as pillow_version

from previewops.job_errors import PermanentJobError


def encode_avif(image: Image.Image, quality: int, speed: int) -> bytes:
    """Encodes ``image`` at a ``speed`` of 0 to 10; ``quality`` is on WebP's scale, so that both look alike."""
    buffer = BytesIO()
    image.save(
        buffer,
        "AVIF",
        quality=_scale(quality),
        speed=speed,
        subsampling="4:4:4",
        max_threads=1,  # the bytes depend on their number
    )
    return buffer.getvalue()


def _scale(quality: int) -> int:
    """Returns AVIF's quality with the SSIM of WebP at ``quality``: 20 is 28, 50 is 42, 80 is 56, 100 is 90."""
    return round(18 + 0.475 * quality if quality <= 80 else 56 + 1.7 * (quality - 80))


def require_avif() -> None:
    """Checks that the installed Pillow encodes AVIF.

    Raises:
        PermanentJobError: image-format-unavailable.
    """
    if not features.check("avif"):
        raise PermanentJobError(
            "image-format-unavailable",
            f"options.imageFormat: found avif, allowed webp, png, jpeg with Pillow {pillow_version} of this worker,"
            " which is built without AVIF",
            hint="choose another imageFormat, or install Pillow from PyPI, whose wheels contain AVIF",
            found="avif",
            allowed="webp, png, jpeg",
        )
