"""How renders are confined under the shipped units, read back from inside a booted systemd."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from typing import Any

import pytest

from previewops.worker.sandbox.confinement import detect_support
from previewops.worker.sandbox.namespaces import NAMESPACES
from previewops.worker.sandbox.private_root import PRIVATE_ROOT
from tests.system.installed import stats, status
from tests.system.machine import HOME, PREVIEWOPS, Machine

WORKER = "previewops-worker@1.service"
LAYERS = ["seccomp", NAMESPACES, PRIVATE_ROOT, "no capabilities", "resource limits"]
DENIED = "denied by a system call filter of the service or container"
RESULTS = "/var/lib/previewops/attempts.json"

pytestmark = pytest.mark.skipif(not detect_support().complete, reason="this kernel lacks Landlock or seccomp")

ATTEMPTS = """
import asyncio, json, os
from pathlib import Path
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.pool import RenderPool

data_dir = Path("/var/lib/previewops")
(data_dir / "secret").write_bytes(b"secret")
(data_dir / "link").unlink(missing_ok=True)
(data_dir / "link").symlink_to("secret")
spec = {
    "secret": str(data_dir / "secret"), "link": str(data_dir / "link"), "worker": os.getpid(), "memory": 512 << 20,
    "unlisted": [],
}


async def main():
    pool = RenderPool(
        "tests.system.escape_attempts:run",
        size=1, limits=ChildLimits(512 << 20), recycle_jobs=9, preload=[], confined=True,
    )
    try:
        results = await pool.run(spec, deadline_s=60)
        print(json.dumps({**results, "confinement": pool.confinement.as_json()}))
    finally:
        await pool.close()


asyncio.run(main())
"""


@pytest.fixture
def changed_unit(machine: Machine) -> Iterator[Machine]:
    yield machine
    machine.systemctl("stop", WORKER)
    machine.revert(WORKER)


def the_worker(machine: Machine) -> dict[str, Any]:
    """The report of the unit's worker, once it has sent one. Others were killed by earlier tests."""
    pid = int(machine.show(WORKER, "MainPID"))

    def reports() -> list[dict[str, Any]]:
        return [worker for worker in stats(machine)["workers"] if worker["pid"] == pid]

    machine.until(lambda: bool(reports()), "the worker reports")
    return reports()[0]


def resident_bytes(machine: Machine, pid: int) -> int:
    return int(status(machine, pid)["VmRSS"].split()[0]) * 1024


def test_every_layer_is_in_force_under_a_shipped_unit(machine: Machine) -> None:
    machine.systemctl("start", WORKER)
    worker = the_worker(machine)
    assert worker["confinedBy"][0].startswith("Landlock ")
    assert worker["confinedBy"][1:] == LAYERS
    assert worker["confinementMissing"] == []
    visible = sum(resident_bytes(machine, pid) for pid in machine.pids(WORKER))
    assert worker["rssBytes"] > visible * 0.8, "the worker cannot read the memory of its render processes"
    processes = {pid: status(machine, pid) for pid in machine.pids(WORKER)}
    filters = max(int(process["Seccomp_filters"]) for process in processes.values())
    renders = {pid: seen for pid, seen in processes.items() if int(seen["Seccomp_filters"]) == filters}
    assert len(renders) == 2, "one per slot, each with a filter of its own beside the unit's"
    for pid, render in renders.items():
        assert machine.run("cat", f"/proc/{pid}/oom_score_adj").strip() == "500"
        assert (render["NoNewPrivs"], render["Seccomp"]) == ("1", "2")
        assert {int(render[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert "0" not in render["Uid"].split()


def test_ways_out_are_closed_under_a_shipped_unit(changed_unit: Machine) -> None:
    machine = changed_unit
    machine.write("/opt/attempts.py", ATTEMPTS)
    machine.drop_in(
        WORKER,
        "[Service]\nType=exec\nRestart=no\nWatchdogSec=0\nExecStart=\n"
        f"ExecStart={HOME}/venv/bin/python /opt/attempts.py\nStandardOutput=truncate:{RESULTS}\n",
    )
    machine.systemctl("start", WORKER)
    machine.until(lambda: machine.show(WORKER, "ActiveState") != "active", "all attempts are made", 60)
    assert machine.show(WORKER, "Result") == "success", machine.journal("-u", WORKER)
    results = json.loads(machine.run("cat", RESULTS))
    assert results["confinement"]["missing"] == {}
    assert set(results["calls"].values()) <= {errno.EPERM, errno.ENOSYS}
    assert set(results["names"].values()) <= {errno.ENOENT, errno.EACCES}
    assert results["names"]["stat"] == errno.ENOENT
    assert set(results["hidden"].values()) <= {errno.ENOENT, errno.EACCES}
    assert set(results["memory"].values()) == {errno.ENOMEM}


def test_a_layer_that_the_unit_forbids_is_reported_with_its_reason(changed_unit: Machine) -> None:
    machine = changed_unit
    machine.drop_in(
        WORKER, "[Service]\nSystemCallFilter=~landlock_create_ruleset\nRestrictNamespaces=~user\n"
    )
    machine.systemctl("start", WORKER)
    worker = the_worker(machine)
    assert worker["confinedBy"] == ["seccomp", "no capabilities", "resource limits"]
    reasons = dict(line.split(": ", 1) for line in worker["confinementMissing"])
    assert reasons == {
        "Landlock": DENIED,
        NAMESPACES: "user namespaces are denied to this user by the service, the container or the host",
        PRIVATE_ROOT: "mounts are denied by the service, the container or the host",
    }
    assert f"without Landlock: {DENIED}" in machine.journal("-u", WORKER)
    assert DENIED in machine.attempt(str(PREVIEWOPS), "health").stdout
