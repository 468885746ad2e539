"""Copies a user's own pictures and sounds under an asset root, named by the hash of their content.

In two steps, so that a rejected job leaves no files behind: ``plan_import`` reads and hashes the files and rewrites
the payload; ``ImportPlan.execute`` copies them.
"""

from __future__ import annotations

import copy
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewops.contract import FileUri, UriNotAllowed, parse_uri
from previewops.contract_maxima import MAX_ASSETS
from previewops.errors import PreviewopsError, Violation
from previewops.file_kinds import HEAD_BYTES, PICTURES, SOUNDS, detect_kind, list_names
from previewops.message_formatting import escape_unprintable, quote

_CHUNK = 1024 * 1024
_MODE = 0o666  # minus the umask: workers may run as another user
_FILE_TYPES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class ImportFailed(PreviewopsError):
    """A file could not be copied into the store, for example because the disk is full or the file changed."""

    code = "import-failed"


Upload = Callable[[str, bytes], None]
"""Writes a file of that name and content into a bucket, unless it is there."""


@dataclass(frozen=True, slots=True)
class AssetCopy:
    """One file to copy, its expected ``sha256``, and the maximum of bytes to read."""

    source: Path
    target: Path
    sha256: str
    max_bytes: int


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """A payload with rewritten uris, the copies that it needs, and its violations."""

    payload: dict[str, Any]
    copies: tuple[AssetCopy, ...]
    violations: tuple[Violation, ...]

    def execute(self, upload: Upload | None = None) -> None:
        """Copies the files atomically, or uploads them; existing files are kept.

        Raises:
            ImportFailed: a copy failed. Earlier copies stay, because another job may use them already.
            StoreUnavailable, StoreRejected: from ``upload``.
        """
        for planned in self.copies:
            try:
                if upload is None:
                    _copy(planned)
                else:
                    upload(f"{planned.sha256[:2]}/{planned.target.name}", _read_unchanged(planned))
            except OSError as error:
                raise ImportFailed(
                    f"cannot import {escape_unprintable(str(planned.source))} into {planned.target.parent.parent}: "
                    f"{error.strerror or error}",
                    hint="check the permissions of DATA_DIR and its free space, then submit again",
                ) from error


def plan_import(
    payload: Mapping[str, Any], *, base: Path, store: Path, max_bytes: int, uri_prefix: str = ""
) -> ImportPlan:
    """Finds the files that ``payload`` names and plans their copies into ``store``.

    Relative uris are resolved against ``base``; one that exists only under ``store`` stays unchanged. Uris of other
    schemes and invalid parts of the payload are left to validation. A file of more than ``max_bytes``, which no
    worker would open, is a violation. New uris are ``<first two digits>/<sha256>.<ext>`` after ``uri_prefix``,
    the address of a folder in a bucket.
    """
    rewritten = copy.deepcopy(dict(payload))
    copies: dict[Path, AssetCopy] = {}
    violations: list[Violation] = []
    for pointer, holder in _iter_uri_holders(rewritten):
        try:
            planned = _plan_copy(holder["uri"], base, store, max_bytes)
            if planned is None:
                continue
            _check_sha256(holder, planned)
        except _ImportProblem as problem:
            violations.append(problem.with_pointer(pointer))
            continue
        copies[planned.target] = planned
        holder["uri"] = uri_prefix + planned.target.relative_to(store).as_posix()
    return ImportPlan(rewritten, tuple(copies.values()), tuple(violations))


class _ImportProblem(Exception):
    """A violation without its pointer."""

    def __init__(self, code: str, message: str, found: str, allowed: str) -> None:
        super().__init__(message)
        self._fields = (code, message, found, allowed)

    def with_pointer(self, pointer: str) -> Violation:
        return Violation(pointer, *self._fields)


