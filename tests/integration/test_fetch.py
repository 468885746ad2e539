"""Assets from the web: real servers on the loopback interface, hostile ones among them."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from previewops.host_patterns import HostPattern, parse_host_pattern
from previewops.job_errors import JobError, PermanentJobError, TransientJobError
from previewops.worker.assets.download_cache import DownloadCache
from previewops.worker.assets.fetch import MAX_REDIRECTS, WebFetcher
from previewops.worker.assets.opener import AssetRef, FileAssetOpener
from tests.certificates import certificate, needs_openssl
from tests.web_server import (
    LOOPBACK,
    WebServer,
    complete_response,
    redirect_to,
    serving,
    slow_response,
    web_assets,
)

CONTENT = b"content from the server" * 100


def read(url: str, web: WebFetcher, max_bytes: int = 10_000, spool: Path | None = None) -> bytes:
    fetched = DownloadCache(web, spool=spool)
    try:
        opened = FileAssetOpener((), fetched).open(AssetRef("it", url), max_bytes=max_bytes)
        with opened.file:
            content = opened.file.read()
    finally:
        fetched.close()
    assert opened.size == len(content)
    return content


def rejection(url: str, web: WebFetcher, max_bytes: int = 10_000, spool: Path | None = None) -> JobError:
    with pytest.raises(JobError) as caught:
        read(url, web, max_bytes, spool)
    error = caught.value
    assert {"assetId", "uri", "found", "allowed"} <= set(error.data)
    assert error.hint
    return error


def test_a_file_is_fetched_from_the_resolved_address_with_its_host_name() -> None:
    with serving(complete_response(CONTENT)) as server:
        assert read(server.url("/a.png?size=2"), web_assets(server)) == CONTENT
        (request,) = server.requests
        assert request.startswith("GET /a.png?size=2 HTTP/1.1\r\n")
        assert f"host: pictures.test:{server.port}\r\n" in request.lower()
        assert "accept-encoding: identity" in request.lower()


def test_a_loopback_server_is_rejected_before_a_request_is_sent() -> None:
    with serving(complete_response(CONTENT)) as server:
        strict = WebFetcher((HostPattern("localhost", port=server.port),), timeout_s=10)
        error = rejection(server.url(host="localhost"), strict)
        assert isinstance(error, PermanentJobError)
        assert error.code == "asset-address-refused"
        assert "loopback" in error.message
        assert server.requests == []


def test_a_named_network_permits_its_host_alone() -> None:
    with serving(complete_response(CONTENT)) as server:
        named = parse_host_pattern(f"localhost:{server.port}=127.0.0.0/8")
        other = parse_host_pattern(f"localhost:{server.port}=10.0.0.0/8")
        elsewhere = parse_host_pattern(f"another.test:{server.port}=127.0.0.0/8")
        assert named is not None
        assert other is not None
        assert elsewhere is not None

        def fetcher(*hosts: HostPattern) -> WebFetcher:
            return WebFetcher(hosts, timeout_s=10, resolve=lambda _host, _port: [LOOPBACK])

        assert read(server.url(host="localhost"), fetcher(named)) == CONTENT
        plain = HostPattern("localhost", port=server.port)
        for hosts in ((other,), (plain, elsewhere)):
            error = rejection(server.url(host="localhost"), fetcher(*hosts))
            assert error.code == "asset-address-refused"
            assert "PREVIEW_ASSET_HOSTS=host=network" in str(error.hint)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("media.internal=10.1.0.0/16", True),
        ("*.internal:8080=fd00::/8", True),
        ("media.internal=10.1.2.3", True),
        ("media.internal=", False),
        ("media.internal=10.1.2.3/8", False),
        ("media.internal=0.0.0.0/0", False),
        ("media.internal=169.254.169.254", False),
        ("media.internal=fe80::/10", False),
        ("=10.0.0.0/8", False),
        ("media.internal=10.0.0.0/8=10.0.0.0/8", False),
    ],
)
def test_networks_in_patterns(text: str, *, valid: bool) -> None:
    pattern = parse_host_pattern(text)
    assert (pattern is not None) is valid
    if pattern is not None:
        assert parse_host_pattern(str(pattern)) == pattern


def test_one_private_address_among_public_ones_is_rejected() -> None:
    with serving(complete_response(CONTENT)) as server:
        web = web_assets(server, resolve=lambda _host, _port: [LOOPBACK, "10.0.0.1"])
        assert rejection(server.url(), web).code == "asset-address-refused"
        assert server.requests == []


def test_a_name_is_resolved_once() -> None:
    address_lists = iter([[LOOPBACK], ["169.254.169.254"], ["169.254.169.254"]])
    with serving(complete_response(CONTENT)) as server:
        web = web_assets(server, resolve=lambda _host, _port: next(address_lists))
        assert read(server.url(), web) == CONTENT
        assert rejection(server.url(), web).code == "asset-address-refused"


def test_a_host_that_is_not_allowed_is_rejected() -> None:
    with serving(complete_response(CONTENT)) as server:
        for url in (server.url(host="other.test"), server.url(host=LOOPBACK), "http://pictures.test/a.png"):
            error = rejection(url, web_assets(server))
            assert error.code == "asset-host-refused"
            assert error.data["allowed"] == f"pictures.test:{server.port}"
        assert server.requests == []


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_redirects_are_followed(status: str) -> None:
    def respond(connection: socket.socket, path: str) -> None:
        (complete_response(CONTENT) if path == "/b.png" else redirect_to("/b.png", status))(connection, path)

    with serving(respond) as server:
        assert read(server.url(), web_assets(server)) == CONTENT


def redirecting(target: str) -> JobError:
    with serving(redirect_to(target)) as server:
        web = web_assets(
            server,
            hosts=(
                HostPattern("pictures.test", port=server.port),
                HostPattern(LOOPBACK),
                HostPattern("inner.test"),
            ),
            resolve=lambda host, _port: [LOOPBACK if host == "pictures.test" else "127.0.0.2"],
        )
        return rejection(server.url(), web)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("http://127.0.0.1/", "asset-address-refused"),
        ("http://inner.test/", "asset-address-refused"),
        ("//inner.test/", "asset-address-refused"),
        ("http://other.test/", "asset-host-refused"),
        ("http://169.254.169.254/latest/meta-data", "asset-host-refused"),
        ("http://[::1]/", "asset-host-refused"),
        ("file:///etc/passwd", "asset-redirect-refused"),
        ("data:image/png;base64,AAAA", "asset-redirect-refused"),
        ("http://user:word@pictures.test/", "asset-redirect-refused"),
        ("http://[", "asset-redirect-refused"),
        ("", "asset-redirect-refused"),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(target: str, code: str) -> None:
    assert redirecting(target).code == code


def test_redirects_are_limited() -> None:
    with serving(redirect_to("/again.png")) as server:
        error = rejection(server.url(), web_assets(server))
        assert (error.code, len(server.requests)) == ("asset-redirect-refused", MAX_REDIRECTS + 1)


@pytest.mark.parametrize(
    ("status", "family"),
    [
        ("404 Not Found", PermanentJobError),
        ("403 Forbidden", PermanentJobError),
        ("204 No Content", PermanentJobError),
        ("429 Too Many Requests", TransientJobError),
        ("500 Internal Server Error", TransientJobError),
        ("503 Service Unavailable", TransientJobError),
    ],
)
def test_the_status_decides_between_permanent_and_transient(status: str, family: type[JobError]) -> None:
    with serving(complete_response(b"", status)) as server:
        error = rejection(server.url(), web_assets(server))
        assert error.code == "asset-http-status"
        assert isinstance(error, family)
        assert status[:3] in str(error.data["found"])


def test_size_is_limited_with_and_without_content_length() -> None:
    with serving(complete_response(b"x" * 20_000)) as server:
        assert rejection(server.url(), web_assets(server)).data["found"] == "20000 bytes"
    endless = slow_response(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1_000, 0)
    with serving(endless) as server:
        error = rejection(server.url(), web_assets(server))
        assert (error.code, error.data["allowed"]) == ("asset-too-large", "at most 10000 bytes")


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: "]
)
def test_a_slow_download_times_out(head: bytes) -> None:
    with serving(slow_response(head, b"x", 0.01)) as server:
        error = rejection(server.url(), web_assets(server, timeout_s=0.3))
        assert isinstance(error, TransientJobError)
        assert error.code == "asset-fetch-timeout"


@pytest.mark.parametrize(
    "content", [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort", b"SSH-2.0-OpenSSH_9.0\r\n", b""]
)
def test_a_truncated_or_invalid_response_is_transient(content: bytes) -> None:
    with serving(lambda connection, _path: connection.sendall(content)) as server:
        error = rejection(server.url(), web_assets(server))
        assert isinstance(error, TransientJobError)
        assert error.code == "asset-unreachable"


def test_an_unreachable_server_is_transient() -> None:
    with serving(complete_response(CONTENT)) as server:
        pass
    assert rejection(server.url(), web_assets(server)).code == "asset-unreachable"

    def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = rejection(server.url(), web_assets(server, resolve=unknown))
    assert (error.code, "Name or service not known" in error.message) == ("asset-unreachable", True)


def test_another_address_of_the_host_is_tried() -> None:
    with serving(complete_response(CONTENT)) as server:
        web = web_assets(
            server,
            resolve=lambda _host, _port: ["127.0.0.9", LOOPBACK],
            address_policy=lambda _address: None,
        )
        assert read(server.url(), web) == CONTENT


def test_an_unresponsive_address_leaves_time_for_the_next() -> None:
    with serving(complete_response(CONTENT)) as server, ExitStack() as opened:
        hole = opened.enter_context(socket.socket())
        hole.bind(("127.0.0.9", server.port))
        hole.listen(0)
        for _ in range(3):  # its backlog is full: the kernel accepts no more connections
            caller = opened.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.9", server.port))
        web = web_assets(
            server,
            timeout_s=3,
            resolve=lambda _host, _port: ["127.0.0.9", LOOPBACK],
            address_policy=lambda _address: None,
        )
        assert read(server.url(), web) == CONTENT


def test_a_hanging_name_resolution_times_out() -> None:
    release, ended = threading.Event(), threading.Event()

    def hanging(_host: str, _port: int) -> list[str]:
        release.wait(60)
        ended.set()
        return [LOOPBACK]

    try:
        with serving(complete_response(CONTENT)) as server:
            error = rejection(server.url(), web_assets(server, timeout_s=0.2, resolve=hanging))
        assert error.code == "asset-fetch-timeout"
        assert not ended.is_set(), "the resolver was awaited"
    finally:
        release.set()
    assert ended.wait(60), "its thread ends in peace"


@pytest.mark.parametrize(
    ("written", "requested"),
    [("☃", "xn--n3h"), ("straße", "strasse"), ("Bücher", "xn--bcher-kva"), ("xn--a", "xn--a")],
)
def test_a_request_names_the_host_that_was_checked(written: str, requested: str) -> None:
    names: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        names.append(host)
        return [LOOPBACK]

    with serving(complete_response(CONTENT)) as server:
        web = web_assets(server, hosts=(HostPattern(f"{requested}.test", port=server.port),), resolve=resolve)
        assert read(server.url(host=f"{written}.test"), web) == CONTENT
        assert names == [f"{requested}.test"]
        assert f"host: {requested}.test:{server.port}\r\n" in server.requests[0].lower()


def test_a_uri_that_no_request_can_carry_is_rejected() -> None:
    with serving(complete_response(CONTENT)) as server:
        error = rejection(server.url("/\ud800.png"), web_assets(server))
        assert (type(error), error.code) == (PermanentJobError, "asset-uri-unsupported")
        assert server.requests == []


def test_https_to_a_server_without_tls_fails() -> None:
    with serving(complete_response(CONTENT)) as server:
        url = server.url().replace("http:", "https:")
        assert rejection(url, web_assets(server)).code == "asset-unreachable"


@needs_openssl
@pytest.mark.parametrize(("name", "trusted"), [("pictures.test", True), ("other.test", False)])
def test_a_certificate_is_verified_against_the_name(tmp_path: Path, name: str, trusted: bool) -> None:
    made, ours = certificate(tmp_path, name)
    with serving(complete_response(CONTENT), ours) as server:
        web = web_assets(server, make_ssl_context=lambda: ssl.create_default_context(cafile=made))
        url = server.url().replace("http:", "https:")
        if trusted:
            assert read(url, web) == CONTENT
        else:
            assert rejection(url, web).code == "asset-unreachable"
            assert server.requests == []
        assert rejection(url, web_assets(server)).code == "asset-unreachable"


def test_the_spool_folder_is_empty_afterwards(tmp_path: Path) -> None:
    with serving(complete_response(CONTENT)) as server:
        assert read(server.url(), web_assets(server), spool=tmp_path) == CONTENT
        rejection(server.url(), web_assets(server), 5, tmp_path)
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(TransientJobError) as caught:
            read(server.url(), web_assets(server), spool=tmp_path / "missing")
        assert caught.value.code == "io-error"


def spool_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_asset_is_downloaded_once_and_holds_no_descriptor(tmp_path: Path) -> None:
    responses = iter([complete_response(CONTENT), complete_response(b"something else")])

    def respond(connection: socket.socket, path: str) -> None:
        next(responses)(connection, path)

    with serving(respond) as server:
        fetched = DownloadCache(web_assets(server), spool=tmp_path)
        opener, asset = FileAssetOpener((), fetched), AssetRef("it", server.url())
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        identities = set()
        for _ in range(3):
            opened = opener.open(asset, max_bytes=10_000)
            with opened.file:
                assert opened.file.read() == CONTENT
            identities.add(opened.identity)
        assert len(identities) == 1
        with pytest.raises(PermanentJobError) as caught:
            opener.open(asset, max_bytes=5)
        assert caught.value.code == "asset-too-large"
        assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
        assert len(server.requests) == 1
        assert len(spool_files(tmp_path)) == 1
        fetched.close()
        assert list(tmp_path.iterdir()) == []


def test_the_downloads_of_a_job_are_limited_in_total(tmp_path: Path) -> None:
    with serving(complete_response(CONTENT)) as server:
        fetched = DownloadCache(web_assets(server), total_bytes=2 * len(CONTENT) + 5, spool=tmp_path)
        opener = FileAssetOpener((), fetched)
        for number in (1, 2):
            opener.open(AssetRef(f"{number}", server.url()), max_bytes=10_000).file.close()
        with pytest.raises(PermanentJobError) as caught:
            opener.open(AssetRef("3", server.url()), max_bytes=10_000)
        assert caught.value.code == "fetched-too-large"
        assert caught.value.data["allowed"] == f"at most {2 * len(CONTENT) + 5} bytes in total"
        opener.open(AssetRef("1", server.url()), max_bytes=10_000).file.close()
        with pytest.raises(PermanentJobError) as caught:
            opener.open(AssetRef("4", server.url()), max_bytes=3)
        assert caught.value.code == "asset-too-large", "its own bound was the smaller one"
        fetched.close()


def test_a_download_that_ends_after_its_job_leaves_no_file(tmp_path: Path) -> None:
    requested, go_on = threading.Event(), threading.Event()

    def respond(connection: socket.socket, path: str) -> None:
        requested.set()
        go_on.wait(60)
        complete_response(CONTENT)(connection, path)

    with serving(respond) as server, ThreadPoolExecutor(1) as threads:
        fetched = DownloadCache(web_assets(server), spool=tmp_path)
        late = threads.submit(
            FileAssetOpener((), fetched).open, AssetRef("it", server.url()), max_bytes=10_000
        )
        assert requested.wait(60)
        fetched.close()
        go_on.set()
        with pytest.raises(TransientJobError):
            late.result()
        assert list(tmp_path.iterdir()) == []


def test_web_uris_without_a_fetcher_are_rejected() -> None:
    server = WebServer(1)
    with pytest.raises(PermanentJobError) as caught:
        FileAssetOpener(()).open(AssetRef("it", server.url()), max_bytes=1)
    assert caught.value.code == "asset-uri-unsupported"
