"""Hostile asset files: bombs, false headers, fragments, polyglots, and paths that are not files."""

from __future__ import annotations

import os
import random
import struct
import zlib
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.render_support import quarters

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """``image`` as a file."""
    into = BytesIO()
    image.save(into, kind, **options)
    return into.getvalue()


def moving(kind: str, frames: int = 3) -> bytes:
    """A small animation whose frames differ."""
    images = [quarters((40, 30)).rotate(index * 7) for index in range(frames)]
    return saved(images[0], kind, save_all=True, append_images=images[1:], duration=50)


def pictures() -> list[bytes]:
    """Small valid pictures of every supported format."""
    small = quarters((48, 32))
    deep = Image.frombytes("I;16", (48, 32), bytes(range(256)) * 12)
    return [
        saved(small, "JPEG"),
        saved(small, "JPEG", progressive=True),
        saved(small.convert("CMYK"), "JPEG"),
        saved(small.convert("L"), "JPEG"),
        saved(small, "PNG"),
        saved(small.quantize(16), "PNG"),
        saved(small.convert("RGBA"), "PNG"),
        saved(deep, "PNG"),
        saved(small, "WEBP"),
        saved(small.convert("RGBA"), "WEBP", lossless=True),
        saved(small.quantize(16), "GIF"),
        saved(small, "AVIF"),
        *(moving(kind) for kind in ("GIF", "WEBP", "PNG", "AVIF")),
    ]


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG file that claims a size, whatever its data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def jpeg(width: int, height: int) -> bytes:
    """A JPEG file whose header claims a size."""
    content = bytearray(saved(quarters((16, 16)), "JPEG"))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def gif(width: int, height: int, frames: int, size: int = 1) -> bytes:
    """A GIF file of a claimed size with ``frames`` frames of ``size`` squared, a few bytes each."""
    still = saved(Image.new("P", (size, size)), "GIF", optimize=False)
    at = still.index(b"\x2c")
    frame = still[at : still.rindex(b"\x3b")]
    return still[:6] + struct.pack("<HH", width, height) + still[10:at] + frame * frames + b"\x3b"


