"""A worker process that executes faults: ``python -m tests.fault.worker_under_test NAME``."""

import os
import sys

from previewops.logs.setup import configure_logging
from previewops.process.init import run_as_init
from previewops.settings import Settings
from previewops.worker.main import run_worker

if __name__ == "__main__":
    run_as_init()
    settings = Settings.from_env(os.environ)
    configure_logging(settings)
    assert settings.redis_url is not None
    run_worker(
        settings,
        redis_url=settings.redis_url,
        worker_id=sys.argv[1],
        build_task="tests.fault.faulty_render:build",
        confined=False,
    )
