"""Box packing: cells are inside the area, disjoint and large enough."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.worker.render.layout.box_packing import Spacing, pack_boxes
from previewops.worker.render.layout.geometry import Box, Size

LAYOUTS = ("auto", "full", "split", "grid", "focus")
WIDE = Size(1600, 900)
AREA = Box(40, 30, 840, 630)

sides = st.integers(1, 4000)
shapes = st.lists(st.builds(Size, sides, sides), min_size=1, max_size=64)
areas = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(60, 3000),
    st.integers(60, 3000),
)


def apart(one: Box, other: Box) -> bool:
    return (
        one.right <= other.left
        or other.right <= one.left
        or one.bottom <= other.top
        or other.bottom <= one.top
    )


@given(areas, shapes, st.sampled_from(LAYOUTS), st.integers(0, 30), st.sampled_from((0, 12)))
def test_cells_are_inside_disjoint_and_large_enough(
    area: Box, pictures: list[Size], layout: str, gap: int, label: int
) -> None:
    cells = pack_boxes(area, pictures, layout, Spacing(gap, label, 24, frozenset((0, 3))))
    assert 1 <= len(cells) <= len(pictures)
    for cell in cells:
        assert area.left <= cell.left < cell.right <= area.right
        assert area.top <= cell.top < cell.bottom <= area.bottom
        assert len(cells) == 1 or cell.size.short >= 24
    assert all(apart(one, other) for one, other in combinations(cells, 2))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [WIDE, Size(300, 400), Size(1000, 800)])
def test_one_picture_touches_two_edges_and_keeps_its_ratio(layout: str, shape: Size) -> None:
    (cell,) = pack_boxes(AREA, [shape], layout, Spacing(10, 0, 24))
    assert cell.width == AREA.width or cell.height == AREA.height
    assert cell.width / cell.height == pytest.approx(shape.width / shape.height, rel=0.01)


@given(
    shapes=st.lists(st.builds(Size, st.integers(600, 1300), st.integers(600, 1300)), min_size=2, max_size=8)
)
def test_cells_have_the_ratios_of_their_pictures(shapes: list[Size]) -> None:
    for layout in ("auto", "split", "focus"):
        for cell, shape in zip(pack_boxes(AREA, shapes, layout, Spacing(10)), shapes, strict=True):
            assert abs(cell.width - cell.height * shape.width / shape.height) <= 4


def test_grid_cells_have_equal_size() -> None:
    cells = pack_boxes(AREA, [WIDE, Size(600, 800), WIDE, WIDE, Size(500, 500)], "grid", Spacing(10))
    assert len({cell.size for cell in cells}) == 1


def test_rows_leave_room_for_labels() -> None:
    for layout in ("auto", "split", "grid", "focus"):
        cells = pack_boxes(AREA, [WIDE] * 4, layout, Spacing(10, 25, 24, frozenset(range(4))))
        for cell in cells:
            assert cell.bottom + 25 <= AREA.bottom
            under = [other for other in cells if other.top > cell.bottom and other.left < cell.right]
            assert all(other.top >= cell.bottom + 24 for other in under if other.right > cell.left)


def test_tall_pictures_share_a_row_and_wide_ones_a_column() -> None:
    left, right = pack_boxes(AREA, [Size(900, 1600)] * 2, "auto", Spacing(10, 0, 24))
    assert left.top == right.top
    assert right.left == left.right + 10
    above, below = pack_boxes(AREA, [Size(1600, 600)] * 2, "auto", Spacing(10, 0, 24))
    assert above.left == below.left
    assert below.top == above.bottom + 10


def test_rows_have_equal_width() -> None:
    cells = pack_boxes(AREA, [WIDE] * 7, "auto", Spacing(10, 0, 24))
    rows = {top: [cell for cell in cells if cell.top == top] for top in {cell.top for cell in cells}}
    assert len(rows) > 1
    for row in rows.values():
        assert row[0].left == cells[0].left
        assert abs(row[-1].right - cells[-1].right) <= 1


def test_focus_makes_the_first_cell_the_largest() -> None:
    first, *others = pack_boxes(AREA, [WIDE] * 4, "focus", Spacing(10, 0, 24))
    assert all(first.size.pixels > 4 * other.size.pixels for other in others)
    first, second = pack_boxes(AREA, [WIDE] * 2, "focus", Spacing(10, 0, 24))
    assert first.size.pixels > 3 * second.size.pixels


def test_without_room_fewer_cells_are_returned() -> None:
    assert len(pack_boxes(Box(0, 0, 100, 100), [Size(50, 50)] * 64, "grid", Spacing(4, 0, 30))) == 9


def test_no_pictures_give_no_cells() -> None:
    assert pack_boxes(AREA, [], "auto", Spacing(10, 0, 24)) == ()