def _iter_uri_holders(payload: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (JSON pointer of the uri, object that holds it) for everything in any payload that may name a file."""
    request = payload.get("previewRequest")
    if not isinstance(request, dict):
        return
    assets = request.get("assets")
    listed = enumerate(assets[:MAX_ASSETS]) if isinstance(assets, list) else ()
    candidates = [(f"/previewRequest/assets/{number}", asset) for number, asset in listed]
    for pointer, holder in [*candidates, ("/previewRequest/audio", request.get("audio"))]:
        if isinstance(holder, dict) and isinstance(holder.get("uri"), str):
            yield f"{pointer}/uri", holder


def _plan_copy(uri: str, base: Path, store: Path, max_bytes: int) -> AssetCopy | None:
    """Returns the copy that ``uri`` needs, or None if it needs none."""
    try:
        address = parse_uri(uri)
    except UriNotAllowed:
        return None
    if not isinstance(address, FileUri):
        return None
    source = base / address.path
    try:
        descriptor = _open_regular_file(source)
    except FileNotFoundError:
        if not address.path.is_absolute() and (store / address.path).is_file():
            return None
        raise _ImportProblem(
            "import-missing", "does not exist", quote(str(source)), "an existing file"
        ) from None
    except OSError as error:
        raise _ImportProblem(
            "import-unreadable",
            "cannot be read",
            f"{quote(str(source))}: {error.strerror}",
            "a file that this user may read",
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        _check_size(os.fstat(descriptor).st_size, max_bytes)
        extension = _detect_extension(file.read(HEAD_BYTES))
        file.seek(0)
        digest = _hash_chunks(file.read, max_bytes)
    return AssetCopy(source, store / digest[:2] / f"{digest}.{extension}", digest, max_bytes)


def _open_regular_file(source: Path) -> int:
    # Non-blocking, because opening a named pipe waits for a writer. Checked after opening, because the name may be
    # replaced in between.
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = next((name for test, name in _FILE_TYPES if test(mode)), "another kind of file")
        raise _ImportProblem("import-not-regular", "is not a regular file", kind, "a regular file")
    return descriptor


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        allowed = f"{max_bytes} bytes (PREVIEW_ASSET_MAX_MB)"
        raise _ImportProblem("import-too-large", "is too large to import", f"{size} bytes", allowed)


def _check_sha256(holder: Mapping[str, Any], planned: AssetCopy) -> None:
    expected = holder.get("sha256")
    if isinstance(expected, str) and expected.lower() != planned.sha256:
        raise _ImportProblem(
            "import-checksum", "has a checksum other than its sha256", planned.sha256, quote(expected)
        )


def _hash_chunks(
    read: Callable[[int], bytes], max_bytes: int, write: Callable[[bytes], object] | None = None
) -> str:
    """Returns the hex SHA-256 of at most ``max_bytes`` from ``read``, which are also passed to ``write``."""
    digest, size = hashlib.sha256(), 0
    while chunk := read(_CHUNK):
        size += len(chunk)
        _check_size(size, max_bytes)  # the file may grow while it is read
        digest.update(chunk)
        if write is not None:
            write(chunk)
    return digest.hexdigest()


def _read_unchanged(planned: AssetCopy) -> bytes:
    parts: list[bytes] = []
    try:
        with os.fdopen(_open_regular_file(planned.source), "rb") as source:
            if _hash_chunks(source.read, planned.max_bytes, parts.append) != planned.sha256:
                raise OSError(errno.ESTALE, "the file changed during the import")
    except _ImportProblem as problem:
        raise OSError(errno.ESTALE, f"the file changed during the import: it {problem}") from None
    return b"".join(parts)


def _copy(planned: AssetCopy) -> None:
    if planned.target.is_file():
        return  # content-addressed and renamed into place, so it is complete and identical
    planned.target.parent.mkdir(parents=True, exist_ok=True)
    draft = planned.target.parent / f".{secrets.token_hex(8)}.part"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with (
            os.fdopen(descriptor, "wb") as out,
            os.fdopen(_open_regular_file(planned.source), "rb") as source,
        ):
            if _hash_chunks(source.read, planned.max_bytes, out.write) != planned.sha256:
                raise OSError(errno.ESTALE, "the file changed during the import")
            out.flush()
            os.fsync(out.fileno())
        draft.rename(planned.target)
    except _ImportProblem as problem:
        raise OSError(errno.ESTALE, f"the file changed during the import: it {problem}") from None
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def _detect_extension(head: bytes) -> str:
    """Returns the file extension for the kind of file that starts with ``head``."""
    kind = detect_kind(head)
    if kind is not None and (kind.is_shown or kind.is_heard):
        return kind.extension
    if not head:
        found = "an empty file"
    else:
        found = kind.name if kind else f"a file that starts with the bytes {head[:8].hex(' ')}"
    raise _ImportProblem(
        "import-unknown-kind",
        "is not a supported picture or sound",
        found,
        list_names(tuple(dict.fromkeys(PICTURES + SOUNDS))),
    )
