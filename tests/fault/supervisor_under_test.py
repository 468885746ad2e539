"""A supervisor whose workers execute faults: ``python -m tests.fault.supervisor_under_test``.

It takes the options of ``previewops supervise`` and differs in the command line of its workers and in two times, for
which tests would wait: it polls four times a second, and starts a failed worker again after half a second at most.
SCALE_DOWN_WINDOW_S sets the time in s before it scales down; the processors then count as idle, whatever else uses
them.
"""

import os
import sys

from previewops.backoff import Backoff
from previewops.cli.program import run
from previewops.process.init import run_as_init
from previewops.supervisor import autoscaling, factory, host, loop, restart_policy


def build_argv(worker_id: str) -> list[str]:
    return [sys.executable, "-m", "tests.fault.supervised_worker", worker_id]


if __name__ == "__main__":
    run_as_init()
    defaults = factory.build_supervisor.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]
    defaults["build_argv"] = build_argv
    loop.POLL_INTERVAL_S = 0.25
    restart_policy.RESTART_BACKOFF_S = Backoff(0.2, 0.5)
    if "SCALE_DOWN_WINDOW_S" in os.environ:
        autoscaling.SCALE_DOWN_WINDOW_S = float(os.environ["SCALE_DOWN_WINDOW_S"])
        host.HostMetrics.cpu = lambda _: 0.0  # type: ignore[method-assign]
    sys.exit(run(["supervise", *sys.argv[1:]]))
