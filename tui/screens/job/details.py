"""The panels below the preview: payload, failed attempts and artifacts."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Horizontal

from previewops.disclosure import payload_for_display
from previewops.queue.records import JobRecord
from previewops.tui.viewmodel.attempts import ATTEMPT_COLUMNS, format_attempt_cells
from previewops.tui.viewmodel.job.artifacts import (
    ARTIFACT_COLUMNS,
    BundleFile,
    format_artifact_cells,
    format_total,
)
from previewops.tui.viewmodel.json_lines import format_json_lines, wrap_json
from previewops.tui.viewmodel.spans import Line, Span, Tone
from previewops.tui.widgets.grid import Grid, Row
from previewops.tui.widgets.panel import Panel
from previewops.tui.widgets.scroll_text import ScrollText

PARTS = ("payload", "attempts", "artifacts")


class DetailPanels(Horizontal):
    """Three panels. Where there is room for one only, ``chosen`` is shown."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.chosen = PARTS[0]
        self._payload: tuple[Line, ...] = ()
        self._of: object = None
        self._artifacts: tuple[BundleFile, ...] = ()

    def compose(self) -> ComposeResult:
        yield Panel("payload", ScrollText(id="payload"), id="payload-panel")
        with Container(id="beside"):
            yield Panel("attempts", Grid(ATTEMPT_COLUMNS, id="attempts"), id="attempts-panel")
            yield Panel("artifacts", Grid(ARTIFACT_COLUMNS, id="artifacts"), id="artifacts-panel")

    def show(self, record: JobRecord, artifacts: tuple[BundleFile, ...], now_ms: int) -> None:
        self._artifacts = artifacts
        self._write_payload(record)
        attempts = [
            Row(str(number), format_attempt_cells(number, attempt, now_ms))
            for number, attempt in record.numbered_history
        ]
        empty_text = "No attempt has failed." if not record.attempts else "The failed attempts were not kept."
        self.query_one("#attempts", Grid).show(attempts, empty=[(Span(empty_text, Tone.DIM),)])
        files = [Row(file.path, format_artifact_cells(file)) for file in artifacts]
        self.query_one("#artifacts", Grid).show(files, empty=[(Span("There are no artifacts.", Tone.DIM),)])
        self._label(len(attempts))
        present = {"attempts": bool(attempts), "artifacts": bool(artifacts)}
        for name, is_present in present.items():
            self._panel(name).set_class(not is_present, "-absent")
        self.query_one("#beside").set_class(not any(present.values()), "-empty")
        self._put_in_order()

    def _put_in_order(self) -> None:
        """Sets CSS classes for the chosen panel: the stylesheet hides the others on a small screen."""
        for name in PARTS:
            self._panel(name).set_class(name != self.chosen, "-put-by")
            self._panel(name).set_class(name == self.chosen, "-chosen")
        beside = self.query_one("#beside")
        beside.set_class(self.chosen == "payload", "-put-by")
        beside.set_class(self.chosen != "payload", "-chosen")

    def choose(self, name: str) -> None:
        """Chooses and focuses a panel."""
        self.chosen = name
        self._put_in_order()
        self.query_one(f"#{name}").focus()

    def _write_payload(self, record: JobRecord) -> None:
        if record.payload is self._of and self._of is not None:
            return
        if record.payload is None:
            lines: tuple[Line, ...] = ((Span("The payload cannot be read.", Tone.DIM),),)
        elif self._payload and record.payload == self._of:
            return
        else:
            lines = format_json_lines(payload_for_display(record.payload))
        self._of, self._payload = record.payload, lines
        self.query_one("#payload", ScrollText).write(lambda columns: wrap_json(lines, columns))

    def _label(self, attempts: int) -> None:
        switch = "v switches the panel" if self.screen.has_class("-small") else ""
        titles = {
            "payload": "payload",
            "attempts": f"failed attempts · {attempts}" if attempts else "failed attempts",
            "artifacts": format_total(self._artifacts),
        }
        for name, title in titles.items():
            self._panel(name).label(title, switch)

    def _panel(self, name: str) -> Panel:
        return self.query_one(f"#{name}-panel", Panel)
