"""`previewops systemd uninstall`: files removed, kept and left; units that have to be stopped first."""

from __future__ import annotations

from pathlib import Path

import pytest

from previewops.cli import systemd as command
from previewops.cli.program import run
from previewops.cli.systemd_uninstall import parse_active_units
from previewops.cli.systemd_units import SUPERVISOR

ENVIRONMENT = "etc/previewops/previewops.env"
UNITS = "etc/systemd/system"
DATA = "var/lib/previewops"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with an installation."""
    monkeypatch.delenv("DATA_DIR", raising=False)
    assert run(["systemd", "install", "--prefix", str(tmp_path / "root")]) == 0
    capsys.readouterr()
    return tmp_path / "root"


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def uninstall(root: Path, *options: str) -> int:
    return run(["systemd", "uninstall", "--prefix", str(root), *options])


def link(root: Path, name: str, unit: str = SUPERVISOR) -> Path:
    path = root / UNITS / "multi-user.target.wants" / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(f"/etc/systemd/system/{unit}")
    return path


def make_data(root: Path, *hosts: str) -> Path:
    for name in (".staging", "previews/lessons/one", *(f"supervisor/host-{host}" for host in hosts)):
        (root / DATA / name).mkdir(parents=True)
    return root / DATA


def test_it_removes_what_install_wrote_and_keeps_the_settings(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = files_in(root)
    make_data(root, "one")
    assert uninstall(root) == 0
    removed, left = capsys.readouterr().out.split("\nLeft\n")
    assert {line[16:] for line in removed.splitlines()} == {
        str(root / name) for name in installed - {ENVIRONMENT}
    }
    assert files_in(root) == {ENVIRONMENT}
    assert f"{root / ENVIRONMENT}: settings; --settings removes them" in left
    assert f"{root / DATA}: DATA_DIR with all bundles; --data removes it" in left
    assert "Next steps" not in left

    assert uninstall(root) == 0
    assert capsys.readouterr().out.startswith("\nLeft\n"), "there is nothing more to remove"


def test_a_dry_run_removes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_in(root)
    assert uninstall(root, "--settings", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(before)
    assert all(line.startswith("would remove    ") for line in lines)
    assert files_in(root) == before


def test_settings_are_removed_on_request_and_other_files_beside_them_stay(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert uninstall(root, "--settings") == 0
    assert not (root / "etc/previewops").exists()
    assert run(["systemd", "install", "--prefix", str(root)]) == 0
    (root / "etc/previewops/redis-password").touch()
    assert uninstall(root, "--settings") == 0
    assert files_in(root) == {"etc/previewops/redis-password"}
    assert f"{root}/etc/previewops/redis-password: your file" in capsys.readouterr().out


def test_changes_of_an_administrator_are_left_and_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drop_in = root / UNITS / f"{SUPERVISOR}.d" / "override.conf"
    drop_in.parent.mkdir()
    drop_in.touch()
    (root / UNITS / SUPERVISOR).write_text("[Unit]\n")
    assert uninstall(root) == 0
    assert files_in(root) == {ENVIRONMENT, f"{UNITS}/{SUPERVISOR}.d/override.conf"}
    assert f"{drop_in.parent}: your changes of a unit" in capsys.readouterr().out


@pytest.mark.parametrize("options", [(), ("--settings", "--data")])
def test_an_enabled_unit_is_rejected_with_the_command_that_disables_it(
    root: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    links = [link(root, SUPERVISOR), link(root, "previewops-worker@1.service", "previewops-worker@.service")]
    before = files_in(root)
    assert uninstall(root, *options) == 1
    captured = capsys.readouterr()
    assert "found previewops-supervisor.service enabled, previewops-worker@1.service enabled" in captured.err
    hint = f"hint: sudo systemctl disable --now {SUPERVISOR} previewops-worker@1.service"
    assert hint in captured.err
    assert captured.out == ""
    assert files_in(root) == before
    for path in links:
        path.unlink()
    assert uninstall(root, *options) == 0


def test_data_is_removed_on_request(root: Path) -> None:
    data = make_data(root)
    assert uninstall(root, "--data") == 0
    assert not data.exists()
    assert uninstall(root, "--data") == 0


def test_the_data_dir_is_that_of_the_installed_units(tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert run(["--data-dir", "/srv/previews", "systemd", "install", "--prefix", str(root)]) == 0
    (root / "srv").mkdir()
    make_data(root).rename(root / "srv/previews")
    assert uninstall(root, "--data") == 0
    assert not (root / "srv/previews").exists()


@pytest.mark.parametrize("kind", ["other hosts", "link", "another folder"])
def test_a_folder_that_is_not_only_this_hosts_data_dir_is_not_removed(
    root: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_in(root)
    if kind == "other hosts":
        make_data(root, "render-7")
    elif kind == "link":
        make_data(root).rename(root / "elsewhere")
        (root / DATA).symlink_to(root / "elsewhere")
    else:
        (root / DATA).mkdir(parents=True)
    assert uninstall(root, "--data") == 2
    message = {"other hosts": "in use by host-render-7", "link": "a mount point or a link"}
    assert message.get(kind, "without the folders .staging and previews") in capsys.readouterr().err
    assert before <= files_in(root)


def test_a_file_that_cannot_be_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unlink(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", unlink)
    assert uninstall(root) == 1
    error = capsys.readouterr().err
    assert f"cannot remove {root / UNITS / SUPERVISOR}: Permission denied" in error
    assert "hint: use sudo" in error


ACTIVE = """\
previewops-supervisor.service loaded active running previewops: supervisor of this host's preview workers
previewops-worker-0a1b2c3d-one.service loaded deactivating stop-sigterm previewops: worker one
previewops.slice loaded active active previewops: background preview rendering
"""


def test_the_slice_does_not_count_as_running() -> None:
    assert parse_active_units(ACTIVE) == [SUPERVISOR, "previewops-worker-0a1b2c3d-one.service"]
    assert parse_active_units("\n") == []


@pytest.fixture
def installed_for_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Units of a user, whose `systemctl` is the file bin/systemctl, on a machine with systemd."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.delenv("DATA_DIR", raising=False)
    monkeypatch.setattr(command, "_BOOTED", tmp_path)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert run(["systemd", "install", "--user"]) == 0
    return tmp_path


def systemctl(folder: Path, script: str) -> None:
    path = folder / "bin" / "systemctl"
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{folder}/calls"\n{script}\n')
    path.chmod(0o755)


def test_an_active_unit_is_rejected(installed_for_user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    systemctl(installed_for_user, f"cat <<'END'\n{ACTIVE}END")
    before = files_in(installed_for_user / "config")
    assert run(["systemd", "uninstall", "--user"]) == 1
    error = capsys.readouterr().err
    assert f"found {SUPERVISOR} active" in error
    assert f"hint: systemctl --user disable --now {SUPERVISOR} previewops-worker-0a1b2c3d-one" in error
    assert files_in(installed_for_user / "config") == before
    assert (installed_for_user / "calls").read_text().startswith("--user list-units ")


def test_a_service_manager_that_cannot_be_asked_is_no_reason_to_go_on(
    installed_for_user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    systemctl(installed_for_user, "echo 'Failed to connect to bus' >&2; exit 1")
    assert run(["systemd", "uninstall", "--user"]) == 1
    assert "cannot list the active units: Failed to connect to bus" in capsys.readouterr().err
    assert (installed_for_user / "config/systemd/user" / SUPERVISOR).exists()


def test_units_of_a_user(installed_for_user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    systemctl(installed_for_user, "exit 0")
    capsys.readouterr()
    assert run(["systemd", "uninstall", "--user", "--settings"]) == 0
    output = capsys.readouterr().out
    assert files_in(installed_for_user / "config") == set()
    assert "  systemctl --user daemon-reload\n" in output
    assert "userdel" not in output
