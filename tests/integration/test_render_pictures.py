"""Pictures as they come: oriented, in colour spaces, deep, transparent, broken, huge."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from functools import partial
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from previewops.errors import PermanentJobError
from previewops.worker.assets import AssetRef
from previewops.worker.render.geometry import Size
from previewops.worker.render.limits import Limits
from previewops.worker.render.pictures import decode, measure
from tests.render_support import corners, quarters

REF = AssetRef("it", "it.png")
UPRIGHT = ["red", "green", "blue", "yellow"]
# Where the stored picture's corners must lie for each EXIF orientation to come out upright.
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


def refused(content: bytes, limits: Limits | None = None, *, whole: bool = False) -> PermanentJobError:
    read = partial(decode, wanted=Size(50, 50)) if whole else measure
    with pytest.raises(PermanentJobError) as caught:
        read(REF, BytesIO(content), limits or Limits())
    assert caught.value.data["found"]
    assert caught.value.data["allowed"]
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_every_format_is_measured_and_decoded(kind: str) -> None:
    file = saved(quarters((400, 300)), kind)
    found = measure(REF, file, Limits())
    assert (found.format, found.size, found.frames) == (kind.lower(), Size(400, 300), 1)
    image = decode(REF, file, Limits(), Size(100, 75))
    assert image.size == (100, 75)
    assert image.mode == "RGB"
    assert corners(image) == UPRIGHT


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_come_out_upright(orientation: int, kind: str) -> None:
    turn = STORED[orientation]
    upright = quarters((400, 200))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(upright.transpose(turn) if turn is not None else upright, kind, exif=exif)
    assert measure(REF, file, Limits()).size == Size(400, 200)
    image = decode(REF, file, Limits(), Size(100, 50))
    assert image.size == (100, 50)
    assert corners(image) == UPRIGHT


def test_nothing_is_enlarged_and_shrinking_still_covers() -> None:
    file = saved(quarters((400, 300)), "PNG")
    assert decode(REF, file, Limits(), Size(4_000, 3_000)).size == (400, 300)
    assert decode(REF, file, Limits(), Size(100, 10)).size == (100, 75)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    ramp = Image.frombytes("I;16", (256, 4), struct.pack("<256H", *range(0, 65_536, 256)) * 4)
    image = decode(REF, saved(ramp, "PNG"), Limits(), Size(256, 4))
    values = [image.getpixel((x, 1)) for x in (0, 64, 128, 255)]
    for value, wanted in zip(values, (0, 64, 128, 254), strict=True):
        assert isinstance(value, tuple)
        assert all(abs(part - wanted) <= 1 for part in value)


def test_cmyk_comes_out_in_its_colours() -> None:
    image = decode(REF, saved(quarters((80, 80), "CMYK"), "JPEG", quality=95), Limits(), Size(80, 80))
    assert image.mode == "RGB"
    assert corners(image) == UPRIGHT


def test_a_colour_profile_is_applied() -> None:
    grey = Image.new("RGB", (40, 40), (128, 128, 128))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    ignored = decode(REF, saved(grey, "PNG", icc_profile=lab), Limits(), Size(40, 40))
    assert ignored.getpixel((5, 5)) == (128, 128, 128)
    broken = decode(REF, saved(grey, "PNG", icc_profile=b"no profile at all"), Limits(), Size(40, 40))
    assert broken.getpixel((5, 5)) == (128, 128, 128)
    linear = decode(REF, saved(grey, "PNG", icc_profile=linear_profile()), Limits(), Size(40, 40))
    pixel = linear.getpixel((5, 5))
    assert isinstance(pixel, tuple)
    assert 183 <= pixel[0] <= 192  # half the light is 188 in sRGB


def linear_profile() -> bytes:
    """sRGB's primaries with a gamma of 1, by replacing the tone curves of a profile."""
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
    found = decode(REF, saved(image, "PNG"), Limits(), Size(40, 40))
    assert found.mode == "RGBA"
    assert found.getchannel("A").getpixel((10, 10)) == 0
    assert found.getchannel("A").getpixel((30, 30)) == 255


def test_alpha_that_hides_nothing_is_dropped() -> None:
    assert decode(REF, saved(quarters((80, 80), "RGBA"), "PNG"), Limits(), Size(40, 40)).mode == "RGB"


def test_only_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "AVIF"):
        file = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
        assert measure(REF, file, Limits()).frames == 3
        pixel = decode(REF, file, Limits(), Size(40, 30)).getpixel((5, 5))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 240


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("kept", [0.95, 0.5, 0.1])
def test_a_file_that_breaks_off_is_corrupt(kind: str, kept: float) -> None:
    noise = Image.effect_noise((300, 200), 80).convert("RGB")
    content = saved(noise, kind).getvalue()
    error = refused(content[: int(len(content) * kept)], whole=True)
    assert error.code == "asset-corrupt"
    assert kind in error.data["found"]


def test_what_is_no_picture_is_named() -> None:
    assert refused(b"").code == "asset-corrupt"
    for content, name in (
        (b"%PDF-1.7 ...", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (saved(quarters((8, 8)), "TIFF").getvalue(), "TIFF"),
        (saved(quarters((8, 8)), "BMP").getvalue(), "BMP"),
        (b"just some text that is long enough", "an unknown kind of file"),
    ):
        error = refused(content)
        assert (error.code, error.data["found"]) == ("asset-unsupported", name)


def test_a_jpeg_header_before_rubbish_is_corrupt() -> None:
    assert refused(b"\xff\xd8\xff\xe0" + b"rubbish" * 100).code == "asset-corrupt"


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to no data."""

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
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    before = Image.MAX_IMAGE_PIXELS
    assert refused(png_header(*size)).code == "asset-too-many-pixels"
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_bound_itself_is_allowed() -> None:
    assert measure(REF, BytesIO(png_header(10_000, 10_000)), Limits()).size == Size(10_000, 10_000)
    file = saved(quarters((40, 30)), "PNG")
    assert measure(REF, file, Limits(frame_pixels=1_200)).size == Size(40, 30)
    assert refused(file.getvalue(), Limits(frame_pixels=1_199)).code == "asset-too-many-pixels"


def test_endless_animations_are_refused() -> None:
    frames = [Image.new("RGB", (10, 10), (index * 20, 0, 0)) for index in range(10)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50).getvalue()
    assert refused(content, Limits(frames=9)).code == "asset-too-many-frames"
    assert refused(content, Limits(total_pixels=999)).code == "asset-too-many-frames"
    assert measure(REF, BytesIO(content), Limits(frames=10, total_pixels=1_000)).frames == 10


@pytest.mark.parametrize("seed", range(40))
def test_mutated_files_give_a_picture_or_a_typed_error(seed: int) -> None:
    kind = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")[seed % 5]
    content = bytearray(saved(quarters((60, 40)), kind).getvalue())
    for index in range(12):
        place = (seed * 7919 + index * 104_729) % len(content)
        content[place] = (content[place] + seed * 31 + index * 17 + 1) % 256
    with suppress(PermanentJobError):  # any other error fails the test
        assert decode(REF, BytesIO(bytes(content)), Limits(), Size(20, 20)).mode in ("RGB", "RGBA")
