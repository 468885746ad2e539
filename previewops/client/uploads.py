"""Stores files of an application as assets, for its payloads. Blocks: on a disk, or on the network of a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from previewops.client.arguments import BadArgument
from previewops.errors import InvalidPayload, UsageError
from previewops.regular_files import open_regular
from previewops.settings import Settings
from previewops.stores.asset_drafts import AssetDraft
from previewops.stores.asset_import import ImportFailed, plan_import
from previewops.stores.assets import AssetStore
from previewops.stores.selection import open_assets

_MIB = 1024 * 1024


def upload_asset(source: os.PathLike[str] | BinaryIO, settings: Settings) -> str:
    """Stores one file and returns its uri. Raises as ``AsyncClient.upload``."""
    assets, max_bytes = open_assets(settings), settings.asset_max_mb * _MIB
    try:
        with _opened(source, max_bytes) as file, AssetDraft(assets.drafts, max_bytes) as draft:
            while chunk := file.read(_MIB):
                if not isinstance(chunk, bytes):
                    raise BadArgument("source", "a file in text mode", "a file in binary mode")
                draft.write(chunk)
            return draft.commit(assets).uri
    except OSError as error:
        raise _failure(assets, error) from error


def upload_named_files(
    payload: Mapping[str, Any], settings: Settings, *, base: Path, source: str | None
) -> dict[str, Any]:
    """Stores the files that a payload names by path; returns the payload with the uris of the stored ones.

    Raises:
        InvalidPayload: a file cannot be stored as an asset; nothing is stored then.
        ImportFailed, StoreUnavailable, StoreRejected: the store cannot be used.
    """
    assets = open_assets(settings)
    plan = plan_import(payload, base=base, assets=assets, max_bytes=settings.asset_max_mb * _MIB)
    if plan.violations:
        raise InvalidPayload(plan.violations, source=source)
    plan.execute(assets)
    return plan.payload


def _failure(assets: AssetStore, error: OSError) -> ImportFailed:
    return ImportFailed(
        f"cannot store an asset in {assets.location}: {error.strerror or error}",
        hint="check the permissions of DATA_DIR and its free space, then upload again",
    )


@contextmanager
def _opened(source: os.PathLike[str] | BinaryIO, max_bytes: int) -> Iterator[BinaryIO]:
    if not isinstance(source, os.PathLike):
        if not hasattr(source, "read"):
            raise BadArgument(
                "source", f"a value of type {type(source).__name__}", "a Path, or a file in binary mode"
            )
        yield source
        return
    try:
        file = open_regular(Path(source), max_bytes)
    except OSError as error:
        raise UsageError(
            f"{Path(source)}: cannot read: {error.strerror or error}", hint="name a picture or a sound"
        ) from error
    with file:
        yield file
