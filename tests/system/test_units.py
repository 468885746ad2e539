"""The units under a real systemd: installed, started, killed, rejected, stopped."""

from __future__ import annotations

import pytest

from previewops.errors import EXIT_CONFIG, EXIT_USAGE
from tests.system.installed import PICTURE, payload, render, stats, status
from tests.system.machine import HOME, PREVIEWOPS, Machine

SUPERVISOR = "previewops-supervisor.service"
WORKER = "previewops-worker@1.service"
HEALTH = "previewops-health.service"
TIMER = "previewops-health.timer"
METRICS = "previewops-metrics.service"
METRICS_FILE = "/run/previewops/previewops.prom"
PRUNE = "previewops-prune.service"
OFF = "Environment=PREVIEW_WORKER_CONCURRENCY=none"
FORMATS = ("webp", "gif", "apng", "png", "jpeg")
BUNDLES = "/var/lib/previewops/previews/lessons"


def test_the_installed_units_are_valid(machine: Machine) -> None:
    units = machine.run("sh", "-c", "ls /etc/systemd/system/previewops*").split()
    assert {unit.rpartition("/")[2] for unit in units} == {
        "previewops-api.service",
        "previewops-health.service",
        "previewops-health.timer",
        "previewops-metrics.service",
        "previewops-metrics.timer",
        "previewops-prune.service",
        "previewops-prune.timer",
        "previewops-supervisor.service",
        "previewops-worker@.service",
        "previewops.slice",
    }
    verified = machine.attempt("systemd-analyze", "verify", *units)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    assert machine.run("stat", "-c", "%U %a", "/var/lib/previewops").split() == ["previewops", "750"]
    assert machine.run("stat", "-c", "%U %a", "/etc/previewops/previewops.env").split() == ["root", "640"]


def test_installing_again_changes_nothing_and_keeps_the_settings(machine: Machine) -> None:
    machine.run("sh", "-c", "echo PREVIEW_QUEUE_MAX=50 >> /etc/previewops/previewops.env")
    output = machine.run(str(PREVIEWOPS), "systemd", "install")
    assert sorted({line.split()[0] for line in output.split("\n\n")[0].splitlines()}) == ["kept", "unchanged"]
    assert "PREVIEW_QUEUE_MAX=50" in machine.run("cat", "/etc/previewops/previewops.env")


def test_a_worker_unit_renders_confined_and_is_replaced_when_killed(machine: Machine) -> None:
    machine.systemctl("start", WORKER)
    render(machine, payload("worker-first"))
    assert machine.run("stat", "-c", "%U", f"{BUNDLES}/worker-first/preview.json").strip() == "previewops"
    killed = machine.main_pid(WORKER)
    confined = status(machine, killed)
    assert (confined["NoNewPrivs"], confined["Seccomp"]) == ("1", "2")
    assert int(confined["CapBnd"], 16) == 0
    assert "0" not in confined["Uid"].split()
    assert len(machine.pids(WORKER)) > 1

    assert "not permitted" not in machine.journal("-u", WORKER)

    machine.run("kill", "-KILL", str(killed))
    machine.until(lambda: machine.main_pid(WORKER) not in (0, killed), "another worker")
    render(machine, payload("worker-second"))
    assert machine.show(WORKER, "NRestarts") == "1"

    machine.systemctl("stop", WORKER)
    assert machine.pids(WORKER) == set()
    assert machine.show(WORKER, "Result") == "success"


def test_every_kind_of_animation_is_rendered_under_the_confinement(machine: Machine) -> None:
    machine.run("install", "-d", "-o", "previewops", "/var/lib/previewops/assets")
    machine.run("sh", "-c", "base64 -d > /var/lib/previewops/assets/dot.png", stdin=PICTURE)
    machine.systemctl("start", WORKER)
    render(machine, *(payload(f"all-{kind}", kind, ["dot.png"]) for kind in FORMATS))
    assert "not permitted" not in machine.journal("-u", WORKER)


