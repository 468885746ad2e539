"""Workers as transient units: their limits, and a restarted supervisor that adopts them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.installed import payload, render, status
from tests.system.machine import PREVIEWOPS, Machine

UNIT = "previewops-transient-test.service"
DATA_DIR = "/var/lib/previewops-transient"
WORKERS = 2
OWN_USER_EXPOSURE = 0.4
"""The units of a root-owned DATA_DIR are root's: what systemd-analyze adds for that."""


@pytest.fixture
def supervised(machine: Machine) -> Iterator[Machine]:
    """A machine whose supervisor starts its workers by systemd-run."""
    start(machine)
    until_running(machine, without=set())
    yield machine
    machine.systemctl("stop", UNIT)
    assert units(machine) == set(), "a stopped supervisor stops its workers"


def start(machine: Machine) -> None:
    machine.run(
        *("systemd-run", "--collect", f"--unit={UNIT}", "--service-type=notify", "--property=KillMode=mixed"),
        *(f"--setenv=DATA_DIR={DATA_DIR}", "--setenv=PREVIEW_DRAIN_TIMEOUT_S=5"),
        *(str(PREVIEWOPS), "supervise", "--backend", "systemd-run", "--workers", str(WORKERS)),
    )


def workers(machine: Machine) -> dict[int, Any]:
    """Returns the published workers by process id while all of them run."""
    supervisors = json.loads(machine.run(str(PREVIEWOPS), "workers", "--json"))["supervisors"]
    listed = [
        worker for view in supervisors if view["pid"] == machine.main_pid(UNIT) for worker in view["workers"]
    ]
    if [worker["phase"] for worker in listed] != ["running"] * WORKERS:
        return {}
    return {worker["pid"]: worker for worker in listed}


def until_running(machine: Machine, *, without: set[int]) -> dict[int, Any]:
    running: dict[int, Any] = {}

    def enough() -> bool:
        nonlocal running
        running = workers(machine)
        return len(running) == WORKERS and not without & set(running)

    machine.until(enough, f"{WORKERS} workers run, none of {sorted(without)}", 40)
    return running


def units(machine: Machine) -> set[str]:
    listed = machine.systemctl(
        "list-units", "--type=service", "--state=active,activating", "--output=json", "previewops-worker-*"
    )
    return {row["unit"] for row in json.loads(listed)}


def test_each_worker_is_a_unit_with_limits(supervised: Machine) -> None:
    worker_units = units(supervised)
    assert len(worker_units) == WORKERS
    pids = set(workers(supervised))
    assert {supervised.main_pid(unit) for unit in worker_units} == pids
    for unit in worker_units:
        shown = {name: supervised.show(unit, name) for name in ("Type", "KillMode", "CPUWeight", "MemoryMax")}
        assert shown == {
            "Type": "notify",
            "KillMode": "mixed",
            "CPUWeight": "50",
            "MemoryMax": str((2 * 1088 + 256) * 2**20),
        }
    render(supervised, payload("by-a-unit"))


def test_the_units_are_as_hardened_as_the_shipped_ones(supervised: Machine) -> None:
    shipped = exposure(supervised, "previewops-worker@1.service")
    unit = min(units(supervised))
    assert exposure(supervised, unit) <= shipped + OWN_USER_EXPOSURE
    fields = status(supervised, supervised.main_pid(unit))
    assert (fields["NoNewPrivs"], fields["Seccomp"], int(fields["CapBnd"], 16)) == ("1", "2", 0)
    owner = supervised.run("stat", "-c", "%u", DATA_DIR).strip()
    assert fields["Uid"].split()[0] == owner


def exposure(machine: Machine, unit: str) -> float:
    table = machine.run("systemd-analyze", "security", "--no-pager", unit)
    (score,) = re.findall(r"Overall exposure level for .*: ([0-9.]+) ", table)
    return float(score)


def test_no_secret_is_left_when_supervisor_and_workers_are_killed(supervised: Machine) -> None:
    left_over = f"{DATA_DIR}/supervisor/*/*/*.env /run/previewops/*/*"
    assert supervised.run("sh", "-c", f"ls {left_over} 2>/dev/null || true") == ""
    for pid in (supervised.main_pid(UNIT), *workers(supervised)):
        supervised.run("kill", "-KILL", str(pid))
    supervised.until(lambda: supervised.show(UNIT, "ActiveState") != "active", "the supervisor has exited")
    # What a supervisor leaves that is killed in the middle of a start, now and in earlier versions.
    (folder,) = supervised.run("sh", "-c", "echo /run/previewops/*/").split()
    (own,) = supervised.run("sh", "-c", f"echo {DATA_DIR}/supervisor/host-*/queue-*").split()
    supervised.run("touch", f"{folder}w.env", f"{own}/w.env")
    start(supervised)
    until_running(supervised, without=set())
    assert supervised.run("sh", "-c", f"ls {left_over} 2>/dev/null || true") == ""
    assert supervised.run("stat", "-c", "%a", folder).strip() == "700"


def test_a_killed_unit_is_replaced_and_its_exit_is_reported(supervised: Machine) -> None:
    killed = min(workers(supervised))
    supervised.run("kill", "-KILL", str(killed))
    until_running(supervised, without={killed})
    assert "SIGKILL" in supervised.journal("-u", UNIT)
    render(supervised, payload("after-a-units-end"))


def test_a_restarted_supervisor_adopts_its_workers(supervised: Machine) -> None:
    before = set(workers(supervised))
    supervisor = supervised.main_pid(UNIT)
    supervised.run("kill", "-KILL", str(supervisor))
    supervised.until(lambda: supervised.show(UNIT, "ActiveState") != "active", "the supervisor has exited")
    render(supervised, payload("without-a-supervisor"))
    start(supervised)
    assert set(until_running(supervised, without=set())) == before
    killed = min(before)
    supervised.run("kill", "-KILL", str(killed))
    after = until_running(supervised, without={killed})
    assert len(set(after) & before) == WORKERS - 1
