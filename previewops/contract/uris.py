"""Addresses of assets: what they may be, and where they may lie, decided by their text alone.

That a path lies under a root is decided lexically here, at the door. Whoever opens the file must decide again
on the resolved path, for a symbolic link can lead elsewhere.
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from previewops.contract.limits import MAX_INLINE_BYTES, MAX_PATH_BYTES
from previewops.contract.url import HttpUri, InvalidUrl, parse_url
from previewops.host_patterns import HostPattern, format_hosts
from previewops.message_formatting import escape_unprintable, quote, shorten

ALLOWED_ADDRESSES = "a file path, a file:// uri, a data: uri or a web address"

# Compiled by first use, and cached by re: importing this package is to cost little.
_SCHEME = r"([A-Za-z][A-Za-z0-9+.-]*):"
_FILE_URI = r"(?is:file://(?:localhost)?(/.*))"
_DATA_HEAD = r"(?ia:data:(?P<type>(?:image|audio)/[a-z0-9][a-z0-9.+-]*)(?:;[\w.+-]+=[\w.+-]*+)*+;base64,)"
_CONTROL = r"[\x00-\x1f\x7f]"
_ESCAPE = r"(?s:%(.{0,2}))"
_HEX_PAIR = r"[0-9A-Fa-f]{2}"


class UriNotAllowed(Exception):
    """An address that is not allowed; the fields are those of a violation."""

    def __init__(self, code: str, message: str, found: str, allowed: str) -> None:
        super().__init__(f"{message}: found {found}, allowed is {allowed}")
        self.code = code
        self.message = message
        self.found = found
        self.allowed = allowed


class FileUri(NamedTuple):
    """A file's path, free of '..', '.', NUL and backslashes. A relative one is looked up under each root."""

    path: PurePosixPath


