"""Secrets in files: settings, systemd's credentials, and the password of Redis in an address."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from previewops.api.token_files import with_tokens_from_files
from previewops.errors import UsageError
from previewops.redis_server.connection import resolve_redis_url
from previewops.redis_server.password_file import (
    split_password_file,
    with_password_file,
    without_password_file,
)
from previewops.secret_files import CREDENTIALS, has_password, read_secret
from previewops.settings import Settings
from previewops.supervisor.environment import worker_environment

TOKEN = "a-token-of-letters"
OTHER = "another-token-0123"


@pytest.mark.parametrize("text", ["hunter2", "hunter2\n", "hunter2\r\n"])
def test_a_secret_is_the_text_without_the_line_break(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text, newline="")
    assert read_secret(path) == "hunter2"


@pytest.mark.parametrize("data", [b"", b"\n", b"\xff\xfe", b"x" * 5000])
def test_what_is_not_a_secret_is_rejected_without_showing_it(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(data)
    with pytest.raises((OSError, ValueError), match="found ") as caught:
        read_secret(path)
    assert "xx" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:1/2", False),
        ("redis://user@h", False),
        ("redis://:p@h", True),
        ("redis://user:p@h", True),
        ("redis+sentinel://user:p@h:1,[::1]:2/x", True),
        ("redis+sentinel://user@h:1,[::1]:2/x?sentinel_password=p", False),
        ("unix:///s?password=p", True),
        ("unix:///s?password_file=/f", True),
        ("redis://h?db=1", False),
    ],
)
def test_addresses_with_a_password(url: str, expected: bool) -> None:
    assert has_password(url) is expected


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:6379/2",
        "redis+sentinel://a:1,b:2/x/3",
        "rediss://h?ssl_ca_certs=/a/b.pem",
        "unix:///run/r.sock",
    ],
)
def test_an_address_carries_the_path(url: str, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("p@ss:word\n")
    carrying = with_password_file(url, path)
    assert without_password_file(carrying) == url
    assert without_password_file(url) == url
    bare, credentials = split_password_file(carrying)
    assert bare == url
    assert credentials is not None
    assert credentials.get_credentials() == ("p@ss:word",)
    path.write_text("changed\n")
    assert credentials.get_credentials() == ("changed",)
    path.unlink()
    with pytest.raises(RedisConnectionError, match="cannot be read: No such file"):
        credentials.get_credentials()


async def test_a_connection_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "password"
    path.write_text("p")
    _, credentials = split_password_file(with_password_file("redis://h", path))
    assert credentials is not None
    assert await credentials.get_credentials_async() == ("p",)
    assert caplog.records == []


def test_the_user_stays(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("p")
    bare, credentials = split_password_file(with_password_file("redis://some%40one@h:1", path))
    assert bare == "redis://h:1"
    assert credentials is not None
    assert credentials.get_credentials() == ("some@one", "p")
    assert split_password_file("redis://user@h") == ("redis://user@h", None)


def test_the_address_of_a_worker_has_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "password"
    settings = Settings(redis_url="redis://h", redis_password_file=path, data_dir=tmp_path)
    url = resolve_redis_url(settings, option=None)
    assert url == f"redis://h?password_file={path}"
    assert resolve_redis_url(settings, option="redis://:other@h") == "redis://:other@h"
    tokens = {"PREVIEW_API_TOKEN": TOKEN, "PREVIEW_API_READ_TOKEN_FILE": "f"}
    environ = worker_environment({"PREVIEW_REDIS_PASSWORD_FILE": str(path), **tokens}, settings, url)
    assert environ["REDIS_URL"] == "redis://h"
    assert environ["PREVIEW_REDIS_PASSWORD_FILE"] == str(path)
    assert not environ.keys() & tokens.keys()


def test_credentials_of_systemd_are_the_default(tmp_path: Path) -> None:
    for name in CREDENTIALS.values():
        (tmp_path / name).write_text(TOKEN)
    settings = Settings.from_env({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert settings.redis_password_file == tmp_path / "previewops.redis-password"
    assert settings.api_token_file == tmp_path / "previewops.api-token"
    assert settings.api_read_token_file == tmp_path / "previewops.api-read-token"
    chosen = {"CREDENTIALS_DIRECTORY": str(tmp_path), "PREVIEW_REDIS_PASSWORD_FILE": "/elsewhere"}
    assert Settings.from_env(chosen).redis_password_file == Path("/elsewhere")
    assert Settings.from_env({"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}) == Settings()


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"PREVIEW_API_TOKEN": TOKEN, "PREVIEW_API_TOKEN_FILE": "f"}, "PREVIEW_API_TOKEN: found a token and"),
        (
            {"REDIS_URL": "redis://:p@h", "PREVIEW_REDIS_PASSWORD_FILE": "f"},
            "REDIS_URL: found a password and",
        ),
        ({"PREVIEW_API_READ_TOKEN_FILE": "f"}, "only together with PREVIEW_API_TOKEN"),
    ],
)
def test_a_secret_is_given_once(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        Settings.from_env(environ)


def test_tokens_come_from_files(tmp_path: Path) -> None:
    token, read_token = tmp_path / "token", tmp_path / "read-token"
    token.write_text(f"{TOKEN}\n")
    read_token.write_text(f"{OTHER}\n")
    settings = Settings(api_token_file=token, api_read_token_file=read_token, queue_name="q")
    loaded = with_tokens_from_files(settings)
    assert (loaded.api_token, loaded.api_read_token, loaded.queue_name) == (TOKEN, OTHER, "q")
    mixed = with_tokens_from_files(Settings(api_token=TOKEN, api_read_token_file=read_token))
    assert (mixed.api_token, mixed.api_read_token) == (TOKEN, OTHER)
    assert with_tokens_from_files(Settings()) == Settings()
    read_token.write_text(TOKEN)
    with pytest.raises(UsageError, match="allowed another token"):
        with_tokens_from_files(settings)
    token.write_text("short")
    with pytest.raises(UsageError, match="16 to 512") as caught:
        with_tokens_from_files(settings)
    assert "short" not in str(caught.value)
    assert str(token) in str(caught.value.hint)
    token.unlink()
    with pytest.raises(UsageError, match=r"PREVIEW_API_TOKEN_FILE: the file .* cannot be used: No such file"):
        with_tokens_from_files(settings)
