"""A person's own pictures and sounds, copied under an asset root by the hash of their content.

In two steps, so that a job that is refused leaves nothing behind: ``plan_import`` reads and hashes and says what
the payload would become; ``ImportPlan.carry_out`` copies.
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
from previewops.message_formatting import escape_unprintable, quote

SUPPORTED_KINDS = "JPEG, PNG, WebP, GIF, AVIF, WAV, MP3, Ogg, FLAC, AAC or M4A"

_CHUNK = 1024 * 1024
_HEAD = 16
_MODE = 0o666  # less the umask: workers may run as another user
_FILE_TYPES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class ImportFailed(PreviewopsError):
    """A file could not be copied into the store: the disk is full, say, or the file changed meanwhile."""

    code = "import-failed"


@dataclass(frozen=True, slots=True)
class AssetCopy:
    """One file to copy. ``sha256`` is what its content has to hash to; no more than ``max_bytes`` are read of it."""

    source: Path
    target: Path
    sha256: str
    max_bytes: int


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """A payload with its uris rewritten, the copies that make them true, and what stands against it."""

    payload: dict[str, Any]
    copies: tuple[AssetCopy, ...]
    violations: tuple[Violation, ...]

    def execute(self) -> None:
        """Copies the files. Each appears whole or not at all; one that is there already is kept.

        Raises:
            ImportFailed: nothing that was copied before is taken back, as another job may use it by now.
        """
        for each in self.copies:
            try:
                _copy(each)
            except OSError as error:
                raise ImportFailed(
                    f"cannot import {escape_unprintable(str(each.source))} into {each.target.parent.parent}: "
                    f"{error.strerror or error}",
                    hint="check the permissions of DATA_DIR and the free space, then submit again",
                ) from error


def plan_import(payload: Mapping[str, Any], *, base: Path, store: Path, max_bytes: int) -> ImportPlan:
    """Finds the files that ``payload`` names and plans their way into ``store``.

    Relative uris are meant from ``base``; one that is not there, but under ``store`` already, stays as it is.
    Uris that are no file's, and parts of the payload that are not as the contract has them, are left for the
    validation to judge. A file of more than ``max_bytes``, which no worker would open, is a violation. The new uris
    are ``<first two digits>/<sha256>.<ext>``.
    """
    rewritten = copy.deepcopy(dict(payload))
    copies: dict[Path, AssetCopy] = {}
    violations: list[Violation] = []
    for place, holder in _holders(rewritten):
        try:
            found = _located(holder["uri"], base, store, max_bytes)
            if found is None:
                continue
            _demand_checksum(holder, found)
        except _Refused as refused:
            violations.append(refused.violation(place))
            continue
        copies[found.target] = found
        holder["uri"] = found.target.relative_to(store).as_posix()
    return ImportPlan(rewritten, tuple(copies.values()), tuple(violations))


class _Refused(Exception):
    def __init__(self, code: str, message: str, found: str, allowed: str) -> None:
        super().__init__(message)
        self.violation: Callable[[str], Violation] = lambda place: Violation(
            place, code, message, found, allowed
        )


def _holders(payload: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(JSON pointer of the uri, object that has it) of all that may name a file, whatever the payload is."""
    request = payload.get("previewRequest")
    if not isinstance(request, dict):
        return
    assets = request.get("assets")
    listed = enumerate(assets[:MAX_ASSETS]) if isinstance(assets, list) else ()
    candidates = [(f"/previewRequest/assets/{number}", asset) for number, asset in listed]
    for place, holder in [*candidates, ("/previewRequest/audio", request.get("audio"))]:
        if isinstance(holder, dict) and isinstance(holder.get("uri"), str):
            yield f"{place}/uri", holder


