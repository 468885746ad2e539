"""Frame layouts: text inside the safe area, no overlaps, mirroring."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from previewops.worker.render.layout.frames import FrameLayout, PlacedText, mirror_frame
from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.layout.layout import lay_out_frames
from previewops.worker.render.layout.titlecard import choose_hero
from previewops.worker.render.layout.type_scale import LayoutMetrics
from previewops.worker.render.storyboard import Storyboard, read_storyboard
from previewops.worker.render.text.typesetting import Typesetter
from tests.render_support import payload

RESOLUTIONS = ("320x180", "1280x720", "3840x2160", "1080x1920", "1080x1080", "640x360", "600x100", "64x64")
LAYOUTS = ("auto", "full", "split", "grid", "focus")
SHAPES = {
    "wide": Size(1920, 1080),
    "tall": Size(900, 1600),
    "square": Size(800, 800),
    "pano": Size(4000, 900),
    "tiny": Size(20, 16),
    "sliver": Size(30, 3000),
}
WORDS = {
    "short": ("A title", "And a text."),
    "long": (
        "A title that goes on for a while, and then for a while longer " * 2,
        "Words and more words. " * 30,
    ),
    "titled": ("Only a title", ""),
    "untitled": ("", "Only a text, of a few words."),
    "arabic": ("صباح فوق الضباب", "ابدأ في الساعة 4:30. الطريق شديد الانحدار (25 دقيقة)."),
    "unbroken": ("Donaudampfschifffahrtsgesellschaftskapitän" * 2, "x" * 300),
    "none": ("", ""),
}


def board_of(resolution: str, layout: str, length: str, ids: list[str], **more: Any) -> Storyboard:
    title, text = WORDS[length]
    assets = [{"id": name, "uri": f"{name}.png", "title": name.title()} for name in SHAPES]
    step = {"title": title, "text": text, "assetIds": ids, "layout": layout}
    job = payload([step, {}], assets, title=title, description=text, **{"resolution": resolution, **more})
    return read_storyboard(job)


def box_of(text: PlacedText, layout: FrameLayout) -> Box:
    left = text.left + round(
        (text.right - text.left - text.block.width) * text.align_fraction(mirrored=layout.mirrored)
    )
    return Box.at(left, text.top, (text.block.width, text.block.height))


def overlap(one: Box, other: Box) -> int:
    """Returns the common height of two boxes that overlap horizontally."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    return down if across > 0 and down > 0 else 0


def check_layout(board: Storyboard, layout: FrameLayout) -> None:
    metrics = LayoutMetrics(board.size)
    safe, frame = metrics.safe, Box(0, 0, *board.size)
    boxes = [(text, box_of(text, layout)) for text in layout.texts if text.block.lines]
    for text, box in boxes:
        # A line box has room for descenders, which few letters use.
        slack = 1 + round(text.block.size * 0.3)
        assert box.left >= safe.left - 1, (text, safe)
        assert box.right <= safe.right + 1, (text, safe)
        if min(board.size) >= 180:
            assert safe.top - slack <= box.top, (text, safe)
            assert box.bottom <= safe.bottom + slack, (text, safe)
    for placement in layout.placements:
        for box in (placement.cell, placement.box):
            assert frame.left <= box.left < box.right <= frame.right
            assert frame.top <= box.top < box.bottom <= frame.bottom
    for one, other in combinations(layout.placements, 2):
        assert not overlap(one.cell, other.cell)
    if min(board.size) < 180:
        return
    for (one_text, one), (other_text, other) in combinations(boxes, 2):
        if "faint" not in (one_text.role, other_text.role):
            assert overlap(one, other) <= 1 + round(0.25 * one_text.block.size), (one_text, other_text)
    for text, box in boxes:
        for placement in layout.placements:
            if not placement.bleeds and text.role != "faint":
                assert overlap(box, placement.box) <= 1 + round(0.25 * text.block.size), (text, placement)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("length", WORDS)
