"""The list of the screen of dead letters: the causes or the jobs, each with a filter of its own, in one frame."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Container

from previewops.tui.picture import Picture
from previewops.tui.screens.dead.catalogue import MOST_GROUPS, Catalogue
from previewops.tui.shape import dead as shape
from previewops.tui.shape.choice import View
from previewops.tui.shape.deadwords import Extent, empty_lines, subtitle_of, title_of
from previewops.tui.widgets.filterline import FilterLine
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel

if TYPE_CHECKING:
    from previewops.listviews import DeadGroup

CAUSES_EXAMPLE = 'asset-missing "no file" !timeout'
"""What stands in the empty line of the causes, which have nothing but errors to look into."""

_MINUTE_MS = 60_000


class Letters(Panel):
    """Draws what a catalogue has fetched of its present view."""

    def __init__(self, catalogue: Catalogue, *, id: str) -> None:
        super().__init__(
            "dead letters",
            Container(Grid(shape.GROUP_COLUMNS, marking=True), FilterLine(CAUSES_EXAMPLE), id="by-cause"),
            Container(Grid(shape.ALL_COLUMNS, marking=True), FilterLine(), id="by-job"),
            id=id,
        )
        self._catalogue = catalogue
        self._drawn: tuple[object, ...] = ()

    def on_mount(self) -> None:
        self.query_one("#by-job").display = False

    @property
    def causes(self) -> Grid:
        """The rows of causes."""
        return self.query_one("#by-cause Grid", Grid)

    @property
    def jobs(self) -> Grid:
        """The rows of jobs."""
        return self.query_one("#by-job Grid", Grid)

    @property
    def grid(self) -> Grid:
        """The rows in sight."""
        return self.causes if self._catalogue.view.causes else self.jobs

    @property
    def filter(self) -> FilterLine:
        """The filter of the rows in sight."""
        return self.filter_of(self._catalogue.view)

    def filter_of(self, view: View) -> FilterLine:
        """The filter of a view's rows."""
        side = "#by-cause" if view.causes else "#by-job"
        return self.query_one(f"{side} FilterLine", FilterLine)

    @property
    def group(self) -> DeadGroup | None:
        """The cause under the cursor, when causes are in sight."""
        return self.group_of(self.causes.cursor_key) if self._catalogue.view.causes else None

    def group_of(self, fingerprint: str) -> DeadGroup | None:
        """A cause by its fingerprint."""
        groups = self._catalogue.groups or ()
        return next((group for group in groups if group.fingerprint == fingerprint), None)

    @property
    def job_id(self) -> str:
        """The job under the cursor, among the causes the newest of the one under it; "" for none."""
        if not self._catalogue.view.causes:
            return self.jobs.cursor_key
        return self.group.example.job_id if self.group is not None else ""

    def change_level(self, view: View) -> None:
        """Brings the rows of causes, of one cause, or of all jobs into sight."""
        if not view.causes:
            self.jobs.set_columns(shape.ALL_COLUMNS if view.group is None else shape.ONE_GROUP_COLUMNS)
        self.query_one("#by-cause").display = view.causes
        self.query_one("#by-job").display = not view.causes
        self.grid.focus()

    def draw_rows(self, picture: Picture) -> None:
        """Makes the rows anew if something in them can have changed: ages change by the minute."""
        catalogue, view = self._catalogue, self._catalogue.view
        now_ms = picture.snapshot.now_ms if picture.snapshot is not None else 0
        fetched = catalogue.groups if view.causes else catalogue.rows
        trouble = catalogue.trouble or picture.trouble
        drawn = (view, fetched, trouble, picture.frozen, now_ms // _MINUTE_MS)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        if view.causes:
            dead = picture.snapshot.dead if picture.snapshot is not None else 0
            total = max(dead, sum(group.count for group in catalogue.groups or ()))
            rows = [Row(each.fingerprint, shape.group_cells(each, total, now_ms)) for each in self._groups]
        else:
            cells = partial(shape.job_cells, now_ms=now_ms, with_error=view.group is None)
            rows = [Row(each.job_id, cells(each)) for each in catalogue.rows or ()]
        empty = empty_lines(view, self._extent(picture), trouble=trouble, frozen=picture.frozen)
        self.grid.show(rows, empty=empty)

    def draw_frame(self, picture: Picture, *, chosen: int | None, counting: int | None) -> None:
        """Writes into the frame what is listed; ``chosen`` and ``counting`` as in ``deadwords``."""
        catalogue = self._catalogue
        subtitle = subtitle_of(
            catalogue.view,
            trouble=catalogue.trouble or picture.trouble,
            looking=catalogue.looking,
            frozen=picture.frozen,
            counting=counting,
        )
        self.label(title_of(catalogue.view, self._extent(picture, chosen)), subtitle)

    @property
    def _groups(self) -> tuple[DeadGroup, ...]:
        return shape.matching(self._catalogue.groups or (), self._catalogue.view.terms)

    def _extent(self, picture: Picture, chosen: int | None = None) -> Extent:
        catalogue, view = self._catalogue, self._catalogue.view
        dead = picture.snapshot.dead if picture.snapshot is not None else None
        marked = len(self.grid.marks)
        if view.causes:
            groups = catalogue.groups
            return Extent(
                shown=None if groups is None else len(self._groups),
                total=None if groups is None else len(groups),
                whole=groups is None or len(groups) < MOST_GROUPS,
                dead=dead,
                marked=marked,
                chosen=chosen,
            )
        return Extent(
            shown=None if catalogue.rows is None else len(catalogue.rows),
            start=catalogue.paging.start,
            total=dead if view.flat and not view.narrowed else catalogue.total,
            dead=dead,
            marked=marked,
            chosen=chosen,
        )
