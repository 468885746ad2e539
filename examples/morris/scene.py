"""Draws the board of the demo and the scenes on it."""

from __future__ import annotations

from functools import cache

from PIL import Image, ImageDraw, ImageFont

from examples.morris import paint
from examples.morris.lesson import Scene
from examples.morris.morris import LINES, POINTS, Position, Side

SIZE = (1600, 1200)
_BOARD = 1080
_LEFT, _TOP = (SIZE[0] - _BOARD) // 2, (SIZE[1] - _BOARD) // 2
_FRAME = 54
_GRID = 136
_ORIGIN = (SIZE[0] / 2 - 3 * _GRID, SIZE[1] / 2 - 3 * _GRID)
_MAN = 92
_TRAY_MAN = 76
_TRAY_STEP = 84
_TRAY_X = {Side.WHITE: 130, Side.BLACK: SIZE[0] - 130}

_INK = (60, 34, 18)
_GOLD = (255, 200, 64)
_GREEN = (64, 196, 110)
_RED = (222, 62, 48)
_WHITE = (255, 255, 255)


def at(point: str) -> tuple[float, float]:
    """Where a point of the board is in the picture, pixels."""
    return _ORIGIN[0] + "abcdefg".index(point[0]) * _GRID, _ORIGIN[1] + (7 - int(point[1])) * _GRID


def draw_scene(scene: Scene) -> Image.Image:
    """The picture of ``scene``, ``SIZE`` pixels, RGB."""
    image = _empty_board().copy()
    _draw_trays(image, scene.position, scene.taken)
    _draw_mills(image, scene)
    _draw_targets(image, scene)
    _draw_men(image, scene)
    _draw_marks(image, scene)
    return image


@cache
def _empty_board() -> Image.Image:
    image = paint.felt(SIZE)
    _draw_body(image)
    for first, _, last in LINES:
        (x0, y0), (x1, y1) = at(first), at(last)
        paint.line(image, (x0 + 1.5, y0 + 2), (x1 + 1.5, y1 + 2), (250, 220, 170), 7, opacity=0.35)
        paint.line(image, (x0, y0), (x1, y1), _INK, 6)
    for point in POINTS:
        x, y = at(point)
        paint.disc(image, (x + 1.5, y + 2), 17, (250, 220, 170), opacity=0.4)
        paint.disc(image, (x, y), 16, _INK)
        paint.disc(image, (x + 1, y + 2), 11, (92, 56, 32))
    _draw_names(image)
    return image


