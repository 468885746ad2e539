"""Row of the fault table about clocks: a worker's or a producer's wall clock is wrong by an hour (libfaketime)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from previewops.states import JobState
from tests.fault.cluster import Cluster, Gate, payload
from tests.integration.cli_program import Program

pytestmark = [pytest.mark.redis]

HOUR_MS = 3_600_000


def clock_off_by(shift: str) -> dict[str, str]:
    """Returns the variables that shift the wall clock of a process, and not its monotonic clock."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("shifting clocks needs faketime (Debian: apt install faketime)")
    shown = subprocess.run(
        [faketime, "-m", "-f", shift, "env"], capture_output=True, text=True, check=True
    ).stdout
    variables = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return {
        "LD_PRELOAD": variables["LD_PRELOAD"],
        "FAKETIME": shift,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.parametrize("shift", ["+1h", "-1h"])
async def test_row_14_a_worker_whose_clock_is_an_hour_off(redis_url: str, tmp_path: Path, shift: str) -> None:
    gate = Gate(tmp_path / "gate")
    # A backoff that a wrong clock would skip, or stretch to an hour.
    async with Cluster(
        redis_url, tmp_path, max_attempts=3, backoff_base_ms=400, backoff_max_ms=400, lease_ms=5_000
    ) as cluster:
        off = cluster.start_worker(env=clock_off_by(shift))
        await cluster.reporting(off)
        (reported,) = (await cluster.snapshot()).workers
        skew_ms = reported.started_ms - time.time() * 1000
        assert abs(skew_ms) > HOUR_MS / 2, "the worker's clock is not shifted"
        right = cluster.start_worker()
        await cluster.reporting(right)
        await cluster.submit(
            payload("held", gate=str(gate.path)),
            payload("raises", raises="as it should"),
            *(payload(f"job-{n}") for n in range(20)),
        )
        await gate.arrival()
        gate.remove()
        await cluster.until("raises", JobState.DEAD)
        held = await cluster.status("held")
        # For three lease times both workers release expired leases, each by its clock.
        began = (await cluster.snapshot()).now_ms

        async def leases_have_passed() -> bool:
            return (await cluster.snapshot()).now_ms > began + 3 * cluster.settings.lease_ms

        await cluster.eventually(leases_have_passed, "three leases' time")
        again = await cluster.status("held")
        assert (again.state, again.worker, again.claimed_ms) == (
            JobState.ACTIVE,
            held.worker,
            held.claimed_ms,
        )
        gate.open()
        await cluster.drained()
        for record in [await cluster.status(job_id) for job_id in cluster.accepted]:
            assert record.crashes == 0, (record, off.log_text, right.log_text)
            times = [record.accepted_ms, record.claimed_ms, record.finished_ms]
            assert all(at is not None and abs(at - began) < HOUR_MS / 2 for at in times), (
                "a worker's own clock"
            )
        raised = await cluster.status("raises")
        waits = [
            later.at_ms - (earlier.at_ms + earlier.duration_ms)
            for earlier, later in zip(raised.history, raised.history[1:], strict=False)
        ]
        assert all(-100 <= wait < HOUR_MS / 2 for wait in waits), waits
        assert off.alive
        assert right.alive
        await cluster.judge()


@pytest.mark.parametrize("shift", ["+1h", "-1h"])
async def test_row_14_a_producer_whose_clock_is_an_hour_off(
    redis_url: str, tmp_path: Path, shift: str
) -> None:
    async with Cluster(redis_url, tmp_path) as cluster:
        await cluster.start_workers(1)
        program = Program(tmp_path, redis_url)
        name = program.write("job.json", payload("job"))
        before = (await cluster.snapshot()).now_ms
        done = program.run("submit", name, **clock_off_by(shift))
        assert done.code == 0, done.err
        cluster.accepted.add("job")
        record = await cluster.until("job", JobState.COMPLETED)
        assert record.accepted_ms >= before
        assert record.accepted_ms - before < HOUR_MS / 2
        await cluster.judge()


def test_the_shift_is_real() -> None:
    shown = subprocess.run(
        ["date", "+%s"], env={**os.environ, **clock_off_by("+1h")}, capture_output=True, text=True, check=True
    ).stdout
    assert int(shown) - time.time() > HOUR_MS / 2000
