"""How much memory decoding a picture takes, so that one that does not fit is rejected by its header. Pure.

Bytes per pixel, measured with Pillow 13.0 on 2026-11-28 as the peak of mapped memory, at 25 and 100 million pixels:
the decoder's own buffers, Pillow's picture of four bytes per pixel, and the copies that scaling and transparency
need. Pillow decodes WebP and AVIF at full size only: WebP needs two canvases, a copy of one, and the picture.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

_STILL = {"PNG": 6.0, "GIF": 6.0, "WEBP": 17.0}
_STILL_TRANSPARENT = {"PNG": 13.0, "GIF": 10.0, "WEBP": 17.0}
_STILL_RGBA = {**_STILL_TRANSPARENT, "PNG": 9.0}
_OTHERS = {"HEIF": 14.0, "JXL": 30.0, "TIFF": 14.0, "BMP": 10.0, "ICO": 24.0}
_ANIMATED = {"PNG": 17.0, "GIF": 14.0, "WEBP": 17.0}
_PICTURE_BYTES = 4.0  # Pillow stores every colour picture with four bytes per pixel
_ROW_BYTES = 0.5  # decoders' buffers of some rows
_AVIF_REFERENCES = 8  # frames that an AV1 decoder keeps

# Frames to which others refer. H.264 and HEVC bound their number by the pixels of all of them (levels 5.2 and 6.2).
_REFERENCES = {"vp8": 3, "libvpx": 3, "vp9": 8, "libvpx-vp9": 8, "av1": 8, "libdav1d": 8}
_REFERENCES |= {"mpeg4": 2, "mjpeg": 0, "prores": 0}
_LEVELS = ((9_437_184, 53_500_000), (178_300_000, 214_000_000))  # pixels of a frame, and of all references
_REFERENCES_MAX = 16
_OTHER_FRAMES = 2  # the one that is decoded and the one that is drawn
_CLIP_TABLES = 1.15  # motion vectors and other tables, as a factor


@dataclass(frozen=True, slots=True)
class PictureLayout:
    """What the header of a PNG, GIF, WebP or AVIF file says about the memory that decoding needs.

    ``mode`` is Pillow's. ``sample_bytes`` is the size of one AVIF sample.
    """

    format: str
    mode: str
    frames: int = 1
    transparency: bool = False
    sample_bytes: int = 1


def bytes_per_pixel(layout: PictureLayout) -> float:
    """Returns the memory that decoding at full size takes, per pixel of a frame."""
    if layout.format == "AVIF":
        channels = 4 if layout.mode == "RGBA" else 3
        planes = channels * layout.sample_bytes * min(layout.frames, _AVIF_REFERENCES)
        scaled = _PICTURE_BYTES if layout.mode == "RGBA" else 0
        return planes + channels + _PICTURE_BYTES + scaled + _ROW_BYTES
    if layout.format in _OTHERS:
        return _OTHERS[layout.format]
    if layout.frames > 1:
        return _ANIMATED[layout.format]
    if layout.mode == "RGBA":
        return _STILL_RGBA[layout.format]
    is_transparent = layout.transparency or layout.mode in ("LA", "PA", "La", "RGBa")
    return (_STILL_TRANSPARENT if is_transparent else _STILL)[layout.format]


def jpeg_bytes(coefficients: float, full_px: int, scaled_px: int) -> float:
    """Returns the memory of decoding a JPEG of ``full_px`` pixels at a scale that leaves ``scaled_px``.

    A progressive file keeps ``coefficients`` values of two bytes per pixel of the full size; others keep none.
    """
    return 2 * coefficients * full_px + (_PICTURE_BYTES + _ROW_BYTES) * scaled_px


def clip_bytes(codec: str, pixels: int, bits_per_pixel: int) -> int:
    """Returns the memory of decoding a video with frames of ``pixels``, in one thread.

    ``codec`` is FFmpeg's name of the decoder. ``bits_per_pixel`` are those of decoded frames: 12 for most videos, 24
    for those with 10 bits per sample.
    """
    frames = _references(codec, pixels) + _OTHER_FRAMES
    return int(frames * pixels * bits_per_pixel / 8 * _CLIP_TABLES)


def _references(codec: str, pixels: int) -> float:
    if codec in _REFERENCES:
        return _REFERENCES[codec]
    of_all = next((of_all for most, of_all in _LEVELS if pixels <= most), _LEVELS[-1][1])
    return min(_REFERENCES_MAX, of_all / pixels)


def clip_pixels(codec: str, memory_bytes: int, bits_per_pixel: int) -> int:
    """Returns how many pixels a frame of a video may have, so that ``clip_bytes`` are at most ``memory_bytes``."""
    most = int(memory_bytes * 8 / bits_per_pixel)
    return bisect_right(
        range(1, most), memory_bytes, key=lambda pixels: clip_bytes(codec, pixels, bits_per_pixel)
    )
