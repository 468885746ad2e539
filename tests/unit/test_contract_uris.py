"""Uris of assets: parsing, rejection, asset roots and hosts."""

from __future__ import annotations

import base64
from pathlib import Path, PurePosixPath

import pytest

from previewops.contract import AssetPolicy, DataUri, FileUri, HttpUri, UriNotAllowed, parse_uri
from previewops.contract.limits import MAX_INLINE_BYTES
from previewops.host_patterns import HostPattern, parse_host_pattern


def code(uri: str) -> str:
    with pytest.raises(UriNotAllowed) as caught:
        parse_uri(uri)
    return caught.value.code


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("a.png", "a.png"),
        ("./shots//a.png", "shots/a.png"),
        ("100%.png", "100%.png"),
        ("..a/b...png", "..a/b...png"),
        ("./c:d.png", "c:d.png"),
        ("/srv/a.png", "/srv/a.png"),
        ("//srv/./a.png", "/srv/a.png"),
        ("file:///srv/with%20space%23.png", "/srv/with space#.png"),
        ("FILE://LocalHost/srv/%C3%A9.png", "/srv/é.png"),
        ("file:///srv/é.png", "/srv/é.png"),
    ],
)
def test_files(uri: str, path: str) -> None:
    assert parse_uri(uri) == FileUri(PurePosixPath(path))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("..", "uri-traversal"),
        ("a/..", "uri-traversal"),
        ("/a/../b", "uri-traversal"),
        ("file:///a/%2e%2e/b", "uri-traversal"),
        ("file:///a%2f..%2fb", "uri-traversal"),
        ("a\\..\\b", "uri-character"),
        ("file:///a%5cb", "uri-character"),
        ("a\0b", "uri-character"),
        ("a\nb", "uri-character"),
        ("file:///a%0ab", "uri-character"),
        ("file:a.png", "uri-malformed"),
        ("file://a.png", "uri-malformed"),
        ("file:////../a", "uri-traversal"),
        ("file:///a%2", "uri-malformed"),
        ("file:///a%é0", "uri-malformed"),
        ("/", "uri-malformed"),
        ("http:a.png", "uri-malformed"),
        ("http://", "uri-malformed"),
        ("http://a b/", "uri-malformed"),
        ("http://a\\@b/", "uri-malformed"),
        ("http://user@example.org/a.png", "uri-malformed"),
        ("http://user:word@example.org/a.png", "uri-malformed"),
        ("http://example.org:0/a.png", "uri-malformed"),
        ("http://example.org:99999/a.png", "uri-malformed"),
        ("http://[::1/a.png", "uri-malformed"),
        ("http://exa%6dple.org/", "uri-malformed"),
        ("http://example.org/a.png#b", "uri-malformed"),
        ("https://example.org/" + "a" * 2_048, "uri-malformed"),
        ("ftp://example.org/a.png", "uri-scheme"),
        ("c:/a.png", "uri-scheme"),
    ],
)
def test_rejected_uris(uri: str, expected: str) -> None:
    assert code(uri) == expected


def test_data_is_decoded() -> None:
    encoded = base64.b64encode(b"\x89PNG").decode()
    assert parse_uri(f"data:image/PNG;base64,{encoded}") == DataUri("image/png", b"\x89PNG")
    assert parse_uri(f"Data:audio/ogg;codecs=opus;base64,{encoded}") == DataUri("audio/ogg", b"\x89PNG")


@pytest.mark.parametrize(
    "content",
    [
        "iVBORw==",
        "iVBORw",
        "iVBO Rw==",
        "iVBORw==\n",
        "iVBO\r\nRw==",
        "\tiV\fBORw",
        "iVBORw%3D%3D",
        "iVBO%0ARw",
        "iVBORx==",
    ],
)
def test_base64_is_read_as_browsers_read_it(content: str) -> None:
    for head in ("data:image/png;base64,", "data:image/png;name=a%20b;base64,", "data:image/png; BASE64 ,"):
        assert parse_uri(head + content) == DataUri("image/png", b"\x89PNG")


def test_percent_encoded_signs_of_base64_are_read() -> None:
    assert parse_uri("data:image/png;base64,%2B%2F%2b/") == DataUri("image/png", b"\xfb\xff\xbf")


def test_data_without_base64_is_percent_encoded() -> None:
    svg = parse_uri("data:image/svg+xml;charset=utf-8,%3Csvg xmlns='x'%3E%3C/svg%3E")
    assert svg == DataUri("image/svg+xml", b"<svg xmlns='x'></svg>")


@pytest.mark.parametrize("content", ["iVBORw==iVBO", "iVBORé==", "iVBOR", "iVBORw=", "-_-_", "iV=B"])
def test_invalid_base64_is_rejected(content: str) -> None:
    assert code(f"data:image/png;base64,{content}") == "uri-malformed"


