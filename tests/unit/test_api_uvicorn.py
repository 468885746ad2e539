"""The API overrides internals of uvicorn: the version is bounded, and tests run with the newest allowed."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_installed_uvicorn_is_the_newest_allowed_minor_version() -> None:
    dependencies = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["dependencies"]
    (requirement,) = (line for line in dependencies if line.startswith("uvicorn"))
    bound = re.search(r"<(\d+)\.(\d+)$", requirement)
    assert bound is not None, requirement
    major, minor = map(int, version("uvicorn").split(".")[:2])
    assert (major, minor + 1) == (int(bound[1]), int(bound[2]))
