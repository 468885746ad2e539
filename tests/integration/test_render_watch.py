"""``previewops render --watch`` in a real terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from previewops.cli.sheet_printer import SheetPrinter
from previewops.tui.terminal.capabilities import ImageMode
from tests.integration.cli_program import Program
from tests.render_support import quarters

PATIENCE_S = 60.0


class Watched:
    """A running ``previewops render --watch`` and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process, self._terminal, self.text = process, terminal, ""

    def read_until(self, text: str) -> str:
        """Returns what is printed up to ``text``."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self._terminal], [], [], 1.0)[0]:
                self.text += os.read(self._terminal, 65_536).decode("utf-8", "replace")
        before, _, self.text = self.text.partition(text)
        return before

    def interrupt(self) -> int:
        """Sends what Ctrl-C sends; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)


@contextmanager
def watching(folder: Path, *options: str, **environ: str) -> Iterator[Watched]:
    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "previewops", "render", "job.json", "-o", "out", "--watch", *options]
    process = subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=folder,
        start_new_session=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "COLUMNS": "80",
            "LINES": "30",
            **environ,
        },
    )
    os.close(terminal)
    try:
        yield Watched(process, main)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(main)


def write_job(folder: Path, title: str) -> None:
    job: dict[str, Any] = {
        "jobId": "job",
        "projectId": "project",
        "requestId": "request",
        "dryRun": False,
        "previewRequest": {
            "title": title,
            "steps": [{"title": "One", "assetIds": ["a"]}],
            "assets": [{"id": "a", "uri": "a.png"}],
            "audio": {},
            "options": {"resolution": "160x90"},
        },
    }
    (folder / "job.json").write_text(json.dumps(job), "utf-8")


def test_it_renders_again_after_changes_shows_the_sheet_and_waits_out_errors(tmp_path: Path) -> None:
    write_job(tmp_path, "First")
    quarters((64, 36)).save(tmp_path / "a.png")
    preview = tmp_path / "out" / "preview.json"
    with watching(tmp_path) as watched:
        shown = watched.read_until("waiting for changes")
        assert "▀" in shown
        assert "\x1b[38;2;" in shown
        assert "out: " in shown
        assert json.loads(preview.read_text("utf-8"))["title"] == "First"
        write_job(tmp_path, "Second")
        assert "changed: job.json" in watched.read_until("waiting for changes")
        assert json.loads(preview.read_text("utf-8"))["title"] == "Second"
        (tmp_path / "a.png").unlink()
        assert "a.png" in watched.read_until("waiting for changes")
        Image.new("RGB", (64, 36), (9, 200, 9)).save(tmp_path / "a.png")
        assert "changed: a.png" in watched.read_until("waiting for changes")
        (tmp_path / "job.json").write_text("{", "utf-8")
        assert "JSON" in watched.read_until("waiting for changes")
        assert watched.interrupt() == 0
    assert json.loads(preview.read_text("utf-8"))["title"] == "Second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "job.json", "out"]


@pytest.mark.parametrize("part", ["poster", "frames", "thumbnails"])
def test_a_bundle_without_a_sheet_shows_another_picture(
    tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quarters((64, 36)).save(tmp_path / "a.png")
    picture = {"path": "a.png"}
    preview = {
        "sheet": None,
        "poster": picture if part == "poster" else None,
        "frames": [picture] if part == "frames" else [],
    }
    (tmp_path / "preview.json").write_text(json.dumps(preview), "utf-8")
    monkeypatch.setattr(SheetPrinter, "__init__", lambda self: setattr(self, "_images", ImageMode.BLOCKS))
    SheetPrinter().print(tmp_path)
    printed = capsys.readouterr()
    assert bool(printed.out) == (part != "thumbnails")
    assert ("options.only" in printed.err) == (part == "thumbnails")


def test_it_needs_a_file_and_text_output(tmp_path: Path) -> None:
    program = Program(tmp_path)
    for arguments in (("-",), ("job.json", "--json")):
        done = program.run("render", "--watch", "-o", "out", *arguments)
        assert done.code == 2
        assert "--watch: found" in done.err
