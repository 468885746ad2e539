"""Where pictures go: every cell inside its area, none on another, none too small."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.worker.render.arrange import arrange, gather
from previewops.worker.render.geometry import Box, Size

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


@given(areas, shapes, st.sampled_from(LAYOUTS), st.integers(0, 30))
def test_cells_lie_inside_apart_and_large_enough(
    area: Box, pictures: list[Size], layout: str, gap: int
) -> None:
    cells = arrange(area, pictures, layout, gap, smallest=24)
    assert 1 <= len(cells) <= len(pictures)
    for cell in cells:
        assert area.left <= cell.left < cell.right <= area.right
        assert area.top <= cell.top < cell.bottom <= area.bottom
        assert len(cells) == 1 or cell.size.short >= 24
    assert all(apart(one, other) for one, other in combinations(cells, 2))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_picture_has_the_whole_area(layout: str) -> None:
    assert arrange(AREA, [WIDE], layout, 10, 24) == (AREA,)


def test_two_tall_pictures_stand_side_by_side_and_two_wide_ones_on_each_other() -> None:
    left, right = arrange(AREA, [Size(900, 1600)] * 2, "auto", 10, 24)
    assert left.top == right.top
    assert right.left == left.right + 10
    above, below = arrange(AREA, [Size(1600, 600)] * 2, "auto", 10, 24)
    assert above.left == below.left
    assert below.top == above.bottom + 10


def test_a_grid_leaves_no_hole() -> None:
    cells = arrange(AREA, [WIDE] * 7, "auto", 10, 24)
    rows = {top: [cell for cell in cells if cell.top == top] for top in {cell.top for cell in cells}}
    assert len(rows) > 1
    for row in rows.values():
        assert row[0].left == AREA.left
        assert row[-1].right == AREA.right


def test_focus_gives_the_first_the_most() -> None:
    first, *others = arrange(AREA, [WIDE] * 4, "focus", 10, 24)
    assert all(first.size.pixels > 4 * other.size.pixels for other in others)


def test_where_there_is_no_room_fewer_cells_come_back() -> None:
    assert len(arrange(Box(0, 0, 100, 100), [Size(50, 50)] * 64, "grid", 4, 30)) == 9


def test_no_pictures_have_no_cells() -> None:
    assert arrange(AREA, [], "auto", 10, 24) == ()


def test_gathered_boxes_are_centred_and_of_one_height() -> None:
    one, other = gather(AREA, [Size(100, 200), Size(300, 150)], 20, in_row=True)
    assert one.height == other.height == 200
    assert one.left - AREA.left == AREA.right - other.right
    assert one.top - AREA.top == AREA.bottom - one.bottom
