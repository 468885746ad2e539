"""Files that are being received: written in parts to a local draft, then moved into the asset store."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from previewops.errors import EXIT_INVALID, PreviewopsError
from previewops.file_kinds import ASSET_KINDS, HEAD_BYTES, describe_head, detect_asset_kind, list_names
from previewops.stores.assets import AssetStore, StoredAsset

DRAFT_AGE_S = 86_400.0
"""Age in seconds of drafts that a killed process left; an upload is over by then."""

_FLUSH_BYTES = 8 * 1024 * 1024

_MODE = 0o666  # minus the umask: workers may run as another user


class AssetTooLarge(PreviewopsError):
    """The file exceeds PREVIEW_ASSET_MAX_MB."""

    exit_code = EXIT_INVALID
    code = "asset-too-large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            f"asset: found more than {max_bytes} bytes, allowed {max_bytes} bytes",
            hint="make the file smaller, or raise PREVIEW_ASSET_MAX_MB here and for the workers",
        )


class AssetKindUnsupported(PreviewopsError):
    """The file is neither a picture nor a sound that is rendered, by its first bytes."""

    exit_code = EXIT_INVALID
    code = "asset-kind-unsupported"

    def __init__(self, head: bytes) -> None:
        message = f"asset: found {describe_head(head)}, allowed {list_names(ASSET_KINDS)}"
        super().__init__(message, hint="convert the file")


class AssetDigestMismatch(PreviewopsError):
    """The content has another SHA-256 than the one that was announced."""

    exit_code = EXIT_INVALID
    code = "asset-digest-mismatch"

    def __init__(self, found: str, announced: str) -> None:
        super().__init__(
            f"asset: found content with the SHA-256 {found}, allowed {announced}",
            hint="the file was changed or damaged on its way: upload it again",
        )


class AssetDraft:
    """One draft, a context manager that removes it at the end. Its methods block.

    Args:
        folder: where the draft is written.
        max_bytes: maximum length of the file.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._head = b""
        self._unflushed = 0
        self.size = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{secrets.token_hex(16)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._path, flags, _MODE), "wb", buffering=0)

    def __enter__(self) -> AssetDraft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes the draft, unless it became an asset."""
        self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def write(self, content: bytes | bytearray) -> None:
        """Appends a part.

        Raises:
            AssetTooLarge: the file becomes too large.
            AssetKindUnsupported: its first bytes are those of no picture or sound.
            OSError: the disk cannot be written to.
        """
        self.size += len(content)
        if self.size > self._max_bytes:
            raise AssetTooLarge(self._max_bytes)
        if len(self._head) < HEAD_BYTES:
            self._head += bytes(content[: HEAD_BYTES - len(self._head)])
            if len(self._head) == HEAD_BYTES:
                self._extension()
        self._digest.update(content)
        view = memoryview(content)
        while view:
            view = view[self._file.write(view) :]
        self._unflushed += len(content)
        if self._unflushed >= _FLUSH_BYTES:
            self._unflushed = 0
            # Linux starts to write these pages now, so that the flush at the end has little left to do.
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def commit(self, assets: AssetStore, *, sha256: str | None = None) -> StoredAsset:
        """Makes the complete draft an asset. ``sha256`` is the announced digest, None if there is none.

        Raises:
            AssetKindUnsupported: it is neither a picture nor a sound.
            AssetDigestMismatch: it has another digest.
            StoreUnavailable, OSError: it cannot be stored now.
        """
        extension, digest = self._extension(), self._digest.hexdigest()
        if sha256 is not None and sha256 != digest:
            raise AssetDigestMismatch(digest, sha256)
        os.fsync(self._file.fileno())
        return assets.add(self._path, digest, extension)

    def _extension(self) -> str:
        kind = detect_asset_kind(self._head)
        if kind is None:
            raise AssetKindUnsupported(self._head)
        return kind.extension


def sweep_drafts(folder: Path, now_s: float | None = None) -> int:
    """Removes drafts that a killed process left, and returns their number."""
    before_s = (time.time() if now_s is None else now_s) - DRAFT_AGE_S
    removed = 0
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            with suppress(OSError):
                if path.stat().st_mtime < before_s:
                    path.unlink()
                    removed += 1
    return removed
