"""A supervisor whose workers' renders can be told to fail: ``python -m tests.fault.supervisor_under_test``.

Takes what ``previewops supervise`` takes, and differs in the command line of its workers alone.
"""

import sys

from previewops.cli.program import run
from previewops.supervisor import service


def worker_command(worker_id: str) -> list[str]:
    return [sys.executable, "-m", "tests.fault.supervised_worker", worker_id]


if __name__ == "__main__":
    defaults = service.supervisor_of.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]
    defaults["command"] = worker_command
    sys.exit(run(["supervise", *sys.argv[1:]]))
