"""The units of a user's own service manager, without any privilege."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.machine import PREVIEWOPS, Machine
from tests.system.use import payload, render

ANN = 1500
UNIT = "previewops-supervisor.service"


def as_ann(machine: Machine, *words: str) -> str:
    place = (f"XDG_RUNTIME_DIR=/run/user/{ANN}", "HOME=/home/ann")
    return machine.run("setpriv", f"--reuid={ANN}", f"--regid={ANN}", "--clear-groups", "env", *place, *words)


@pytest.fixture
def ann(machine: Machine) -> Iterator[Machine]:
    """A machine on which a person without privileges is logged in."""
    machine.write("/etc/sysusers.d/ann.conf", f"u ann {ANN} - /home/ann /bin/sh\n")
    machine.run("systemd-sysusers", "ann.conf")
    machine.run("install", "-d", "-o", "ann", "-g", "ann", "/home/ann")
    machine.systemctl("start", f"user@{ANN}.service")
    yield machine
    machine.systemctl("stop", f"user@{ANN}.service")


def test_a_user_installs_starts_and_stops_a_supervisor(ann: Machine) -> None:
    as_ann(ann, str(PREVIEWOPS), "systemd", "install", "--user")
    verify = "systemd-analyze --user --man=no verify ~/.config/systemd/user/previewops* 2>&1"
    assert as_ann(ann, "sh", "-c", verify) == ""
    as_ann(ann, "systemctl", "--user", "daemon-reload")
    as_ann(ann, "systemctl", "--user", "set-environment", "LD_LIBRARY_PATH=/opt/previewops/python/lib")
    as_ann(ann, "systemctl", "--user", "start", UNIT)
    render(ann, payload("by-ann"))
    owner = ann.run("stat", "-c", "%U", "/home/ann/.local/share/previewops/previews/lessons/by-ann").strip()
    assert owner == "ann"
    as_ann(ann, "systemctl", "--user", "stop", UNIT)
    assert ann.attempt("pgrep", "--full", "--euid", "ann", "previewops").stdout == ""
