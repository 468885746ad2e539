"""Benchmarks are run by hand: each at least finds what it imports."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import benchmarks

MODULES = sorted({path.stem for folder in benchmarks.__path__ for path in Path(folder).glob("*.py")})


@pytest.mark.parametrize("module", MODULES)
def test_a_benchmark_imports_what_exists(module: str) -> None:
    importlib.import_module(f"benchmarks.{module}")
