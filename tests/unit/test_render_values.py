"""Pure parts of the renderer: theme, limits, paths, animated formats, ThumbHash, timings."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from previewops.worker.render.bundle_paths import choose_bundle_paths
from previewops.worker.render.decode.gif_file import read_gif
from previewops.worker.render.encode.apng import ApngAnimation
from previewops.worker.render.encode.frames import Piece
from previewops.worker.render.encode.gif import GifAnimation
from previewops.worker.render.encode.stills import encode_still
from previewops.worker.render.encode.thumbhash import encode_thumbhash
from previewops.worker.render.encode.webp import WebpAnimation
from previewops.worker.render.jsonfile import encode_json
from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.layout.titlecard import format_duration
from previewops.worker.render.layout.type_scale import LayoutMetrics
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.storyboard import ANIMATED_FORMATS, read_storyboard
from previewops.worker.render.theme import DARK, LIGHT, choose_theme, contrast
from previewops.worker.render.timings import PhaseTimer
from tests.render_support import payload, quarters


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_any_background_keeps_text_and_shapes_readable(background: str) -> None:
    theme = choose_theme(None, background)
    assert contrast(theme.ink, theme.background) >= 4.5
    assert contrast(theme.muted, theme.background) >= 4.5
    assert contrast(theme.muted, theme.surface) >= 4.5
    assert contrast(theme.accent, theme.background) >= 4.5
    assert contrast(theme.on_accent, theme.accent) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_both_palettes_keep_their_contrast(theme: object) -> None:
    assert theme in (LIGHT, DARK)
    chosen = LIGHT if theme is LIGHT else DARK
    for ground in (chosen.background, chosen.surface):
        assert contrast(chosen.ink, ground) >= 7
        assert contrast(chosen.muted, ground) >= 4.5
    assert contrast(chosen.accent, chosen.background) >= 4.5
    assert contrast(chosen.on_accent, chosen.accent) >= 4.5


def test_theme_and_background_select_the_palette() -> None:
    assert choose_theme(None, None) is LIGHT
    assert choose_theme("dark", None) is DARK
    assert choose_theme(None, "dark") is DARK
    assert choose_theme("dark", "#ffffff").background == (255, 255, 255)


def test_limits_from_a_mapping_are_validated() -> None:
    assert RenderLimits.from_mapping({"frames": 5}).frames == 5
    assert RenderLimits.from_mapping(None) == RenderLimits()
    with pytest.raises(ValueError, match="found 'frame', allowed asset_bytes"):
        RenderLimits.from_mapping({"frame": 5})
    for wrong in (0, True, "5", 1.5):
        with pytest.raises(ValueError, match="positive whole number"):
            RenderLimits.from_mapping({"frames": wrong})


@pytest.mark.parametrize("resolution", ["64x64", "320x180", "720x1280", "1000x64", "3840x2160"])
def test_the_grid_fits_every_resolution(resolution: str) -> None:
    width, height = map(int, resolution.split("x"))
    metrics = LayoutMetrics(Size(width, height))
    content = metrics.content
    assert 0 < content.left < content.right < width
    assert (
        0
        < content.top
        < content.bottom
        < metrics.progress_bar_box.top
        < metrics.progress_bar_box.bottom
        < height
    )
    assert metrics.body_min <= metrics.body <= metrics.heading <= metrics.display


def test_thumbnail_paths_are_safe_and_unique() -> None:
    ids = ["board", "../../etc/passwd", "a b", "a-b", "A-B", "日本", "x" * 128, ".", "board.png"]
    paths = choose_bundle_paths(read_storyboard(payload(assets=[{"id": name, "uri": "f"} for name in ids])))
    thumbnails = list(paths.thumbnails.values())
    assert paths.thumbnails["board"] == "thumbs/board.webp"
    assert len({path.lower() for path in thumbnails}) == len(ids)
    assert all(re.fullmatch(r"thumbs/[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.webp", path) for path in thumbnails)


def test_frame_paths_sort_by_number() -> None:
    paths = choose_bundle_paths(read_storyboard(payload(steps=[{}] * 12)))
    assert paths.frames[0] == "frames/000-title.webp"
    assert paths.frames[12] == "frames/012.webp"
    assert list(paths.frames) == sorted(paths.frames)


@pytest.mark.parametrize(
    ("options", "still"),
    [
        ({}, "webp"),
        ({"format": "webp"}, "webp"),
        ({"format": "png"}, "png"),
        ({"format": "jpeg"}, "jpeg"),
        *(({"format": kind}, "jpeg") for kind in ANIMATED_FORMATS if kind != "webp"),
        ({"format": "gif", "imageFormat": "avif"}, "avif"),
        ({"outputs": ["mp4", "webp"]}, "webp"),
        ({"outputs": ["mp4", "apng"]}, "jpeg"),
    ],
)
def test_default_still_format_follows_the_animation_format(options: dict[str, str], still: str) -> None:
    assert read_storyboard(payload(**options)).image_format == still


@pytest.mark.parametrize("size", [Size(64, 48), Size(65, 49)])
def test_animated_webp_keeps_the_pixels_of_its_stills(size: Size) -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    stills = [encode_still(Image.new("RGB", size, colour), "webp", 90, (0, 0, 0)) for colour in colours]
    target = BytesIO()
    assembled(WebpAnimation(target, size), zip(stills, [100, 2_000, 600_000], strict=True), size)
    with Image.open(target) as animation:
        assert (animation.n_frames, animation.size) == (3, size)  # type: ignore[attr-defined]
        for index, still in enumerate(stills):
            animation.seek(index)
            with Image.open(BytesIO(still)) as alone:
                assert animation.convert("RGB").tobytes() == alone.convert("RGB").tobytes()


def test_animated_gif_keeps_the_palettes_of_its_stills() -> None:
    stills = [
        saved(quarters((20, 10)).rotate(turn).quantize(colours), "GIF")
        for turn, colours in ((0, 4), (180, 8))
    ]
    target = BytesIO()
    assembled(GifAnimation(target, Size(20, 10)), zip(stills, [5, 1_234], strict=True), Size(20, 10))
    with Image.open(target) as animation:
        assert animation.n_frames == 2  # type: ignore[attr-defined]
        for index, (still, duration) in enumerate(zip(stills, (20, 1_230), strict=True)):
            animation.seek(index)
            assert animation.info["duration"] == duration
            with Image.open(BytesIO(still)) as alone:
                assert animation.convert("RGB").tobytes() == alone.convert("RGB").tobytes()
    with pytest.raises(ValueError, match="not a GIF"):
        GifAnimation(BytesIO(), Size(8, 8)).add(Piece(b"RIFF", Box(0, 0, 8, 8), 10))
    with pytest.raises(ValueError, match="without a picture"):
        GifAnimation(BytesIO(), Size(8, 8)).add(Piece(stills[0][:13] + b";", Box(0, 0, 8, 8), 10))


def test_apng_keeps_the_pixels_of_its_stills() -> None:
    stills = [saved(quarters((20, 10)).rotate(turn), "PNG") for turn in (0, 180, 0)]
    target = BytesIO()
    assembled(ApngAnimation(target), zip(stills, [100, 65_535, 600_000], strict=True), Size(20, 10))
    with Image.open(target) as animation:
        assert animation.n_frames == 3  # type: ignore[attr-defined]
        for index, (still, duration) in enumerate(zip(stills, (100, 65_535, 600_000), strict=True)):
            animation.seek(index)
            animation.load()
            assert animation.info["duration"] == duration
            with Image.open(BytesIO(still)) as alone:
                assert animation.convert("RGB").tobytes() == alone.tobytes()
    cases: tuple[tuple[list[tuple[bytes, int]], str], ...] = (
        ([(b"GIF89a", 10)], "not a PNG"),
        ([(stills[0], 655_360)], "655350"),
        ([(stills[0], 10), (saved(quarters((10, 10)), "PNG"), 10)], "differ"),
        ([(stills[0], 10), (saved(quarters((20, 10), "L"), "PNG"), 10)], "differ"),
    )
    for frames, message in cases:
        with pytest.raises(ValueError, match=message):
            assembled(ApngAnimation(BytesIO()), frames, Size(20, 10))


def assembled(
    animation: WebpAnimation | GifAnimation | ApngAnimation, frames: Iterable[tuple[bytes, int]], size: Size
) -> None:
    """Writes frames that cover the canvas."""
    for still, duration_ms in frames:
        animation.add(Piece(still, Box(0, 0, *size), duration_ms))
    animation.finish()


def saved(image: Image.Image, kind: str) -> bytes:
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_animated_webp_rejects_other_files_and_long_frames() -> None:
    with pytest.raises(ValueError, match="not a WebP"):
        WebpAnimation(BytesIO(), Size(8, 8)).add(Piece(b"\x89PNG", Box(0, 0, 8, 8), 10))
    with pytest.raises(ValueError, match="16777215"):
        WebpAnimation(BytesIO(), Size(8, 8)).add(Piece(b"", Box(0, 0, 8, 8), 1 << 24))


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_gif_frames_are_counted_without_decoding(frames: int) -> None:
    images = [Image.new("RGB", (20, 10), (25 * index, 0, 0)) for index in range(frames)]
    file = BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=50, comment=b"x" * 300)
    assert len(read_gif(file, 1_000).frames) == frames
    assert len(read_gif(file, 4).frames) == min(frames, 5)
    with pytest.raises(ValueError, match="no frame"):
        read_gif(BytesIO(file.getvalue()[:30]), 1_000)


def test_thumbhash_has_aspect_ratio_average_and_alpha() -> None:
    plain = base64.b64decode(encode_thumbhash(Image.new("RGB", (200, 100), (255, 255, 255))))
    assert plain[0] & 63 == 63  # full luminance
    assert plain[2] >> 7 == 0  # no alpha
    assert plain[4] >> 7 == 1  # wider than high
    tall = base64.b64decode(encode_thumbhash(Image.new("RGBA", (100, 200), (0, 0, 0, 128))))
    assert tall[2] >> 7 == 1
    assert tall[4] >> 7 == 0
    assert len(base64.b64decode(encode_thumbhash(quarters((300, 200))))) <= 25
    assert encode_thumbhash(quarters((300, 200))) != encode_thumbhash(quarters((300, 200)).rotate(180))


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(100, "0.1 s"), (2_000, "2 s"), (9_500, "9.5 s"), (10_000, "0:10"), (600_000, "10:00")],
)
def test_durations_are_formatted(milliseconds: int, text: str) -> None:
    assert format_duration(milliseconds) == text


def test_nested_phases_are_exclusive() -> None:
    watch = PhaseTimer()
    with watch.phase("outer"), watch.phase("inner"):
        pass
    assert set(watch.elapsed_ms()) == {"outer", "inner"}


@given(
    st.dictionaries(
        st.text(), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.lists(st.text())
    )
)
def test_json_files_are_indented_and_have_a_replacement_for_lone_surrogates(
    content: dict[str, object],
) -> None:
    for text in ("", "\ud800"):
        document = {**content, "last": text}
        expected = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        assert encode_json(document) == expected.encode("utf-8", "replace")
