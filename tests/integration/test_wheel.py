"""The built wheel carries everything, once, under the package's own name."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=200)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        listed = archive.namelist()
    assert len(listed) == len(set(listed)), "a file is in the wheel twice"
    return set(listed)


def test_nothing_but_the_package_is_claimed_in_site_packages(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"previewops"}


@pytest.mark.parametrize(
    "folder", ["previewops", "worker", "tui", "schemas", "systemd"], ids=lambda name: f"the files of {name}"
)
def test_every_tracked_file_is_there(names: set[str], folder: str) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", folder], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    inside = {name if folder == "previewops" else f"previewops/{name}" for name in tracked}
    links = {"previewops/worker", "previewops/tui", "previewops/schemas", "previewops/systemd"}
    assert inside - links - names == set()
    assert any(name.startswith(f"previewops/{folder}/") or folder == "previewops" for name in names)


def test_data_that_the_program_reads_is_there(names: set[str]) -> None:
    assert {
        "previewops/py.typed",
        "previewops/queue/lua/finish.lua",
        "previewops/queue/lua/include/claim.lua",
        "previewops/schemas/preview-job.schema.json",
        "previewops/schemas/openapi.json",
        "previewops/worker/fonts/Inter-Regular.ttf",
    } <= names