def test_elements_stay_in_the_safe_area_and_do_not_overlap(resolution: str, length: str) -> None:
    typesetter = Typesetter()
    for layout in LAYOUTS:
        for ids in (
            [],
            ["wide"],
            ["tall"],
            ["pano", "square"],
            ["tiny"],
            ["sliver", "wide"],
            list(SHAPES) * 2,
        ):
            board = board_of(resolution, layout, length, ids)
            for frame in lay_out_frames(board, SHAPES, typesetter):
                check_layout(board, frame)


@pytest.mark.parametrize("resolution", ["320x180", "1280x720", "720x1280"])
def test_a_title_is_never_smaller_than_its_text(resolution: str) -> None:
    typesetter, checked = Typesetter(), 0
    for length in WORDS:
        for layout in LAYOUTS:
            for ids in ([], ["wide"], ["tall", "square"]):
                for frame in lay_out_frames(board_of(resolution, layout, length, ids), SHAPES, typesetter):
                    titles = [text.block.size for text in frame.texts if text.role == "ink"]
                    texts = [text.block.size for text in frame.texts if text.role == "muted"]
                    if titles and texts:
                        checked += 1
                        assert max(titles) >= max(texts), (length, layout, ids)
    assert checked > 50


@pytest.mark.parametrize("captions", [True, False])
def test_right_to_left_frames_are_mirrored(captions: bool) -> None:
    typesetter = Typesetter()
    board = board_of("1280x720", "focus", "arabic", ["wide", "tall"], includeCaptions=captions)
    assert board.right_to_left
    frames = lay_out_frames(board, SHAPES, typesetter)
    assert all(frame.mirrored for frame in frames)
    picture, other = frames[1].placements
    assert picture.cell.left > other.cell.left or picture.cell.bottom <= other.cell.top
    if captions:
        assert frames[1].badge is not None
        assert frames[1].badge.right == LayoutMetrics(board.size).safe.right
    for frame in frames:
        back = mirror_frame(frame, board.size.width)
        assert (
            back.placements == mirror_frame(mirror_frame(back, board.size.width), board.size.width).placements
        )


def test_the_first_text_with_a_direction_sets_the_direction() -> None:
    assert not board_of("320x180", "auto", "short", []).right_to_left
    assert read_storyboard(payload([{"title": "שלום"}], title="123 …", description="")).right_to_left
    assert not read_storyboard(payload([{"title": "שלום"}], title="Hello")).right_to_left


def test_auto_places_text_for_the_largest_pictures() -> None:
    typesetter = Typesetter()
    beside = lay_out_frames(board_of("1280x720", "auto", "short", ["tall"]), SHAPES, typesetter)[1]
    below = lay_out_frames(board_of("1280x720", "auto", "short", ["pano"]), SHAPES, typesetter)[1]
    assert beside.placements[0].cell.left > 1280 * 0.4
    assert below.placements[0].cell.width == LayoutMetrics(Size(1280, 720)).content.width


def test_full_extends_to_the_edges_and_limits_cropping() -> None:
    typesetter = Typesetter()
    canvas = Box(0, 0, 1280, 720)
    for name, crops in (("wide", True), ("tall", False), ("pano", False)):
        frame = lay_out_frames(board_of("1280x720", "full", "short", [name]), SHAPES, typesetter)[1]
        (placement,) = frame.placements
        assert placement.cell == canvas
        assert (placement.crops, placement.has_backdrop) == (crops, not crops)
        assert frame.scrim is not None
        assert all(text.top > frame.scrim - 12 for text in frame.texts if text.role == "on_picture")


def test_the_hero_is_an_available_picture() -> None:
    board = board_of("1280x720", "auto", "short", ["tall", "wide"])
    assert [
        choose_hero(board, lost) and choose_hero(board, lost).ref.id
        for lost in (set(), {"tall"}, set(SHAPES))
    ] == [  # type: ignore[union-attr]
        "tall",
        "wide",
        None,
    ]


@pytest.mark.parametrize("name", ["wide", "tall"])
def test_a_full_picture_without_captions_is_alone(name: str) -> None:
    board = board_of("1280x720", "full", "short", [name], includeCaptions=False)
    frame = lay_out_frames(board, SHAPES, Typesetter())[1]
    assert len(frame.placements) == 1
    assert (frame.texts, frame.badge, frame.scrim, frame.position) == ((), None, None, 0)
