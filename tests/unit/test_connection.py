"""Redis address: resolution, redaction, and translation of errors."""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from arq.connections import RedisSettings
from redis import exceptions
from redis.asyncio.connection import parse_url

from previewops.disclosure import redact_url
from previewops.errors import UsageError
from previewops.redis_server.connection import (
    SOCKET_PATH_BYTES,
    connect,
    is_listening,
    ping_socket,
    resolve_redis_url,
    socket_path,
    socket_url,
)
from previewops.redis_server.failures import unavailable_reason
from previewops.settings import DEFAULT_REDIS_URL, Settings

Listener = Callable[[Path, bytes | None], None]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pvc-", dir="/tmp"))
    (folder / "redis").mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def listen() -> Iterator[Listener]:
    """Listens on a socket; sends ``reply`` to the first line, or never accepts if it is None."""
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(path: Path, reply: bytes | None) -> None:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        opened.append(server)
        server.bind(str(path))
        server.listen()
        if reply is None:
            return

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(64)
                peer.sendall(reply)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(60)
    for server in opened:
        server.close()


def test_option_precedes_environment(data_dir: Path) -> None:
    settings = Settings(redis_url="redis://env", data_dir=data_dir)
    assert resolve_redis_url(settings, option="rediss://option") == "rediss://option"


def test_environment_precedes_embedded_server(data_dir: Path, listen: Listener) -> None:
    listen(socket_path(data_dir), None)
    assert (
        resolve_redis_url(Settings(redis_url="redis://env", data_dir=data_dir), option=None) == "redis://env"
    )


def test_live_embedded_server_precedes_default(data_dir: Path, listen: Listener) -> None:
    listen(data_dir / "redis" / "redis.sock", b"+PONG\r\n")
    url = resolve_redis_url(Settings(data_dir=data_dir), option=None)
    assert url == f"unix://{data_dir}/redis/redis.sock"


def test_default_address(tmp_path: Path) -> None:
    assert resolve_redis_url(Settings(data_dir=tmp_path), option=None) == DEFAULT_REDIS_URL


def test_socket_without_listener_is_ignored(data_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(socket_path(data_dir)))
    assert socket_path(data_dir).is_socket()
    assert resolve_redis_url(Settings(data_dir=data_dir), option=None) == DEFAULT_REDIS_URL


def test_stopped_server_is_used(data_dir: Path, listen: Listener) -> None:
    listen(socket_path(data_dir), None)
    assert ping_socket(socket_path(data_dir)) == b""
    assert is_listening(socket_path(data_dir))


@pytest.mark.parametrize("reply", [b"-LOADING Redis is loading\r\n", b"-NOAUTH Authentication required.\r\n"])
def test_server_that_replies_with_an_error_is_used(data_dir: Path, listen: Listener, reply: bytes) -> None:
    listen(socket_path(data_dir), reply)
    assert is_listening(socket_path(data_dir))


def test_server_of_another_protocol_is_ignored(data_dir: Path, listen: Listener) -> None:
    listen(socket_path(data_dir), b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert not is_listening(socket_path(data_dir))


def test_folder_writable_by_others_is_ignored(data_dir: Path, listen: Listener) -> None:
    listen(socket_path(data_dir), None)
    (data_dir / "redis").chmod(0o777)
    assert not is_listening(socket_path(data_dir))


@pytest.mark.parametrize("option", ["localhost:6379", "http://x", "", "redis:/x"])
def test_invalid_option_is_a_usage_error(option: str) -> None:
    with pytest.raises(UsageError, match="allowed an address that starts with redis://") as caught:
        resolve_redis_url(Settings(), option=option)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("url", ["redis://host:port", "redis://host?db=x", "http://host"])
async def test_unparsable_address_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="allowed"):
        connect(url, role="test")


def test_socket_is_in_data_dir_if_its_path_fits(tmp_path: Path) -> None:
    assert socket_path(Path("/srv/previews")) == Path("/srv/previews/redis/redis.sock")


