"""A supervisor whose workers' renders can be told to fail: ``python -m tests.fault.supervisor_under_test``.

Takes what ``previewops supervise`` takes, and differs in the command line of its workers. With DOWN_HOLD_S set it
scales down after so many seconds rather than a minute, and takes the processors for idle, whoever else uses them.
"""

import os
import sys

from previewops.cli.program import run
from previewops.supervisor import autoscaling, factory, host


def worker_command(worker_id: str) -> list[str]:
    return [sys.executable, "-m", "tests.fault.supervised_worker", worker_id]


if __name__ == "__main__":
    defaults = factory.build_supervisor.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]
    defaults["command"] = worker_command
    if "DOWN_HOLD_S" in os.environ:
        autoscaling.SCALE_DOWN_WINDOW_S = float(os.environ["DOWN_HOLD_S"])
        host.HostMetrics.cpu = lambda _: 0.0  # type: ignore[method-assign]
    sys.exit(run(["supervise", *sys.argv[1:]]))
