"""Parses uris of assets and checks them against an allow-list, by their text alone.

Whether a path is under an asset root is decided lexically here. The code that opens the file must check the resolved
path again, because a symbolic link may lead elsewhere.
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from previewops.asset_roots import is_private
from previewops.bucket_addresses import SCHEMES, BucketAddress
from previewops.contract.limits import MAX_INLINE_BYTES, MAX_PATH_BYTES
from previewops.contract.url import HttpUri, InvalidUrl, parse_url, quote_uri
from previewops.host_patterns import HostPattern, format_hosts
from previewops.message_formatting import escape_unprintable, format_path, quote, shorten

ALLOWED_ADDRESSES = (
    "a file path, a file:// uri, a data: uri, a web address or an s3://, gs:// or az:// address"
)

ALLOWED_DATA = (
    "data:image/…, data:audio/…, data:video/… or data:application/pdf, with ;base64 or percent-encoded"
)

# Compiled on first use and cached by re, so that importing this package is cheap.
_SCHEME = r"([A-Za-z][A-Za-z0-9+.-]*):"
_FILE_URI = r"(?is:file://(?:localhost)?(/.*))"
_MEDIA_TYPE = r"(?:(?:image|audio|video)/[a-z0-9][a-z0-9.+-]{0,99}|application/pdf)"
_MAX_DATA_HEAD_CHARS = 1_000  # of the media type and its parameters
_BUCKET_URI = r"[a-zA-Z0-9]+://([a-z0-9][a-z0-9._-]{1,254})/([^\x00-\x1f\x7f]{1,1024})"
_CONTROL = r"[\x00-\x1f\x7f]"
_INVALID_ESCAPE = r"(?s:%(?![0-9A-Fa-f]{2}).{0,2})"


class UriNotAllowed(Exception):
    """A uri that is not allowed; the fields are those of a violation."""

    def __init__(self, code: str, message: str, found: str, allowed: str) -> None:
        super().__init__(f"{message}: found {found}, allowed {allowed}")
        self.code = code
        self.message = message
        self.found = found
        self.allowed = allowed


class FileUri(NamedTuple):
    """Path of a file without '..', '.', NUL and backslashes. A relative path is resolved against each root."""

    path: PurePosixPath


class DataUri(NamedTuple):
    """Inline content: its media type in lower case, and its bytes."""

    media_type: str
    content: bytes


class BucketUri(NamedTuple):
    """An object: scheme (s3, gs or az), bucket, and key without empty parts, '.' and '..'."""

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class AssetPolicy:
    """Roots and hosts that assets may be read from. Relative roots are resolved against the current folder.

    ``roots`` of None: the worker checks all addresses. Of ``data_dir``, only its folder for assets may be read.
    ``shows_roots``: violations list the roots. ``webhook_hosts`` are those that a job may name as its receiver; None:
    the sender of the webhook checks it. ``themes`` returns the names that a job may choose beside the built-in ones;
    None: the worker checks them. It is called for a payload that names another theme.
    """

    roots: tuple[Path, ...] | None
    hosts: tuple[HostPattern, ...] = ()
    data_dir: Path | None = None
    shows_roots: bool = True
    buckets: tuple[BucketAddress, ...] = ()
    webhook_hosts: tuple[HostPattern, ...] | None = None
    themes: Callable[[], Sequence[str] | None] | None = None

    def __post_init__(self) -> None:
        if self.roots is not None:
            object.__setattr__(self, "roots", tuple(map(_absolute, self.roots)))
        if self.data_dir is not None:
            object.__setattr__(self, "data_dir", _absolute(self.data_dir))

    def check(self, uri: FileUri | HttpUri | BucketUri) -> None:
        """Rejects a file outside the roots and a host that is not listed, by their text alone.

        Raises:
            UriNotAllowed: with the allowed roots or hosts.
        """
        if self.roots is None:
            return
        if isinstance(uri, HttpUri):
            if not any(host.allows(uri.scheme, uri.host, uri.port) for host in self.hosts):
                found, allowed = f"{uri.host}:{uri.port}", format_hosts(self.hosts)
                raise UriNotAllowed("uri-host", "has a host that is not allowed", found, allowed)
            return
        if isinstance(uri, BucketUri):
            if not any(bucket.contains(*uri) for bucket in self.buckets):
                allowed = ", ".join(map(str, self.buckets)) or "no bucket (PREVIEW_ASSET_BUCKETS is empty)"
                raise UriNotAllowed(
                    "uri-host", "is in a bucket that is not allowed", quote(str(uri)), allowed
                )
            return
        path = str(uri.path)
        if not self.roots:
            raise UriNotAllowed("uri-root", "is a file, but there is no asset root", path, "a data: uri")
        if not any(self._allows(root, uri.path) for root in self.roots):
            allowed = format_roots(self.roots) if self.shows_roots else "paths under an asset root"
            raise UriNotAllowed("uri-root", "is outside the asset roots", quote_uri(path), allowed)

    def _allows(self, root: Path, path: PurePosixPath) -> bool:
        full = root / path
        return full.is_relative_to(root) and not (self.data_dir and is_private(full, self.data_dir))


def _absolute(path: Path) -> Path:
    # Path.resolve would follow symbolic links and access the disk.
    return Path(os.path.abspath(path))  # noqa: PTH100


def format_roots(roots: Sequence[Path]) -> str:
    """Lists the roots for the ``allowed`` of a violation."""
    return "paths under " + ", ".join(dict.fromkeys(format_path(root) for root in roots))


def parse_uri(uri: str) -> FileUri | DataUri | HttpUri | BucketUri:
    """Parses an asset's uri.

    A plain path is used unchanged; a file:// uri (RFC 8089) is percent-decoded; a data: uri (RFC 2397) must
    be of an image, a sound, a video or a PDF document; an http or https uri must have neither user nor
    fragment; an s3, gs or az uri names a bucket and a key, which is used unchanged.

    Raises:
        UriNotAllowed: another scheme, a '..' in the path, a forbidden character, or a malformed or oversized
            data: uri or web address.
    """
    scheme = re.match(_SCHEME, uri)
    if scheme is None:
        return _file(uri, uri)
    name = scheme[1].lower()
    if name == "data":
        return _data(uri)
    if name == "file":
        return _file(_path_of_file_uri(uri), uri)
    if name in SCHEMES:
        return _bucket(name, uri)
    if name in ("http", "https"):
        try:
            return parse_url(uri)
        except InvalidUrl as error:
            raise UriNotAllowed("uri-malformed", error.message, error.found, error.allowed) from None
    message = f"has the unsupported scheme {shorten(name, 40)}"
    allowed = f"{ALLOWED_ADDRESSES} (a path with a colon in its first part starts with ./)"
    raise UriNotAllowed("uri-scheme", message, quote_uri(uri), allowed)


def _bucket(scheme: str, uri: str) -> BucketUri:
    match = re.fullmatch(_BUCKET_URI, uri)
    if match is None or any(part in ("", ".", "..") for part in match[2].split("/")):
        message, allowed = f"is not the address of an object in {scheme}", f"{scheme}://bucket/folder/file"
        raise UriNotAllowed("uri-malformed", message, quote(uri), allowed)
    return BucketUri(scheme, match[1], match[2])


def _path_of_file_uri(uri: str) -> str:
    match = re.fullmatch(_FILE_URI, uri)
    if match is None:
        message = "is a file: uri without an absolute path on this host"
        raise UriNotAllowed("uri-malformed", message, quote_uri(uri), "file:///absolute/path")
    if "?" in match[1] or "#" in match[1]:
        message, allowed = "is a file: uri with a query or fragment", "%3F for ? and %23 for # in a name"
        raise UriNotAllowed("uri-malformed", message, quote_uri(uri), allowed)
    return _percent_decoded(match[1], uri)


def _percent_decoded(path: str, uri: str) -> str:
    if invalid := re.search(_INVALID_ESCAPE, path):
        message = "has a % without two hexadecimal digits"
        raise UriNotAllowed("uri-malformed", message, quote(invalid[0]), "%25 for a % sign")
    raw = re.sub(rb"%(..)", lambda pair: bytes((int(pair[1], 16),)), path.encode("utf-8", "surrogatepass"))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        message = "has percent escapes that are not UTF-8"
        raise UriNotAllowed("uri-malformed", message, quote_uri(uri), "UTF-8, percent-encoded") from None


def _file(path: str, uri: str) -> FileUri:
    if control := re.search(_CONTROL, path):
        found, allowed = escape_unprintable(control[0]), "paths without control characters"
        raise UriNotAllowed("uri-character", "contains a control character", found, allowed)
    if "\\" in path:
        allowed = "/ between the parts of a path"
        raise UriNotAllowed("uri-character", "contains a backslash", quote_uri(uri), allowed)
    parts = path.split("/")
    if ".." in parts:
        raise UriNotAllowed("uri-traversal", "contains '..'", quote_uri(uri), "paths without '..'")
    size = len(path.encode("utf-8", "surrogatepass"))
    if size > MAX_PATH_BYTES:
        allowed = f"{MAX_PATH_BYTES} bytes"
        raise UriNotAllowed("uri-too-long", "is too long for a path", f"{size} bytes", allowed)
    clean = "/".join(part for part in parts if part not in ("", "."))
    if not clean:
        raise UriNotAllowed("uri-malformed", "does not name a file", quote_uri(uri), ALLOWED_ADDRESSES)
    return FileUri(PurePosixPath("/" + clean if path.startswith("/") else clean))


def _data(uri: str) -> DataUri:
    """Reads a data: uri as browsers do (Fetch Standard, "data: URLs"; base64 is "forgiving")."""
    head, comma, body = uri[len("data:") :].partition(",")
    media_type, *parameters = head[:_MAX_DATA_HEAD_CHARS].split(";")
    media_type = media_type.strip().lower()
    if not comma or len(head) > _MAX_DATA_HEAD_CHARS or not re.fullmatch(_MEDIA_TYPE, media_type):
        message = "is a data: uri of an unsupported media type"
        raise UriNotAllowed("uri-media-type", message, quote(shorten(uri, 60)), ALLOWED_DATA)
    try:
        content = unquote_to_bytes(body)
    except UnicodeEncodeError:  # half of a surrogate pair
        content = b""
    if parameters and parameters[-1].strip(" ").lower() == "base64":
        content = _forgiving_base64(content, body)
    if len(content) > MAX_INLINE_BYTES:
        found, allowed = f"{len(content)} bytes", f"{MAX_INLINE_BYTES} bytes"
        raise UriNotAllowed("uri-too-long", "has too much content for a data: uri", found, allowed)
    if not content:
        message = "is a data: uri without content"
        raise UriNotAllowed("uri-malformed", message, quote_uri(uri), "at least one byte")
    return DataUri(media_type, content)


def _forgiving_base64(encoded: bytes, text: str) -> bytes:
    """Decodes base64 with or without padding, and with blanks and line breaks anywhere (Infra Standard)."""
    plain = encoded.translate(None, b"\t\n\f\r ")
    if len(plain) % 4 == 0:
        plain = plain.removesuffix(b"=").removesuffix(b"=")
    try:
        if b"=" in plain:
            raise binascii.Error("padding inside")
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        message = "is a data: uri whose content is not base64"
        raise UriNotAllowed("uri-malformed", message, quote(text), "base64") from None
