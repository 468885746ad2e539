"""Imports of the screen's packages: the layers, checked at run time too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LOAD = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
names = [info.name for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    importlib.import_module(name)
assert len(names) > 3, names
print(*sorted(set(sys.argv[2:]) & set(sys.modules)))
"""

HELP = """
import sys
from previewops.cli import main
try:
    main()
finally:
    print("LOADED", *sorted({"textual", "redis", "arq", "rich"} & set(sys.modules)))
"""

BELOW = (
    "redis",
    "arq",
    "previewops.queue.queue",
    "previewops.queue.dead_letters",
    "previewops.queue.leases",
    "previewops.queue.listing",
    "previewops.snapshot.reader",
    "previewops.queue.scripts",
    "previewops.redis_server.connection",
    "previewops.supervisor.commands",
)


def loaded_by(package: str, *suspects: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", LOAD, package, *suspects],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize("package", ["previewops.tui.screens", "previewops.tui.widgets"])
def test_screens_and_widgets_import_no_redis_arq_or_queue(package: str) -> None:
    assert loaded_by(package, *BELOW) == ""


def test_the_shapes_load_no_textual() -> None:
    assert loaded_by("previewops.tui.viewmodel", "textual", "previewops.tui.app", *BELOW) == ""


def test_the_import_check_detects_redis() -> None:
    assert loaded_by("previewops.tui.widgets", "textual") == "textual"


def test_the_help_of_the_screen_loads_no_textual() -> None:
    run = subprocess.run(
        [sys.executable, "-c", HELP, "tui", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "--read-only" in run.stdout, run.stderr
    assert run.stdout.splitlines()[-1].strip() == "LOADED"