def webp(width: int, height: int) -> bytes:
    """A WebP file whose header claims a canvas."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size
    body += b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def corpus() -> dict[str, tuple[bytes, str]]:
    """Returns file contents by name, each with the expected error code."""
    images = {kind: saved(Image.effect_noise((120, 90), 90).convert("RGB"), kind) for kind in FORMATS}
    files = {
        "header.png": (png(100_000, 100_000, b""), "asset-too-many-pixels"),
        "header.jpg": (jpeg(65_500, 65_500), "asset-too-many-pixels"),
        "header.gif": (gif(65_535, 65_535, 1), "asset-too-many-pixels"),
        "header.webp": (webp(16_384, 16_384), "asset-too-many-pixels"),
        "wide.png": (png(100_000, 1_100, b""), "asset-too-many-pixels"),
        "empty-pixels.png": (png(9_000, 9_000, b"\0" * 1_000), "asset-corrupt"),
        "endless.gif": (gif(40, 30, 5_000), "asset-too-many-frames"),
        "many-large.gif": (gif(2_000, 2_000, 900), "asset-too-many-frames"),
        "no-size.png": (png(0, 0, b""), "asset-corrupt"),
        "nothing": (b"", "asset-corrupt"),
        "eps.jpg": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
            "asset-unsupported",
        ),
        "photoshop.png": (b"8BPS\0\1" + bytes(200), "asset-unsupported"),
        "pdf.jpg": (b"%PDF-1.7\n1 0 obj\n", "asset-corrupt"),
        "xml.svg": (b"<?xml version='1.0'?><rss/>", "asset-unsupported"),
        "laughs.svg": (laughs(), "asset-corrupt"),
        "deep.svg": (b"<svg>" + b"<g>" * 5_000, "asset-too-many-pixels"),
        "crowd.svg": (b"<svg>" + b"<g/>" * 60_000 + b"</svg>", "asset-too-many-pixels"),
        "uses.svg": (
            b"<svg xmlns='http://www.w3.org/2000/svg'><g id='a0'/>"
            + b"".join(b"<g id='a%d'>%s</g>" % (n, b"<use href='#a%d'/>" % (n - 1) * 10) for n in range(1, 9))
            + b"</svg>",
            "asset-too-many-pixels",
        ),
        "inside.svg": (
            b"<svg xmlns='http://www.w3.org/2000/svg'><image href='data:image/png;base64,%s'/></svg>"
            % b64encode(png(60_000, 60_000, b"")),
            "asset-too-many-pixels",
        ),
        "attributes.svg": (
            b"<svg xmlns='http://www.w3.org/2000/svg'><g %s/></svg>"
            % b" ".join(b"a%d='1'" % n for n in range(400_000)),
            "asset-too-many-pixels",
        ),
        "claims.jxl": (
            b"\xff\x0a" + ((0b11 << 1) | (0x3FFFFFFF << 3) | (0b001 << 33)).to_bytes(8, "little") + bytes(40),
            "asset-too-many-pixels",
        ),
        "claims.bmp": (
            b"BM" + struct.pack("<IIIIiiHHIIiiII", 60, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
            "asset-too-many-pixels",
        ),
        "claims.tiff": (tiff(60_000, 60_000), "asset-too-many-pixels"),
        "empty.mp4": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(300), "asset-corrupt"),
        "empty.mov": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "asset-corrupt"),
        "empty.webm": (b"\x1a\x45\xdf\xa3" + bytes(300), "asset-corrupt"),
        "empty.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300), "asset-corrupt"),
        "empty.ico": (b"\0\0\1\0\1\0" + bytes(300), "asset-corrupt"),
        "script.png": (b"#!/bin/sh\nrm -rf /\n" * 5, "asset-unsupported"),
        "zip.png": (b"PK\x03\x04" + bytes(100), "asset-unsupported"),
        "after-html.jpg": (b"<html><script>" + images["JPEG"], "asset-unsupported"),
    }
    for kind, content in images.items():
        files[f"half.{kind.lower()}"] = (content[: len(content) // 2], "asset-corrupt")
        files[f"head.{kind.lower()}"] = (content[:40], "asset-corrupt")
    return files


def laughs() -> bytes:
    """An SVG whose entities expand to gigabytes."""
    entities = b"".join(
        b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"ha" * 50) for n in range(12)
    )
    return (
        b"<!DOCTYPE svg [" + entities + b"]><svg xmlns='http://www.w3.org/2000/svg'><text>&e11;</text></svg>"
    )


def tiff(width: int, height: int) -> bytes:
    """A TIFF file whose header claims a size."""
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (278, 4, height),
        (279, 4, 9),
    ]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(20)


def text_bomb() -> bytes:
    """A PNG file without end whose colour profile of some kilobytes unpacks to 300 MB."""
    packed = zlib.compressobj(9)
    profile = b"".join(packed.compress(bytes(1_000_000)) for _ in range(300)) + packed.flush()
    png = saved(quarters((8, 8)), "PNG")
    return png[:33] + chunk(b"iCCP", b"x\0\0" + profile) + png[33:-12] + b"cut"


def harmless() -> dict[str, bytes]:
    """Odd files that are valid pictures and must be rendered."""
    images = {kind: saved(quarters((60, 40)), kind) for kind in FORMATS}
    return {
        "jpeg-and-zip.jpg": images["JPEG"] + b"PK\x03\x04" + bytes(100) + b"PK\x05\x06" + bytes(18),
        "gif-and-script.gif": images["GIF"] + b"/*<script>alert(1)</script>*/",
        "png-and-html.png": images["PNG"] + b"<html>",
        "named-otherwise.png": images["JPEG"],
        "named-otherwise.jpg": images["AVIF"],
        "without-extension": images["WEBP"],
        "tall.png": saved(Image.new("RGB", (1, 9_000)), "PNG"),
        "text-bomb.png": text_bomb(),
        "outside.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "wide.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="1e9" height="1"><rect width="9"/></svg>',
        "one-pixel.gif": saved(Image.new("P", (1, 1)), "GIF"),
    }


def no_files(folder: Path, outside: Path) -> dict[str, str]:
    """Paths below ``folder`` that are not files or lead out of it, each with its error code."""
    (folder / "link").symlink_to(outside)
    (folder / "link-to-folder").symlink_to(outside.parent)
    (folder / "device").symlink_to("/dev/zero")
    (folder / "memory").symlink_to("/proc/self/mem")
    (folder / "round").symlink_to("round")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "coming.part").write_bytes(b"half")
    return {
        "link": "asset-outside-roots",
        f"link-to-folder/{outside.name}": "asset-outside-roots",
        "device": "asset-outside-roots",
        "memory": "asset-outside-roots",
        "round": "asset-not-a-file",
        "folder": "asset-not-a-file",
        "pipe": "asset-not-a-file",
        "missing": "asset-missing",
        "coming": "asset-incomplete",
        "/etc/passwd": "asset-outside-roots",
    }


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Returns ``content`` with random damage."""
    damaged_content = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(damaged_content) or 1)
        act = rng.choice(("flip", "flip", "cut", "insert", "blank", "copy", "end", "hole"))
        if act == "flip" and damaged_content:
            damaged_content[at] ^= 1 << rng.randrange(8)
        elif act == "cut":
            del damaged_content[at : at + rng.choice((1, 4, 100))]
        elif act == "end":
            del damaged_content[max(at, len(damaged_content) // 2) :]
        elif act == "hole":
            del damaged_content[at : at + len(damaged_content) // 8]
        elif act == "insert":
            damaged_content[at:at] = rng.randbytes(rng.choice((1, 4, 50)))
        elif act == "blank":
            damaged_content[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
        else:
            damaged_content[at:at] = damaged_content[max(0, at - 64) : at]
    return bytes(damaged_content)
