"""What Ctrl-C breaks on its way is no error of its own."""

from __future__ import annotations

import pytest

from previewops.cli import program


@pytest.mark.parametrize(("interrupted", "code"), [(True, program.EXIT_INTERRUPTED), (False, 1)])
def test_an_error_after_ctrl_c_is_the_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], interrupted: bool, code: int
) -> None:
    def break_down(*_arguments: object) -> int:
        raise RuntimeError("the connection was closed under a command")

    monkeypatch.setattr(program, "_dispatch", break_down)
    monkeypatch.setattr(program._Interrupt, "received", interrupted)
    assert program.run(["stats"]) == code
    assert ("interrupted" in capsys.readouterr().err) is interrupted