def _located(uri: str, base: Path, store: Path, max_bytes: int) -> AssetCopy | None:
    """The copy that ``uri`` calls for, or None if it calls for none."""
    try:
        address = parse_uri(uri)
    except UriNotAllowed:
        return None
    if not isinstance(address, FileUri):
        return None
    source = base / address.path
    try:
        handle = _open(source)
    except FileNotFoundError:
        if not address.path.is_absolute() and (store / address.path).is_file():
            return None
        raise _Refused(
            "import-missing", "there is no such file to import", quote(str(source)), "a file that is there"
        ) from None
    except OSError as error:
        raise _Refused(
            "import-unreadable",
            "cannot be read",
            f"{quote(str(source))}: {error.strerror}",
            "a file that you may read",
        ) from None
    with os.fdopen(handle, "rb") as file:
        _demand_size(os.fstat(handle).st_size, max_bytes)
        extension = _extension(file.read(_HEAD))
        file.seek(0)
        digest = _digest(file.read, max_bytes)
    return AssetCopy(source, store / digest[:2] / f"{digest}.{extension}", digest, max_bytes)


def _open(source: Path) -> int:
    # Without blocking: opening a named pipe waits for a writer. Looked at once it is open, as the name may
    # change hands in between.
    handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        what = next((words for test, words in _FILE_TYPES if test(mode)), "another kind of file")
        raise _Refused("import-not-regular", "is not a regular file", what, "a regular file")
    return handle


def _demand_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        allowed = f"{max_bytes} bytes (PREVIEW_ASSET_MAX_MB)"
        raise _Refused("import-too-large", "is too large to import", f"{size} bytes", allowed)


def _demand_checksum(holder: Mapping[str, Any], found: AssetCopy) -> None:
    named = holder.get("sha256")
    if isinstance(named, str) and named.lower() != found.sha256:
        raise _Refused("import-checksum", "has another checksum than sha256 says", found.sha256, quote(named))


def _digest(
    read: Callable[[int], bytes], max_bytes: int, write: Callable[[bytes], object] | None = None
) -> str:
    """Hex SHA-256 of what ``read`` gives, at most ``max_bytes``, passed on to ``write``."""
    digest, size = hashlib.sha256(), 0
    while chunk := read(_CHUNK):
        size += len(chunk)
        _demand_size(size, max_bytes)  # the file may grow under our eyes
        digest.update(chunk)
        if write is not None:
            write(chunk)
    return digest.hexdigest()


def _copy(each: AssetCopy) -> None:
    if each.target.is_file():
        return  # content-addressed, and put there by a rename: it is the same content, whole
    each.target.parent.mkdir(parents=True, exist_ok=True)
    draft = each.target.parent / f".{secrets.token_hex(8)}.part"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(handle, "wb") as out, os.fdopen(_open(each.source), "rb") as source:
            if _digest(source.read, each.max_bytes, out.write) != each.sha256:
                raise OSError(errno.ESTALE, "the file changed while it was imported")
            out.flush()
            os.fsync(out.fileno())
        draft.rename(each.target)
    except _Refused as refused:
        raise OSError(errno.ESTALE, f"the file changed while it was imported: it {refused}") from None
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def _extension(head: bytes) -> str:
    """The extension of the kind of file that begins with ``head``, by its signature."""
    for extension, matches in _SIGNATURES:
        if matches(head):
            return extension
    raise _Refused(
        "import-unknown-kind",
        "is neither a picture nor a sound that is read",
        "an empty file" if not head else f"a file that begins with the bytes {head[:8].hex(' ')}",
        SUPPORTED_KINDS,
    )


def _begins(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _riff(form: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] == b"RIFF" and head[8:12] == form


def _brand(*brands: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[4:8] == b"ftyp" and head[8:12] in brands


def _mpeg_layer(*layers: int) -> Callable[[bytes], bool]:
    """An MPEG audio or ADTS frame header: eleven or twelve set bits, then version, then layer."""
    return lambda head: (
        len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and (head[1] >> 1 & 3) in layers
    )


_SIGNATURES: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("png", _begins(b"\x89PNG\r\n\x1a\n")),
    ("jpg", _begins(b"\xff\xd8\xff")),
    ("gif", _begins(b"GIF87a", b"GIF89a")),
    ("webp", _riff(b"WEBP")),
    ("avif", _brand(b"avif", b"avis")),
    ("wav", _riff(b"WAVE")),
    ("ogg", _begins(b"OggS")),
    ("flac", _begins(b"fLaC")),
    ("m4a", _brand(b"M4A ", b"M4B ", b"mp42", b"isom", b"dash")),
    ("mp3", _begins(b"ID3")),
    ("mp3", _mpeg_layer(1, 2, 3)),
    ("aac", _mpeg_layer(0)),
)
