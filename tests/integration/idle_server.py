"""Servers without a service, for the tests of shared servers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.shared_servers import ServerMissing


@contextmanager
def run_nothing(_folder: Path) -> Iterator[str]:
    """A server without a service; its address is the id of its host."""
    yield str(os.getpid())


@contextmanager
def run_missing(folder: Path) -> Iterator[str]:
    """A server that cannot be had. Counts its starts."""
    with (folder / "starts").open("a") as starts:
        starts.write("start\n")
    raise ServerMissing("not installed")
    yield ""
