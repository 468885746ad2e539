"""A worker for a supervisor under test: ``python -m tests.fault.supervised_worker NAME``.

It raises at its start while the path BOOT_FAULT exists. WORKER_OVERLAY (NAME=value) changes its
environment and that of its render processes. SIGUSR1 makes it block its event loop for ever.
"""

import os
import signal
import sys
import time
from pathlib import Path

from previewops.errors import PreviewopsError
from previewops.logs.setup import configure_logging
from previewops.redis_server.connection import resolve_redis_url
from previewops.settings import Settings


def block_loop(*_: object) -> None:
    while True:
        time.sleep(60)


def main(name: str) -> None:
    print(f"boots as {name}", flush=True)
    overlay = dict([os.environ["WORKER_OVERLAY"].split("=")]) if "WORKER_OVERLAY" in os.environ else {}
    os.environ |= overlay
    if Path(os.environ.get("BOOT_FAULT", "missing")).exists():
        raise RuntimeError("a bug")
    from previewops.worker.main import run_worker  # most of the start's time, and not of one that fails

    signal.signal(signal.SIGUSR1, block_loop)
    settings = Settings.from_env(os.environ)
    configure_logging(settings)
    run_worker(
        settings,
        redis_url=resolve_redis_url(settings, option=None),
        worker_id=name,
        build_task="tests.fault.faulty_render:build",
        confined=False,
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except PreviewopsError as error:
        print(error.message, file=sys.stderr)
        sys.exit(error.exit_code)
