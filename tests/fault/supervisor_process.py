"""A supervisor process for a cluster."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from previewops.settings import Settings, variable_of
from previewops.snapshot.fleet import SupervisedWorker, SupervisorStatus
from previewops.supervisor.commands import FleetControl
from tests.fault.cluster import Cluster
from tests.forked_programs import ForkedProcess, can_be_forked, program_template


class SupervisorProcess:
    """``previewops supervise`` with workers under test, its log, and its published state."""

    MODULE = "tests.fault.supervisor_under_test"

    def __init__(
        self,
        cluster: Cluster,
        *arguments: str,
        prefix: Sequence[str] = (),
        log: str = "supervisor",
        **environ: str,
    ) -> None:
        """``prefix`` is a command that executes the supervisor, ``log`` the name of its log."""
        self.cluster = cluster
        self.log = cluster.folder / f"{log}.log"
        self.control = FleetControl(cluster.redis, cluster.settings, who="test")
        self.process: subprocess.Popen[bytes] | ForkedProcess
        variables = {**environment(cluster.settings), **environ}
        with self.log.open("ab") as out:
            if not prefix and can_be_forked(variables):
                self.process = program_template().start(
                    self.MODULE, *arguments, env=variables, stdout=out, stderr=out, new_session=True
                )
                return
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", self.MODULE, *arguments],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    async def __aenter__(self) -> SupervisorProcess:
        return self

    async def __aexit__(self, *_: object) -> None:
        family = self.family()
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        await asyncio.to_thread(psutil.wait_procs, family, timeout=60)
        self.process.wait()

    def signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    async def stopped(self) -> int:
        """Waits for its exit and returns the status."""
        return await asyncio.to_thread(self.process.wait, 60)

    def family(self) -> list[psutil.Process]:
        """Returns the supervisor, its workers, their fork servers and render processes."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    async def view(self) -> SupervisorStatus | None:
        """Returns its last published state, None before the first and after the last."""
        for view in await self.control.supervisors():
            if view.state.pid == self.process.pid:
                return view
        return None

    async def sees(self, what: str, predicate: Callable[[SupervisorStatus], Any]) -> SupervisorStatus:
        """Waits until ``predicate`` is true for its published state, and returns that."""

        async def matching() -> SupervisorStatus | None:
            assert self.process.poll() is None, self.read_logs()
            view = await self.view()
            return view if view is not None and predicate(view) else None

        try:
            status: SupervisorStatus = await self.cluster.eventually(matching, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.view()}\n{self.read_logs()}") from None
        return status

    async def running(self, count: int) -> tuple[SupervisedWorker, ...]:
        """Waits until exactly ``count`` workers run, and returns them."""

        def all_run(view: SupervisorStatus) -> bool:
            phases = [worker.phase for worker in view.state.workers]
            return phases == ["running"] * count

        return (await self.sees(f"{count} workers run", all_run)).state.workers

    def worker_log(self, number: int) -> Path:
        """Returns the log of the worker in a slot."""
        (path,) = (self.cluster.settings.data_dir / "logs").rglob(f"worker-{number}.log")
        return path

    def log_lines(self) -> list[dict[str, Any]]:
        """Returns the lines of the supervisor's own log."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def read_logs(self) -> str:
        logs = sorted((self.cluster.settings.data_dir / "logs").rglob("*.log"))
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in (self.log, *logs)
        )


def environment(settings: Settings) -> dict[str, str]:
    """Returns the environment for these settings."""
    spec = {
        variable_of(name): str(value)
        for name in Settings.__dataclass_fields__
        if (value := getattr(settings, name)) not in (None, ())
    }
    return {**os.environ, **spec, "PYTHONPATH": str(Path(__file__).parents[2])}


def suspend(worker_pid: int, which: str) -> None:
    """Suspends a worker, its fork server or one of its render processes, so that only SIGKILL has an effect."""
    worker = psutil.Process(worker_pid)
    server = next(child for child in worker.children() if "fork_server" in " ".join(child.cmdline()))
    targets = {
        "nobody": [],
        "worker": [worker],
        "fork server": [server],
        "render process": server.children()[:1],
    }[which]
    assert targets or which == "nobody"
    for process in targets:
        process.suspend()


async def survivors(family: list[psutil.Process], within_s: float = 60) -> list[psutil.Process]:
    """Returns the processes that do not exit in time. Zombies do not count: not every init reaps adopted children."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=within_s)
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
