"""The port of asset stores: uploaded and imported pictures and sounds, by the SHA-256 of their content.

Every call blocks, on a disk or a network: do not call it in an event loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

SHA256 = re.compile(r"[0-9a-f]{64}")

_NAME = re.compile(r"([0-9a-f]{64})\.([a-z0-9]{2,5})")


@dataclass(frozen=True, slots=True)
class StoredAsset:
    """One stored file: digest of its content (hexadecimal), kind, uri for payloads, and length in bytes.

    ``used_s`` is when it was last uploaded, imported or asked for, in s since the epoch.
    """

    sha256: str
    extension: str
    uri: str
    bytes: int
    used_s: float


class AssetStore(Protocol):
    """Where uploaded and imported assets lie, below ``<first two digits>/<sha256>.<extension>``."""

    @property
    def location(self) -> str:
        """Path or address of all assets, for operators. Contains no secret."""

    @property
    def drafts(self) -> Path:
        """Folder for files that are being received; on the file system of the assets, if those are files."""

    def uri(self, name: str) -> str:
        """Returns the uri of a file for payloads. ``name`` is as from ``asset_name``."""

    def contains(self, path: PurePosixPath) -> bool:
        """Whether the relative uri ``path`` names a file of this store, by whatever name."""

    def find(self, sha256: str) -> StoredAsset | None:
        """Returns an asset, and counts that as a use of it. None if there is none, or if it has to be uploaded again.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """

    def add(self, draft: Path, sha256: str, extension: str) -> StoredAsset:
        """Makes the complete, flushed file ``draft`` an asset, and removes it there. An existing asset stays.

        Raises:
            StoreUnavailable: the store cannot be written to now.
            OSError: the disk cannot be written to.
        """

    def list_assets(self) -> Iterator[StoredAsset]:
        """Yields all assets. Files of other names are not assets, and are skipped.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """

    def remove(self, asset: StoredAsset) -> bool:
        """Removes an asset, unless it was used since it was listed. Returns whether it was removed.

        Raises:
            StoreUnavailable: it cannot be removed now.
        """


def asset_name(sha256: str, extension: str) -> str:
    """Returns the path of an asset below the store."""
    return f"{sha256[:2]}/{sha256}.{extension}"


def parse_asset_name(name: str) -> tuple[str, str] | None:
    """Returns digest and extension of a path as from ``asset_name``, or None for another path."""
    folder, _, file = name.rpartition("/")
    match = _NAME.fullmatch(file)
    return (match[1], match[2]) if match and folder == match[1][:2] else None
