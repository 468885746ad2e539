"""Ways out of the sandbox, tried inside a real confined render process: one test an attempt.

The render process is the product's, started by its fork server with all layers that this machine has; only its task
is of the tests.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import platform
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.confinement import OWN_USER, ConfinementReport, detect_support
from previewops.worker.sandbox.namespaces import NAMESPACES
from previewops.worker.sandbox.pool import RenderPool
from previewops.worker.sandbox.private_root import PRIVATE_ROOT
from previewops.worker.sandbox.seccomp import allowed_calls
from tests.process_guard import guarded_environ
from tests.system import escape_attempts
from tests.system.escape_attempts import CALLS, DENIED, HIDDEN

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
MEMORY_BYTES = 512 * MIB
FILE_BYTES = 8 * MIB
LAST_CALL = 600  # Linux 6.17 has 470
UNFILTERED: tuple[set[int], set[int]] = ({335, 336}, set())
"""uretprobe and uprobe, by ``COLUMN``: no filter sees them, and they kill a process outside of a probe."""
COLUMN = {"x86_64": 0, "aarch64": 1}[platform.machine()]
UNKNOWN = (errno.ENOENT, errno.EACCES)
END_TIMEOUT_S = 60.0

pytestmark = pytest.mark.skipif(not detect_support().complete, reason="this kernel lacks Landlock or seccomp")


@dataclass(frozen=True, slots=True)
class Prisoner:
    """The results of all attempts, how the process was confined, and /proc/<pid>/status of it, seen from outside."""

    results: dict[str, Any]
    confinement: ConfinementReport
    status: dict[str, str]

    def requires(self, layer: str) -> None:
        if layer in self.confinement.missing:
            pytest.skip(f"without {layer}: {self.confinement.missing[layer]}")


@pytest.fixture(scope="module")
def prisoner(tmp_path_factory: pytest.TempPathFactory) -> Prisoner:
    folder = tmp_path_factory.mktemp("tenant")
    (folder / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to("secret")
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    return asyncio.run(_try_everything(folder))


async def _try_everything(folder: Path) -> Prisoner:
    pool = RenderPool(
        f"{escape_attempts.__name__}:run",
        size=1,
        limits=ChildLimits(MEMORY_BYTES, file_bytes=FILE_BYTES),
        recycle_jobs=2,
        preload=[],
        confined=True,
    )
    spec = {
        "secret": str(folder / "secret"),
        "link": str(folder / "link"),
        "worker": os.getpid(),
        "unlisted": sorted(set(range(LAST_CALL + 1)) - allowed_calls(COLUMN) - UNFILTERED[COLUMN]),
        "memory": MEMORY_BYTES,
    }
    try:
        await pool.start()
        (pid,) = pool.child_pids()
        results = await pool.run(spec, deadline_s=60)
        return Prisoner(results, pool.confinement, _status(pid))
    finally:
        await pool.close()


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call[COLUMN] is not None])
def test_a_system_call_is_denied(prisoner: Prisoner, name: str) -> None:
    assert prisoner.results["calls"][name] in DENIED


def test_no_other_system_call_reaches_the_kernel(prisoner: Prisoner) -> None:
    assert prisoner.results["unlisted"] == []


@pytest.mark.parametrize("way", ["open", "list"])
def test_a_file_of_another_tenant_cannot_be_opened(prisoner: Prisoner, way: str) -> None:
    assert prisoner.results["names"][way] in UNKNOWN


@pytest.mark.parametrize(
    "way",
    [
        "stat",
        "lstat",
        "access",
        "readlink",
        "open as a path",
        "stat the folder",
        "stat from the root's parent",
    ],
)
def test_the_name_of_another_tenants_file_cannot_be_seen(prisoner: Prisoner, way: str) -> None:
    prisoner.requires(PRIVATE_ROOT)
    assert prisoner.results["names"][way] == errno.ENOENT


@pytest.mark.parametrize("what", HIDDEN)
def test_the_host_cannot_be_looked_at(prisoner: Prisoner, what: str) -> None:
    assert prisoner.results["hidden"][what] in UNKNOWN
    assert prisoner.results["processes"] == []


@pytest.mark.parametrize("kind", ["private", "shared"])
def test_memory_beyond_the_limit_is_denied(prisoner: Prisoner, kind: str) -> None:
    assert prisoner.results["memory"][kind] == errno.ENOMEM


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("address space", MEMORY_BYTES),
        ("core", 0),
        ("open files", 256),
        ("file size", FILE_BYTES),
        ("message queues", 0),
    ],
)
def test_a_limit_is_hard(prisoner: Prisoner, limit: str, value: int) -> None:
    assert prisoner.results["limits"][limit] == [value, value]


def test_threads_are_limited(prisoner: Prisoner) -> None:
    prisoner.requires(NAMESPACES)
    assert prisoner.results["limits"]["threads"] == [1_024, 1_024]


@pytest.mark.parametrize("name", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
def test_no_capability_is_left(prisoner: Prisoner, name: str) -> None:
    assert int(prisoner.status[name], 16) == 0


def test_no_privilege_can_be_gained(prisoner: Prisoner) -> None:
    assert (prisoner.status["NoNewPrivs"], prisoner.status["Seccomp"]) == ("1", "2")


def test_under_root_it_has_another_user_and_no_groups(prisoner: Prisoner) -> None:
    if os.geteuid() != 0:
        pytest.skip("the worker is not root")
    prisoner.requires(OWN_USER)
    for name in ("Uid", "Gid"):
        assert len(set(prisoner.status[name].split())) == 1
        assert 61_184 <= int(prisoner.status[name].split()[0]) < 65_520
    assert prisoner.status["Groups"] == ""


def test_it_is_in_a_pid_namespace_of_its_worker(prisoner: Prisoner) -> None:
    prisoner.requires(NAMESPACES)
    assert (
        len(prisoner.status["NSpid"].split())
        == len(Path("/proc/self/status").read_text().split("NSpid:")[1].splitlines()[0].split()) + 1
    )


REPORT = """
import asyncio, json
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.pool import RenderPool


