"""Terminal output that cannot be written."""

from __future__ import annotations

import os
import sys

import pytest

from previewops.cli.output import OutputClosed, print_err, print_status
from previewops.errors import PreviewopsError


def test_a_terminal_that_has_hung_up_is_a_closed_output(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream:
        os.close(controller)
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(OutputClosed):
            print_status("nobody reads this")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), terminal)  # for what the stream still holds


def test_a_note_that_cannot_be_written_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", buffering=1) as full:  # noqa: PTH123 - line buffered, like standard error
        monkeypatch.setattr(sys, "stderr", full)
        print_err("lost")
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(PreviewopsError, match="No space left"):
            print_status("a result is not lost silently")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
    monkeypatch.setattr(sys, "stderr", None)
    print_err("lost")
