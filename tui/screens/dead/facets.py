"""The dialog with what is in a cause: by project, host and hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.queue.dead_letter_facets import DeadLetterFacets
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import PART_KEYS
from previewops.tui.screens.modal import Modal
from previewops.tui.viewmodel.dead.facets import (
    COLUMNS,
    Facet,
    facet_cells,
    hint_line,
    list_facets,
    sample_text,
)
from previewops.tui.widgets.diffed_lines import DiffedLines
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import framed

_AROUND = 6
"""Rows of the frame, the hint and the margin around the list."""


class FacetsScreen(Modal[Facet]):
    """Lists the facets. Enter on one returns it, unless no filter finds its jobs."""

    CSS_PATH = "facets.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings(PART_KEYS["dialog"])

    def __init__(self, title: str, facets: DeadLetterFacets, total: int | None) -> None:
        super().__init__()
        self._title = title
        self._sample = sample_text(facets, total)
        self._counted = facets.counted
        self._facets: Sequence[Facet] = list_facets(facets)

    def compose(self) -> ComposeResult:
        with Container(id="box") as box:
            box.border_title = framed(self._title)
            box.border_subtitle = framed(self._sample)
            yield Grid(COLUMNS, id="facets")
            yield DiffedLines(id="hint")

    def on_mount(self) -> None:
        grid = self.query_one("#facets", Grid)
        kinds = [facet.kind for facet in self._facets]
        rows = [
            Row(facet.key, facet_cells(facet, self._counted, first=kinds.index(facet.kind) == place))
            for place, facet in enumerate(self._facets)
        ]
        self._fit()
        grid.show(rows)
        grid.focus()
        self.query_one("#hint", DiffedLines).draw(lambda _columns, _rows: [hint_line()])

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """Makes the list as high as its rows, or as the terminal leaves room for."""
        room = self.app.size.height - _AROUND
        self.query_one("#facets", Grid).styles.height = max(2, min(len(self._facets) + 1, room))

    def on_grid_row_selected(self, event: Grid.RowSelected) -> None:
        facet = next((facet for facet in self._facets if facet.key == event.key), None)
        if facet is not None and facet.can_filter:
            self.dismiss(facet)
