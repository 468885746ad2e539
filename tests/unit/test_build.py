"""The build id: equal for equal sources, different for any change."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from previewops.build import build_id


def id_of(package: Path) -> str:
    """The id that a copy of the package computes."""
    code = "from previewops.build import build_id; print(build_id())"
    done = subprocess.run([sys.executable, "-c", code], cwd=package.parent, capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_a_copy_without_symlinks_has_the_same_id_until_a_file_changes(tmp_path: Path) -> None:
    import previewops

    package = tmp_path / "previewops"
    shutil.copytree(
        Path(previewops.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "*.ttf")
    )
    assert id_of(package) == build_id()
    script = package / "queue" / "lua" / "claim.lua"
    script.write_text(script.read_text() + "-- another build\n")
    assert id_of(package) != build_id()
