"""Uploaded and imported assets in a folder of DATA_DIR."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from previewops.errors import StoreUnavailable
from previewops.file_kinds import EXTENSIONS
from previewops.stores.assets import StoredAsset, asset_name, parse_asset_name

DRAFTS_FOLDER = ".uploads"
"""Folder of the asset folder with files that are being received."""


@dataclass(frozen=True, slots=True)
class FolderAssets:
    """Assets below ``root``; see ``AssetStore``. The time of a file's last change is that of its last use."""

    root: Path

    @property
    def location(self) -> str:
        """Path of the folder."""
        return str(self.root)

    @property
    def drafts(self) -> Path:
        """See ``AssetStore.drafts``."""
        return self.root / DRAFTS_FOLDER

    def uri(self, name: str) -> str:
        """The path below the asset root."""
        return name

    def contains(self, path: PurePosixPath) -> bool:
        """See ``AssetStore.contains``."""
        return (self.root / path).is_file()

    def find(self, sha256: str) -> StoredAsset | None:
        """See ``AssetStore.find``."""
        for extension in EXTENSIONS:
            path = self.root / asset_name(sha256, extension)
            try:
                os.utime(path)
                return self._stored(path, sha256, extension)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise StoreUnavailable(self.location, error.strerror or str(error)) from error
        return None

    def add(self, draft: Path, sha256: str, extension: str) -> StoredAsset:
        """See ``AssetStore.add``."""
        existing = self.find(sha256)
        if existing is not None:
            draft.unlink(missing_ok=True)
            return existing
        path = self.root / asset_name(sha256, extension)
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = self._stored(
            draft, sha256, extension
        )  # a removal may take the file aside as soon as it has its name
        draft.rename(path)
        return stored

    def list_assets(self) -> Iterator[StoredAsset]:
        """See ``AssetStore.list_assets``."""
        try:
            for folder in sorted(_entries(self.root)):
                for file in sorted(_entries(self.root / folder)):
                    parsed = parse_asset_name(f"{folder}/{file}")
                    if parsed is not None:
                        with suppress(FileNotFoundError):
                            yield self._stored(self.root / folder / file, *parsed)
        except OSError as error:
            raise StoreUnavailable(self.location, error.strerror or str(error)) from error

    def remove(self, asset: StoredAsset) -> bool:
        """See ``AssetStore.remove``. An upload of the same file between two steps puts it in place again."""
        path = self.root / asset_name(asset.sha256, asset.extension)
        aside = self.drafts / f"{secrets.token_hex(8)}.removed"
        try:
            self.drafts.mkdir(parents=True, exist_ok=True)
            path.rename(aside)
            if aside.stat().st_mtime > asset.used_s:
                aside.rename(path)
                return False
            aside.unlink()
        except FileNotFoundError:
            return True
        except OSError as error:
            raise StoreUnavailable(self.location, error.strerror or str(error)) from error
        return True

    @staticmethod
    def _stored(path: Path, sha256: str, extension: str) -> StoredAsset:
        status = path.stat()
        return StoredAsset(sha256, extension, asset_name(sha256, extension), status.st_size, status.st_mtime)


def _entries(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
