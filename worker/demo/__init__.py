"""What ``previewops up --demo`` renders: a lesson in Nine Men's Morris, drawn by code, and the jobs that teach it."""

from previewops.worker.demo.assets import ARRIVING, CORRUPT, FOLDER, MISSING, finish_upload, write_assets
from previewops.worker.demo.jobs import DemoJob, Expectation, jobs

__all__ = [
    "ARRIVING",
    "CORRUPT",
    "FOLDER",
    "MISSING",
    "DemoJob",
    "Expectation",
    "finish_upload",
    "jobs",
    "write_assets",
]
