"""A test run that is interrupted, however hard, leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.docs.documents import ROOT
from tests.fault.abandoned_run import REPORT
from tests.process_guard import marked_processes
from tests.terminal import needs_tmux

pytestmark = [
    pytest.mark.redis,
    pytest.mark.slow,
    needs_tmux,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are guarded on Linux only"),
]

TIMEOUT_S = 180.0
PROGRAMS = (
    "redis",
    "forked_programs",
    "previewops up",
    "fork_server",
    "tmux",
    "sleep 600",
    "tests.shared_servers",
)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a unix socket below it."""
    with tempfile.TemporaryDirectory(prefix="pvr-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("options", "victim", "signum"),
    [
        pytest.param((), "pytest", signal.SIGKILL, id="pytest-SIGKILL"),
        pytest.param((), "pytest", signal.SIGINT, id="pytest-SIGINT"),
        pytest.param(("--numprocesses", "1"), "pytest", signal.SIGTERM, id="xdist-controller-SIGTERM"),
        pytest.param(("--numprocesses", "1"), "xdist worker", signal.SIGKILL, id="xdist-worker-SIGKILL"),
    ],
)
def test_no_process_outlives_an_interrupted_run(
    tmp_path: Path, short_folder: Path, options: tuple[str, ...], victim: str, signum: signal.Signals
) -> None:
    report_file = tmp_path / "report.json"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        *options,
        "tests/fault/abandoned_run.py",
    ]
    with (tmp_path / "output").open("wb") as output:
        run = subprocess.Popen(
            [*command, f"--basetemp={short_folder / 'nested'}"],
            cwd=ROOT,
            env={**os.environ, REPORT: str(report_file)},
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not report_file.exists():
            assert run.poll() is None, (tmp_path / "output").read_text()
            assert time.monotonic() < deadline, (tmp_path / "output").read_text()
            time.sleep(0.05)
        report = json.loads(report_file.read_text())
        commands = report["processes"]
        for word in PROGRAMS:
            assert any(word in command for command in commands.values()), (word, commands)
        processes = [psutil.Process(int(pid)) for pid in commands]
        os.kill(run.pid if victim == "pytest" else report["pytest"], signum)
        run.wait(TIMEOUT_S)
    finally:
        run.kill()
        run.wait()
    _, alive = psutil.wait_procs(processes, timeout=TIMEOUT_S)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert marked_processes(report["runId"]) == set()
