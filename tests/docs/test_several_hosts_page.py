"""The page "Run on several hosts", step by step, on five hosts that are network namespaces."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from previewops.process.parent_death import die_with_parent_argv
from previewops.redis_server.binary import find_server_binary
from tests.docs.documents import ROOT, blocks
from tests.fault.hosts import SERVER, Host, Network, network, no_routed_network
from tests.fault.relay import relay
from tests.integration.cli_program import Program, ProgramResult, payload
from tests.object_servers import CREDENTIALS, S3Server, run_ministack
from tests.shared_servers import ServerMissing

PAGE = ROOT / "docs" / "several-hosts.md"
NAMES = ("redis-1", "redis-2", "redis-3")
PATIENCE_S = 60.0

pytestmark = [pytest.mark.redis, pytest.mark.slow]


@pytest.fixture
def hosts() -> Iterator[Network]:
    reason = no_routed_network()
    if reason is not None:
        pytest.skip(reason)
    with network(5, routed=True) as five:
        yield five


def test_the_page_brings_up_two_hosts(hosts: Network, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    with ExitStack() as stack:
        servers = stack.enter_context(running_redis(hosts.hosts[:3], tmp_path))
        cache = str(pytestconfig.cache.mkdir("object-servers"))
        address = stack.enter_context(bucket(hosts, tmp_path, cache))
        first, second = (
            Program(folder(tmp_path, host), env=rendering_environ(hosts, address)) for host in hosts.hosts[3:]
        )
        prefixes = [host.named_prefix for host in hosts.hosts[3:]]
        until(lambda: uses_store(first, prefixes[0]))
        for program, prefix in zip((first, second), prefixes, strict=True):
            stack.enter_context(supervisor(program, prefix))
        until(lambda: sees_hosts(first, prefixes[0], [host.namespace for host in hosts.hosts[3:]]))
        submit = page_command("submit")
        first.write("job.json", payload("before"))
        assert first.run_under(prefixes[0], *submit).code == 0

        servers[0].kill()
        second.write("job.json", payload("after"))
        until(lambda: second.run_under(prefixes[1], *submit).code == 0)
        # Read on the other host, from the bucket.
        record = first.run_under(prefixes[0], "status", "after", "--json").json
        assert record["status"] == "completed"
        assert record["artifacts"]


def uses_store(program: Program, prefix: object) -> bool:
    """Whether `health` finds the store in order. It waits for a second, in which a busy machine may not answer."""
    health: ProgramResult = program.run_under(prefix, *page_command("health"))  # type: ignore[arg-type]
    return re.search(r"^OK +store ", health.out, re.MULTILINE) is not None


def page_command(name: str) -> list[str]:
    """The arguments of the first command ``name`` on the page."""
    text = "\n".join(block.text for block in blocks(PAGE, "sh"))
    line, *_ = re.findall(rf"^previewops ({name}\b[^#\n]*)", text, re.MULTILINE)
    return line.split()


def variables(hosts: Network) -> dict[str, str]:
    """The variables that the page exports, with the addresses of the hosts."""
    text = "\n".join(block.text for block in blocks(PAGE, "sh"))
    return {
        name: with_addresses(value.strip("'"), hosts.hosts[:3])
        for name, value in re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE)
    }


def with_addresses(text: str, hosts: tuple[Host, ...]) -> str:
    for name, host in zip(NAMES, hosts, strict=True):
        text = re.sub(rf"\b{name}\b", host.address, text)
    return text


def rendering_environ(hosts: Network, address: str) -> dict[str, str]:
    environ = variables(hosts)
    assert environ["PREVIEW_STORE"].startswith("s3://")
    return {**environ, **CREDENTIALS, "PREVIEW_STORE": address, "PREVIEW_WORKER_CONCURRENCY": "1"}


def folder(parent: Path, host: Host) -> Path:
    result = parent / host.namespace
    result.mkdir()
    return result


@contextmanager
def running_redis(hosts: tuple[Host, ...], parent: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Runs servers and Sentinels with the files of the page; returns the servers when they are ready."""
    config, sentinel = (block.text for block in blocks(PAGE, "ini"))
    binary = str(find_server_binary())
    with ExitStack() as stack:
        servers = []
        for name, host in zip(NAMES, hosts, strict=True):
            place = folder(parent, host)
            text = config if name != "redis-1" else re.sub(r"^replicaof .*$", "", config, flags=re.MULTILINE)
            text = text.replace("/var/lib/redis", str(place))
            # The test looks into the server over a socket.
            (place / "redis.conf").write_text(with_addresses(text, hosts) + "\nunixsocket redis.sock\n")
            (place / "sentinel.conf").write_text(
                with_addresses(sentinel, hosts) + "\nunixsocket sentinel.sock\n"
            )
            servers.append(stack.enter_context(process([*host.prefix, binary, "redis.conf"], place)))
            stack.enter_context(process([*host.prefix, binary, "sentinel.conf", "--sentinel"], place))
        until(lambda: all(knows_both(parent / host.namespace / "sentinel.sock") for host in hosts))
        yield servers


def knows_both(sentinel: Path) -> bool:
    """Whether a Sentinel knows both replicas, as the page says."""
    try:
        with redis.Redis(unix_socket_path=str(sentinel)) as client:
            return len(client.execute_command("SENTINEL", "REPLICAS", "previews")) == 2
    except redis.RedisError:
        return False


@contextmanager
def bucket(hosts: Network, parent: Path, cache: str) -> Iterator[str]:
    """A bucket on the server of the network; its address for the hosts."""
    with ExitStack() as stack:
        place = parent / "bucket"
        place.mkdir()
        try:
            server = run_ministack(place, cache, prefix=hosts.server_prefix, host=SERVER)
            endpoint = stack.enter_context(server)
        except ServerMissing as missing:
            pytest.skip(str(missing))
        os.environ.update(CREDENTIALS)
        name = S3Server(stack.enter_context(relay(hosts.server_prefix, endpoint))).make_bucket()
        yield S3Server(endpoint).address(name)


@contextmanager
def supervisor(program: Program, prefix: object) -> Iterator[None]:
    arguments = page_command("supervise")
    # One worker of the four, for the sake of this machine.
    arguments[arguments.index("--workers") + 1] = "1"
    with process([*prefix, *program.command(*arguments)], program.folder, program.environ):  # type: ignore[misc]
        yield


@contextmanager
def process(
    argv: list[str], place: Path, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program with its output in a file of ``place``."""
    with (place / "output").open("ab") as out:
        running = subprocess.Popen(
            die_with_parent_argv(argv, signal.SIGKILL),
            cwd=place,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def sees_hosts(program: Program, prefix: object, names: list[str]) -> bool:
    result: ProgramResult = program.run_under(prefix, *page_command("workers"), "--json")  # type: ignore[arg-type]
    return result.code == 0 and all(name in result.out for name in names)


def until(predicate: Callable[[], bool]) -> None:
    """Waits for other hosts, which send no signal."""
    deadline = time.monotonic() + PATIENCE_S
    while not predicate():
        assert time.monotonic() < deadline
        time.sleep(0.1)
