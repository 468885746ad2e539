"""Sizes and boxes in whole pixels."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """Width and height, pixels."""

    width: int
    height: int

    @property
    def short(self) -> int:
        return min(self)

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def fitted(self, into: Size) -> Size:
        """This size scaled up or down to fit into ``into``; at least 1x1."""
        scale = min(into.width / self.width, into.height / self.height)
        return Size(max(1, round(self.width * scale)), max(1, round(self.height * scale)))

    def shrunk(self, into: Size) -> Size:
        """As ``fitted``, but never larger than this size."""
        return self if self.width <= into.width and self.height <= into.height else self.fitted(into)

    def covering(self, area: Size) -> Size:
        """This size scaled up or down to cover ``area``."""
        scale = max(area.width / self.width, area.height / self.height)
        return Size(max(area.width, round(self.width * scale)), max(area.height, round(self.height * scale)))


class Box(NamedTuple):
    """Left, top, right, bottom in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def at(cls, left: int, top: int, size: tuple[int, int]) -> Box:
        return cls(left, top, left + size[0], top + size[1])

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    def inset(self, by: int) -> Box:
        """The box smaller by ``by`` pixels on every side, but never empty."""
        dx, dy = min(by, (self.width - 1) // 2), min(by, (self.height - 1) // 2)
        return Box(self.left + dx, self.top + dy, self.right - dx, self.bottom - dy)

    def grown(self, by: int) -> Box:
        """The box larger by ``by`` pixels on every side."""
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def moved(self, across: int) -> Box:
        """The box moved right by ``across`` pixels."""
        return Box(self.left + across, self.top, self.right + across, self.bottom)

    def centred(self, size: Size) -> Box:
        """A box of ``size`` centred in this one."""
        left = self.left + (self.width - size.width) // 2
        top = self.top + (self.height - size.height) // 2
        return Box.at(left, top, size)
