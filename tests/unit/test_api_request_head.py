"""Requests that HTTP demands to reject."""

from __future__ import annotations

import pytest

from previewops.api.errors import ApiError
from previewops.api.request_head import MAX_QUERY_PARAMETERS, check_head, is_valid_host, replace_host

HOST = (b"host", b"localhost")


def check(*headers: tuple[bytes, bytes], version: str = "1.1", query: bytes = b"") -> int | None:
    """Returns the status of the rejection; None if the head is accepted."""
    try:
        check_head({"http_version": version, "headers": list(headers), "query_string": query})
    except ApiError as error:
        return error.status
    return None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([HOST], None),
        ([], 400),
        ([HOST, HOST], 400),
        ([HOST, (b"host", b"other")], 400),
        ([(b"host", b"")], None),
        ([HOST, (b"content-encoding", b"gzip")], 415),
        ([HOST, (b"content-encoding", b"identity")], None),
        ([HOST, (b"content-encoding", b"identity, br")], 415),
        ([HOST, (b"transfer-encoding", b"chunked")], None),
        ([HOST, (b"transfer-encoding", b"Chunked")], None),
        ([HOST, (b"transfer-encoding", b"gzip, chunked")], 501),
        ([HOST, (b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked")], 501),
        ([HOST, (b"transfer-encoding", b"chunked, chunked")], 501),
        ([HOST, (b"transfer-encoding", b"")], 501),
        ([HOST, (b"transfer-encoding", b"chunked\t")], None),
        ([HOST, (b"transfer-encoding", b"\xa0chunked")], 501),
        ([HOST, (b"transfer-encoding", b"chunked\x85")], 501),
        ([(b"host", b"localhost\xa0")], 400),
        ([HOST, (b"content-encoding", b"identity\xa0")], 415),
        ([HOST, (b"expect", b"100-continue\xa0")], 417),
        ([HOST, (b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")], 400),
        ([HOST, (b"content-type", b"text/plain"), (b"content-type", b"application/json")], 400),
        ([HOST, (b"origin", b"https://a"), (b"origin", b"https://b")], 400),
        ([HOST, (b"accept", b"a"), (b"accept", b"b")], None),
        ([HOST, (b"expect", b"100-Continue")], None),
        ([HOST, (b"expect", b"200-ok")], 417),
        ([HOST, (b"expect", b"100-continue, x")], 417),
    ],
)
def test_heads(headers: list[tuple[bytes, bytes]], status: int | None) -> None:
    assert check(*headers) == status


@pytest.mark.parametrize(("version", "status"), [("1.1", None), ("1.0", None), ("2.0", 505), ("0.9", 505)])
def test_versions(version: str, status: int | None) -> None:
    assert check(HOST, version=version) == status


def test_http_1_0_needs_no_host_and_has_no_expectations() -> None:
    assert check((b"expect", b"200-ok"), version="1.0") is None


def test_http_1_0_has_no_transfer_encoding() -> None:
    assert check((b"transfer-encoding", b"chunked"), version="1.0") == 400


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"/livez", b"localhost"),
        (b"/a?next=http://evil.example/", b"localhost"),
        (b"*", b"localhost"),
        (b"http://evil.example:80/a?b", b"evil.example:80"),
        (b"http://evil.example", b"evil.example"),
        (b"http://a@localhost/", b"a@localhost"),
        (b"//evil.example/a", b"localhost"),
    ],
)
def test_the_authority_of_the_target_replaces_the_host(target: bytes, host: bytes) -> None:
    headers = [HOST, (b"a", b"localhost")]
    replace_host(target, headers)
    assert headers == [(b"host", host), (b"a", b"localhost")]


def test_query_parameters_are_limited() -> None:
    assert check(HOST, query=b"&".join([b"a"] * MAX_QUERY_PARAMETERS)) is None
    assert check(HOST, query=b"&".join([b"a"] * (MAX_QUERY_PARAMETERS + 1))) == 400


@pytest.mark.parametrize(
    "host",
    ["a", "a.example:80", "10.0.0.1:8080", "[::1]", "[::1]:80", "[::ffff:1.2.3.4]:1", "a:", "xn--a", ""],
)
def test_valid_hosts(host: str) -> None:
    assert is_valid_host(host)


@pytest.mark.parametrize(
    "host",
    ["localhost:evil", "[::1]evil.com", "[::1", "::1", "[::g]", "[]", "a b", "a/b", "a@b", "a:1:2", "a:123456",
     "a:65536", "é", "a\\b", "[::1]:x", '"a"', "a\tb", "a?b", "a#b", "[1.2.3.4]"],
)  # fmt: skip
def test_malformed_hosts(host: str) -> None:
    assert not is_valid_host(host)
