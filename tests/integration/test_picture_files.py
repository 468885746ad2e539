"""Picture files that are damaged or unusual, drawn as browsers draw them. Colours were compared with Chromium 156."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.decode.colour import ColourSpace, icc_profile
from previewops.worker.render.decode.open_picture import DecodedPicture
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.pictures import decode_picture, read_header
from tests.hostile import chunk, saved
from tests.png_suite import GREY, GREY_ALPHA, RGB, PngMaker
from tests.render_support import corner_colours, quarters

REF = AssetRef("it", "it")
UPRIGHT = ["red", "green", "blue", "yellow"]
CLEAR = (0, 0, 0, 0)


def decoded(content: bytes) -> DecodedPicture:
    return decode_picture(REF, BytesIO(content), RenderLimits(), Size(4_000, 4_000))


def pixel(content: bytes, x: int, y: int) -> tuple[int, ...]:
    value = decoded(content).image.convert("RGBA").getpixel((x, y))
    assert isinstance(value, tuple)
    return tuple(int(part) for part in value)


def code_of(content: bytes) -> str:
    with pytest.raises(PermanentJobError) as caught:
        decoded(content)
    return caught.value.code


# GIF


def gif_frame(
    box: tuple[int, int, int, int], index: int, *, disposal: int = 0, clear: int | None = None
) -> bytes:
    """A frame of one colour at (left, top, width, height)."""
    left, top, width, height = box
    still = saved(Image.new("P", (width, height), index), "GIF", optimize=False)
    at = still.rindex(b"\x2c" + bytes(4) + struct.pack("<HH", width, height))
    data = still[at + 10 : -1]
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2 | (clear is not None), 5, clear or 0, 0)
    return control + struct.pack("<BHHHHB", 0x2C, left, top, width, height, 0) + data


def gif(*frames: bytes, size: tuple[int, int] = (60, 60), background: int = 1) -> bytes:
    """A GIF with the colours red, green, blue and white."""
    colours = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255))
    return (
        b"GIF89a" + struct.pack("<HHBBB", *size, 0xF1, background, 0) + colours + b"".join(frames) + b"\x3b"
    )


def test_what_no_frame_of_a_gif_covers_is_transparent() -> None:
    content = gif(gif_frame((10, 10, 20, 20), 2))
    assert pixel(content, 5, 5) == pixel(content, 40, 40) == CLEAR
    assert pixel(content, 15, 15) == (0, 0, 255, 255)


@pytest.mark.parametrize(("disposal", "expected"), [(1, (0, 0, 255, 255)), (2, CLEAR), (3, (255, 0, 0, 255))])
def test_a_frame_of_a_gif_is_disposed_of(disposal: int, expected: tuple[int, ...]) -> None:
    """To the background means transparent, whatever the colour of the background is."""
    first = gif_frame((0, 0, 60, 60), 0)
    second = gif_frame((10, 10, 20, 20), 2, disposal=disposal)
    last = gif_frame((50, 50, 5, 5), 3)
    content = gif(first, second, *[last] * 30)
    assert pixel(content, 15, 15) == expected
    assert pixel(content, 5, 5) == (255, 0, 0, 255)
    assert pixel(content, 52, 52) == (255, 255, 255, 255)


def test_the_transparent_index_of_a_gif_shows_the_frame_below() -> None:
    content = gif(gif_frame((0, 0, 60, 60), 0), *[gif_frame((0, 0, 60, 60), 2, clear=2)] * 30)
    assert pixel(content, 30, 30) == (255, 0, 0, 255)


def test_a_gif_whose_last_frame_is_cut_shows_the_others() -> None:
    still = saved(Image.effect_noise((60, 60), 90).quantize(4), "GIF")
    noise = gif_frame((0, 0, 60, 60), 1)[:8] + still[still.index(b"\x2c" + bytes(4)) : -1]
    whole = gif(gif_frame((0, 0, 60, 60), 2), noise)
    picture = decoded(whole[: -len(noise) // 2])
    assert picture.image.getpixel((3, 3)) == (0, 0, 255)
    assert "end of the file" in picture.notes[0]
    assert code_of(gif(noise)[: -len(noise) // 2]) == "asset-corrupt"


def test_frames_of_a_gif_without_area_are_left_out() -> None:
    content = gif(
        gif_frame((0, 0, 60, 60), 2),
        gif_frame((0, 0, 5, 5), 1)[:13] + bytes(4) + gif_frame((0, 0, 5, 5), 1)[17:],
    )
    assert read_header(REF, BytesIO(content), RenderLimits()).frames == 1
    assert pixel(content, 3, 3) == (0, 0, 255, 255)


# Files without their end


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("behind", [b"", b"\0" * 50])
def test_a_jpeg_without_its_end_marker_is_drawn(progressive: bool, behind: bytes) -> None:
    content = saved(quarters((200, 120)), "JPEG", progressive=progressive)
    assert content.endswith(b"\xff\xd9")
    picture = decoded(content[:-2] + behind)
    assert corner_colours(picture.image) == UPRIGHT
    assert picture.image.tobytes() == decoded(content).image.tobytes()
    assert picture.notes == ("the end of the file is missing; what is there is shown",)
    assert decoded(content).notes == ()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_jpeg_that_lacks_pixels_is_rejected(progressive: bool, kept: float) -> None:
    content = saved(Image.effect_noise((300, 300), 90).convert("RGB"), "JPEG", progressive=progressive)
    assert code_of(content[: int(len(content) * kept)]) == "asset-corrupt"
    assert code_of(content[: int(len(content) * kept)] + bytes(30)) == "asset-corrupt"


def test_a_png_without_its_end_chunk_is_drawn() -> None:
    content = PngMaker(RGB, 8).make().content
    for cut in (4, 12, 16):  # the checksum, the last chunk, and the checksum of the data
        picture = decoded(content[:-cut])
        assert picture.image.tobytes() == decoded(content).image.tobytes()
        assert bool(picture.notes) == (cut > 4)
    assert code_of(content[:-200]) == "asset-corrupt"


def webp(frames: int) -> bytes:
    images = [Image.effect_noise((80, 60), 90 + number).convert("RGB") for number in range(frames)]
    return saved(images[0], "WEBP", save_all=True, append_images=images[1:], duration=50)


def test_an_animated_webp_whose_last_frame_is_cut_shows_the_others() -> None:
    content = webp(4)
    picture = decoded(content[: content.rindex(b"ANMF") + 300])
    assert picture.image.size == (80, 60)
    assert "end of the file" in picture.notes[0]
    assert code_of(content[: content.index(b"ANMF") + 300]) == "asset-corrupt"


# APNG


def apng() -> list[bytes]:
    """The chunks of an animation of two frames behind a hidden default picture, which is red."""

    def data(colour: tuple[int, int, int]) -> bytes:
        return zlib.compress((b"\0" + bytes(colour) * 8) * 8)

    def control(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">5IHHBB", number, 8, 8, 0, 0, 1, 10, 0, 0))

    green, blue = data((0, 255, 0)), data((0, 0, 255))
    return [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
        chunk(b"acTL", struct.pack(">II", 2, 0)),
        chunk(b"IDAT", data((255, 0, 0))),
        control(0),
        chunk(b"fdAT", struct.pack(">I", 1) + green),
        control(2),
        chunk(b"fdAT", struct.pack(">I", 3) + blue),
        chunk(b"IEND", b""),
    ]


def test_a_hidden_default_picture_is_not_shown() -> None:
    assert pixel(b"".join(apng()), 3, 3) in ((0, 255, 0, 255), (0, 0, 255, 255))
    assert read_header(REF, BytesIO(b"".join(apng())), RenderLimits()).frames == 2
    parts = apng()
    one_frame = [*parts[:2], chunk(b"acTL", struct.pack(">II", 1, 0)), *parts[3:6], parts[8]]
    assert pixel(b"".join(one_frame), 3, 3) == (0, 255, 0, 255)


@pytest.mark.parametrize(
    "damage",
    [
        lambda parts: parts[:5] + parts[6:],
        lambda parts: [*parts[:5], parts[7], parts[6], parts[5], parts[8]],
        lambda parts: parts[:6] + parts[8:],
        lambda parts: [*parts[:4], parts[4][:-4] + b"crc!", *parts[5:]],
        lambda parts: [*parts[:2], chunk(b"acTL", struct.pack(">II", 9, 0)), *parts[3:]],
        lambda parts: [*parts[:2], parts[2], parts[2][:-1], *parts[3:]][:4] + parts[3:],
        lambda parts: [*parts[:5], chunk(b"fdAT", struct.pack(">I", 1) + b"rubbish"), *parts[6:]],
    ],
    ids=["no-data", "order", "frame-missing", "checksum", "count", "cut-chunk", "broken-data"],
)
def test_a_damaged_animation_shows_the_default_picture(damage: object) -> None:
    assert callable(damage)
    content = b"".join(damage(apng()))
    try:
        assert pixel(content, 3, 3) == (255, 0, 0, 255)
    except PermanentJobError:
        assert damage(apng())[3] == apng()[2][:-1], "the chunks behind a cut one cannot be found"


# Orientation


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_an_orientation_in_xmp_turns_nothing(kind: str) -> None:
    if kind == "PNG":
        plain = saved(quarters((80, 60)), "PNG")
        content = plain[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP) + plain[33:]
    else:
        content = saved(quarters((80, 60)), kind, xmp=XMP)
    assert XMP in content
    assert corner_colours(decoded(content).image) == UPRIGHT


# Brands


@pytest.mark.parametrize("brand", [b"mif1", b"miaf", b"msf1", b"avif", b"isom"])
def test_an_avif_is_known_by_any_of_its_brands(brand: bytes) -> None:
    content = saved(quarters((80, 60)), "AVIF")
    other = content[:8] + brand + content[12:]
    assert b"avif" in other[16:32]
    assert corner_colours(decoded(other).image) == UPRIGHT


# Colours


def with_nclx(content: bytes, primaries: int, transfer: int) -> bytes:
    at = content.index(b"nclx") + 4
    return content[:at] + struct.pack(">HH", primaries, transfer) + content[at + 4 :]


def cicp(*values: int) -> bytes:
    return chunk(b"cICP", bytes(values))


CODED = [  # primaries, transfer, red, green and blue as stored, as Chromium shows them
    (12, 13, (32, 223, 16), (0, 227, 0)),
    (12, 13, (208, 47, 104), (227, 10, 104)),
    (1, 4, (64, 191, 32), (62, 192, 26)),
    (1, 8, (96, 159, 48), (165, 207, 120)),
    (9, 13, (128, 128, 128), (128, 128, 128)),
    (9, 16, (128, 128, 128), (132, 132, 132)),
    (9, 16, (160, 160, 160), (213, 213, 213)),
    (9, 16, (200, 200, 200), (255, 255, 255)),
    (9, 18, (160, 160, 160), (135, 135, 135)),
    (9, 18, (208, 208, 208), (212, 212, 212)),
    (2, 2, (96, 159, 48), (96, 159, 48)),
]


@pytest.mark.parametrize("coded", CODED)
def test_the_colours_of_a_png_are_those_that_cicp_names(coded: tuple[int, int, bytes, bytes]) -> None:
    primaries, transfer, stored, shown = coded
    plain = saved(Image.new("RGB", (4, 4), tuple(stored)), "PNG")
    content = plain[:33] + cicp(primaries, transfer, 0, 1) + plain[33:]
    assert pixel(content, 1, 1)[:3] == pytest.approx(shown, abs=3)
    assert pixel(plain[:33] + cicp(primaries, transfer, 0, 0) + plain[33:], 1, 1)[:3] == tuple(stored)


@pytest.mark.parametrize("coded", CODED)
def test_the_colours_of_an_avif_are_those_that_nclx_names(coded: tuple[int, int, bytes, bytes]) -> None:
    primaries, transfer, stored, shown = coded
    plain = saved(Image.new("RGB", (16, 16), tuple(stored)), "AVIF", quality=100, subsampling="4:4:4")
    assert pixel(with_nclx(plain, primaries, transfer), 8, 8)[:3] == pytest.approx(shown, abs=5)


@pytest.mark.parametrize(("transfer", "shown"), [(1, 87), (6, 87), (14, 87), (13, 96)])
def test_the_curve_of_television_counts_in_png_alone(transfer: int, shown: int) -> None:
    plain = saved(Image.new("RGB", (16, 16), (96, 96, 96)), "PNG")
    assert pixel(plain[:33] + cicp(1, transfer, 0, 1) + plain[33:], 1, 1)[0] == pytest.approx(shown, abs=1)
    still = saved(Image.new("RGB", (16, 16), (96, 96, 96)), "AVIF", quality=100)
    assert pixel(with_nclx(still, 1, transfer), 8, 8)[0] == pytest.approx(96, abs=3)


def png_of_grey(value: int) -> bytes:
    return saved(Image.new("RGB", (4, 4), (value,) * 3), "PNG")


def test_a_transparent_colour_that_no_sample_can_have_is_ignored() -> None:
    assert decoded(PngMaker(GREY, 1).make(transparent=(255,)).content).image.mode == "RGB"


def test_colour_chunks_of_a_png_have_their_order() -> None:
    plain = saved(Image.new("RGB", (4, 4), (96, 96, 96)), "PNG")
    gamma, srgb = chunk(b"gAMA", struct.pack(">I", 100_000)), chunk(b"sRGB", b"\0")
    profile = chunk(
        b"iCCP",
        b"x\0\0"
        + zlib.compress(icc_profile(ColourSpace((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), 0, 1.4))),
    )

    def shown(*chunks: bytes) -> int:
        return pixel(plain[:33] + b"".join(chunks) + plain[33:], 1, 1)[0]

    assert shown(gamma) == pytest.approx(165, abs=1)
    srgb_primaries = chunk(
        b"cHRM", struct.pack(">8I", 31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
    )
    old_gamma = chunk(b"gAMA", struct.pack(">I", 45_455))
    dark = png_of_grey(16)
    assert pixel(dark, 1, 1)[0] == 16
    assert pixel(dark[:33] + old_gamma + dark[33:], 1, 1)[0] == 16
    assert pixel(dark[:33] + old_gamma + srgb_primaries + dark[33:], 1, 1)[0] == pytest.approx(8, abs=2)
    assert shown(gamma, srgb) == shown(srgb, gamma) == 96
    assert shown(gamma, cicp(1, 13, 0, 1)) == 96
    with_profile = shown(profile)
    assert 96 < with_profile < 165
    assert shown(gamma, profile) == with_profile
    assert shown(profile, cicp(1, 13, 0, 1)) == 96
    assert shown(profile[:-4] + b"crc!", gamma) == shown(gamma)
    assert shown(chunk(b"cHRM", struct.pack(">8I", *[30_000] * 8)), gamma) == 96, "primaries of no space"


def grey_profile(gamma: float) -> bytes:
    """A profile of greys with an exponent."""
    curve = struct.pack(">4s4xIH", b"curv", 1, round(gamma * 256)) + b"\0\0"
    point = struct.pack(">4s4x3i", b"XYZ ", 63_190, 65_536, 54_061)
    table = struct.pack(">I4sII4sII", 2, b"wtpt", 156, len(point), b"kTRC", 156 + len(point), len(curve))
    size = 156 + len(point) + len(curve)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    head = (head.ljust(36, b"\0") + b"acsp").ljust(68, b"\0") + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\0") + table + point + curve


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_the_profile_of_greys_is_applied_with_and_without_alpha(mode: str) -> None:
    assert ImageCms.ImageCmsProfile(BytesIO(grey_profile(1.0))).profile.xcolor_space == "GRAY"
    image = Image.new(mode, (4, 4), 128 if mode == "L" else (128, 77))  # type: ignore[arg-type]
    content = saved(image, "PNG", icc_profile=grey_profile(1.0))
    red, green, blue, alpha = pixel(content, 1, 1)
    assert (red, green, blue) == pytest.approx((188, 188, 188), abs=2)
    assert alpha == (255 if mode == "L" else 77)


@pytest.mark.parametrize("colour", [GREY, GREY_ALPHA, RGB])
def test_a_large_colour_profile_is_read(colour: int) -> None:
    large = (
        grey_profile(1.0)
        if colour != RGB
        else icc_profile(ColourSpace((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), 0, 1.0))
    )
    padded = struct.pack(">I", len(large) + 2_000_000) + large[4:] + bytes(2_000_000)
    small, big = (
        decoded(
            PngMaker(colour, 8).make(before_data=chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))).content
        ).image
        for profile in (large, padded)
    )
    assert small.tobytes() == big.tobytes() != decoded(PngMaker(colour, 8).make().content).image.tobytes()


def test_seventy_megabytes_of_text_are_skipped() -> None:
    text = chunk(b"tEXt", b"workflow\0" + bytes(9_000_000).replace(b"\0", b"x"))
    case = PngMaker(RGB, 8).make(before_data=text * 8)
    assert decoded(case.content).image.tobytes() == decoded(PngMaker(RGB, 8).make().content).image.tobytes()
