"""The units of a user's service manager, without privileges; workers as transient units."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.system.installed import payload, render
from tests.system.machine import HOME, PREVIEWOPS, Machine

ANN = 1500
UNIT = "previewops-supervisor.service"
WORKERS = 2
DROP_IN = f"/home/ann/.config/systemd/user/{UNIT}.d/test.conf"


@dataclass(slots=True)
class Person:
    """A user on the machine with her own service manager and no privileges."""

    machine: Machine

    def run(self, *command: str) -> str:
        place = (f"XDG_RUNTIME_DIR=/run/user/{ANN}", "HOME=/home/ann")
        identity = (f"--reuid={ANN}", f"--regid={ANN}", "--clear-groups")
        return self.machine.run("setpriv", *identity, "env", *place, *command)

    def systemctl(self, *arguments: str) -> str:
        return self.run("systemctl", "--user", "--no-pager", *arguments)

    def show(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--property", name, "--value", unit).strip()

    def main_pid(self, unit: str) -> int:
        return int(self.show(unit, "MainPID"))

    def transient_workers(self) -> dict[str, int]:
        """Returns the running worker units and their main processes."""
        listed = self.systemctl("list-units", "--state=active", "--output=json", "previewops-worker-*")
        return {row["unit"]: self.main_pid(row["unit"]) for row in json.loads(listed)}

    def until_workers(self, *, without: set[int]) -> None:
        def enough() -> bool:
            pids = set(self.transient_workers().values())
            return len(pids) == WORKERS and not pids & (without | {0})

        self.machine.until(enough, f"{WORKERS} transient workers, none of {sorted(without)}", 40)


@pytest.fixture
def ann(machine: Machine) -> Iterator[Person]:
    """A user who has installed previewops for herself."""
    machine.write("/etc/sysusers.d/ann.conf", f"u ann {ANN} - /home/ann /bin/sh\n")
    machine.run("systemd-sysusers", "ann.conf")
    machine.run("install", "-d", "-o", "ann", "-g", "ann", "/home/ann")
    machine.systemctl("start", f"user@{ANN}.service")
    person = Person(machine)
    person.systemctl("set-environment", f"LD_LIBRARY_PATH={HOME}/python/lib")
    person.run(str(PREVIEWOPS), "systemd", "install", "--user")
    person.systemctl("daemon-reload")
    yield person
    machine.systemctl("stop", f"user@{ANN}.service")
    machine.run("rm", "-rf", "/home/ann")


def test_a_user_starts_and_stops_a_supervisor(ann: Person) -> None:
    verify = "systemd-analyze --user --man=no verify ~/.config/systemd/user/previewops* 2>&1"
    assert ann.run("sh", "-c", verify) == ""
    ann.systemctl("start", UNIT)
    render(ann.machine, payload("by-ann"))
    owner = ann.machine.run("stat", "-c", "%U", "/home/ann/.local/share/previewops/previews/lessons/by-ann")
    assert owner.strip() == "ann"
    ann.systemctl("stop", UNIT)
    assert ann.machine.attempt("pgrep", "--full", "--euid", "ann", "previewops").stdout == ""


def test_workers_as_transient_units_outlive_a_killed_supervisor_and_end_with_a_stopped_one(
    ann: Person,
) -> None:
    options = f"--workers {WORKERS} --backend systemd-run"
    ann.machine.write(DROP_IN, f"[Service]\nEnvironment='PREVIEW_SUPERVISE_OPTIONS={options}'\n")
    ann.systemctl("daemon-reload")
    ann.systemctl("start", UNIT)
    ann.until_workers(without=set())
    render(ann.machine, payload("by-a-transient-unit"))
    for unit in ann.transient_workers():
        assert ann.show(unit, "Type") == "notify"
        assert int(ann.show(unit, "MemoryMax")) > 0

    killed = min(ann.transient_workers().values())
    ann.run("kill", "-KILL", str(killed))
    ann.until_workers(without={killed})

    kept, supervisor = ann.transient_workers(), ann.main_pid(UNIT)
    ann.run("kill", "-KILL", str(supervisor))
    ann.machine.until(lambda: ann.main_pid(UNIT) not in (0, supervisor), "another supervisor", 40)
    ann.machine.until(lambda: ann.show(UNIT, "ActiveState") == "active", "it is ready")
    assert ann.transient_workers() == kept
    render(ann.machine, payload("by-an-adopted-worker"))

    ann.systemctl("stop", UNIT)
    assert ann.transient_workers() == {}
    assert ann.machine.attempt("pgrep", "--full", "--euid", "ann", "previewops").stdout == ""
