"""Opens the files of a payload: regular files under the allowed roots, of a limited size, without blocking.

Decodes nothing: see ``previewops.worker.render.pictures``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from previewops.asset_roots import ASSETS_FOLDER, is_private, is_proposable
from previewops.contract import BucketUri, DataUri, HttpUri, UriNotAllowed, parse_uri
from previewops.disclosure import hide_query
from previewops.job_errors import PermanentJobError, TransientJobError
from previewops.message_formatting import escape_unprintable, format_path
from previewops.worker.assets.mounts import mount_id, place_of

MAX_OPEN_BATCH = 16
"""Assets that a render process may request at once."""
_MAX_URI_CHARS = 120  # characters of a uri in a message
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


@dataclass(frozen=True, slots=True)
class AssetRef:
    """An asset to open. ``sha256`` is lower-case hex; None: not checked."""

    id: str
    uri: str
    sha256: str | None = None

    @property
    def short_uri(self) -> str:
        """The uri for messages: without its query, which may be a signature, and shortened."""
        uri = hide_query(self.uri)
        return uri if len(uri) <= _MAX_URI_CHARS else f"{uri[:_MAX_URI_CHARS]}… ({len(uri)} characters)"


@dataclass(frozen=True, slots=True)
class OpenedAsset:
    """An open asset. Equal ``identity``: the same, unchanged file.

    ``mtime_s`` is the modification time in s since the epoch, where known.
    """

    file: BinaryIO
    size: int  # bytes
    identity: tuple[int | str, ...]
    mtime_s: float | None = None

    def sha256(self) -> str:
        """Hex digest of the content. Rewinds the file."""
        self.file.seek(0)
        digest = hashlib.file_digest(self.file, "sha256").hexdigest()  # type: ignore[arg-type] # binary files fit
        self.file.seek(0)
        return digest


class AssetOpener(Protocol):
    """Opens assets. Implementations raise only the typed errors of this module."""

    def open(self, asset: AssetRef, *, max_bytes: int) -> OpenedAsset:
        """Opens ``asset`` for reading; the caller closes ``file``."""


class WebAssetOpener(Protocol):
    """Opens assets from the web and from buckets, each downloaded once. Raises only the typed errors of jobs."""

    def open(self, asset: AssetRef, address: HttpUri | BucketUri, *, max_bytes: int) -> OpenedAsset:
        """Opens the content of ``address``; the caller closes ``file``."""


class FileAssetOpener:
    """Opens files under ``roots``, ``data:`` uris, and with ``web`` http and https uris.

    Of ``data_dir``, only the folder for assets is opened, whatever root contains it and whatever leads there. Real
    paths of ``roots`` and ``data_dir`` are those of the first use: create an opener for each job.
    """

    def __init__(
        self, roots: tuple[Path, ...], web: WebAssetOpener | None = None, *, data_dir: Path | None = None
    ) -> None:
        self.roots = roots
        self.web = web
        self.data_dir = data_dir

    def open(self, asset: AssetRef, *, max_bytes: int) -> OpenedAsset:
        """Opens ``asset``; searches a relative uri under each root in order.

        Raises:
            PermanentJobError: asset-missing, asset-outside-roots, asset-not-a-file, asset-unreadable,
                asset-too-large, asset-uri-unsupported, and those of ``web``.
            TransientJobError: asset-incomplete (its upload has not finished), io-error, disk-full, and those of
                ``web``.
        """
        try:
            address = parse_uri(asset.uri)
        except UriNotAllowed as error:
            raise permanent_asset_error(
                "asset-uri-unsupported",
                asset,
                f"its uri {error.message}",
                found=error.found,
                allowed=error.allowed,
                hint="correct the uri, or copy the file under an asset root and submit with --import",
            ) from error
        if isinstance(address, DataUri):
            return _in_memory(asset, address.content, max_bytes)
        if isinstance(address, HttpUri | BucketUri):
            return self._open_from_web(asset, address, max_bytes)
        with storage_errors():
            return self._open_path(asset, self._resolve(asset, str(address.path)), max_bytes)

    def _open_from_web(self, asset: AssetRef, address: HttpUri | BucketUri, max_bytes: int) -> OpenedAsset:
        if self.web is None:
            raise permanent_asset_error(
                "asset-uri-unsupported",
                asset,
                "downloads are not enabled",
                found=f"an address at {address.host if isinstance(address, HttpUri) else address.bucket}",
                allowed="a file path, a file:// uri or a data: uri",
                hint="copy the file under an asset root",
            )
        return self.web.open(asset, address, max_bytes=max_bytes)

    def _resolve(self, asset: AssetRef, path: str) -> str:
        roots = self._real_roots
        if path.startswith(os.sep) and not _under(path, [*roots, *map(os.path.abspath, self.roots)]):
            # Before the path is looked up: whether it exists is not the producer's to learn.
            raise self._outside_roots_error(asset, path, is_link=False)
        candidates = list(dict.fromkeys(str(Path(root) / path) for root in roots))
        real = [os.path.realpath(candidate) for candidate in candidates]
        inside = [path for path in real if self._is_inside(path, roots)]
        for path_inside in inside:
            if os.path.lexists(path_inside):
                return path_inside
        for path_inside in inside:
            if os.path.lexists(f"{path_inside}.part"):
                raise transient_asset_error(
                    "asset-incomplete",
                    asset,
                    "its upload has not finished",
                    hint=f"found {Path(path_inside).name}.part; rename it when it is complete",
                    found=f"{Path(path_inside).name}.part",
                    allowed=Path(path_inside).name,
                )
        if len(inside) < len(real):
            named, target = next(pair for pair in zip(candidates, real, strict=True) if pair[1] not in inside)
            raise self._outside_roots_error(asset, target, is_link=named != target)
        raise permanent_asset_error(
            "asset-missing",
            asset,
            "the file does not exist",
            found="no file",
            allowed=f"a file under {self._roots_text()}",
            hint=f"searched {', '.join(map(_quote_path, candidates)) or 'no root'}; "
            "put the file there, or set PREVIEW_ASSET_ROOTS",
        )

    def _outside_roots_error(self, asset: AssetRef, path: str, *, is_link: bool) -> PermanentJobError:
        """The error for a real path outside of the roots. Does not report the target of a link."""
        folder = Path(path).parent
        if self._is_private(path):
            return self._private_error(asset)
        if is_link:
            message = "a link leads out of the asset roots"
            hint = "put the file itself under an asset root"
        else:
            message = "its path is outside of the asset roots"
            hint = "move the file under an asset root"
            if is_proposable(folder):
                hint += f", or add {_quote_path(str(folder))} to PREVIEW_ASSET_ROOTS"
        return self._outside_error(asset, message, hint)

    def _private_error(self, asset: AssetRef) -> PermanentJobError:
        message = f"it is in DATA_DIR, of which only the folder {ASSETS_FOLDER} holds assets"
        hint = f"copy the file to DATA_DIR/{ASSETS_FOLDER}, or submit with --import"
        return self._outside_error(asset, message, hint)

    def _outside_error(self, asset: AssetRef, message: str, hint: str) -> PermanentJobError:
        return permanent_asset_error(
            "asset-outside-roots",
            asset,
            message,
            found=asset.short_uri,
            allowed=self._roots_text(),
            hint=hint,
        )

    @cached_property
    def _real_roots(self) -> list[str]:
        return [os.path.realpath(root) for root in self.roots]

    def _is_inside(self, path: str, roots: list[str]) -> bool:
        return _under(path, roots) and not self._is_private(path)

    def _is_private(self, path: str) -> bool:
        """Whether a real path is in DATA_DIR, outside of its folder for assets."""
        return self._real_data_dir is not None and is_private(path, str(self._real_data_dir))

    @cached_property
    def _real_data_dir(self) -> Path | None:
        return None if self.data_dir is None else Path(os.path.realpath(self.data_dir))

    def _is_mounted_from_data(self, handle: int) -> bool:
        """Whether an open file is such a one, reached through another mount of DATA_DIR or of a folder in it."""
        if self.data_dir is None:
            return False
        with suppress(OSError):
            folder = os.open(self.data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if mount_id(folder) == mount_id(handle):
                    return False  # its path tells
                data_dir, file = place_of(folder), place_of(handle)
            finally:
                os.close(folder)
            if data_dir is not None and file is not None and data_dir.device == file.device:
                return is_private(str(file.path), str(data_dir.path))
        return False

    def _roots_text(self) -> str:
        return os.pathsep.join(map(format_path, self.roots)) or "(no root is set)"

    def _open_path(self, asset: AssetRef, path: str, max_bytes: int) -> OpenedAsset:
        # Checked before opening, since opening a device can have effects; opened without blocking, since a named pipe
        # waits for a writer; and checked again, since the path may lead to another file by now.
        _check_regular(asset, os.lstat(path))
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise permanent_asset_error(
                "asset-unreadable",
                asset,
                "the worker's user cannot read it",
                found="no permission to read",
                allowed="a file that the worker's user can read",
                hint=f"give that user read permission on {_quote_path(path)}",
            ) from error
        try:
            status = os.fstat(handle)
            _check_regular(asset, status)
            opened_at = _real_path(handle, path)
            if not self._is_inside(opened_at, self._real_roots):
                raise self._outside_roots_error(asset, opened_at, is_link=opened_at != path)
            if self._is_mounted_from_data(handle):
                raise self._private_error(asset)
            check_size(asset, status.st_size, max_bytes)
            identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            changed_s = max(status.st_mtime, status.st_ctime)
            return OpenedAsset(os.fdopen(handle, "rb"), status.st_size, identity, mtime_s=changed_s)
        except BaseException:
            os.close(handle)
            raise


@contextmanager
def storage_errors() -> Iterator[None]:
    """Converts OSErrors to TransientJobError: disk-full (ENOSPC, EDQUOT), io-error (any other errno)."""
    try:
        yield
    except OSError as failure:
        if failure.errno is None:
            raise
        disk_full = failure.errno in _DISK_FULL
        raise TransientJobError(
            "disk-full" if disk_full else "io-error",
            f"{failure.strerror or failure}: {format_path(failure.filename or 'storage')}",
            hint="free some space" if disk_full else "check the disk and the permissions of DATA_DIR",
            template="" if disk_full else str(failure.strerror or failure),
            errno=errno.errorcode.get(failure.errno, str(failure.errno)),
        ) from failure


def permanent_asset_error(
    code: str, asset: AssetRef, message: str, *, found: str, allowed: str, hint: str
) -> PermanentJobError:
    """Returns the error of an asset that can never be opened."""
    text, data = _describe(asset, message, found, allowed)
    return PermanentJobError(code, text, hint=hint, **data)


def transient_asset_error(
    code: str, asset: AssetRef, message: str, *, found: str, allowed: str, hint: str
) -> TransientJobError:
    """Returns the error of an asset that cannot be opened now."""
    text, data = _describe(asset, message, found, allowed)
    return TransientJobError(code, text, hint=hint, **data)


def _describe(asset: AssetRef, message: str, found: str, allowed: str) -> tuple[str, dict[str, str]]:
    text = f"asset {asset.id} ({asset.short_uri}): {message}"
    return text, {"assetId": asset.id, "uri": asset.short_uri, "found": found, "allowed": allowed}


def _quote_path(path: str) -> str:
    return f'"{escape_unprintable(hide_query(path))}"'


def _under(path: str, roots: list[str]) -> bool:
    return any(path.startswith(root.rstrip(os.sep) + os.sep) or path == root for root in roots)


def _real_path(handle: int, otherwise: str) -> str:
    """The real path of an open file, from the kernel; ``otherwise`` on systems other than Linux."""
    try:
        return str(Path(f"/proc/self/fd/{handle}").readlink())
    except OSError:
        return otherwise


def _check_regular(asset: AssetRef, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    file_kind = next((name for test, name in _KINDS if test(status.st_mode)), "not a regular file")
    raise permanent_asset_error(
        "asset-not-a-file",
        asset,
        f"it is {file_kind}",
        found=file_kind,
        allowed="a regular file",
        hint="use a file that holds a picture or sound",
    )


def check_size(asset: AssetRef, size: int, max_bytes: int) -> None:
    """Rejects an asset of more than ``max_bytes``. Raises PermanentJobError "asset-too-large"."""
    if size <= max_bytes:
        return
    raise permanent_asset_error(
        "asset-too-large",
        asset,
        f"size: found {size} bytes, allowed {max_bytes}",
        found=f"{size} bytes",
        allowed=f"at most {max_bytes} bytes",
        hint="use a smaller file, or raise PREVIEW_ASSET_MAX_MB",
    )


def _in_memory(asset: AssetRef, content: bytes, max_bytes: int) -> OpenedAsset:
    check_size(asset, len(content), max_bytes)
    return OpenedAsset(BytesIO(content), len(content), ("data", hashlib.sha256(content).hexdigest()))


def verify_checksum(asset: AssetRef, opened: OpenedAsset) -> None:
    """Compares the content with the checksum in the payload, if any. Raises PermanentJobError "asset-checksum"."""
    if asset.sha256 is None:
        return
    with storage_errors():
        digest = opened.sha256()
    if digest != asset.sha256.lower():
        raise permanent_asset_error(
            "asset-checksum",
            asset,
            f"checksum: found {digest}, expected {asset.sha256}",
            found=digest,
            allowed=asset.sha256,
            hint="submit the payload again with the file's current checksum",
        )
