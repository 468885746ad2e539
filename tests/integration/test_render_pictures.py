"""Picture files: orientation, colour spaces, bit depth, transparency, animations, broken and huge files."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from functools import partial
from io import BytesIO

import pytest
from PIL import Image, ImageChops, ImageCms
from PIL.PngImagePlugin import PngInfo

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.decode.open_picture import PictureHeader
from previewops.worker.render.encode.stills import encode_still
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.pictures import read_header
from tests.render_support import corner_colours, decode_image, quarters

REF = AssetRef("it", "it.png")
UPRIGHT = ["red", "green", "blue", "yellow"]
# How to store an upright picture for each EXIF orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def saved(image: Image.Image, kind: str, **options: object) -> BytesIO:
    file = BytesIO()
    image.save(file, kind, **options)
    return file


def rejection(
    content: bytes, limits: RenderLimits | None = None, *, decode: bool = False
) -> PermanentJobError:
    read = partial(decode_image, needed=Size(50, 50)) if decode else read_header
    with pytest.raises(PermanentJobError) as caught:
        read(REF, BytesIO(content), limits or RenderLimits())
    assert caught.value.data["found"]
    assert caught.value.data["allowed"]
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_every_format_is_decoded(kind: str) -> None:
    file = saved(quarters((400, 300)), kind)
    header = read_header(REF, file, RenderLimits())
    assert (header.format, header.size, header.frames) == (kind.lower(), Size(400, 300), 1)
    image = decode_image(REF, file, RenderLimits(), Size(100, 75))
    assert image.size == (100, 75)
    assert image.mode == "RGB"
    assert corner_colours(image) == UPRIGHT


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied(orientation: int, kind: str) -> None:
    turn = STORED[orientation]
    upright = quarters((400, 200))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(upright.transpose(turn) if turn is not None else upright, kind, exif=exif)
    assert read_header(REF, file, RenderLimits()).size == Size(400, 200)
    image = decode_image(REF, file, RenderLimits(), Size(100, 50))
    assert image.size == (100, 50)
    assert corner_colours(image) == UPRIGHT


def test_pictures_are_never_enlarged_and_cover_the_needed_size() -> None:
    file = saved(quarters((400, 300)), "PNG")
    assert decode_image(REF, file, RenderLimits(), Size(4_000, 3_000)).size == (400, 300)
    assert decode_image(REF, file, RenderLimits(), Size(100, 10)).size == (100, 75)


def test_sixteen_bit_greys_are_scaled() -> None:
    ramp = Image.frombytes("I;16", (256, 4), struct.pack("<256H", *range(0, 65_536, 256)) * 4)
    image = decode_image(REF, saved(ramp, "PNG"), RenderLimits(), Size(256, 4))
    values = [image.getpixel((x, 1)) for x in (0, 64, 128, 255)]
    for value, expected in zip(values, (0, 64, 128, 254), strict=True):
        assert isinstance(value, tuple)
        assert all(abs(part - expected) <= 1 for part in value)


def test_cmyk_is_converted_to_rgb() -> None:
    image = decode_image(
        REF, saved(quarters((80, 80), "CMYK"), "JPEG", quality=95), RenderLimits(), Size(80, 80)
    )
    assert image.mode == "RGB"
    assert corner_colours(image) == UPRIGHT


def test_a_colour_profile_is_applied() -> None:
    grey = Image.new("RGB", (40, 40), (128, 128, 128))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    ignored = decode_image(REF, saved(grey, "PNG", icc_profile=lab), RenderLimits(), Size(40, 40))
    assert ignored.getpixel((5, 5)) == (128, 128, 128)
    broken = decode_image(
        REF, saved(grey, "PNG", icc_profile=b"no profile at all"), RenderLimits(), Size(40, 40)
    )
    assert broken.getpixel((5, 5)) == (128, 128, 128)
    linear = decode_image(REF, saved(grey, "PNG", icc_profile=linear_profile()), RenderLimits(), Size(40, 40))
    pixel = linear.getpixel((5, 5))
    assert isinstance(pixel, tuple)
    assert 183 <= pixel[0] <= 192  # half the luminance is 188 in sRGB


def linear_profile() -> bytes:
    """Returns an sRGB profile with linear tone curves."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, 128)
    for index in range(count):
        tag, offset, _size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            struct.pack_into(">4sII", profile, offset, b"curv", 0, 0)
            struct.pack_into(">I", profile, 132 + 12 * index + 8, 12)
    return bytes(profile)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_is_kept(mode: str) -> None:
    image = quarters((80, 80)).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 40, 40))
    if mode in ("P", "PA"):
        image = image.quantize(16)
    elif mode == "LA":
        image = image.convert("LA")
    picture = decode_image(REF, saved(image, "PNG"), RenderLimits(), Size(40, 40))
    assert picture.mode == "RGBA"
    assert picture.getchannel("A").getpixel((10, 10)) == 0
    assert picture.getchannel("A").getpixel((30, 30)) == 255