def test_maximum_inline_size_is_inclusive() -> None:
    head = "data:image/png;base64,"
    parsed = parse_uri(head + base64.b64encode(bytes(MAX_INLINE_BYTES)).decode())
    assert isinstance(parsed, DataUri)
    assert len(parsed.content) == MAX_INLINE_BYTES
    assert code(head + base64.b64encode(bytes(MAX_INLINE_BYTES + 1)).decode()) == "uri-too-long"


def test_media_type_is_matched_in_linear_time() -> None:
    assert code("data:image/png" + ";a=b" * 100_000) == "uri-media-type"


@pytest.mark.parametrize("path", ["/srv/assets/a.png", "/home/me/job/a.png", "/srv/assets", "a.png"])
def test_paths_under_a_root_are_allowed(path: str) -> None:
    AssetPolicy((Path("/srv/assets"), Path("/home/me/job"))).check(FileUri(PurePosixPath(path)))


@pytest.mark.parametrize("path", ["/srv/assets2/a.png", "/srv/a.png", "/etc/passwd"])
def test_error_for_path_outside_lists_the_roots(path: str) -> None:
    with pytest.raises(UriNotAllowed) as caught:
        AssetPolicy((Path("/srv/assets"), Path("/home/me/job"))).check(FileUri(PurePosixPath(path)))
    assert caught.value.allowed == "paths under /srv/assets, /home/me/job"


def test_relative_roots_are_resolved_against_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert AssetPolicy((Path("./data/../data/assets"),)).roots == (tmp_path / "data" / "assets",)


@pytest.mark.parametrize("path", ["data/previews/a.png", "/home/me/data/redis/x", "data/assets2/x", "data"])
def test_the_data_folder_is_private_except_for_assets(path: str) -> None:
    policy = AssetPolicy((Path("/home/me"),), data_dir=Path("/home/me/data"), shows_roots=False)
    policy.check(FileUri(PurePosixPath("data/assets/a.png")))
    with pytest.raises(UriNotAllowed) as caught:
        policy.check(FileUri(PurePosixPath(path)))
    assert (caught.value.code, caught.value.allowed) == ("uri-root", "paths under an asset root")


def test_without_a_root_no_file_is_allowed() -> None:
    with pytest.raises(UriNotAllowed) as caught:
        AssetPolicy(()).check(FileUri(PurePosixPath("a.png")))
    assert (caught.value.code, caught.value.allowed) == ("uri-root", "a data: uri")


@pytest.mark.parametrize(
    ("uri", "scheme", "host", "port"),
    [
        ("http://example.org/a.png", "http", "example.org", 80),
        ("HTTPS://Example.ORG/a.png?b=c", "https", "example.org", 443),
        ("https://example.org.:8443", "https", "example.org.", 8443),
        ("https://bücher.example/a", "https", "xn--bcher-kva.example", 443),
        ("http://[2606:2800::1]:81/a", "http", "2606:2800::1", 81),
    ],
)
def test_web_addresses(uri: str, scheme: str, host: str, port: int) -> None:
    assert parse_uri(uri) == HttpUri(scheme, host, port, uri)


@pytest.mark.parametrize(
    ("pattern", "allowed", "rejected"),
    [
        ("example.org", ("https://example.org/", "http://EXAMPLE.org./"), ("https://a.example.org/",)),
        ("*.example.org", ("https://a.example.org/", "https://b.a.example.org/"), ("https://example.org/",)),
        (
            "example.org:8080",
            ("http://example.org:8080/",),
            ("http://example.org/", "http://example.org:81/"),
        ),
        ("[2606::1]", ("http://[2606::1]/",), ("http://[2606::2]/",)),
        (
            "example.org",
            (),
            ("https://notexample.org/", "https://example.org.evil.net/", "https://example.org:22/"),
        ),
    ],
)
def test_hosts_are_allowed_by_name(pattern: str, allowed: tuple[str, ...], rejected: tuple[str, ...]) -> None:
    host = parse_host_pattern(pattern)
    assert host is not None
    assert str(host) == pattern
    policy = AssetPolicy((), (host,))
    for uri in allowed:
        policy.check(web(uri))
    for uri in rejected:
        with pytest.raises(UriNotAllowed) as caught:
            policy.check(web(uri))
        assert (caught.value.code, caught.value.allowed) == ("uri-host", pattern)


def web(uri: str) -> HttpUri:
    parsed = parse_uri(uri)
    assert isinstance(parsed, HttpUri)
    return parsed


@pytest.mark.parametrize("text", ["", "*", "*.", "a b", "http://a", "a:0", "a:b", "a:70000", "a.*.b", "-a"])
def test_invalid_host_patterns(text: str) -> None:
    assert parse_host_pattern(text) is None


def test_without_a_host_no_web_address_is_allowed() -> None:
    with pytest.raises(UriNotAllowed) as caught:
        AssetPolicy((Path("/srv"),)).check(web("https://example.org/a.png"))
    assert caught.value.code == "uri-host"
    assert "PREVIEW_ASSET_HOSTS" in caught.value.allowed
    AssetPolicy((), (HostPattern("example.org"),)).check(web("https://example.org/a.png"))
