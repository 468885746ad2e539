"""Memory and processor time of a worker and its helpers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from previewops.worker.engine.process_stats import ProcessStatsReader

HELPER = """
import sys, time
held = bytearray(32 * 1024 * 1024)
until = time.process_time() + 0.3
while time.process_time() < until:
    pass
print('busy', flush=True)
sys.stdin.read()
"""


class TickingClock:
    """Monotonic time that advances by a second with each call."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def helper() -> Iterator[subprocess.Popen[str]]:
    """A process with 32 MiB that has used 0.3 s of processor time."""
    with subprocess.Popen(
        [sys.executable, "-c", HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        yield process
        process.kill()


def test_stats_of_a_worker_alone_are_the_kernels() -> None:
    usage = ProcessStatsReader(list, TickingClock()).read()
    assert usage.rss_bytes == usage.own_rss_bytes
    rss_bytes = psutil.Process(os.getpid()).memory_info().rss
    assert abs(usage.own_rss_bytes - rss_bytes) < 8 * 1024 * 1024
    assert usage.cpu_percent == 0.0, "the first reading has no predecessor"


def test_memory_and_time_of_helpers_are_added(helper: subprocess.Popen[str]) -> None:
    helpers: list[int] = []
    meter = ProcessStatsReader(lambda: helpers, TickingClock())
    meter.read()
    helpers.append(helper.pid)
    usage = meter.read()
    assert usage.rss_bytes - usage.own_rss_bytes > 32 * 1024 * 1024
    assert usage.cpu_percent >= 29.0, "0.3 s of a second, to the clock tick"


def test_a_helper_that_has_exited_is_skipped(helper: subprocess.Popen[str]) -> None:
    meter = ProcessStatsReader(lambda: [helper.pid], TickingClock())
    meter.read()
    helper.kill()
    helper.wait()
    usage = meter.read()
    assert usage.rss_bytes == usage.own_rss_bytes
    assert usage.cpu_percent >= 0.0
