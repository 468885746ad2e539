"""Drawings, documents, videos and the pictures of extras: drawn as their kind asks for, or named in the error."""

from __future__ import annotations

import gzip
import importlib
import json
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image, ImageDraw

from previewops.file_kinds import HEIF, JXL, PDF, SVG, FileKind
from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.decode import pdf_page
from previewops.worker.render.decode.colour import ColourSpace, icc_profile
from previewops.worker.render.decode.drawing_fonts import drawing_fonts
from previewops.worker.render.decode.open_picture import DecodedPicture, PictureHeader
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.pictures import decode_picture, read_header
from tests.extra_kinds import clip, files, form_pdf, heif, jxl, make_pdf, pdf
from tests.hostile import saved
from tests.render_support import corner_colours, payload, quarters, render_into

REF = AssetRef("it", "it")
FILES = files()
UPRIGHT = ["red", "green", "blue", "yellow"]
GAMMA_1_4 = ColourSpace((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), 0, 1.4)


def header(content: bytes, **options: Any) -> PictureHeader:
    return read_header(REF, BytesIO(content), RenderLimits(), **options)


def decoded(content: bytes, width: int = 400, height: int = 300, **options: Any) -> DecodedPicture:
    return decode_picture(REF, BytesIO(content), RenderLimits(), Size(width, height), **options)


def rejection(content: bytes, **options: Any) -> PermanentJobError:
    with pytest.raises(PermanentJobError) as caught:
        decoded(content, **options)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("name", FILES)
def test_every_kind_is_drawn(name: str) -> None:
    kind = {"heic": "heif"}.get(name, name)
    assert header(FILES[name]).format == kind
    image = decoded(FILES[name], 80, 60).image
    assert image.size == (80, 60)
    assert corner_colours(image) == UPRIGHT
    assert image.info == {}


@pytest.mark.parametrize("kind", [HEIF, JXL, SVG, PDF], ids=lambda kind: kind.extra)
def test_a_missing_extra_is_named(kind: FileKind, monkeypatch: pytest.MonkeyPatch) -> None:
    load = importlib.import_module

    def without(name: str) -> Any:
        if name == kind.module:
            raise ImportError(name)
        return load(name)

    monkeypatch.setattr(importlib, "import_module", without)
    error = rejection(FILES[kind.extension])
    assert error.code == "asset-unsupported"
    assert f"previewops[{kind.extra}]" in str(error.hint)
    assert kind.name in str(error.data["found"])


def test_a_job_imports_no_reader_that_it_does_not_use(tmp_path: Path) -> None:
    quarters((80, 60)).save(tmp_path / "a.png")
    request = {"steps": [{"assetIds": ["a"]}], "assets": [{"id": "a", "uri": "a.png"}], "audio": {}}
    script = (
        "import json, sys; from previewops.worker import render;"
        "LATE = ('av', 'pillow_heif', 'pillow_jxl', 'resvg_py', 'pypdfium2');"
        f"render(json.loads({json.dumps(request)!r}), out='out');"
        "print([name for name in LATE if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# HEIF and JPEG XL


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_the_orientation_of_a_heif_picture_is_applied_once(orientation: int) -> None:
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[
        orientation
    ]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = heif(quarters((80, 60)).transpose(turn), exif=exif.tobytes())
    assert header(content).size == Size(80, 60)
    assert corner_colours(decoded(content).image) == UPRIGHT


def test_a_heif_picture_of_ten_bits_with_a_profile_is_converted() -> None:
    samples = struct.pack("<3H", 33_000, 33_000, 33_000) * 64 * 64
    deep = pillow_heif.from_bytes("RGB;16", (64, 64), samples)
    file = BytesIO()
    deep.save(file, quality=95)
    grey = decoded(file.getvalue()).image.getpixel((30, 30))
    assert grey == pytest.approx((128, 128, 128), abs=4)
    with_profile = heif(Image.new("RGB", (64, 64), (128, 128, 128)), icc_profile=icc_profile(GAMMA_1_4))
    pixel = decoded(with_profile).image.getpixel((30, 30))
    assert isinstance(pixel, tuple)
    assert 155 < pixel[0] < 175


def test_a_jpeg_xl_picture_keeps_its_transparency() -> None:
    image = quarters((80, 60)).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 40, 30))
    assert decoded(jxl(image, lossless=True)).image.getpixel((10, 10)) == (0, 0, 0, 0)


