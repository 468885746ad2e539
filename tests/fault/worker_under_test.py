"""A worker process that executes faults: ``python -m tests.fault.worker_under_test NAME``.

With ``--template HANDLE`` it is the template of tests/fault/worker_template.py.
"""

import os
import sys

from previewops.logs.setup import configure_logging
from previewops.process.init import run_as_init
from previewops.settings import Settings
from previewops.worker.main import run_worker
from tests.fault.worker_template import fork_workers

if __name__ == "__main__":
    name = fork_workers(int(sys.argv[2])) if sys.argv[1] == "--template" else sys.argv[1]
    run_as_init()
    settings = Settings.from_env(os.environ)
    configure_logging(settings)
    assert settings.redis_url is not None
    run_worker(
        settings,
        redis_url=settings.redis_url,
        worker_id=name,
        build_task="tests.fault.faulty_render:build",
        confined=False,
    )
