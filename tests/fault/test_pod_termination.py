"""The end of a container: SIGTERM to process 1 of a PID namespace, as Kubernetes and Docker send it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from previewops.states import JobState
from tests.fault.cluster import Cluster, Gate, payload
from tests.fault.supervisor_process import environment

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
END_S = 60

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(
        subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0,
        reason="needs the right to make PID namespaces",
    ),
]

COMMANDS = {
    "supervise": ("tests.fault.supervisor_under_test", "--workers", "1"),
    "worker": ("tests.fault.worker_under_test", "pod"),
}


class Container:
    """A program as process 1. ``init`` is that process, seen from outside."""

    def __init__(self, cluster: Cluster, module: str, *arguments: str) -> None:
        self.log = cluster.folder / "container.log"
        with self.log.open("wb") as out:
            self._unshare = subprocess.Popen(
                [*UNSHARE, sys.executable, "-m", module, *arguments],
                env=environment(cluster.settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self._unshare.kill()
        self._unshare.wait()

    @property
    def init(self) -> psutil.Process:
        (process,) = psutil.Process(self._unshare.pid).children()
        return process

    async def terminated(self) -> int:
        """Waits for the exit status after SIGTERM."""
        return await asyncio.to_thread(self._unshare.wait, END_S)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("drain_s", [60, 0], ids=["the job ends", "the job does not end"])
async def test_a_terminated_pod_finishes_or_returns_its_jobs(
    redis_url: str, tmp_path: Path, command: str, drain_s: int
) -> None:
    gate = Gate(tmp_path / "gate")
    module, *arguments = COMMANDS[command]
    async with Cluster(redis_url, tmp_path, drain_timeout_s=drain_s, lease_ms=600_000) as cluster:
        with Container(cluster, module, *arguments) as pod:
            await cluster.submit(payload("held", gate=str(gate.path)), payload("waits"))
            await gate.arrival()
            family = [pod.init, *pod.init.children(recursive=True)]
            family[0].send_signal(signal.SIGTERM)
            if drain_s:
                await cluster.eventually(lambda: is_draining(cluster, pod), "it drains")
                gate.open()
            assert await pod.terminated() == 0, pod.log.read_text()
            _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=END_S)
            assert alive == []
        held, waits = await cluster.status("held"), await cluster.status("waits")
        assert held.state is (JobState.COMPLETED if drain_s else JobState.WAITING)
        assert (held.attempts, held.crashes) == (0, 0), "the end of a pod costs no attempt"
        assert (await cluster.snapshot()).workers == (), "no lease has to expire"
        assert waits.state is not JobState.ACTIVE
        await cluster.judge()


def is_draining(cluster: Cluster, pod: Container) -> bool:
    logs: Sequence[Path] = [pod.log, *(cluster.settings.data_dir / "logs").rglob("*.log")]
    return any("worker.draining" in log.read_text() for log in logs)