def test_opaque_alpha_is_dropped() -> None:
    assert (
        decode_image(REF, saved(quarters((80, 80), "RGBA"), "PNG"), RenderLimits(), Size(40, 40)).mode
        == "RGB"
    )


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_yields_its_representative_frame(kind: str) -> None:
    scene = quarters((80, 60))
    fade = [Image.blend(Image.new("RGB", (80, 60)), scene, share / 5) for share in range(5)]
    frames = [*fade, *(ImageChops.offset(scene, 0, shift) for shift in range(20)), *reversed(fade)]
    moving = {"save_all": True, "append_images": frames[1:], "duration": 100}
    file = saved(frames[0], kind, **moving)
    assert read_header(REF, file, RenderLimits()).frames == 30
    image = decode_image(REF, file, RenderLimits(), Size(80, 60))
    assert corner_colours(image.crop((0, 20, 80, 60))) != ["red"] * 4
    assert max(image.convert("L").getextrema()) > 150, "a frame of the fade instead of the scene"
    assert decode_image(REF, file, RenderLimits(), Size(80, 60)).tobytes() == image.tobytes()


def test_an_empty_frame_is_not_representative() -> None:
    frames = [Image.new("RGBA", (40, 30)), *[quarters((40, 30), "RGBA")] * 3]
    file = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert corner_colours(decode_image(REF, file, RenderLimits(), Size(40, 30))) == UPRIGHT


