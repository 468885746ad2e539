"""A framed part of a screen that can be maximized."""

from __future__ import annotations

from typing import Self

from textual.containers import Container
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

from previewops.formatting import clean


def framed(title: str) -> Content:
    """Text for a frame, cleaned and without markup: it may be untrusted."""
    return Content(clean(title))


class Panel(Container):
    """A frame with a title around one or more widgets. ``m`` maximizes the focused one."""

    ALLOW_MAXIMIZE = True

    def __init__(self, title: str, *children: Widget, id: str | None = None) -> None:
        super().__init__(*children, id=id, classes="panel")
        self._written_title = title
        self._written_subtitle = ""
        self._edge: Region | None = None
        self.border_title = framed(title)

    @property
    def is_among_shown(self) -> bool:
        """Whether no container around it is hidden."""
        return all(node.display for node in self.ancestors if isinstance(node, Widget))

    def label(self, title: str | None = None, subtitle: str | None = None) -> None:
        """Changes title and subtitle. Only the changed line is drawn."""
        width, height = self.outer_size
        if title is not None and title != self._written_title:
            self._written_title = title
            self._edge = Region(0, 0, width, 1) - self.content_offset
            self.border_title = framed(title)
        if subtitle is not None and subtitle != self._written_subtitle:
            self._written_subtitle = subtitle
            self._edge = Region(0, height - 1, width, 1) - self.content_offset
            self.border_subtitle = framed(subtitle)
        self._edge = None

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """As in Textual, but only the title's line while a title is set."""
        if self._edge is not None and not regions:
            regions = (self._edge,)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
