"""The test run that test_interrupted_run.py interrupts: it starts each kind of process that tests start, and waits.

Its name keeps pytest from collecting it in other runs.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.fault.cluster import Cluster
from tests.integration.cli_program import Program
from tests.integration.idle_server import run_nothing
from tests.integration.up_program import up
from tests.process_guard import VARIABLE
from tests.redis_server import RedisProcess
from tests.shared_servers import shared_server
from tests.terminal import Terminal

REPORT = "ABANDONED_RUN_REPORT"
"""Variable that names the file for the process ids."""


async def test_that_is_interrupted(
    redis_url: str,
    redis_process: Callable[..., RedisProcess],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    own = redis_process()
    for name in ("cluster", "up", "terminal"):
        (tmp_path / name).mkdir()
    async with Cluster(own.url, tmp_path / "cluster") as cluster:
        await cluster.start_workers(1)
        terminal = Terminal(tmp_path / "terminal", ["sleep", "600"], {}, columns=80, rows=24)
        request.addfinalizer(terminal.drop)
        with (
            up(Program(tmp_path / "up"), "--workers", "1"),
            shared_server(run_nothing, tmp_path / "server") as host,
        ):
            processes = psutil.Process().children(recursive=True)
            program = psutil.Process(terminal.pid)
            processes.append(psutil.Process(int(host)))
            processes += [program, *program.parents()[:2]]  # its shell, and the tmux server
            own.freeze()
            report = Path(os.environ[REPORT])
            content = {
                "pytest": os.getpid(),
                "runId": os.environ[VARIABLE].split()[-1],
                "processes": {process.pid: " ".join(process.cmdline()) for process in processes},
            }
            report.with_suffix(".new").write_text(json.dumps(content))
            report.with_suffix(".new").rename(report)
            await asyncio.sleep(600)
    pytest.fail("the run was not interrupted")
