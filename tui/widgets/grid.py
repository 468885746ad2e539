"""A table whose cursor follows its row while rows come and go. Only changed cells are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import PART_KEYS
from previewops.tui.terminal.palette import get_palette
from previewops.tui.viewmodel.columns import TableColumn, choose_cells, chosen_places, fit_widths, lay_out_row
from previewops.tui.viewmodel.spans import Line, Span, Tone, centre
from previewops.tui.widgets.line_rendering import SCROLLBAR, ScrollingLines, highlight, strip_of

_MARK = 2
_WHEEL_ROWS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One row. ``key`` is stable while the cells change.

    With fewer cells than columns, the last cell takes the remaining width.
    """

    key: str
    cells: tuple[Line, ...]


class Grid(ScrollingLines):
    """Rows below a header. The cursor follows its row's key ("" without rows). ``marking`` enables marks.

    ``list_name`` is the name of the list in the settings file, if its columns can be chosen.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings((*PART_KEYS["list"], *PART_KEYS["grid"]))

    @dataclass
    class CursorMoved(Message):
        """The cursor is on another row; ``key`` is "" if there is none."""

        grid: Grid
        key: str

    @dataclass
    class RowSelected(Message):
        """A row was opened by enter or a double click."""

        grid: Grid
        key: str

    @dataclass
    class MarksChanged(Message):
        """The marked rows have changed."""

        grid: Grid

    @dataclass
    class PastEdge(Message):
        """The cursor was moved beyond the last row (``step`` 1) or the first row (-1)."""

        grid: Grid
        step: int

    def __init__(
        self,
        columns: Sequence[TableColumn],
        *,
        marking: bool = False,
        list_name: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.list_name = list_name
        self._columns = tuple(columns)
        self._chosen: tuple[str, ...] = ()
        self._rows: tuple[Row, ...] = ()
        self._empty: Sequence[Line] = ()
        self.cursor_index = 0
        self.cursor_key = ""
        self._marking = marking
        self._marks: dict[str, None] = {}
        self._widths: tuple[int, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(row.key for row in self._rows)

    @property
    def marks(self) -> tuple[str, ...]:
        """The keys of the marked rows, in the order of marking; some rows may be gone."""
        return tuple(self._marks)

    def show(self, rows: Sequence[Row], *, empty: Sequence[Line] = ()) -> None:
        """Replaces the rows. ``empty`` is shown if there are none."""
        self._rows = tuple(rows)
        self._empty = empty
        place = next((i for i, row in enumerate(self._rows) if row.key == self.cursor_key), self.cursor_index)
        self._put_cursor(place)
        size = Size(self.size.width, len(self._rows) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        self.draw_changes()

    def set_columns(self, columns: Sequence[TableColumn]) -> None:
        """Replaces the columns. The next rows must match them."""
        self._columns = tuple(columns)
        self._rows = ()

    def choose_columns(self, titles: Sequence[str]) -> None:
        """Shows only the columns with these titles; all columns if none of them exists."""
        self._chosen = tuple(titles)
        self.draw_all()

    def go_to(self, key: str) -> None:
        if key in self.keys:
            self._put_cursor(self.keys.index(key))
            self.draw_changes()

    def toggle_mark(self) -> None:
        """Marks or unmarks the row at the cursor, and moves to the next row."""
        if not self._marking or not self.cursor_key:
            return
        self._flip_mark()
        self._put_cursor(self.cursor_index + 1)
        self.draw_changes()

    def _flip_mark(self) -> None:
        if self.cursor_key in self._marks:
            del self._marks[self.cursor_key]
        else:
            self._marks[self.cursor_key] = None
        self.post_message(self.MarksChanged(self))

    def mark(self, keys: Sequence[str]) -> None:
        """Marks exactly these rows."""
        self._marks = dict.fromkeys(keys)
        self.draw_changes()
        self.post_message(self.MarksChanged(self))

    def toggle_marks(self) -> None:
        """Marks all visible rows, or unmarks them if all are marked. Marks of other rows stay."""
        shown, marks = self.keys, self.marks
        if set(shown) <= set(marks):
            self.mark([key for key in marks if key not in set(shown)])
        else:
            self.mark(list(dict.fromkeys((*marks, *shown))))

    # -- keys and mouse ---------------------------------------------------------------------------------

    def action_page(self, step: int) -> None:
        self.action_move(step * max(1, self.size.height - 2))

    def action_edge(self, step: int) -> None:
        self._put_cursor(0 if step < 0 else len(self._rows) - 1)
        self.draw_changes()

    def action_choose(self) -> None:
        if self.cursor_key:
            self.post_message(self.RowSelected(self, self.cursor_key))

    def on_click(self, event: Click) -> None:
        self.focus()
        place = self._row_at(event.y)
        if place is None:
            return
        self._put_cursor(place)
        if self._marking and event.x < _MARK:
            self._flip_mark()
        self.draw_changes()
        if event.chain >= 2:
            self.action_choose()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self.action_move(_WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self.action_move(-_WHEEL_ROWS)

    def _row_at(self, y: int) -> int | None:
        place = y - 1 + self.scroll_offset.y
        return place if y > 0 and place < len(self._rows) else None

    def action_move(self, step: int) -> None:
        target = self.cursor_index + step
        edge = max(0, len(self._rows) - 1) if step > 0 else 0
        if not 0 <= target < len(self._rows) and self.cursor_index == edge:
            self.post_message(self.PastEdge(self, 1 if step > 0 else -1))
        self._put_cursor(target)
        self.draw_changes()

    def _put_cursor(self, place: int) -> None:
        self.cursor_index = min(max(0, place), max(0, len(self._rows) - 1))
        key = self._rows[self.cursor_index].key if self._rows else ""
        moved = key != self.cursor_key
        self.cursor_key = key
        self._follow()
        if moved:
            self.post_message(self.CursorMoved(self, key))

    @property
    def on_last_row(self) -> bool:
        """Whether the cursor is on the last row."""
        return bool(self._rows) and self.cursor_index == len(self._rows) - 1

    def _follow(self) -> None:
        height = self.size.height - 1
        if height < 1:
            return
        top = self.scroll_offset.y
        if self.cursor_index < top:
            self._scroll_rows(self.cursor_index)
        elif self.cursor_index >= top + height:
            self._scroll_rows(self.cursor_index - height + 1)

    def _scroll_rows(self, top: int) -> None:
        # The virtual size limits scrolling and may not include new rows yet.
        self.virtual_size = Size(self.size.width, len(self._rows) + 1)
        self.scroll_to(y=top, animate=False, force=True)

    # -- drawing ----------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._rows) + 1)
        self._follow()
        self.draw_changes()

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)  # an on_focus handler would run before Textual sets has_focus
        self.draw_changes()

    def watch_show_vertical_scrollbar(self) -> None:
        self.draw_all()

    def build_strips(self) -> list[Strip]:
        columns, height = self.size.width - SCROLLBAR, self.size.height
        if columns < 1 or height < 1:
            return []
        palette = get_palette(self.app)
        base_style = self.rich_style
        room = columns - (_MARK if self._marking else 0)
        chosen = chosen_places(self._columns, self._chosen)
        shown = [self._columns[place] for place in chosen]
        self._widths = fit_widths(shown, room)
        titles = tuple(column.header for column in shown)
        strips = [strip_of(self._laid_out(titles, shown, Span("  ")), columns, palette)]
        top = self.scroll_offset.y
        for place in range(top, min(top + height - 1, len(self._rows))):
            row = self._rows[place]
            mark = Span("● " if row.key in self._marks else "  ", Tone.INFO)
            cells = choose_cells(row.cells, chosen, len(self._columns))
            strip = strip_of(self._laid_out(cells, shown, mark), columns, palette)
            strips.append(highlight(strip, self) if place == self.cursor_index else strip)
        if not self._rows:
            strips += [strip_of(line, columns, palette) for line in centre(self._empty, columns, height - 1)]
        strips += [Strip.blank(columns)] * (height - len(strips))
        return [strip.apply_style(base_style) for strip in strips[:height]]

    def _laid_out(self, cells: Sequence[Line], columns: Sequence[TableColumn], mark: Span) -> Line:
        line = lay_out_row(cells, columns, self._widths)
        return (mark, *line) if self._marking else line