def _draw_body(image: Image.Image) -> None:
    """A walnut frame with mitred corners around a maple field, and their shadow on the cloth."""
    right, bottom = _LEFT + _BOARD, _TOP + _BOARD
    corners = [
        (_LEFT + 10, _TOP + 16),
        (right + 10, _TOP + 16),
        (right + 10, bottom + 18),
        (_LEFT + 10, bottom + 18),
    ]
    paint.polygon(image, [(float(x), float(y)) for x, y in corners], (0, 0, 0), opacity=0.6, blur=16)
    rail = paint.wood((_BOARD, _FRAME), paint.WALNUT, 11)
    stile = paint.wood((_BOARD, _FRAME), paint.WALNUT, 12).rotate(90, expand=True)
    mitre = _mitre()
    image.paste(stile, (_LEFT, _TOP))
    image.paste(stile, (right - _FRAME, _TOP))
    image.paste(rail, (_LEFT, _TOP), mitre)
    image.paste(rail, (_LEFT, bottom - _FRAME), mitre.transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    inner = _BOARD - 2 * _FRAME
    image.paste(paint.wood((inner, inner), paint.MAPLE, 5), (_LEFT + _FRAME, _TOP + _FRAME))
    _draw_edges(image)


def _mitre() -> Image.Image:
    mask = Image.new("L", (_BOARD, _FRAME))
    ImageDraw.Draw(mask).polygon([(0, 0), (_BOARD, 0), (_BOARD - _FRAME, _FRAME), (_FRAME, _FRAME)], fill=255)
    return mask


def _draw_edges(image: Image.Image) -> None:
    """Light on the edges that face the lamp, shade on the others."""
    for inset, light, shade in ((1.5, 0.35, 0.5), (_FRAME - 1.5, 0.0, 0.0)):
        low_x, low_y = _LEFT + inset, _TOP + inset
        high_x, high_y = _LEFT + _BOARD - inset, _TOP + _BOARD - inset
        if light:
            paint.line(image, (low_x, low_y), (high_x, low_y), (255, 220, 180), 3, opacity=light)
            paint.line(image, (low_x, low_y), (low_x, high_y), (255, 220, 180), 3, opacity=light)
            paint.line(image, (low_x, high_y), (high_x, high_y), (0, 0, 0), 3, opacity=shade)
            paint.line(image, (high_x, low_y), (high_x, high_y), (0, 0, 0), 3, opacity=shade)
            continue
        # The field lies lower than the frame: its upper left edges are in the frame's shadow.
        paint.line(image, (low_x, low_y + 6), (high_x, low_y + 6), (0, 0, 0), 10, opacity=0.5, blur=5)
        paint.line(image, (low_x + 6, low_y), (low_x + 6, high_y), (0, 0, 0), 10, opacity=0.5, blur=5)
        paint.line(image, (low_x, high_y), (high_x, high_y), (255, 220, 180), 2, opacity=0.4)
        paint.line(image, (high_x, low_y), (high_x, high_y), (255, 220, 180), 2, opacity=0.4)


def _draw_names(image: Image.Image) -> None:
    """The names of files and ranks, on the frame."""
    font = ImageFont.load_default(26)
    draw = ImageDraw.Draw(image)
    for index in range(7):
        x, y = _ORIGIN[0] + index * _GRID, _ORIGIN[1] + index * _GRID
        draw.text((x, _TOP + _BOARD - _FRAME / 2), "abcdefg"[index], (226, 190, 140), font, anchor="mm")
        draw.text((_LEFT + _FRAME / 2, y), str(7 - index), (226, 190, 140), font, anchor="mm")


def _draw_trays(image: Image.Image, position: Position, leaving: str | None) -> None:
    """Beside the board the men in hand, below them, dimmed, those that the opponent has taken."""
    for side in Side:
        sprite = paint.man(side, _TRAY_MAN)
        for index in range(position.in_hand[side]):
            paint.place(image, sprite, (_TRAY_X[side], 110 + index * _TRAY_STEP))
        still_here = leaving is not None and position.men[leaving] is side
        for index in range(position.taken(side) + still_here):
            paint.place(image, sprite, (_TRAY_X[side.other], SIZE[1] - 110 - index * _TRAY_STEP), opacity=0.8)


def _draw_mills(image: Image.Image, scene: Scene) -> None:
    for mill in scene.mills:
        paint.line(image, at(mill[0]), at(mill[2]), _GOLD, 44, opacity=0.75, blur=12)
        paint.line(image, at(mill[0]), at(mill[2]), _GOLD, 14)
    for mill in scene.open_mills:
        paint.line(image, at(mill[0]), at(mill[2]), _GOLD, 36, opacity=0.45, blur=12)
        paint.line(image, at(mill[0]), at(mill[2]), _GOLD, 10, opacity=0.6)


def _draw_targets(image: Image.Image, scene: Scene) -> None:
    for point in scene.targets:
        paint.disc(image, at(point), 40, _GREEN, opacity=0.55, blur=8)
        paint.ring(image, at(point), 38, _WHITE, 10, opacity=0.9)
        paint.ring(image, at(point), 36, _GREEN, 6)
        paint.disc(image, at(point), 14, _GREEN)


def _draw_men(image: Image.Image, scene: Scene) -> None:
    in_mills = {point for mill in scene.mills for point in mill}
    for point, side in scene.position.men.items():
        leaving = point == scene.taken
        paint.place(image, paint.man(side, _MAN), at(point), opacity=0.5 if leaving else 1.0)
        if point in in_mills:
            paint.ring(image, at(point), _MAN / 2 + 7, _GOLD, 7)


def _draw_marks(image: Image.Image, scene: Scene) -> None:
    for point in scene.takeable:
        paint.ring(image, at(point), _MAN / 2 + 8, _RED, 7)
    if scene.taken is not None:
        _draw_cross(image, at(scene.taken))
    for start, end in scene.arrows:
        _draw_arrow(image, at(start), at(end), both_ways=scene.both_ways)


def _draw_cross(image: Image.Image, centre: tuple[float, float]) -> None:
    x, y = centre
    for colour, width in ((_WHITE, 20), (_RED, 13)):
        paint.line(image, (x - 30, y - 30), (x + 30, y + 30), colour, width)
        paint.line(image, (x - 30, y + 30), (x + 30, y - 30), colour, width)


def _draw_arrow(
    image: Image.Image, start: tuple[float, float], end: tuple[float, float], *, both_ways: bool
) -> None:
    """From the rim of the man that moves to the middle of its target."""
    length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
    along = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    tail = (start[0] + along[0] * _MAN * 0.55, start[1] + along[1] * _MAN * 0.55)
    gap = _MAN * 0.55 if both_ways else 30
    tip = (end[0] - along[0] * gap, end[1] - along[1] * gap)
    paint.arrow(image, tail, tip, _WHITE, 13, both_ways=both_ways)


def draw_men() -> Image.Image:
    """One man of each side, large, on a transparent ground: 1200 x 900 pixels, RGBA."""
    image = Image.new("RGBA", (1200, 900))
    for side, centre in ((Side.BLACK, (790, 400)), (Side.WHITE, (430, 490))):
        sprite = paint.man(side, 520)
        image.alpha_composite(sprite, (centre[0] - sprite.width // 2, centre[1] - sprite.height // 2))
    return image