async def main():
    pool = RenderPool(
        "tests.system.escape_attempts:describe",
        size=1, limits=ChildLimits(512 << 20), recycle_jobs=9, preload=[], confined=True,
    )
    seen = await pool.run({}, deadline_s=60)
    print(json.dumps({"missing": pool.confinement.missing, **seen}))
    await pool.close()


asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
@pytest.mark.parametrize(
    ("without", "missing"),
    [
        ("-sys_admin", {NAMESPACES, PRIVATE_ROOT}),
        ("-setuid", {OWN_USER}),
        ("-all", {NAMESPACES, PRIVATE_ROOT, OWN_USER}),
    ],
)
def test_a_root_with_fewer_capabilities_has_fewer_layers_and_renders(without: str, missing: set[str]) -> None:
    """As root of a container. It remains root if another user could not read the program."""
    done = subprocess.run(
        ["setpriv", "--bounding-set", without, "--inh-caps", without, sys.executable, "-c", REPORT],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **guarded_environ()},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["missing"].keys() | {OWN_USER} == missing | {OWN_USER}
    assert len(set(report["groups"])) == 1
    assert (report["user"] == 0) == (report["groups"][0] == 0) == (OWN_USER in report["missing"])


WORKER = """
import asyncio
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.pool import RenderPool


async def main():
    pool = RenderPool(
        "tests.system.escape_attempts:spin",
        size=1, limits=ChildLimits(512 << 20), recycle_jobs=9, preload=[], confined=True,
    )
    await pool.run({}, deadline_s=600, progress=lambda *_: print("spinning", flush=True))


asyncio.run(main())
"""


@pytest.fixture
def worker_of_a_spinning_process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **guarded_environ()},
    ) as worker:
        assert worker.stdout is not None
        try:
            assert worker.stdout.readline() == "spinning\n"
            yield worker
        finally:
            worker.kill()


@pytest.mark.parametrize("victim", ["worker", "fork server"])
def test_it_does_not_outlive(victim: str, worker_of_a_spinning_process: subprocess.Popen[str]) -> None:
    family = psutil.Process(worker_of_a_spinning_process.pid).children(recursive=True)
    pidfds = [os.pidfd_open(process.pid) for process in family]
    try:
        assert len(family) >= 2
        victims = [worker_of_a_spinning_process] if victim == "worker" else family[:1]
        victims[0].kill()
        for pidfd in pidfds:
            ended = select.poll()
            ended.register(pidfd, select.POLLIN)
            assert ended.poll(END_TIMEOUT_S * 1_000), "a process still runs"
    finally:
        for pidfd in pidfds:
            os.close(pidfd)
