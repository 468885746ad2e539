"""Each linked folder has one import name, below the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("folder", ["worker", "tui", "schemas", "systemd"])
def test_links_lead_to_the_top_level_folders(folder: str) -> None:
    link = ROOT / "previewops" / folder
    assert link.is_symlink()
    assert link.resolve() == ROOT / folder


@pytest.mark.parametrize("folder", ["worker", "tui"])
def test_second_import_name_is_rejected(folder: str) -> None:
    # With the checkout on the path, the folder could be imported by a second name: each class twice.
    run = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert f"import previewops.{folder}, not {folder}" in run.stderr


def test_worker_process_does_not_import_pillow() -> None:
    script = "import sys, previewops.worker.main; sys.exit('PIL' in sys.modules or 'textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "module", ["worker.main", "api.server", "client", "cli.submit", "tui.app", "health.collect"]
)
def test_object_storage_is_not_imported_before_it_is_used(module: str) -> None:
    script = f"import sys, previewops.{module}; sys.exit('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_without_its_module_object_storage_names_the_extra(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['obstore'] = None; sys.modules['obstore.store'] = None\n"
        "from previewops.stores.objects.client import connect\n"
        "from previewops.bucket_addresses import parse_bucket_address\n"
        "connect(parse_bucket_address('s3://bucket'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "the module obstore is not installed" in run.stderr
