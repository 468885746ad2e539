"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import redis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from previewops.worker.sandbox import fork_server
from tests.azure_server import AZURE_CREDENTIALS, AzureServer, run_azurite
from tests.object_servers import CREDENTIALS, S3Server, run_ministack, run_radosgw
from tests.process_guard import VARIABLE, start_guard
from tests.redis_server import RedisProcess
from tests.shared_servers import RunServer, ServerMissing, shared_server

T = TypeVar("T")

# An example takes as long as the machine is busy.
hypothesis_settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("untimed")

start_guard()
# Fork servers of the tests' own pools inherit the guard's variable, so that it finds them and their processes.
fork_server.INHERITED_PREFIXES = (*fork_server.INHERITED_PREFIXES, VARIABLE)

# Renders of one test would starve behind the other tests of a busy machine. Tests of the setting set it themselves.
os.environ.setdefault("PREVIEW_RENDER_NICE", "0")

# A shell starts what it runs in the background with SIGINT ignored, and programs under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# nohup does the same with SIGHUP.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


ORDER = ("property", "integration", "tui", "docs", "contract", "unit")
"""Folders of tests that compute, the longest tests first, so that the short ones at the end spread evenly."""
WAITING = ("fault", "system")
"""Folders of tests that wait most of the time, for leases, restarts and fail-overs."""
NICE = 5
"""Nice value of test processes that begin with tests that compute: those that wait for signals in time go first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives half of the test processes the tests that wait, and the others those that compute, the longest first."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes == 1:
        return
    order = {folder: place for place, folder in enumerate(ORDER)}

    def is_slow(item: pytest.Item) -> bool:
        return item.get_closest_marker("slow") is not None

    items.sort(key=lambda item: (not is_slow(item), order.get(_folder(item), -1)))
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        if _folder(item) in WAITING:
            # All of tests/system share one machine.
            name = "system" if _folder(item) == "system" else f"{is_slow(item)} {item.path}"
            groups.setdefault(name, []).append(item)
    computing = [item for item in items if _folder(item) not in WAITING]
    items[:] = deal(list(groups.values()), computing, processes)
    if groups and int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) >= lanes(processes):
        os.nice(NICE)


def lanes(processes: int) -> int:
    """Returns the number of test processes that begin with tests that wait."""
    return (processes + 1) // 2


def deal(waiting: list[list[T]], computing: list[T], processes: int) -> list[T]:
    """Returns all items, in order for xdist, which gives each process an equal, contiguous share of them at first.

    The groups of ``waiting`` are dealt out to the first shares in turn. The first of ``computing`` fill the other
    shares, one after the other, and the last ones fill up the first shares.
    """
    first = lanes(processes)
    shares = [[item for group in waiting[k::first] for item in group] for k in range(first)]
    shares += [[] for _ in range(processes - first)]
    left, rest = sum(map(len, shares)) + len(computing), computing
    sizes = []
    for number in range(processes):
        sizes.append(left // (processes - number))
        left -= sizes[-1]
    for share, size in reversed(list(zip(shares, sizes, strict=True))):
        missing = max(0, size - len(share))
        share.extend(rest[:missing])
        rest = rest[missing:]
    return [item for share in shares for item in share] + rest


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


def pytest_collection_finish() -> None:
    """Excludes the modules of all tests from garbage collection, which took a fifth of a screen test's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisProcess]:
    """The session's private server, without persistence. Tests take ``redis_url``, which empties it."""
    server = RedisProcess(persistent=False)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def redis_url(redis_server: RedisProcess) -> str:
    """The address of an empty database."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.script_flush()
        client.config_resetstat()
    return redis_server.url


@pytest.fixture
def redis_process() -> Iterator[Callable[..., RedisProcess]]:
    """Creates separate servers that a test may kill, freeze and restart; takes the arguments of RedisProcess.

    Each is returned running unless ``start=False``, and is removed at the end.
    """
    made: list[RedisProcess] = []

    def make(*, persistent: bool = True, options: tuple[str, ...] = (), start: bool = True) -> RedisProcess:
        server = RedisProcess(persistent=persistent, options=options)
        made.append(server)
        if start:
            server.start()
        return server

    yield make
    for server in made:
        server.remove()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share."""
    folder = tmp_path_factory.getbasetemp()
    # Each xdist process has a folder of its own in that of the run.
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def ministack(pytestconfig: pytest.Config, run_folder: Path) -> Iterator[S3Server]:
    """The run's small S3 server."""
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("object-servers")
    os.environ.update(CREDENTIALS)
    with shared_endpoint(run_ministack, run_folder / "ministack", str(cache)) as endpoint:
        yield S3Server(endpoint)


@pytest.fixture(scope="session")
def radosgw(run_folder: Path) -> Iterator[S3Server]:
    """The run's Ceph with its S3 gateway."""
    os.environ.update(CREDENTIALS)
    with shared_endpoint(run_radosgw, run_folder / "radosgw") as endpoint:
        yield S3Server(endpoint)


@pytest.fixture(scope="session")
def azurite(run_folder: Path) -> Iterator[AzureServer]:
    """The run's small Azure Blob Storage."""
    os.environ.update(AZURE_CREDENTIALS)
    with shared_endpoint(run_azurite, run_folder / "azurite") as endpoint:
        yield AzureServer(endpoint)


@contextmanager
def shared_endpoint(run: RunServer, folder: Path, *arguments: str) -> Iterator[str]:
    """Uses a server of this run. Skips where it cannot be had."""
    with ExitStack() as stack:
        try:
            endpoint = stack.enter_context(shared_server(run, folder, *arguments))
        except ServerMissing as missing:
            pytest.skip(str(missing))
        yield endpoint
