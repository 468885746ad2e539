"""Writes the data of ``previewops up --demo`` into worker/demo: ``python -m examples.morris``."""

from __future__ import annotations

from pathlib import Path

from examples.morris.assets import write_assets
from examples.morris.jobs import write_jobs

DEMO = Path(__file__).resolve().parents[2] / "worker" / "demo"

if __name__ == "__main__":
    write_jobs(DEMO / "jobs.json")
    for path in write_assets(DEMO / "assets"):
        print(path.stat().st_size, path.name)  # noqa: T201 - a program of the shell
