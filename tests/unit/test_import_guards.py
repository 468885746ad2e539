"""The linked folders have one import name each, the one below the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("folder", ["worker", "tui", "schemas", "systemd"])
def test_the_link_leads_to_the_folder_at_the_top(folder: str) -> None:
    link = ROOT / "previewops" / folder
    assert link.is_symlink()
    assert link.resolve() == ROOT / folder


@pytest.mark.parametrize("folder", ["worker", "tui"])
def test_a_second_import_name_is_refused(folder: str) -> None:
    # Where the checkout is on the path, the folder could be imported by its own name: two of each class.
    run = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert f"import previewops.{folder}, not {folder}" in run.stderr


def test_the_worker_process_loads_no_pixels() -> None:
    script = "import sys, previewops.worker.main; sys.exit('PIL' in sys.modules or 'textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
