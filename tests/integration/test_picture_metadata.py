"""Metadata of picture files: read in linear time, and applied as before."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from previewops.file_kinds import detect_kind
from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.decode.pillow_picture import strip_metadata
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.pictures import read_header
from tests.hostile import chunk, saved
from tests.render_support import corner_colours, decode_image, quarters

REF = AssetRef("it", "it.png")
UPRIGHT = ["red", "green", "blue", "yellow"]
UPSIDE_DOWN = 3  # EXIF orientation


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def overlapping_tags(count: int, size: int) -> bytes:
    """EXIF whose tags all claim the same ``size`` bytes."""
    entry = struct.pack("<HHII", 0x9286, 7, size, 8)
    table = struct.pack("<IH", 8, count) + entry * count
    return b"Exif\0\0II*\0" + table.ljust(size + 8, b"\0")


def segment(code: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(body) + 2) + body


def jpeg(*segments: bytes) -> bytes:
    """A JPEG file with ``segments`` in front of its tables."""
    content = saved(quarters((80, 60)), "JPEG", quality=95)
    return content[:2] + b"".join(segments) + content[2:]


def png(*chunks: bytes) -> bytes:
    """A PNG file with ``chunks`` before its pixels."""
    content = saved(quarters((80, 60)), "PNG")
    at = content.index(b"IDAT") - 4
    return content[:at] + b"".join(chunks) + content[at:]


def bare_size(content: bytes) -> int:
    """Bytes of what Pillow gets to read."""
    kind = detect_kind(content)
    assert kind is not None
    return len(strip_metadata(kind, BytesIO(content), len(content)).file.read())


def orientation_of(content: bytes) -> int:
    return read_header(REF, BytesIO(content), RenderLimits()).orientation


@pytest.mark.parametrize("code", [0xE1, 0xE2, 0xED, 0xFE, 0xE5])
@pytest.mark.parametrize(
    "body",
    [b"Exif\0\0" + bytes(60_000), b"ICC_PROFILE\0\1\1" + bytes(60_000), b""],
    ids=["exif", "profile", "empty"],
)
def test_repeated_jpeg_segments_do_not_reach_the_decoder(code: int, body: bytes) -> None:
    plain = bare_size(jpeg())
    sizes = [bare_size(jpeg(*[segment(code, body)] * count)) for count in (400, 800)]
    assert sizes[0] == sizes[1] <= plain + 255 * 65_536
    image = decode_image(REF, BytesIO(jpeg(*[segment(code, body)] * 400)), RenderLimits(), Size(80, 60))
    assert corner_colours(image) == UPRIGHT


@pytest.mark.parametrize(
    "rubbish",
    [b"\xff" * 300_000, b"\xff\x00" * 70_000, b"rubbish" * 30_000, b"\xff\xd9\xff\xd8", b"\xff\xe1\0\0"],
    ids=["fill-bytes", "escapes", "rubbish", "end-and-start", "no-length"],
)
def test_rubbish_before_metadata_hides_nothing(rubbish: bytes) -> None:
    content = jpeg(rubbish, segment(0xE1, exif(UPSIDE_DOWN)), *[segment(0xE1, b"Exif\0\0" + bytes(900))] * 50)
    assert bare_size(content) == bare_size(jpeg())
    assert orientation_of(content) == UPSIDE_DOWN


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "eXIf", "prVt", "tIME"])
def test_repeated_png_chunks_do_not_reach_the_decoder(kind: str) -> None:
    compressed = b"\0\0" + zlib.compress(bytes(1_000_000))  # without a keyword, Pillow does not count it
    content = png(*[chunk(kind.encode(), compressed)] * 300)
    assert bare_size(content) == bare_size(png())
    assert corner_colours(decode_image(REF, BytesIO(content), RenderLimits(), Size(80, 60))) == UPRIGHT


def test_only_the_first_colour_profile_of_a_png_is_unpacked() -> None:
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(900_000)))
    assert bare_size(png(*[profile] * 300)) == bare_size(png(profile))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_overlapping_exif_tags_are_not_copied(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = overlapping_tags(5_000, 65_000)
    parsed: list[int] = []
    load = Image.Exif.load

    def recording(self: Image.Exif, data: bytes) -> None:
        parsed.append(len(data))
        load(self, data)

    content = {
        "JPEG": lambda: jpeg(segment(0xE1, tags)),
        "PNG": lambda: png(chunk(b"eXIf", tags[6:])),
        "WEBP": lambda: saved(quarters((80, 60)), "WEBP", exif=tags),
        "AVIF": lambda: saved(quarters((80, 60)), "AVIF", exif=tags),
    }[kind]()
    monkeypatch.setattr(Image.Exif, "load", recording)
    assert orientation_of(content) == 1
    assert parsed == []


def test_an_avif_picture_is_turned_by_its_own_transformation() -> None:
    content = saved(quarters((80, 60)).transpose(Image.Transpose.ROTATE_180), "AVIF", exif=exif(UPSIDE_DOWN))
    assert orientation_of(content) == UPSIDE_DOWN
    assert corner_colours(decode_image(REF, BytesIO(content), RenderLimits(), Size(80, 60))) == UPRIGHT


RAW_EXIF = b"\nexif\n   %d\n%s" % (len(exif(UPSIDE_DOWN)), exif(UPSIDE_DOWN).hex().encode())


@pytest.mark.parametrize(
    "content",
    [
        png(chunk(b"eXIf", exif(UPSIDE_DOWN)[6:])),
        png(chunk(b"tEXt", b"Raw profile type exif\0" + RAW_EXIF)),
        png(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(RAW_EXIF))),
        saved(quarters((80, 60)), "WEBP", exif=exif(UPSIDE_DOWN)),
    ],
    ids=["png-exif", "png-raw", "png-raw-compressed", "webp-exif"],
)
def test_the_orientation_is_read_from_each_kind_of_metadata(content: bytes) -> None:
    assert orientation_of(content) == UPSIDE_DOWN


def small_blocks(kind: str, count: int) -> bytes:
    """A picture with ``count`` blocks of a few bytes."""
    if kind == "JPEG":
        return jpeg(segment(0xFE, b"") * count)
    if kind == "PNG":
        return png(chunk(b"tEXt", b"") * count)
    still = saved(Image.new("P", (8, 8)), "GIF")
    at = still.rindex(b"\x2c")
    comment = b"\x21\xfe" + b"\1x" * count + b"\0"
    return still[:at] + comment + still[at:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_a_file_of_small_blocks_alone_is_rejected(kind: str) -> None:
    assert read_header(REF, BytesIO(small_blocks(kind, 50_000)), RenderLimits()).frames == 1
    with pytest.raises(PermanentJobError) as caught:
        read_header(REF, BytesIO(small_blocks(kind, 200_000)), RenderLimits())
    assert caught.value.code == "asset-corrupt"


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "AVIF"])
def test_an_animation_of_more_pixels_than_are_sampled_is_rendered(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first frames are sampled; the chosen one lies before the last that was read."""
    monkeypatch.setattr(
        "previewops.worker.render.decode.representative_frame._MAX_DECODED_PIXELS", 20 * 4_800
    )
    frames = [quarters((80, 60)) for _ in range(30)]
    frames[0:2] = [Image.new("RGB", (80, 60), (n, n, n)) for n in (0, 40)]
    for number, frame in enumerate(frames):
        frame.putpixel((number, 0), (0, 0, 0))  # or writers join equal frames
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    assert read_header(REF, BytesIO(content), RenderLimits()).frames == 30
    assert corner_colours(decode_image(REF, BytesIO(content), RenderLimits(), Size(80, 60))) == UPRIGHT
