"""Scaling of decoded pictures by libswscale and Pillow, and pictures that several cards show in one size."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from previewops.worker.render import picture_cache
from previewops.worker.render.decode import srgb, swscale
from previewops.worker.render.fitting import Fit, fit_picture
from previewops.worker.render.layout.frames import Placement
from previewops.worker.render.layout.geometry import Box
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.picture_cache import PictureCache
from previewops.worker.render.storyboard import read_storyboard
from previewops.worker.render.timings import PhaseTimer
from tests.render_support import payload

SIZES = [((400, 300), 2), ((399, 251), 2), ((161, 121), 3), ((801, 603), 8)]
"""Sizes, and levels of difference. Rows are and are not a multiple of a vector; the last one is enlarged."""


def detailed(width: int = 640, height: int = 481) -> Image.Image:
    """Noise with edges, in levels that no overshoot clips: Pillow clips after each of two passes, libswscale once."""
    image = Image.merge("RGB", [Image.effect_noise((width, height), 12 + 4 * band) for band in range(3)])
    image.paste((190, 80, 110), (40, 50, 200, 130))
    return image


@pytest.mark.parametrize(("size", "most"), SIZES)
def test_libswscale_scales_as_pillow_does(size: tuple[int, int], most: int) -> None:
    image = detailed()
    scaled = swscale.scale_rgb(image, size)
    assert scaled is not None, "PyAV's wheel has the library"
    expected = image.resize(size, Image.Resampling.LANCZOS)
    difference = ImageChops.difference(scaled, expected)
    assert max(largest for _, largest in difference.getextrema()) <= most
    assert max(ImageStat.Stat(difference).mean) < 0.5
    assert scaled.tobytes() == srgb.resize(image, size).tobytes()


def test_flat_colours_keep_their_value() -> None:
    image = Image.new("RGB", (500, 400), (17, 203, 96))
    assert srgb.resize(image, (300, 240)).getcolors() == [(300 * 240, (17, 203, 96))]


def test_pillow_scales_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swscale, "load_library", lambda: None)
    image = detailed()
    assert srgb.resize(image, (400, 300)).tobytes() == image.resize((400, 300), 1).tobytes()


@pytest.mark.parametrize(
    ("image", "size"),
    [
        (Image.new("RGB", (20, 500)), (40, 500)),
        (Image.new("RGB", (500, 500)), (500, 10)),
        (Image.new("RGB", (4_096, 2_049)), (2_000, 1_000)),
    ],
)
def test_tiny_and_huge_pictures_are_left_to_pillow(image: Image.Image, size: tuple[int, int]) -> None:
    assert swscale.scale_rgb(image, size) is None
    assert srgb.resize(image, size).size == size


def test_a_transparent_picture_keeps_its_alpha_channel() -> None:
    image = detailed().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    assert srgb.resize(image, (400, 300)).getchannel("A").getextrema()[1] > 200


def test_a_picture_of_two_cards_is_scaled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Placement] = []

    def counted(picture: Image.Image, placement: Placement) -> Image.Image:
        calls.append(placement)
        return fit_picture(picture, placement)

    monkeypatch.setattr(picture_cache, "fit_picture", counted)
    job = payload([{"title": "One", "assetIds": ["a"]}], [{"id": "a", "uri": "a.png"}])
    asset = read_storyboard(job).assets["a"]
    first, second, other = (
        Placement(asset, Box(0, 0, 9, 9), Box.at(left, 5, size), crops=False)
        for left, size in ((0, (300, 200)), (70, (300, 200)), (0, (90, 60)))
    )
    cache = cached(Counter(map(Fit.of, (first, second, other))))
    picture = detailed()
    one, two = cache.fitted(picture, first), cache.fitted(picture, second)
    assert one is two
    assert one.size == (300, 200)
    assert cache.fitted(picture, other).size == (90, 60)
    assert calls == [first, other]
    assert cache.fitted(picture, first) is not one, "kept no longer than it is used"


def cached(fits: Counter[Fit]) -> PictureCache:
    unused: Any = None
    return PictureCache(
        unused, RenderLimits(), {}, {}, Counter(), fits, PhaseTimer(), unused, allow_gaps=False
    )
