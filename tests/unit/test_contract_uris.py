"""Addresses: what is read, what is refused, and which root would allow it."""

from __future__ import annotations

import base64
from pathlib import Path, PurePosixPath

import pytest

from previewops.contract import AssetPolicy, DataUri, FileUri, UriRefused, parse_uri
from previewops.contract.limits import MAX_INLINE_BYTES


def code(uri: str) -> str:
    with pytest.raises(UriRefused) as caught:
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
        ("http://localhost/a.png", "uri-scheme"),
        ("c:/a.png", "uri-scheme"),
    ],
)
def test_refusals(uri: str, expected: str) -> None:
    assert code(uri) == expected


def test_data_is_decoded() -> None:
    encoded = base64.b64encode(b"\x89PNG").decode()
    assert parse_uri(f"data:image/PNG;base64,{encoded}") == DataUri("image/png", b"\x89PNG")
    assert parse_uri(f"Data:audio/ogg;codecs=opus;base64,{encoded}") == DataUri("audio/ogg", b"\x89PNG")


@pytest.mark.parametrize("content", ["iVBORw", "iVBO Rw==", "iVBORw==\n", "iVBORw==iVBO", "iVBORé=="])
def test_content_that_is_not_strict_base64_is_refused(content: str) -> None:
    assert code(f"data:image/png;base64,{content}") == "uri-malformed"


def test_the_bound_of_inline_content_is_inclusive() -> None:
    head = "data:image/png;base64,"
    parsed = parse_uri(head + base64.b64encode(bytes(MAX_INLINE_BYTES)).decode())
    assert isinstance(parsed, DataUri)
    assert len(parsed.content) == MAX_INLINE_BYTES
    assert code(head + base64.b64encode(bytes(MAX_INLINE_BYTES + 1)).decode()) == "uri-too-long"


def test_a_media_type_made_to_backtrack_is_refused_in_linear_time() -> None:
    assert code("data:image/png" + ";a=b" * 100_000) == "uri-media-type"


@pytest.mark.parametrize("path", ["/srv/assets/a.png", "/home/me/job/a.png", "/srv/assets", "a.png"])
def test_paths_under_a_root_are_allowed(path: str) -> None:
    AssetPolicy((Path("/srv/assets"), Path("/home/me/job"))).check(FileUri(PurePosixPath(path)))


@pytest.mark.parametrize("path", ["/srv/assets2/a.png", "/srv/a.png", "/etc/passwd"])
def test_a_path_outside_names_the_roots(path: str) -> None:
    with pytest.raises(UriRefused) as caught:
        AssetPolicy((Path("/srv/assets"), Path("/home/me/job"))).check(FileUri(PurePosixPath(path)))
    assert caught.value.allowed == "paths under /srv/assets, /home/me/job"


def test_relative_roots_are_those_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert AssetPolicy((Path("./data/../data/assets"),)).roots == (tmp_path / "data" / "assets",)


def test_without_a_root_no_file_is_allowed() -> None:
    with pytest.raises(UriRefused) as caught:
        AssetPolicy(()).check(FileUri(PurePosixPath("a.png")))
    assert (caught.value.code, caught.value.allowed) == ("uri-root", "a data: uri")
