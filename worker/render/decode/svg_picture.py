"""SVG drawings, by resvg: static, without scripts, without anything outside of the file, drawn at the needed size."""

from __future__ import annotations

import re
import zlib
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

from PIL import Image

from previewops.file_kinds import GZIP_START, SVG
from previewops.worker.render.decode.errors import CutPicture, picture_error
from previewops.worker.render.decode.extras import require_extra
from previewops.worker.render.decode.open_picture import (
    DecodedPicture,
    PictureHeader,
    PictureSource,
    decode_scale,
    scaled_up,
)
from previewops.worker.render.decode.srgb import drop_opaque_alpha, resize
from previewops.worker.render.decode.svg_colours import use_commas
from previewops.worker.render.decode.svg_complexity import drawing_cost, local_name
from previewops.worker.render.layout.geometry import Size

_MAX_BYTES = 8 * 1024 * 1024
_MAX_ELEMENTS = 50_000
_MAX_DEPTH = 200
_MAX_COST = 500_000
_MAX_EMBEDDED_PIXELS = 50_000_000  # resvg keeps each picture as four bytes a pixel, and aborts without memory
_MAX_ATTRIBUTES = 500  # of one element: resvg compares each with all others
_DEFAULT = (300.0, 150.0)  # CSS pixels, as browsers
_MAX_SIDE = 100_000.0  # CSS pixels
_LENGTH = re.compile(
    r"\s*+\+?([0-9]{0,9}(?:\.[0-9]{1,9})?(?:e[+-]?[0-9]{1,2})?)\s*+(px|pt|pc|mm|cm|in|em|ex|)\s*+", re.ASCII
)
_PX = {
    "": 1.0,
    "px": 1.0,
    "pt": 4 / 3,
    "pc": 16.0,
    "mm": 96 / 25.4,
    "cm": 96 / 2.54,
    "in": 96.0,
    "em": 16.0,
    "ex": 8.0,
}
_DPI = 96.0  # of CSS: lengths in mm, cm, in, pt and pc depend on it
_NAMESPACE = "http://www.w3.org/2000/svg"
_REFERENCES = ("href", "{http://www.w3.org/1999/xlink}href")
_DROPPED = ("script", "foreignObject", "iframe", "audio", "video", "animate", "set", "handler", "listener")
_INSIDE = ("#", "data:image/png", "data:image/jpeg", "data:image/jpg", "data:image/gif", "data:image/webp")
_OUTSIDE = "references outside of the file are left out"


@dataclass(frozen=True, slots=True)
class SvgPicture:
    """An open SVG file, without what it must not contain."""

    source: PictureSource
    markup: str
    natural: Size
    has_text: bool
    notes: tuple[str, ...]

    @classmethod
    def open(cls, source: PictureSource) -> SvgPicture:
        """Parses the file. Raises PermanentJobError for a limit, and any exception of the parser."""
        require_extra(source.ref, SVG)
        if source.bytes > _MAX_BYTES:
            raise _too_complex(source, f"{source.bytes} bytes", f"at most {_MAX_BYTES} bytes")
        source.file.seek(0)
        root = _parse(source)
        has_outside = _clean(root)
        use_commas(root)
        cost = drawing_cost(root)
        if cost > _MAX_COST:
            raise _too_complex(
                source, f"{cost:.6g} elements when references are followed", f"at most {_MAX_COST}"
            )
        natural = _set_natural_size(root)
        pixels = sum(map(_embedded_pixels, root.iter()))
        if pixels > _MAX_EMBEDDED_PIXELS:
            raise _too_complex(
                source,
                f"pictures of {pixels} pixels",
                f"at most {_MAX_EMBEDDED_PIXELS} pixels in all of them",
            )
        ElementTree.register_namespace("", _NAMESPACE)
        return cls(
            source,
            ElementTree.tostring(root, encoding="unicode"),
            natural,
            any(local_name(element) == "text" for element in root.iter()),
            (_OUTSIDE,) if has_outside else (),
        )

    @property
    def header(self) -> PictureHeader:
        return PictureHeader("svg", scaled_up(self.natural), 1, 1, natural=self.natural)

    def decode(self, needed: Size) -> DecodedPicture:
        """See ``OpenPicture``. It is drawn at the size, not scaled to it."""
        size = decode_scale(self.header.size, needed)
        fonts = list(self.source.fonts) if self.has_text else []
        content = require_extra(self.source.ref, SVG).svg_to_bytes(
            svg_string=self.markup,
            width=size.width,
            height=size.height,
            skip_system_fonts=True,
            font_files=fonts,
            dpi=_DPI,
            sans_serif_family="Inter",
            font_family="Inter",
        )
        with Image.open(BytesIO(content), formats=("PNG",)) as image:
            image.load()
        return DecodedPicture(drop_opaque_alpha(resize(image.convert("RGBA"), size)), self.notes)