def test_additional_mpo_images_are_not_frames() -> None:
    file = saved(quarters((80, 60)), "MPO", save_all=True, append_images=[Image.new("RGB", (80, 60))])
    assert read_header(REF, file, RenderLimits()) == PictureHeader("jpeg", Size(80, 60), 1, 1)
    assert corner_colours(decode_image(REF, file, RenderLimits(), Size(80, 60))) == UPRIGHT


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_metadata_is_removed(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRET CAMERA"
    more: dict[str, object] = {"comment": b"SECRET COMMENT"} if kind == "JPEG" else {}
    if kind == "PNG":
        text = PngInfo()
        text.add_text("Author", "SECRET NAME")
        more = {"pnginfo": text}
    file = saved(quarters((80, 60)), kind, exif=exif, icc_profile=linear_profile(), **more)
    image = decode_image(REF, file, RenderLimits(), Size(40, 30))
    assert image.info == {}
    for still in ("webp", "png", "jpeg"):
        written = Image.open(BytesIO(encode_still(image, still, 80, (0, 0, 0))))
        assert "icc_profile" not in written.info
        assert dict(written.getexif()) == {}
        assert b"SECRET" not in encode_still(image, still, 80, (0, 0, 0))


def test_a_cmyk_profile_is_applied() -> None:
    """The profile maps full cyan to green, which no fixed formula does."""
    image = Image.new("CMYK", (40, 40), (255, 0, 0, 0))
    picture = decode_image(
        REF, saved(image, "JPEG", quality=100, icc_profile=odd_cmyk_profile()), RenderLimits(), Size(40, 40)
    )
    red, green, blue = pixel_of(picture)
    assert green > 90 + max(red, blue)
    without = decode_image(REF, saved(image, "JPEG", quality=100), RenderLimits(), Size(40, 40))
    assert pixel_of(without) == (0, 255, 255)


def pixel_of(image: Image.Image) -> tuple[int, int, int]:
    pixel = image.convert("RGB").getpixel((20, 20))
    assert isinstance(pixel, tuple)
    red, green, blue = pixel
    return int(red), int(green), int(blue)


def odd_cmyk_profile() -> bytes:
    """Returns a CMYK profile with green cyan: a table of 2 points per ink (ICC.1:2010, 10.8 lut8Type)."""
    identity = bytes(range(256))
    white, green, black = (255, 128, 128), (150, 48, 190), (0, 128, 128)  # CIE Lab
    table = b""
    for inks in range(16):
        cyan, others = inks & 8, inks & 7
        table += bytes(black if others else green if cyan else white)
    matrix = struct.pack(">9i", *(65_536 if at % 4 == 0 else 0 for at in range(9)))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + identity * 4 + table + identity * 3
    point = struct.pack(">4s4x3i", b"XYZ ", 63_190, 65_536, 54_061)
    text = b"text\0\0\0\0none\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78)
    tags = [(b"desc", description), (b"cprt", text), (b"wtpt", point), (b"A2B0", lut)]
    body, index, at = b"", struct.pack(">I", len(tags)), 132 + 12 * len(tags)
    for name, content in tags:
        index += struct.pack(">4sII", name, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12x4s4s", at + len(body), b"none", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp", b"none"
    )
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\0") + index + body


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("kept", [0.95, 0.5, 0.1])
def test_a_truncated_file_is_corrupt(kind: str, kept: float) -> None:
    noise = Image.effect_noise((300, 200), 80).convert("RGB")
    content = saved(noise, kind).getvalue()
    error = rejection(content[: int(len(content) * kept)], decode=True)
    assert error.code == "asset-corrupt"
    assert kind.lower() in error.data["found"].lower()
    assert "ends in the middle" in error.data["found"]


def test_other_formats_are_unsupported_and_named() -> None:
    assert rejection(b"").code == "asset-corrupt"
    for content, name in (
        (b"%!PS-Adobe-3.0", "PostScript"),
        (b"8BPS\0\1" + bytes(40), "Photoshop"),
        (b"<?xml version='1.0'?><rss/>", "XML"),
        (b"OggS" + bytes(40), "Ogg"),
        (b"just some text that is long enough", "an unknown file format"),
    ):
        error = rejection(content)
        assert (error.code, error.data["found"]) == ("asset-unsupported", name)


def test_a_jpeg_header_with_invalid_data_is_corrupt() -> None:
    assert rejection(b"\xff\xd8\xff\xe0" + b"rubbish" * 100).code == "asset-corrupt"


def png_header(width: int, height: int) -> bytes:
    """Returns a PNG with a large size in its header and almost no data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 50))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(100_000, 100_000), (20_000, 10_000), (10_001, 10_000)])
def test_a_decompression_bomb_is_rejected_by_its_header(size: tuple[int, int]) -> None:
    before = Image.MAX_IMAGE_PIXELS
    assert rejection(png_header(*size)).code == "asset-too-many-pixels"
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_pixel_limit_is_inclusive() -> None:
    assert read_header(REF, BytesIO(png_header(10_000, 10_000)), RenderLimits()).size == Size(10_000, 10_000)
    file = saved(quarters((40, 30)), "PNG")
    assert read_header(REF, file, RenderLimits(frame_pixels=1_200)).size == Size(40, 30)
    assert rejection(file.getvalue(), RenderLimits(frame_pixels=1_199)).code == "asset-too-many-pixels"


def test_long_animations_are_rejected() -> None:
    frames = [Image.new("RGB", (10, 10), (index * 20, 0, 0)) for index in range(10)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50).getvalue()
    assert rejection(content, RenderLimits(frames=9)).code == "asset-too-many-frames"
    assert rejection(content, RenderLimits(total_pixels=999)).code == "asset-too-many-frames"
    assert read_header(REF, BytesIO(content), RenderLimits(frames=10, total_pixels=1_000)).frames == 10


@pytest.mark.parametrize("seed", range(40))
def test_mutated_files_give_a_picture_or_a_typed_error(seed: int) -> None:
    kind = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")[seed % 5]
    content = bytearray(saved(quarters((60, 40)), kind).getvalue())
    for index in range(12):
        place = (seed * 7919 + index * 104_729) % len(content)
        content[place] = (content[place] + seed * 31 + index * 17 + 1) % 256
    with suppress(PermanentJobError):  # any other error fails the test
        assert decode_image(REF, BytesIO(bytes(content)), RenderLimits(), Size(20, 20)).mode in (
            "RGB",
            "RGBA",
        )