def test_a_jpeg_inside_of_a_jpeg_xl_file_keeps_profile_and_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = quarters((160, 120)).transpose(Image.Transpose.ROTATE_180)
    jpeg = tmp_path / "a.jpg"
    turned.save(jpeg, quality=95, exif=exif, icc_profile=icc_profile(GAMMA_1_4))
    with Image.open(jpeg) as image:
        content = jxl(image, lossless_jpeg=True)
    picture = decoded(content).image
    assert corner_colours(picture) == UPRIGHT
    assert picture.getpixel((120, 30)) == pytest.approx(
        decoded(jpeg.read_bytes()).image.getpixel((120, 30)), abs=4
    )
    assert picture.getpixel((120, 30)) != pytest.approx((30, 180, 30), abs=12)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (300, 200), (257, 129), (1_000, 500), (3_000, 7)])
@pytest.mark.parametrize("use_container", [False, True])
def test_the_size_of_a_jpeg_xl_picture_is_read_before_it_is_decoded(
    size: tuple[int, int], use_container: bool
) -> None:
    content = jxl(Image.new("RGB", size), use_container=use_container, effort=1)
    limits = RenderLimits(frame_pixels=size[0] * size[1] - 1)
    with pytest.raises(PermanentJobError) as caught:
        read_header(REF, BytesIO(content), limits)
    assert caught.value.data["found"] == f"{size[0]}x{size[1]}, {size[0] * size[1]} pixels"
    assert header(content).size == Size(*size)


# TIFF, BMP and ICO


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"compression": "tiff_lzw"}),
        ("RGB", {"compression": "jpeg"}),
        ("RGB", {"compression": "tiff_adobe_deflate"}),
        ("RGB", {}),
        ("CMYK", {}),
        ("RGBA", {}),
        ("P", {}),
    ],
)
def test_tiffs_of_every_mode_are_drawn(mode: str, options: dict[str, str]) -> None:
    image = quarters((80, 60)).quantize(16) if mode == "P" else quarters((80, 60), mode)
    assert corner_colours(decoded(saved(image, "TIFF", **options)).image) == UPRIGHT


@pytest.mark.parametrize(("mode", "white"), [("1", 1), ("L", 255), ("I;16", 65_535)])
def test_tiffs_of_greys_are_drawn(mode: str, white: int) -> None:
    image = Image.new(mode, (80, 60), 0)
    image.paste(white, (0, 0, 40, 60))
    for options in ({}, {"compression": "group4"}) if mode == "1" else ({},):
        picture = decoded(saved(image, "TIFF", **options)).image
        assert (picture.getpixel((10, 10)), picture.getpixel((70, 10))) == ((255,) * 3, (0,) * 3)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_orientation_of_a_tiff_is_applied(orientation: int) -> None:
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}.get(orientation)
    stored = quarters((80, 60)) if turn is None else quarters((80, 60)).transpose(turn)
    content = saved(stored, "TIFF", tiffinfo={274: orientation})
    assert header(content).size == Size(80, 60)
    picture = decoded(content, 40, 30).image
    assert picture.size == (40, 30)
    assert corner_colours(picture) == UPRIGHT


def test_the_pages_of_a_tiff_are_chosen_by_number() -> None:
    pages = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime", "blue")]
    content = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert decoded(content).image.getpixel((5, 5)) == (255, 0, 0)
    assert decoded(content).notes == ("only the first page is shown",)
    assert decoded(content, page=3).image.getpixel((5, 5)) == (0, 0, 255)
    assert decoded(content, page=3).notes == ()
    assert rejection(content, page=4).code == "asset-page-missing"


def test_the_largest_picture_of_an_icon_is_drawn() -> None:
    content = saved(quarters((128, 128)), "ICO", sizes=[(16, 16), (128, 128), (32, 32)])
    assert header(content).size == Size(128, 128)


# SVG


def test_a_drawing_is_drawn_at_the_size_and_not_scaled() -> None:
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="5" height="10"/></svg>'
    )
    assert header(svg).as_json() == {"format": "svg", "width": 10, "height": 10}
    image = decoded(svg, 1_000, 1_000).image
    assert image.size == (1_000, 1_000)
    row = [image.getpixel((x, 500)) for x in range(1_000)]
    assert len(set(row)) <= 3, "an edge of one pixel"


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('width="120" height="80"', (120, 80)),
        ('width="1in" height="50%" viewBox="0 0 4 2"', (96, 48)),
        ('viewBox="0 0 30 20"', (30, 20)),
        ('viewBox="0,0,30,20" height="10mm"', (57, 38)),
        ("", (300, 150)),
        ('width="-3" height="abc"', (300, 150)),
        ('width="1e9" height="1"', (100_000, 1)),
        ('viewBox="a b c d"', (300, 150)),
    ],
)
def test_the_size_of_a_drawing_is_that_of_browsers(attributes: str, size: tuple[int, int]) -> None:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}><rect width="9" height="9"/></svg>'
    assert header(svg.encode()).natural == Size(*size)
    assert decoded(svg.encode()).image.width >= 1


DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><style>.a {{ fill: {0} }}</style>
<rect class="a" width="20" height="30"/><rect x="20" width="20" height="30" style="fill:{0}"/></svg>"""


@pytest.mark.parametrize(
    ("colour", "pixel"),
    [
        ("rgb(0 128 64)", (0, 128, 64, 255)),
        ("rgb(0 128 64 / 50%)", (0, 128, 64, 128)),
        ("rgba(0 128 64 / .5)", (0, 128, 64, 128)),
        ("rgba(0, 128, 64, 0.5)", (0, 128, 64, 128)),
        ("hsl(120deg 100% 25%)", (0, 128, 0, 255)),
        ("hsl(120 100% 25% / 0.5)", (0, 128, 0, 128)),
    ],
)
def test_colours_of_drawings_have_both_syntaxes_of_css(colour: str, pixel: tuple[int, ...]) -> None:
    image = decoded(DRAWING.format(colour).encode(), 40, 30).image.convert("RGBA")
    for at in ((5, 5), (35, 5)):
        assert image.getpixel(at) == pytest.approx(pixel, abs=2)


def test_lengths_of_drawings_have_units() -> None:
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="2in" height="1in">{}</svg>'
    parts = '<rect width="25.4mm" height="72pt" fill="red"/><rect x="1in" width="6pc" height="2.54cm" fill="blue"/>'
    image = decoded(drawing.format(parts).encode(), 192, 96).image.convert("RGB")
    assert [image.getpixel(at) for at in ((2, 2), (93, 93), (99, 2), (189, 93))] == [
        *[(255, 0, 0)] * 2,
        *[(0, 0, 255)] * 2,
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gzip"])
def test_a_drawing_may_be_in_utf_16_or_compressed(encoding: str) -> None:
    text = DRAWING.format("red")
    content = gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding)
    assert header(content).format == "svg"
    assert decoded(content, 40, 30).image.convert("RGB").getpixel((5, 5)) == (255, 0, 0)


def test_a_compressed_drawing_is_unpacked_up_to_a_limit() -> None:
    text = DRAWING.format("red").encode()
    assert "at most" in str(rejection(gzip.compress(text + b" " * 9_000_000)))
    assert rejection(gzip.compress(b"words")).data["found"] == "gzip"
    assert rejection(gzip.compress(text)[:-12]).code == "asset-corrupt"


def test_text_in_drawings_is_in_our_fonts() -> None:
    def width_of(family: str, fonts: tuple[str, ...]) -> int:
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="60">'
            f'<text x="5" y="40" font-size="30" font-family="{family}">Hamburgefonts</text></svg>'
        )
        box = decoded(svg.encode(), 400, 60, fonts=fonts).image.convert("RGBA").getchannel("A").getbbox()
        return box[2] - box[0] if box else 0

    fonts = drawing_fonts(None)
    assert any("Inter-Regular" in path for path in fonts)
    assert width_of("Inter", fonts) > 150
    assert width_of("Helvetica, sans-serif", fonts) == width_of("Inter", fonts)
    assert width_of("DejaVu Sans", fonts) > width_of("Inter", fonts)


def test_drawings_fetch_nothing_and_run_nothing(tmp_path: Path) -> None:
    quarters((40, 40)).save(tmp_path / "secret.png")
    inner = (
        f'<image href="{tmp_path}/secret.png" width="40" height="40"/>'
        f'<image xlink:href="file://{tmp_path}/secret.png" width="40" height="40"/>'
        '<image href="http://127.0.0.1:1/a.png" width="40" height="40"/>'
        '<use href="other.svg#a"/><script>throw 1</script>'
        '<foreignObject width="40" height="40"><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>'
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="40" height="40">{inner}</svg>'
    )
    picture = decoded(svg.encode(), 40, 40)
    assert picture.image.getextrema() == ((0, 0),) * 4, "nothing is drawn"
    assert picture.notes == ("references outside of the file are left out",)
    with_entity = f'<!DOCTYPE svg [<!ENTITY e SYSTEM "file://{tmp_path}/secret.png">]><svg>&e;</svg>'
    assert rejection(with_entity.encode()).code == "asset-corrupt"


def test_a_picture_inside_of_a_drawing_is_drawn() -> None:
    import base64

    data = base64.b64encode(saved(quarters((40, 40)), "PNG")).decode()
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">'
        f'<image href="data:image/png;base64,{data}" width="40" height="40"/></svg>'
    )
    picture = decoded(svg.encode(), 40, 40)
    assert corner_colours(picture.image) == UPRIGHT
    assert picture.notes == ()


# PDF


def test_the_page_of_a_document_is_chosen_by_number() -> None:
    content = pdf(3)
    assert header(content).natural == Size(400, 300)

    def bars(page: int | None) -> int:
        image = decoded(content, 400, 300, page=page).image
        return sum(image.getpixel((20 * bar + 5, 5)) == (0, 0, 0) for bar in range(5))

    assert [bars(page) for page in (None, 1, 2, 3)] == [0, 0, 1, 2]
    assert decoded(content).notes == ("page 1 of 3 is shown",)
    assert decoded(content, page=1).notes == decoded(pdf(1)).notes == ()
    error = rejection(content, page=4)
    assert (error.code, error.data["allowed"]) == ("asset-page-missing", "a page from 1 to 3")


def test_the_fields_of_a_form_are_drawn_as_they_are_filled_in() -> None:
    image = decoded(form_pdf(), 80, 60).image
    assert (image.getpixel((40, 30)), image.getpixel((5, 5))) == ((255, 0, 0), (255, 255, 255))


def test_a_page_that_takes_too_long_is_rejected_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    page = make_pdf([b"0 0 10 10 re f\n" * 5_000], (80, 60))
    assert decoded(page, 80, 60).image.getpixel((5, 55)) == (0, 0, 0)
    monkeypatch.setattr(pdf_page, "MAX_DRAWING_S", 0.0)
    error = rejection(page)
    assert error.code == "asset-too-many-pixels"
    assert "processor time" in str(error.data["found"])


def test_a_document_may_start_behind_some_bytes() -> None:
    assert corner_colours(decoded(b"junk\n" * 100 + pdf(), 80, 60).image) == UPRIGHT


def test_a_page_is_drawn_at_the_size() -> None:
    image = decoded(pdf(1, (40, 30)), 1_200, 900).image
    assert image.size == (1_200, 900)
    assert len({image.getpixel((x, 100)) for x in range(1_200)}) <= 3
    assert header(pdf(1, (10_000, 10))).size.height >= 1


@pytest.mark.parametrize("size", [(10_000, 0.0001), (0.0001, 0.0001)])
def test_a_page_without_an_area_is_drawn_small(size: tuple[float, float]) -> None:
    assert decoded(pdf(1, size), 1_200, 900).image.size[0] > 0


# Videos


@pytest.mark.parametrize("kind", ["mp4", "mov", "webm"])
def test_a_video_shows_its_representative_frame(kind: str) -> None:
    scene = quarters((160, 120))
    frames = [Image.new("RGB", (160, 120))] * 6 + [scene] * 30 + [Image.new("RGB", (160, 120), "white")] * 4
    picture = decoded(clip(kind, frames))
    assert picture.image.size == (160, 120)
    assert corner_colours(picture.image) == UPRIGHT
    assert picture.notes == ("a video; one frame of it is shown",)


def test_the_colours_of_a_video_are_right() -> None:
    frame = Image.new("RGB", (1_280, 720), (200, 60, 40))
    pixel = decoded(clip("mp4", [frame] * 3), 1_280, 720).image.getpixel((600, 300))
    assert pixel == pytest.approx((200, 60, 40), abs=14)


def test_a_cut_video_is_shown_or_rejected_in_words() -> None:
    frames = [quarters((160, 120))] * 30
    webm, mp4 = clip("webm", frames), clip("mp4", frames)
    assert corner_colours(decoded(webm[: len(webm) * 3 // 4]).image) == UPRIGHT
    error = rejection(mp4[: len(mp4) // 2])  # its index is at the end
    assert error.code == "asset-corrupt"
    assert error.data["found"] == "MP4 data that is damaged"


def test_a_sound_in_a_video_container_is_no_picture() -> None:
    from tests.sample_sounds import encode_sound, tone

    content = encode_sound(tone(0.5), "m4a")
    assert rejection(content).code == "asset-unsupported"


# All of them in a bundle


def test_documents_and_videos_are_in_a_bundle(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "pages").write_bytes(pdf(3))
    art = Image.new("RGBA", (64, 64))
    ImageDraw.Draw(art).ellipse((8, 8, 56, 56), fill=(0, 0, 0, 255))
    art.save(tmp_path / "art.png")
    assets: list[dict[str, Any]] = [{"id": name, "uri": name} for name in FILES]
    assets += [{"id": "page", "uri": "pages", "page": 2}, {"id": "art", "uri": "art.png"}]
    steps = [{"title": entry["id"], "assetIds": [entry["id"]]} for entry in assets]
    result = render_into(tmp_path / "out", payload(steps, assets, theme="dark"), tmp_path)
    assert not result.asset_errors
    assert len(result.paths.thumbnails) == len(assets)
    assert sorted(result.asset_notes) == ["mov", "mp4", "webm"]
