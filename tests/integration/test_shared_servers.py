"""All test processes share one server, which ends with the last of them."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.docs.documents import ROOT
from tests.integration.idle_server import run_missing, run_nothing
from tests.shared_servers import ServerMissing, shared_server

USER = """
import sys
from pathlib import Path
from tests.integration.idle_server import run_nothing
from tests.shared_servers import shared_server
with shared_server(run_nothing, Path(sys.argv[1])) as address:
    print(address, flush=True)
    sys.stdin.read()
"""


@contextmanager
def user(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that uses the server until its input ends; with the address that it got."""
    argv = [sys.executable, "-c", USER, str(folder)]
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process


def wait_until_ended(folder: Path) -> None:
    """The host has the lock until it ends. Here it can be given before the host has got it."""
    while (folder / "reply").exists():
        with (folder / "users").open() as users:
            fcntl.flock(users, fcntl.LOCK_EX)
        time.sleep(0.01)


@pytest.mark.parametrize(
    "end", [subprocess.Popen.kill, lambda process: process.stdin.close()], ids=["kill", "exit"]
)
def test_a_server_ends_with_its_last_user(
    tmp_path: Path, end: Callable[[subprocess.Popen[str]], None]
) -> None:
    folder = tmp_path / "server"
    with user(folder) as (address, first), user(folder) as (same, second):
        assert same == address
        end(first)
        first.wait()
        with shared_server(run_nothing, folder) as still:
            assert still == address
        end(second)
        second.wait()
        wait_until_ended(folder)
    with shared_server(run_nothing, folder) as another:
        assert another != address


def test_a_server_that_is_missing_is_not_started_again(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ServerMissing, match="not installed"), ExitStack() as stack:
            stack.enter_context(shared_server(run_missing, tmp_path))
    assert (tmp_path / "starts").read_text() == "start\n"
