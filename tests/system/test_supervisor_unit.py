"""The supervisor's unit under a real systemd."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.system.installed import payload, render, stats, status
from tests.system.machine import PREVIEWOPS, Machine

UNIT = "previewops-supervisor.service"
WORKERS = 2
SETTINGS = "/etc/previewops/previewops.env"
# Short, so that a test does not wait for the default of ten seconds.
CHANGE = f"[Service]\nEnvironment='PREVIEW_SUPERVISE_OPTIONS=--workers {WORKERS}'\nWatchdogSec=2s\n"


@pytest.fixture
def supervised(machine: Machine) -> Iterator[Machine]:
    """A machine whose supervisor and workers run."""
    machine.drop_in(UNIT, CHANGE)
    machine.systemctl("start", UNIT)
    until_workers(machine, without=set())
    yield machine
    machine.systemctl("stop", UNIT)
    machine.revert(UNIT)


def workers(machine: Machine) -> set[int]:
    """Returns the process ids of the workers that report and whose process exists."""
    alive = machine.pids(UNIT)
    return {worker["pid"] for worker in stats(machine)["workers"] if worker["pid"] in alive}


def until_workers(machine: Machine, *, without: set[int]) -> None:
    def enough() -> bool:
        pids = workers(machine)
        return len(pids) == WORKERS and not pids & without

    machine.until(enough, f"{WORKERS} workers, none of {sorted(without)}", 40)


def test_it_is_confined_and_so_are_its_workers(supervised: Machine) -> None:
    render(supervised, payload("supervised"))
    assert "permitted" not in supervised.journal("-u", UNIT)
    for pid in supervised.pids(UNIT):
        fields = status(supervised, pid)
        assert (fields["NoNewPrivs"], fields["Seccomp"], int(fields["CapBnd"], 16)) == ("1", "2", 0)
        assert "0" not in fields["Uid"].split()
    alive = workers(supervised)
    reports = [worker for worker in stats(supervised)["workers"] if worker["pid"] in alive]
    assert [worker["confinementMissing"] for worker in reports] == [[]] * WORKERS


def test_a_killed_worker_is_replaced(supervised: Machine) -> None:
    killed = min(workers(supervised))
    supervised.run("kill", "-KILL", str(killed))
    until_workers(supervised, without={killed})
    render(supervised, payload("after-a-kill"))
    assert supervised.show(UNIT, "NRestarts") == "0"


def test_a_reload_rolls_the_workers_under_the_same_supervisor(supervised: Machine) -> None:
    supervisor, before = supervised.main_pid(UNIT), workers(supervised)
    supervised.systemctl("reload", UNIT)
    until_workers(supervised, without=before)
    render(supervised, payload("after-a-reload"))
    assert supervised.main_pid(UNIT) == supervisor


def test_a_reload_that_is_rejected_fails(supervised: Machine) -> None:
    before = workers(supervised)
    supervised.run("sh", "-c", f"cp {SETTINGS} /run/settings; echo PREVIEW_LEASE_MS=soon >> {SETTINGS}")
    rejected = supervised.attempt("systemctl", "reload", UNIT)
    supervised.run("cp", "/run/settings", SETTINGS)
    assert rejected.returncode != 0
    assert "PREVIEW_LEASE_MS: found 'soon'" in supervised.journal("-u", UNIT)
    assert workers(supervised) == before
    assert supervised.show(UNIT, "ActiveState") == "active"
    supervised.systemctl("reload", UNIT)
    assert not workers(supervised) & before


def test_the_journal_has_the_lines_of_workers_with_priorities_and_fields(supervised: Machine) -> None:
    bad = json.loads(payload("journal-bad", assets=["gone.png"]))
    render(supervised, payload("journal-good"))
    supervised.write("/run/bad.json", json.dumps(bad))
    assert supervised.attempt(str(PREVIEWOPS), "submit", "--wait", "/run/bad.json").returncode != 0

    def entries(*matches: str) -> list[dict[str, str]]:
        text = supervised.run("journalctl", "--output=json", "--no-pager", "-u", UNIT, *matches)
        return [json.loads(line) for line in text.splitlines()]

    (good,) = entries("JOB_ID=journal-good", "EVENT=job.rendered")
    assert (good["PRIORITY"], good["PROJECT_ID"], good["SYSLOG_IDENTIFIER"]) == ("6", "lessons", "previewops")
    (dead,) = entries("JOB_ID=journal-bad", "EVENT=job.dead-lettered")
    assert dead["PRIORITY"] == "3"
    assert dead["WORKER_ID"]
    killed = min(workers(supervised))
    supervised.run("kill", "-KILL", str(killed))
    until_workers(supervised, without={killed})
    supervised.until(lambda: entries("-p", "warning", "ACTION=worker-exited"), "the exit is in the journal")
    assert supervised.run("sh", "-c", "ls -d /var/lib/previewops/logs 2>/dev/null || true") == ""


@pytest.mark.parametrize("signal", ["STOP", "KILL"])
def test_a_supervisor_that_hangs_or_dies_is_restarted_with_its_workers(
    supervised: Machine, signal: str
) -> None:
    supervisor, before = supervised.main_pid(UNIT), supervised.pids(UNIT)
    supervised.run("kill", f"-{signal}", str(supervisor))
    supervised.until(lambda: supervised.main_pid(UNIT) not in (0, supervisor), "another supervisor", 40)
    until_workers(supervised, without=before)
    assert not supervised.pids(UNIT) & before
    render(supervised, payload(f"after-a-supervisors-{signal.lower()}"))
    if signal == "STOP":
        assert "Watchdog timeout" in supervised.journal("-u", UNIT)


def test_stopping_leaves_no_process(supervised: Machine) -> None:
    drained = workers(supervised)
    supervised.systemctl("stop", UNIT)
    assert supervised.pids(UNIT) == set()
    assert supervised.show(UNIT, "Result") == "success"
    assert not drained & {worker["pid"] for worker in stats(supervised)["workers"]}
