"""The ground of transparent pictures, and the names of thumbnails."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from previewops.worker.render.backing import choose_ground
from previewops.worker.render.bundle_paths import choose_bundle_paths
from previewops.worker.render.storyboard import read_storyboard
from previewops.worker.render.theme import DARK, LIGHT, Theme, choose_theme
from tests.render_support import payload


def art(*colours: tuple[int, int, int], mode: str = "RGBA") -> Image.Image:
    """Rings of equal width, of the colours."""
    image = Image.new("RGBA", (200, 200))
    for number, colour in enumerate(colours):
        ImageDraw.Draw(image).rectangle((20, 20 + 40 * number, 180, 50 + 40 * number), fill=(*colour, 255))
    return image.convert(mode)


@pytest.mark.parametrize(
    ("theme", "colours", "is_changed"),
    [
        (DARK, [(0, 0, 0)], True),
        (DARK, [(0, 0, 0), (20, 20, 30), (255, 60, 60)], True),
        (DARK, [(0, 0, 0), (255, 60, 60)], False),
        (DARK, [(255, 255, 255)], False),
        (LIGHT, [(255, 255, 255)], True),
        (LIGHT, [(240, 240, 200)], True),
        (LIGHT, [(0, 0, 0)], False),
        (choose_theme(None, "#102030"), [(0, 0, 0)], True),
        (choose_theme(None, "#ffffff"), [(255, 255, 255)], True),
        (choose_theme(None, "#808080"), [(0, 0, 0)], False),
    ],
)
def test_a_picture_that_would_not_be_seen_gets_another_ground(
    theme: Theme, colours: list[tuple[int, int, int]], is_changed: bool
) -> None:
    ground = choose_ground(art(*colours), theme.surface, theme.backing)
    assert ground == (theme.backing if is_changed else theme.surface)


def test_pictures_without_transparency_or_content_keep_their_ground() -> None:
    assert choose_ground(art((0, 0, 0), mode="RGB"), DARK.surface, DARK.backing) == DARK.surface
    assert choose_ground(Image.new("RGBA", (9, 9)), DARK.surface, DARK.backing) == DARK.surface


@pytest.mark.parametrize(
    "ids",
    [
        ["x y", "x-y-887fcea6"],
        ["x-y-887fcea6", "x y", "X-Y-887FCEA6A"],
        ["a", "A", "á", "a-", ".a", "asset", "", " "],
        ["same" * 30, "same" * 30 + "x"],
    ],
)
def test_every_picture_has_a_thumbnail_of_its_own(ids: list[str]) -> None:
    assets = [{"id": name, "uri": "a.png"} for name in ids if name]
    paths = choose_bundle_paths(read_storyboard(payload([], assets))).thumbnails
    assert len(paths) == len(assets)
    assert len({path.lower() for path in paths.values()}) == len(assets)