def _parse(source: PictureSource) -> ElementTree.Element:
    """Parses the file within limits. Entities are expanded by expat, which stops amplification."""
    parser: Any = ElementTree.XMLPullParser(events=("start", "end"))
    depth = count = 0
    root: ElementTree.Element | None = None
    for block in _read_blocks(source):
        parser.feed(block)
        for event, element in parser.read_events():
            root = element if root is None else root
            depth += 1 if event == "start" else -1
            count += event == "start"
            if count > _MAX_ELEMENTS or depth > _MAX_DEPTH or len(element.attrib) > _MAX_ATTRIBUTES:
                raise _too_complex(
                    source,
                    f"more than {_MAX_ELEMENTS} elements, {_MAX_DEPTH} inside each other, or {_MAX_ATTRIBUTES} "
                    "attributes of one",
                    "a simpler drawing",
                )
    parser.close()
    if root is None or local_name(root) != "svg":
        raise ValueError("no svg element")
    return root


def _read_blocks(source: PictureSource) -> Iterator[bytes]:
    """Yields the text of the file, which may be compressed by gzip (SVGZ)."""
    unpacker, size = zlib.decompressobj(31), 0
    packed = source.file.read(2) == GZIP_START
    source.file.seek(0)
    while block := source.file.read(65_536):
        if packed:
            block = unpacker.decompress(block, _MAX_BYTES + 1 - size)
        size += len(block)
        if size > _MAX_BYTES:
            raise _too_complex(source, f"more than {_MAX_BYTES} bytes", f"at most {_MAX_BYTES} bytes")
        yield block
    if packed and not unpacker.eof:
        raise CutPicture


def _too_complex(source: PictureSource, found: str, allowed: str) -> Exception:
    return picture_error(
        source.ref,
        "asset-too-many-pixels",
        found=f"an SVG of {found}",
        allowed=allowed,
        hint="simplify the drawing, or export it as PNG",
    )


def _clean(root: ElementTree.Element) -> bool:
    """Removes scripts, and references that lead out of the file. Returns whether there were such references."""
    has_outside = False
    for parent in list(root.iter()):
        for child in list(parent):
            if local_name(child) in _DROPPED:
                parent.remove(child)
    for element in root.iter():
        for name in _REFERENCES:
            reference = element.get(name, "").strip()
            if reference and local_name(element) != "a" and not reference.lower().startswith(_INSIDE):
                del element.attrib[name]
                has_outside = True
    return has_outside


def _embedded_pixels(element: ElementTree.Element) -> int:
    """Returns the pixels of the picture inside of an element, by its header; 0 for none, and for what is none."""
    references = (element.get(name, "").strip() for name in _REFERENCES)
    reference = next((text for text in references if text[:5].lower() == "data:"), "")
    kind, _, text = reference.partition(",")
    try:
        content = b64decode(unquote_to_bytes(text)) if kind.endswith(";base64") else unquote_to_bytes(text)
        with Image.open(BytesIO(content), formats=("PNG", "JPEG", "GIF", "WEBP")) as image:
            return image.width * image.height
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise
    except Exception:  # on malformed data decoders raise any exception; resvg leaves such a picture out
        return 0


def _set_natural_size(root: ElementTree.Element) -> Size:
    """Sets width, height and view box as browsers understand them. Returns the size in CSS pixels."""
    width, height = _length(root.get("width")), _length(root.get("height"))
    box = _view_box(root)
    if width is None and height is None:
        width, height = (box[2], box[3]) if box else _DEFAULT
    elif width is None:
        width = height * box[2] / box[3] if box and height else _DEFAULT[0]
    elif height is None:
        height = width * box[3] / box[2] if box else _DEFAULT[1]
    assert width is not None
    assert height is not None
    if box is None:
        root.set("viewBox", f"0 0 {width:.6g} {height:.6g}")
    scale = min(1.0, _MAX_SIDE / max(width, height))
    size = Size(max(1, round(width * scale)), max(1, round(height * scale)))
    root.set("width", str(size.width))
    root.set("height", str(size.height))
    return size


def _view_box(root: ElementTree.Element) -> list[float] | None:
    parts = re.split(r"[\s,]+", root.get("viewBox", "").strip()[:200])
    box = [float(part) for part in parts if _is_number(part)]
    return box if len(box) == len(parts) == 4 and box[2] > 0 and box[3] > 0 else None


def _length(text: str | None) -> float | None:
    match = _LENGTH.fullmatch((text or "")[:50])
    if match is None or not _is_number(match[1]):
        return None
    value = float(match[1]) * _PX[match[2]]
    return value if value > 0 else None


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < 1e12
    except ValueError:
        return False
