"""Small valid files of the kinds that extras read, of documents and of videos."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import av
from PIL import Image

from tests.hostile import saved
from tests.render_support import quarters

SVG = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 60">
<rect width="40" height="30" fill="#dc1e1e"/><rect x="40" width="40" height="30" fill="#1eb41e"/>
<rect y="30" width="40" height="30" fill="#1e1edc"/><rect x="40" y="30" width="40" height="30" fill="#e6dc28"/>
</svg>"""


def heif(image: Image.Image, **options: Any) -> bytes:
    """``image`` as HEIF."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    return saved(image, "HEIF", quality=95, **options)


def jxl(image: Image.Image, **options: Any) -> bytes:
    """``image`` as JPEG XL."""
    import pillow_jxl  # noqa: F401

    return saved(image, "JXL", **options)


def pdf(pages: int = 1, size: tuple[float, float] = (400, 300)) -> bytes:
    """A PDF document whose pages have quarters like ``quarters``; page n has n black bars at the top."""
    width, height = size
    contents = []
    for number in range(pages):
        parts = []
        for red, green, blue, x, y in (
            (220, 30, 30, 0, 1),
            (30, 180, 30, 1, 1),
            (30, 30, 220, 0, 0),
            (230, 220, 40, 1, 0),
        ):
            fill = f"{red / 255:.4f} {green / 255:.4f} {blue / 255:.4f} rg"
            parts.append(f"{fill} {x * width / 2} {y * height / 2} {width / 2} {height / 2} re f")
        parts += [f"0 0 0 rg {20 * bar} {height - 10} 10 10 re f" for bar in range(number)]
        contents.append("\n".join(parts).encode())
    return make_pdf(contents, size)


def make_pdf(contents: list[bytes], size: tuple[float, float]) -> bytes:
    """A PDF document with a page of each content stream; /F1 is Helvetica."""
    width, height = size
    font = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    for content in contents:
        place = len(objects) + 2
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %g %g] /Contents %d 0 R /Resources %s >>"
            % (width, height, place, font)
        )
        objects.append(b"<< /Length %d >>\nstream\n" % len(content) + content + b"\nendstream")
    kids = b" ".join(b"%d 0 R" % (3 + 2 * number) for number in range(len(contents)))
    objects[1] = b"<< /Type /Pages /Kids [ " + kids + b" ] /Count %d >>" % len(contents)
    return _write_pdf(objects)


def form_pdf() -> bytes:
    """A PDF document of one page of 80 x 60 with a filled-in field, which is red."""
    look = b"1 0 0 rg 0 0 40 20 re f"
    field = b"/Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Ann) /F 4 /Rect [20 20 60 40] /AP << /N 5 0 R >>"
    return _write_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [ 4 0 R ] >> >>",
            b"<< /Type /Pages /Kids [ 3 0 R ] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 80 60] /Annots [ 4 0 R ] >>",
            b"<< " + field + b" >>",
            b"<< /Type /XObject /Subtype /Form /BBox [0 0 40 20] /Length %d >>\nstream\n%s\nendstream"
            % (len(look), look),
        ]
    )


def _write_pdf(objects: list[bytes]) -> bytes:
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    table += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (
        out
        + table
        + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))
    )


VIDEOS = {"mp4": ("mp4", "libx264"), "mov": ("mov", "libx264"), "webm": ("webm", "libvpx-vp9")}


def clip(kind: str, frames: list[Image.Image], *, sound: bool = False) -> bytes:
    """A video of ``frames``, ten per second."""
    container, codec = VIDEOS[kind]
    file = BytesIO()
    with av.open(file, "w", format=container) as target:
        stream: Any = target.add_stream(codec, rate=10)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 5
        for image in frames:
            target.mux(stream.encode(av.VideoFrame.from_image(image)))
        target.mux(stream.encode(None))
        del sound
    return file.getvalue()


def files() -> dict[str, bytes]:
    """A small file of each kind, by its extension, with red, green, blue and yellow quarters."""
    small = quarters((80, 60))
    return {
        "tiff": saved(small, "TIFF", compression="tiff_lzw"),
        "bmp": saved(small, "BMP"),
        "ico": saved(small, "ICO", sizes=[(80, 60)]),
        "heic": heif(small),
        "jxl": jxl(small),
        "svg": SVG.encode(),
        "pdf": pdf(),
        "mp4": clip("mp4", [small] * 12),
        "mov": clip("mov", [small] * 12),
        "webm": clip("webm", [small] * 12),
    }
