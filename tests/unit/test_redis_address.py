"""Checks of a Redis address."""

from __future__ import annotations

from pathlib import Path

import pytest

from previewops.errors import UsageError
from previewops.redis_server.address import find_address_problem
from previewops.redis_server.connection import connection_pool
from previewops.redis_server.pool import TcpConnection
from previewops.redis_server.sentinel_address import split_sentinel_address


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://h",
        "redis://h:6379/0",
        "redis://h:6379/",
        "redis://u:p%2F%40@[::1]:6379/15?socket_timeout=2.5&client_name=x",
        "rediss://h?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false",
        "unix:///run/redis.sock?db=3&password=p",
        "unix://user@/run/redis.sock",
        "redis+sentinel://a/service",
        "redis+sentinel://a,b:26380,[::1]:1/my.service_1-x/3?socket_timeout=1&sentinel_password=p",
        "rediss+sentinel://u:p%2F@a,b/service?ssl_ca_certs=/etc/ca.pem&password_file=/etc/secret",
        "redis://h?db=2&max_connections=5&health_check_interval=10",
    ],
)
def test_valid_addresses(url: str) -> None:
    assert find_address_problem(url) is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://h/abc", "with database 'abc', allowed a number"),
        ("redis://h/-1", "database '-1'"),
        ("redis://h/0/1", "database '0/1'"),
        ("redis://h?nonsense=1", "with option 'nonsense'"),
        ("redis://h?decode_responses=true", "with option 'decode_responses'"),
        ("redis://h?ssl_ca_certs=x", "with option 'ssl_ca_certs'"),
        ("rediss://h?ssl_min_version=TLSv1_2", "with option 'ssl_min_version'"),
        ("redis://h?socket_timeout=soon", "with an invalid socket_timeout, allowed seconds"),
        ("redis://h?socket_timeout=0", "socket_timeout"),
        ("redis://h?max_connections=1234567890", "an invalid max_connections"),
        ("redis://h?max_connections=\u0663", "an invalid max_connections"),
        ("redis://h?client_name=", "an invalid client_name"),
        (
            "redis://h?client_name=a%20b",
            "with an invalid client_name, allowed ASCII characters without blanks",
        ),
        ("redis://:a/b@h", "percent-encoding"),
        ("redis://:a#b@h", "percent-encoding"),
        ("redis://:a?b@h", "percent-encoding"),
        ("redis://u:a[b@h", "percent-encoding"),
        # A password that reads as a port
        ("redis://:1/b@h", "percent-encoding"),
        ("redis://:1#b@h", "percent-encoding"),
        ("redis://:1?b@h", "percent-encoding"),
        ("redis://h/0#b", "host or port"),
        ("redis://h:0", "host or port"),
        ("redis://h:99999", "host or port"),
        ("redis://h:x", "host or port"),
        ("redis://a:1,b:2,c:3", "several servers, as of a Cluster or of Sentinels"),
        ("redis+sentinel://a:26379", "without a service"),
        ("redis+sentinel://a:26379/", "without a service"),
        ("redis+sentinel://a/my service", "without a service"),
        ("redis+sentinel://a,,b/service", "a Sentinel that cannot be read"),
        ("redis+sentinel:///service", "a Sentinel that cannot be read"),
        ("redis+sentinel://a:0/service", "a Sentinel that cannot be read"),
        ("redis+sentinel://a:99999/service", "a Sentinel that cannot be read"),
        ("redis+sentinel://::1/service", "a Sentinel that cannot be read"),
        ("redis+sentinel://a/service/x", "with database 'x', allowed a number"),
        ("redis+sentinel://a/service?ssl_ca_certs=x", "with option 'ssl_ca_certs'"),
        ("redis+sentinel://a/service?sentinel_password=", "an empty sentinel_password"),
        ("redis+sentinel://:a/b@h/service", "percent-encoding"),
        ("redis://a?sentinel_password=x", "with option 'sentinel_password'"),
        ("sentinel://a/service", "allowed an address that starts with"),
        ("http://h", "allowed an address that starts with"),
        ("unix://", "without the path"),
        ("unix:///", "without the path"),
        ("unix://run/redis.sock", "without the path"),  # redis-py would open /redis.sock
        ("unix://a,b/redis.sock", "without the path"),
        ("unix:///run/redis.sock?db=x", "an invalid db"),
    ],
)
def test_the_problem_is_named(url: str, words: str) -> None:
    problem = find_address_problem(url)
    assert problem is not None
    assert words in problem[0]
    with pytest.raises(UsageError) as caught:
        connection_pool(url, role="test")
    assert words in caught.value.message
    assert caught.value.hint


def test_the_message_has_no_password() -> None:
    with pytest.raises(UsageError) as caught:
        connection_pool("redis://user:s3cr/et@h", role="test")
    assert "s3cr" not in caught.value.message


def test_an_address_of_sentinels_is_split() -> None:
    url = (
        "rediss+sentinel://u:p%40@a,[::1]:5/x/2?socket_timeout=1&sentinel_username=su&sentinel_password=s%26p"
    )
    address = split_sentinel_address(url)
    assert address.sentinels == (("a", 26379), ("::1", 5))
    assert (address.service, address.username, address.password) == ("x", "su", "s&p")
    assert address.server_url == "rediss://u:p%40@primary/2?socket_timeout=1"
    assert "s&p" not in repr(address)
    assert "p%40" not in repr(address)


def test_the_pool_has_login_database_and_options_of_the_address(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    url = f"redis+sentinel://u@a/x/2?socket_timeout=1.5&password_file={secret}"
    connection = connection_pool(url, role="test").make_connection()
    assert isinstance(connection, TcpConnection)
    assert (connection.db, connection.socket_timeout) == (2, 1.5)
    assert connection.credential_provider.get_credentials() == ("u", "from-a-file")
