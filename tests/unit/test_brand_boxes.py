"""Logo and footer on frames: inside the safe area, on the grid, over nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest

from previewops.worker.render.branding import Corner
from previewops.worker.render.layout.brand_boxes import SMALLEST_FOOTED, BrandBoxes, fit_logo
from previewops.worker.render.layout.frames import FrameLayout, PlacedText
from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.layout.layout import lay_out_frames
from previewops.worker.render.layout.sheet import ContactSheet, lay_out_sheet
from previewops.worker.render.storyboard import Storyboard, read_storyboard
from previewops.worker.render.text.typesetting import Typesetter
from tests.render_support import payload

CORNERS: tuple[Corner, ...] = get_args(Corner)
LOGOS = {"usual": Size(400, 160), "wide": Size(1200, 100), "tall": Size(200, 900), "tiny": Size(12, 10)}
PICTURES = {"wide": Size(1920, 1080), "tall": Size(900, 1600)}
FOOTERS = {"short": "Acme Learning", "long": "A footer that does not end where it should " * 4}
ARABIC = "صباح فوق الضباب"


def board_of(resolution: str, *, title: str = "A title of some words", **brand: Any) -> Storyboard:
    steps = [
        {"title": title, "text": "And a text of a few more words.", "assetIds": ids, "layout": layout}
        for ids, layout in (
            (["wide"], "auto"),
            (["tall", "wide"], "split"),
            ([], "auto"),
            (["wide"], "full"),
            (["tall"], "full"),
        )
    ]
    assets = [{"id": name, "uri": f"{name}.png"} for name in PICTURES]
    job = payload(
        steps, assets, title=title, resolution=resolution, brand={"logo": {"uri": "l.svg"}, **brand}
    )
    return read_storyboard(job)


def frames_of(board: Storyboard, logo: Size) -> tuple[FrameLayout, ...]:
    return lay_out_frames(board, {**PICTURES, "logo": logo}, Typesetter())


def box_of(text: PlacedText, layout: FrameLayout) -> Box:
    shift = text.align_fraction(mirrored=layout.mirrored)
    left = text.left + round((text.right - text.left - text.block.width) * shift)
    # A line box has room for descenders, which few letters use.
    return Box.at(left, text.top, (text.block.width, text.block.height - round(text.block.size * 0.2)))


def meet(one: Box, other: Box) -> bool:
    return (
        one.left < other.right
        and other.left < one.right
        and one.top < other.bottom
        and other.top < one.bottom
    )


def check_frame(board: Storyboard, layout: FrameLayout) -> None:
    metrics = BrandBoxes.of(board, {}, Typesetter()).metrics(board)
    safe = metrics.safe
    assert layout.logo is not None
    logo = layout.logo.box
    assert safe.left <= logo.left < logo.right <= safe.right
    assert safe.top <= logo.top < logo.bottom <= safe.bottom
    assert logo.left == safe.left if layout.logo.at_left else logo.right == safe.right
    drawn = [box_of(text, layout) for text in layout.texts if text.role != "faint" and text.block.lines]
    drawn += [placement.cell for placement in layout.placements if not placement.bleeds]
    drawn += [box for box in (layout.badge, layout.bar) if box]
    if layout.position:
        drawn.append(replace(metrics, foot=layout.foot).progress_bar_box)
    for box in drawn:
        assert not meet(box, logo), (box, logo)
    if layout.footer is not None:
        footer = box_of(layout.footer, layout)
        assert safe.left <= footer.left <= footer.right <= safe.right
        assert footer.bottom <= safe.bottom
        for box in (*drawn, logo):
            assert not meet(box, footer), (box, footer)


@pytest.mark.parametrize("resolution", ["1280x720", "720x1280", "720x720", "320x180", "1920x500"])
@pytest.mark.parametrize("corner", CORNERS)
def test_logo_and_footer_cover_nothing(resolution: str, corner: str) -> None:
    for (name, logo), footer in product(LOGOS.items(), FOOTERS.values()):
        board = board_of(resolution, corner=corner, footer=footer)
        for layout in frames_of(board, logo):
            check_frame(board, layout)
            assert layout.footer is not None or name == "wide", (name, footer)


def test_the_corner_of_a_right_to_left_storyboard_is_mirrored() -> None:
    for title, at_left in (("A title", False), (ARABIC, True)):
        layouts = frames_of(board_of("1280x720", title=title, corner="top-end"), LOGOS["usual"])
        assert {layout.logo.at_left for layout in layouts if layout.logo} == {at_left}
        assert all(layout.logo for layout in layouts)


@pytest.mark.parametrize("corner", CORNERS)
def test_a_logo_on_a_picture_is_marked(corner: str) -> None:
    title, auto, _, _, full, _ = frames_of(board_of("1280x720", corner=corner), LOGOS["usual"])
    on_picture = [layout.logo.on_picture for layout in (title, auto, full) if layout.logo]
    assert on_picture == [corner.endswith("end"), False, True]


def test_a_footer_on_a_picture_has_a_darkened_ground() -> None:
    job = board_of("1280x720", footer="Acme")
    plain = frames_of(board_of("1280x720"), LOGOS["usual"])[4]
    footed = frames_of(job, LOGOS["usual"])[4]
    assert plain.footer is None
    assert footed.footer is not None
    assert footed.footer.role == "on_picture"
    assert footed.scrim is not None


def test_a_small_frame_has_no_footer() -> None:
    for side, has_footer in ((SMALLEST_FOOTED, True), (SMALLEST_FOOTED - 1, False)):
        layouts = frames_of(board_of(f"640x{side}", footer="Acme"), LOGOS["usual"])
        assert {layout.footer is not None for layout in layouts} == {has_footer}


def test_logos_of_all_shapes_look_equally_large() -> None:
    sizes = {ratio: fit_logo(Size(round(1000 * ratio), 1000), 48, 1280) for ratio in (0.3, 0.5, 1, 2, 4, 8)}
    heights = [size.height for size in sizes.values()]
    assert heights == sorted(heights, reverse=True)
    areas = {ratio: size.pixels for ratio, size in sizes.items()}
    assert areas[8] < 3 * areas[2]
    assert areas[0.3] > areas[1] / 3
    assert fit_logo(Size(20, 10), 48, 1280) == Size(30, 15)  # few pixels are not enlarged much


def test_frames_without_a_brand_have_neither() -> None:
    board = read_storyboard(payload([{"title": "One"}]))
    for layout in lay_out_frames(board, {}, Typesetter()):
        assert (layout.logo, layout.footer, layout.foot) == (None, None, 0)


@pytest.mark.parametrize("corner", CORNERS)
def test_the_contact_sheet_has_logo_and_footer_apart_from_its_cells(corner: str) -> None:
    board = board_of("1280x720", corner=corner, footer="Acme")
    sheet = ContactSheet(board, Typesetter(), LOGOS["usual"])
    assert sheet.logo_place is not None
    box, layout = sheet.logo_place.box, lay_out_sheet(board)
    assert layout == sheet.layout
    last = layout.cell_box(len(board.steps)).bottom + layout.caption
    edge = layout.margin if corner.endswith("start") else layout.size.width - layout.margin
    assert edge == (box.left if corner.endswith("start") else box.right)
    if corner.startswith("top"):
        assert 0 < box.top < box.bottom < layout.cell_box(0).top
    else:
        assert last <= box.top < box.bottom <= layout.size.height - layout.margin
    plain = lay_out_sheet(read_storyboard(payload([{}] * len(board.steps), resolution="1280x720")))
    assert layout.size.height > plain.size.height