@pytest.mark.parametrize(
    ("unit", "change", "code", "output"),
    [
        (WORKER, OFF, EXIT_USAGE, "PREVIEW_WORKER_CONCURRENCY: found 'none'"),
        (SUPERVISOR, OFF, EXIT_USAGE, "PREVIEW_WORKER_CONCURRENCY: found 'none'"),
        (WORKER, f"TemporaryFileSystem={HOME}/site/arq:ro", EXIT_CONFIG, "reinstall previewops"),
    ],
    ids=["worker-settings", "supervisor-settings", "worker-installation"],
)
def test_a_permanent_failure_is_not_restarted(
    machine: Machine, unit: str, change: str, code: int, output: str
) -> None:
    machine.drop_in(unit, f"[Service]\n{change}\n")
    try:
        machine.attempt("systemctl", "start", unit)
        machine.until(lambda: machine.show(unit, "ActiveState") == "failed", "the unit fails")
        assert machine.show(unit, "ExecMainStatus") == str(code)
        assert machine.show(unit, "NRestarts") == "0"
        assert output in machine.journal("-u", unit)
    finally:
        machine.revert(unit)


def test_the_timer_checks_health(machine: Machine) -> None:
    machine.systemctl("start", WORKER)
    machine.until(lambda: stats(machine)["workers"], "the worker reports")
    machine.drop_in(TIMER, "[Timer]\nOnActiveSec=\nOnActiveSec=100ms\nAccuracySec=1ms\n")
    try:
        machine.systemctl("start", TIMER)
        machine.until(lambda: machine.show(HEALTH, "ExecMainExitTimestampMonotonic") != "0", "a check")
        machine.until(lambda: machine.show(HEALTH, "ActiveState") == "inactive", "the check ends")
    finally:
        machine.revert(TIMER)
    assert machine.show(HEALTH, "Result") == "success"
    assert "PREVIEWOPS" in machine.journal("-u", HEALTH)


def test_a_critical_state_fails_the_check(machine: Machine) -> None:
    failed = machine.attempt("systemctl", "start", HEALTH)
    assert failed.returncode != 0
    assert machine.show(HEALTH, "ExecMainStatus") == "2"


def test_the_metrics_are_written_where_others_can_read_them(machine: Machine) -> None:
    machine.systemctl("start", METRICS)
    assert machine.run("stat", "-c", "%U %a", METRICS_FILE).split() == ["previewops", "644"]
    assert "preview_redis_up" in machine.run("cat", METRICS_FILE)
    assert machine.run("stat", "-c", "%a", "/run/previewops").strip() == "755"


def test_bundles_are_pruned_by_the_age_in_the_environment_file(machine: Machine) -> None:
    machine.systemctl("start", WORKER)
    render(machine, payload("to-be-pruned"))
    machine.systemctl("start", PRUNE)
    assert machine.attempt("test", "-d", f"{BUNDLES}/to-be-pruned").returncode == 0
    machine.run("sh", "-c", f"touch -d '2 days ago' {BUNDLES}/to-be-pruned {BUNDLES}/to-be-pruned/*")
    machine.drop_in(PRUNE, "[Service]\nEnvironment='PREVIEW_PRUNE_OPTIONS=--bundles 1d'\n")
    try:
        machine.systemctl("start", PRUNE)
    finally:
        machine.revert(PRUNE)
    assert machine.attempt("test", "-d", f"{BUNDLES}/to-be-pruned").returncode == 1


def test_uninstall_waits_for_the_units_to_be_disabled_and_leaves_settings_and_bundles(
    machine: Machine,
) -> None:
    machine.systemctl("enable", "--now", WORKER, TIMER)
    rejected = machine.attempt(str(PREVIEWOPS), "systemd", "uninstall")
    assert rejected.returncode == 1
    assert f"{WORKER} active" in rejected.stderr
    _, _, stop = rejected.stderr.partition("hint: sudo ")
    try:
        machine.run(*stop.split())
        output = machine.run(str(PREVIEWOPS), "systemd", "uninstall")
        for line in output.partition("Next steps\n")[2].splitlines():
            machine.run("sh", "-c", line.strip())
        listed = machine.attempt("systemctl", "list-unit-files", "--no-legend", "previewops*")
        assert listed.stdout.strip() == ""
        for kept in ("/var/lib/previewops/previews", "/etc/previewops/previewops.env"):
            assert machine.attempt("test", "-e", kept).returncode == 0
    finally:
        machine.run(str(PREVIEWOPS), "systemd", "install")
        machine.systemctl("daemon-reload")
