"""Copies a user's own pictures and sounds under an asset root, named by the hash of their content.

In two steps, so that a rejected job leaves no files behind: ``plan_import`` reads and hashes the files and rewrites
the payload; ``ImportPlan.execute`` copies them.
"""

from __future__ import annotations

import copy
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from previewops.contract import FileUri, UriNotAllowed, parse_uri
from previewops.contract_maxima import MAX_ASSETS
from previewops.errors import PreviewopsError, Violation
from previewops.file_kinds import ASSET_KINDS, HEAD_BYTES, describe_head, detect_asset_kind, list_names
from previewops.message_formatting import escape_unprintable, quote
from previewops.stores.asset_drafts import AssetDigestMismatch, AssetDraft, AssetTooLarge
from previewops.stores.assets import AssetStore, asset_name

_CHUNK = 1024 * 1024
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


@dataclass(frozen=True, slots=True)
class AssetCopy:
    """One file to copy, its name in the store, its expected ``sha256``, and the maximum of bytes to read."""

    source: Path
    name: str
    sha256: str
    max_bytes: int


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """A payload with rewritten uris, the copies that it needs, and its violations."""

    payload: dict[str, Any]
    copies: tuple[AssetCopy, ...]
    violations: tuple[Violation, ...]

    def execute(self, assets: AssetStore) -> None:
        """Copies the files atomically into ``assets``; existing files are kept.

        Raises:
            ImportFailed: a copy failed. Earlier copies stay, because another job may use them already.
            StoreUnavailable, StoreRejected: the store cannot be used.
        """
        for planned in self.copies:
            try:
                _copy(planned, assets)
            except OSError as error:
                raise ImportFailed(
                    f"cannot import {escape_unprintable(str(planned.source))} into {assets.location}: "
                    f"{error.strerror or error}",
                    hint="check the permissions of DATA_DIR and its free space, then submit again",
                ) from error


def plan_import(payload: Mapping[str, Any], *, base: Path, assets: AssetStore, max_bytes: int) -> ImportPlan:
    """Finds the files that ``payload`` names and plans their copies into ``assets``.

    Relative uris are resolved against ``base``; one that exists only in ``assets`` stays unchanged. Uris of other
    schemes and invalid parts of the payload are left to validation. A file of more than ``max_bytes``, which no
    worker would open, is a violation.
    """
    rewritten = copy.deepcopy(dict(payload))
    copies: dict[str, AssetCopy] = {}
    violations: list[Violation] = []
    for pointer, holder in _iter_uri_holders(rewritten):
        try:
            planned = _plan_copy(holder["uri"], base, assets, max_bytes)
            if planned is None:
                continue
            _check_sha256(holder, planned)
        except _ImportProblem as problem:
            violations.append(problem.with_pointer(pointer))
            continue
        copies[planned.name] = planned
        holder["uri"] = assets.uri(planned.name)
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
    options = request.get("options")
    brand = options.get("brand") if isinstance(options, dict) else None
    logo = brand.get("logo") if isinstance(brand, dict) else None
    others = [("/previewRequest/audio", request.get("audio")), ("/previewRequest/options/brand/logo", logo)]
    for pointer, holder in [*candidates, *others]:
        if isinstance(holder, dict) and isinstance(holder.get("uri"), str):
            yield f"{pointer}/uri", holder


def _plan_copy(uri: str, base: Path, assets: AssetStore, max_bytes: int) -> AssetCopy | None:
    """Returns the copy that ``uri`` needs, or None if it needs none."""
    try:
        address = parse_uri(uri)
    except UriNotAllowed:
        return None
    if not isinstance(address, FileUri):
        return None
    source = base / address.path
    try:
        descriptor = _open_source(source)
    except FileNotFoundError:
        if not address.path.is_absolute() and assets.contains(address.path):
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
        extension = _require_extension(file.read(HEAD_BYTES))
        file.seek(0)
        digest = _hash_file(file, max_bytes)
    return AssetCopy(source, asset_name(digest, extension), digest, max_bytes)


def _open_source(source: Path) -> int:
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


def _hash_file(file: BinaryIO, max_bytes: int) -> str:
    """Returns the hex SHA-256 of at most ``max_bytes``."""
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        _check_size(size, max_bytes)  # the file may grow while it is read
        digest.update(chunk)
    return digest.hexdigest()


def _copy(planned: AssetCopy, assets: AssetStore) -> None:
    try:
        with (
            os.fdopen(_open_source(planned.source), "rb") as source,
            AssetDraft(assets.drafts, planned.max_bytes) as draft,
        ):
            while chunk := source.read(_CHUNK):
                draft.write(chunk)
            draft.commit(assets, sha256=planned.sha256)
    except (_ImportProblem, AssetDigestMismatch, AssetTooLarge) as problem:
        raise OSError(errno.ESTALE, f"the file changed during the import: {problem}") from None


def _require_extension(head: bytes) -> str:
    kind = detect_asset_kind(head)
    if kind is None:
        raise _ImportProblem(
            "import-unknown-kind",
            "is not a supported picture or sound",
            describe_head(head),
            list_names(ASSET_KINDS),
        )
    return kind.extension