class DataUri(NamedTuple):
    """Content carried in the address itself: its media type, lower case, and its bytes."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class AssetPolicy:
    """Where assets may be read from. Relative roots are made absolute against the current folder."""

    roots: tuple[Path, ...]
    hosts: tuple[HostPattern, ...] = ()

    def __post_init__(self) -> None:
        # Path.resolve would follow symbolic links, and ask the disk.
        absolute = tuple(Path(os.path.abspath(root)) for root in self.roots)  # noqa: PTH100
        object.__setattr__(self, "roots", absolute)

    def check(self, uri: FileUri | HttpUri) -> None:
        """Refuses a file that lies under none of the roots and a host that is not listed, by their text alone.

        Raises:
            UriRefused: with the roots or hosts that would allow it.
        """
        if isinstance(uri, HttpUri):
            self._check_host(uri)
            return
        if not self.roots:
            raise UriNotAllowed(
                "uri-root", "names a file, and no folder is open to assets", str(uri.path), "a data: uri"
            )
        if uri.path.is_absolute() and not any(uri.path.is_relative_to(root) for root in self.roots):
            raise UriNotAllowed(
                "uri-root",
                "lies outside the folders that assets may come from",
                quote(str(uri.path)),
                format_roots(self.roots),
            )

    def _check_host(self, uri: HttpUri) -> None:
        if not any(host.allows(uri.scheme, uri.host, uri.port) for host in self.hosts):
            raise UriNotAllowed(
                "uri-host",
                "leads to a host that assets may not come from",
                f"{uri.host}:{uri.port}",
                format_hosts(self.hosts),
            )


def format_roots(roots: Sequence[Path]) -> str:
    """The roots as a phrase for the ``allowed`` of a violation."""
    return "paths under " + ", ".join(dict.fromkeys(escape_unprintable(str(root)) for root in roots))


def parse_uri(uri: str) -> FileUri | DataUri | HttpUri:
    """What an asset's address names.

    A plain path is taken as it is; a file:// uri (RFC 8089) is percent-decoded; a data: uri (RFC 2397) must
    be base64 of an image or a sound; an http or https address has neither user nor fragment.

    Raises:
        UriRefused: another scheme, a '..' in the path, a character that no address may hold, or a malformed
            or oversized data: uri or web address.
    """
    scheme = re.match(_SCHEME, uri)
    if scheme is None:
        return _file(uri, uri)
    name = scheme[1].lower()
    if name == "data":
        return _data(uri)
    if name == "file":
        return _file(_path_of_file_uri(uri), uri)
    if name in ("http", "https"):
        return _web(uri)
    raise UriNotAllowed(
        "uri-scheme",
        f"has the scheme {shorten(name, 40)}, which is not read",
        quote(uri),
        f"{ALLOWED_ADDRESSES} (a path with a colon in its first part begins with ./)",
    )


def _web(uri: str) -> HttpUri:
    try:
        return parse_url(uri)
    except InvalidUrl as bad:
        raise UriNotAllowed("uri-malformed", bad.message, bad.found, bad.allowed) from None


def _path_of_file_uri(uri: str) -> str:
    match = re.fullmatch(_FILE_URI, uri)
    if match is None:
        raise UriNotAllowed(
            "uri-malformed",
            "is a file: uri without an absolute path on this host",
            quote(uri),
            "file:///absolute/path",
        )
    if "?" in match[1] or "#" in match[1]:
        raise UriNotAllowed(
            "uri-malformed",
            "is a file: uri with a query or fragment",
            quote(uri),
            "%3F for ? and %23 for # in a name",
        )
    return _percent_decoded(match[1], uri)


def _percent_decoded(path: str, uri: str) -> str:
    off = next((pair[0] for pair in re.finditer(_ESCAPE, path) if not re.fullmatch(_HEX_PAIR, pair[1])), None)
    if off is not None:
        raise UriNotAllowed(
            "uri-malformed",
            "has a % that two hexadecimal digits do not follow",
            quote(off),
            "%25 for a % sign",
        )
    raw = re.sub(rb"%(..)", lambda pair: bytes((int(pair[1], 16),)), path.encode("utf-8", "surrogatepass"))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UriNotAllowed(
            "uri-malformed", "has percent escapes that are not UTF-8", quote(uri), "UTF-8, percent-encoded"
        ) from None


def _file(path: str, uri: str) -> FileUri:
    control = re.search(_CONTROL, path)
    if control:
        raise UriNotAllowed(
            "uri-character",
            "holds a control character",
            escape_unprintable(control[0]),
            "paths without control characters",
        )
    if "\\" in path:
        raise UriNotAllowed("uri-character", "holds a backslash", quote(uri), "/ between the parts of a path")
    parts = path.split("/")
    if ".." in parts:
        raise UriNotAllowed("uri-traversal", "climbs with '..'", quote(uri), "paths without '..'")
    size = len(path.encode("utf-8", "surrogatepass"))
    if size > MAX_PATH_BYTES:
        raise UriNotAllowed(
            "uri-too-long", "is too long for a path", f"{size} bytes", f"{MAX_PATH_BYTES} bytes"
        )
    clean = "/".join(part for part in parts if part not in ("", "."))
    if not clean:
        raise UriNotAllowed("uri-malformed", "names no file", quote(uri), ALLOWED_ADDRESSES)
    return FileUri(PurePosixPath("/" + clean if path.startswith("/") else clean))


def _data(uri: str) -> DataUri:
    head = re.match(_DATA_HEAD, uri)
    if head is None:
        raise UriNotAllowed(
            "uri-media-type",
            "is a data: uri of another kind than is read",
            quote(shorten(uri, 60)),
            "data:image/…;base64,… or data:audio/…;base64,…",
        )
    encoded = uri[head.end() :]
    try:
        content = binascii.a2b_base64(encoded, strict_mode=True)
    except (binascii.Error, ValueError):
        raise UriNotAllowed(
            "uri-malformed",
            "is a data: uri whose content is not base64",
            quote(encoded),
            "base64 with padding",
        ) from None
    if len(content) > MAX_INLINE_BYTES:
        raise UriNotAllowed(
            "uri-too-long",
            "carries more content than a data: uri may",
            f"{len(content)} bytes",
            f"{MAX_INLINE_BYTES} bytes",
        )
    if not content:
        raise UriNotAllowed(
            "uri-malformed", "is a data: uri without content", quote(uri), "at least one byte"
        )
    return DataUri(head["type"].lower(), content)