def test_a_relative_folder_gives_an_absolute_address(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.chdir(data_dir.parent)
    assert socket_path(Path(data_dir.name)) == socket_path(data_dir)


@pytest.mark.parametrize("name", ["n" * 120, "with space", "percent%41", "quest?ion", "snö", "ha#sh"])
def test_every_client_parses_the_address_of_any_folder(tmp_path: Path, name: str) -> None:
    path = socket_path(tmp_path / name)
    assert len(bytes(path)) <= SOCKET_PATH_BYTES
    assert parse_url(socket_url(path))["path"] == str(path)
    assert RedisSettings.from_dsn(socket_url(path)).unix_socket_path == str(path)


def test_two_long_folders_have_two_sockets(tmp_path: Path) -> None:
    assert socket_path(tmp_path / ("a" * 120)) != socket_path(tmp_path / ("b" * 120))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
        ("redis://:s3cret@host:1/2", "redis://:***@host:1/2"),
        ("rediss://ann:s3cret@host?db=1", "rediss://ann:***@host?db=1"),
        ("redis://ann@host", "redis://ann@host"),
        ("redis://ann:s3@cret@host", "redis://ann:***@host"),
        ("unix:///run/redis.sock?db=1&password=s3cret", "unix:///run/redis.sock?db=1&password=***"),
        ("unix://:s3cret@/run/redis.sock", "unix://:***@/run/redis.sock"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        ("redis://ann:s3cret@[bad", "redis://ann:***@[bad"),
        ("redis://:s3@cr/et@h:1/0", "redis://:***@h:1/0"),
        ("redis://ann:s3/cr@et@h:1/0", "redis://ann:***@h:1/0"),
        ("redis://ann:12/s3cret@h:1/0", "redis://ann:***@h:1/0"),
        ("rediss://:s3?cr#et@h", "rediss://:***@h"),
        ("unix://:s3/cret@/run/redis.sock", "unix://:***@/run/redis.sock"),
        ("unix:///run/a@b/redis.sock", "unix:///run/a@b/redis.sock"),
        ("redis://h:1/0?password=s3@cret", "redis://h:1/0?password=***"),
        ("redis://:s3cret", "redis://***"),
        ("redis+sentinel://a:1,[::1]:2,c/x/1", "redis+sentinel://a:1,[::1]:2,c/x/1"),
        ("redis+sentinel://ann:s3cret@a:1,b:2/x", "redis+sentinel://ann:***@a:1,b:2/x"),
        ("rediss+sentinel://:s3@cr/et@a,b/x/1", "rediss+sentinel://:***@a,b/x/1"),
        ("redis+sentinel://ann:12,3/s3cret@a,b/x", "redis+sentinel://ann:***@a,b/x"),
        ("redis+sentinel://a,b/x?sentinel_password=s3@cret", "redis+sentinel://a,b/x?sentinel_password=***"),
        ("not an address", "not an address"),
        ("ann:s3cret@host:6379", "host:6379"),
    ],
)
def test_redact_url_removes_passwords(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_usage_error_contains_no_password() -> None:
    with pytest.raises(UsageError) as caught:
        connect("redis://ann:s3cret@host:port", role="test")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.AuthenticationError("WRONGPASS"), "password"),
        (exceptions.BusyLoadingError("loading"), "loading"),
        (exceptions.OutOfMemoryError("command not allowed"), "out of memory"),
        (
            exceptions.ResponseError("ERR Error running script: -OOM command not allowed when"),
            "out of memory",
        ),
        (exceptions.ReadOnlyError("You can't write"), "read-only"),
        (exceptions.ResponseError("ERR @user_script: 1: -READONLY You can't write against"), "read-only"),
        (exceptions.ResponseError("MISCONF Errors writing to the AOF file"), "to its disk"),
        (
            exceptions.ResponseError("BUSY Redis is busy running a script."),
            "busy running another client's script",
        ),
        (exceptions.ConnectionError("max number of clients reached"), "limit of clients"),
        (exceptions.NoPermissionError("this user has no permissions"), "permission"),
        (exceptions.TimeoutError("Timeout reading"), "in time"),
        (TimeoutError(), "in time"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
        (exceptions.ConnectionError("Connection closed by server."), "Connection closed by server."),
        (exceptions.ConnectionError(""), "the connection was lost"),
    ],
)
def test_unavailable_reason_of_each_error(error: Exception, expected: str) -> None:
    reason = unavailable_reason(error)
    assert reason is not None
    assert expected in reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ResponseError("WRONGTYPE Operation against a key"),
        exceptions.ResponseError("ERR user_script:1: attempt to index a nil value"),
        exceptions.DataError("Invalid input of type"),
        exceptions.NoScriptError("NOSCRIPT"),
        FileNotFoundError(errno.ENOENT, "No such file", "payload.json"),
        ValueError("x"),
    ],
)
def test_programming_errors_have_no_unavailable_reason(error: Exception) -> None:
    assert unavailable_reason(error) is None


def test_finding_the_address_imports_no_client() -> None:
    code = """
import sys
from previewops.redis_server.connection import resolve_redis_url
from previewops.settings import Settings
resolve_redis_url(Settings(), option=None)
sys.exit(any(name in sys.modules for name in ("redis", "asyncio")))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_socket_address_has_no_host() -> None:
    assert urlsplit(socket_url(Path("/run/redis.sock"))).netloc == ""
