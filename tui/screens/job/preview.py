"""The panel with a job's images, one at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.color import Color
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.widget import Widget

from previewops.errors import PreviewopsError
from previewops.queue.records import JobRecord
from previewops.stores.port import ArtifactFile
from previewops.tui.data.error_boundary import wrap_errors
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import PART_KEYS
from previewops.tui.protocols import DataSource
from previewops.tui.screens.coalesced_fetch import CoalescedFetch
from previewops.tui.terminal.bundle_images import read_picture, read_pixels
from previewops.tui.terminal.capabilities import ImageMode
from previewops.tui.viewmodel.half_blocks import PIXELS_PER_ROW, Colour, half_block_rows
from previewops.tui.viewmodel.job.artifacts import BundleContents, picture_subtitle, picture_title
from previewops.tui.viewmodel.json_lines import wrap_json
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span
from previewops.tui.widgets.blocks import Blocks, strips_of
from previewops.tui.widgets.graphic import Graphic, make_graphic
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.scroll_text import ScrollText

MAX_CACHED = 24
"""Number of rendered images kept, so that going back reads nothing."""

TITLE = "preview"


class PreviewPanel(Panel):
    """Draws images of a bundle in the terminal's best mode. They are read and scaled in a thread."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(PART_KEYS["picture"])

    def __init__(self, source: DataSource, images: ImageMode, *, id: str | None = None) -> None:
        self._text = ScrollText()
        self._blocks = Blocks()
        self._graphic = make_graphic(images)
        self._parts: tuple[Widget, ...] = (self._text, self._graphic or self._blocks)
        super().__init__(TITLE, *self._parts, id=id)
        self._source = source
        self._images = images
        self._record: JobRecord | None = None
        self._bundle = BundleContents()
        self._index = 0
        self._drawn: OrderedDict[tuple[object, ...], Any] = OrderedDict()
        self._fetching = CoalescedFetch(self, "picture", self._read)

    @property
    def many(self) -> bool:
        """Whether there are several images."""
        return self._images is not ImageMode.OFF and len(self._bundle.pictures) > 1

    def show(self, record: JobRecord, bundle: BundleContents) -> None:
        """Shows the first image of a bundle that has at least one."""
        self._record, self._bundle, self._index = record, bundle, 0
        self._show_current()

    def show_text(self, lines: Sequence[Line]) -> None:
        """Shows text instead of an image."""
        self._bundle = BundleContents()
        self._write(lines)
        self.label(TITLE, "")

    def show_file(self, path: str) -> bool:
        """Shows the image at that path; returns False if there is none."""
        for index, picture in enumerate(self._bundle.pictures):
            if picture.path == path:
                self._index = index
                self._show_current()
                return True
        return False

    def action_step(self, step: int) -> None:
        if self.many:
            self._index = (self._index + step) % len(self._bundle.pictures)
            self._show_current()

    def on_click(self, event: Click) -> None:
        self.action_step(-1 if event.button == 3 else 1)

    def on_mouse_scroll_down(self, _event: MouseScrollDown) -> None:
        self.action_step(1)

    def on_mouse_scroll_up(self, _event: MouseScrollUp) -> None:
        self.action_step(-1)

    def on_resize(self) -> None:
        if self._bundle.pictures:
            self._fetching.request()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_mounted and self._bundle.pictures:
            self._fetching.request()

    def _show_current(self) -> None:
        self.label(picture_title(self._bundle, self._index), picture_subtitle(self._bundle, self._index))
        if self._images is ImageMode.OFF:
            self._write([(Span("Images are disabled by PREVIEW_IMAGES.", Tone.DIM),)])
        else:
            self._fetching.request()

    def _write(self, lines: Sequence[Line]) -> None:
        if self._graphic is not None:
            self._graphic.show(None)
        self._show_widget(self._text)
        self._text.write(lambda columns: wrap_json(lines, columns))

    def _show_widget(self, part: Widget) -> None:
        """Shows one of the widgets, and keeps the focus in the panel."""
        focused = self.has_focus_within
        for widget in self._parts:
            widget.display = widget is part
        if focused and not part.has_focus:
            part.focus()

    async def _read(self) -> None:
        record, bundle, index = self._record, self._bundle, self._index
        columns, rows = self.content_size
        if record is None or not bundle.pictures or not columns or not rows:
            return
        try:
            with wrap_errors():
                file = await asyncio.to_thread(self._source.artifact, record, bundle.pictures[index].path)
                rendered = await self._render_image(file, columns, rows)
        except PreviewopsError as error:
            if bundle is self._bundle and index == self._index:
                self._write((_line(error.message, Tone.WARN), _line(error.hint or "", Tone.DIM)))
            return
        if bundle is not self._bundle or index != self._index:
            return  # another fetch is requested already
        if self._graphic is None:
            self._show_widget(self._blocks)
            self._blocks.show(rendered)
        else:
            self._show_widget(self._graphic)
            self._graphic.show(rendered)

    async def _render_image(self, file: ArtifactFile, columns: int, rows: int) -> Any:
        """The image as strips of half blocks, or in the form of the terminal's graphics protocol."""
        background = self._background()
        key = (file.identity, columns, rows, background)
        rendered = self._drawn.pop(key, None)
        if rendered is None:
            rendered = await asyncio.to_thread(_make, self._graphic, file, columns, rows, background)
        self._drawn[key] = rendered
        while len(self._drawn) > MAX_CACHED:
            self._drawn.popitem(last=False)
        return rendered

    def _background(self) -> Colour:
        colour = Color.parse(self.app.theme_variables["background"])
        if colour.ansi is not None:
            return (0, 0, 0) if self.app.current_theme.dark else (255, 255, 255)
        return colour.rgb


def _make(graphic: Graphic | None, file: ArtifactFile, columns: int, rows: int, background: Colour) -> Any:
    if graphic is None:
        return strips_of(half_block_rows(read_pixels(file, (columns, rows * PIXELS_PER_ROW), background)))
    width, height = graphic.cell_pixels()
    return graphic.prepare(read_picture(file, (columns * width, rows * height), background))


def _line(text: str, tone: Tone) -> Line:
    return (clean_span(text, tone),)
