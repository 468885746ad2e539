"""The contact sheet: every resolution and number of steps of the contract has one, with all cards on it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from previewops.contract.limits import MAX_FRAME_PX, MAX_SIDE_PX, MIN_SIDE_PX
from previewops.contract_maxima import MAX_STEPS
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.layout.sheet import ContactSheet, SheetLayout, lay_out_sheet
from previewops.worker.render.storyboard import Storyboard, read_storyboard
from previewops.worker.render.text.typesetting import Typesetter
from tests.render_support import payload

ONE = read_storyboard(payload([{"title": "A step"}]))
SIDES = st.integers(MIN_SIDE_PX, MAX_SIDE_PX)


def board_of(size: Size, steps: int) -> Storyboard:
    return replace(ONE, size=size, steps=ONE.steps * steps)


def check_sheet(sheet: SheetLayout, cards: int) -> None:
    assert sheet.size.width <= 2_560
    assert sheet.size.height <= 8_000
    assert sheet.cell.width >= 12
    boxes = [sheet.cell_box(index) for index in range(cards)]
    assert len(set(boxes)) == cards
    for box in boxes:
        assert 0 <= box.left < box.right <= sheet.size.width
        assert sheet.header <= box.top < box.bottom <= sheet.size.height
    for before, after in pairwise(boxes):
        assert after.left >= before.right or after.top >= before.bottom + sheet.caption


@given(SIDES, SIDES, st.integers(0, MAX_STEPS))
@example(64, 3_840, 39)
@example(64, 1_920, 78)
@example(100, 2_000, 117)
@example(480, 3_840, 294)
@example(3_840, 64, MAX_STEPS)
@example(64, 3_840, MAX_STEPS)
@example(360, 1_280, MAX_STEPS)
def test_every_valid_payload_has_a_sheet(width: int, height: int, steps: int) -> None:
    if width * height <= MAX_FRAME_PX:
        board = board_of(Size(width, height), steps)
        check_sheet(lay_out_sheet(board), steps + 1)


@pytest.mark.parametrize(
    "size", [Size(width, height) for width in (64, 640, 3_840) for height in (64, 640, 2_160)]
)
def test_every_number_of_steps_has_a_sheet(size: Size) -> None:
    for steps in (*range(40), *range(40, MAX_STEPS, 23), MAX_STEPS):
        check_sheet(lay_out_sheet(board_of(size, steps)), steps + 1)


def test_long_frames_stay_as_large_as_the_sheet_allows() -> None:
    assert lay_out_sheet(board_of(Size(360, 1_280), MAX_STEPS)).cell.width >= 80
    assert lay_out_sheet(board_of(Size(64, 3_840), 39)).cell.width >= 50


def test_a_dense_sheet_is_drawn_without_captions() -> None:
    board = board_of(Size(64, 1_920), 78)
    sheet = ContactSheet(board, Typesetter())
    sheet.add(0, Image.new("RGB", board.size, (200, 0, 0)), "A title", 2_000)
    assert not sheet.layout.captions
    middle = sheet.layout.cell_box(0).centred(Size(1, 1))
    assert sheet.image.getpixel((middle.left, middle.top)) == (200, 0, 0)
