"""`previewops systemd`: files written, kept, replaced and rejected."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from previewops.cli import systemd as command
from previewops.cli.program import run
from previewops.cli.systemd_units import SUPERVISOR, UNITS

UNIT = f"etc/systemd/system/{SUPERVISOR}"
ENVIRONMENT = "etc/previewops/previewops.env"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.delenv("DATA_DIR", raising=False)


def files_in(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def actions(output: str) -> set[str]:
    return {line[:16].strip() for line in output.split("\n\n", maxsplit=1)[0].splitlines()}


def test_prefix_replaces_the_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["systemd", "install", "--prefix", str(tmp_path / "root")]) == 0
    written = files_in(tmp_path / "root")
    assert len(written) == len(UNITS) + 3
    assert str(tmp_path / "root") not in "".join(written.values())
    assert (tmp_path / "root" / ENVIRONMENT).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "root" / UNIT).stat().st_mode & 0o777 == 0o644
    output = capsys.readouterr().out
    assert actions(output) == {"written"}
    assert "Next steps" not in output


def test_installing_again_replaces_units_and_keeps_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["systemd", "install", "--prefix", str(tmp_path)]
    assert run(arguments) == 0
    first = files_in(tmp_path)
    capsys.readouterr()
    assert run(arguments) == 0
    assert actions(capsys.readouterr().out) == {"unchanged"}

    (tmp_path / UNIT).write_text("[Unit]\n")
    (tmp_path / ENVIRONMENT).write_text("PREVIEW_QUEUE_MAX=7\n")
    assert run(arguments) == 0
    assert actions(capsys.readouterr().out) == {"unchanged", "replaced", "kept"}
    assert files_in(tmp_path) == {**first, ENVIRONMENT: "PREVIEW_QUEUE_MAX=7\n"}


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["systemd", "install", "--dry-run", "--prefix", str(tmp_path / "root")]) == 0
    assert actions(capsys.readouterr().out) == {"would write"}
    assert not (tmp_path / "root").exists()


def test_user_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["systemd", "install", "--user"]) == 0
    written = files_in(tmp_path / "config")
    assert f"systemd/user/{SUPERVISOR}" in written
    assert f"DATA_DIR={tmp_path}/share/previewops" in written[f"systemd/user/{SUPERVISOR}"]
    assert "systemctl --user enable --now" in capsys.readouterr().out


def test_relative_base_directories_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "config")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["systemd", "install", "--user", "--prefix", str(tmp_path / "root")]) == 0
    assert (tmp_path / "root" / tmp_path.relative_to("/") / ".config/systemd/user" / SUPERVISOR).exists()


@pytest.mark.parametrize("by", ["option", "variable"])
def test_another_data_dir(
    by: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    option = ["--data-dir", "previews"] if by == "option" else []
    monkeypatch.setenv("DATA_DIR", "/srv/else" if by == "option" else "previews")
    assert run([*option, "systemd", "print", SUPERVISOR]) == 0
    assert f"ReadWritePaths={tmp_path}/previews\n" in capsys.readouterr().out


def test_print_names_each_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["systemd", "print"]) == 0
    output = capsys.readouterr().out
    assert [line for line in output.splitlines() if line.startswith("# /etc/")] == [
        *(f"# /etc/systemd/system/{name}" for name in UNITS),
        "# /etc/previewops/previewops.env",
        "# /etc/sysusers.d/previewops.conf",
        "# /etc/tmpfiles.d/previewops.conf",
    ]


def test_print_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["systemd", "print", "previewops.slice"]) == 0
    assert capsys.readouterr().out.startswith("# /etc/systemd/system/previewops.slice\n")


def test_unknown_file_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["systemd", "print", "previewops.socket"]) == 2
    assert "allowed: previewops-supervisor.service, " in capsys.readouterr().err


def test_units_run_this_installation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert run(["systemd", "print", SUPERVISOR]) == 0
    assert f"ExecStart={tmp_path}/python -m previewops supervise" in capsys.readouterr().out
    (tmp_path / "previewops").touch()
    assert run(["systemd", "print", SUPERVISOR]) == 0
    assert f"ExecStart={tmp_path}/previewops supervise" in capsys.readouterr().out


def test_hidden_program_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_program_folders", lambda: (Path("/home/ann/venv"),))
    assert run(["systemd", "install", "--dry-run"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "program folder: found /home/ann/venv" in captured.err
    assert run(["systemd", "print", SUPERVISOR]) == 0
    assert "note: program folder: found /home/ann/venv" in capsys.readouterr().err


def test_unwritable_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "etc").write_text("a file in the way")
    assert run(["systemd", "install", "--prefix", str(tmp_path)]) == 1
    assert f"cannot write {tmp_path}/{UNIT}: Not a directory" in capsys.readouterr().err


def test_without_systemd_every_directive_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["systemd", "print", SUPERVISOR]) == 0
    assert "\nRestartSteps=" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("output", "steps"), [("systemd 252 (252.38-1)", False), ("systemd 257 (257~rc1)", True)]
)
def test_directives_follow_the_systemd_version(
    output: str,
    steps: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\necho '{output}'\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["systemd", "print", SUPERVISOR]) == 0
    assert ("\nRestartSteps=" in capsys.readouterr().out) is steps
