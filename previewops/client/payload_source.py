"""Loads and validates payloads of client calls."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from previewops.client.arguments import payload_error
from previewops.contract import AssetPolicy, Payload, parse_payload, validate
from previewops.contract.limits import MAX_PAYLOAD_BYTES
from previewops.errors import UsageError
from previewops.regular_files import read_regular
from previewops.settings import Settings

PayloadSource: TypeAlias = Mapping[str, object] | os.PathLike[str]
"""A payload, or the path of a JSON file with one. Text is rejected, as it could be either."""


async def load_payload(source: PayloadSource, settings: Settings) -> Payload:
    """Returns the valid payload of ``source``.

    If PREVIEW_ASSET_ROOTS is set, asset files and hosts are checked against it and PREVIEW_ASSET_HOSTS. Otherwise
    the workers check them.

    Raises:
        InvalidPayload: with every violation.
        UsageError: the file cannot be read.
        BadArgument: ``source`` is neither a mapping nor a path.
    """
    policy = None
    if settings.asset_roots is not None:
        policy = AssetPolicy(
            settings.asset_roots,
            settings.asset_hosts,
            settings.data_dir,
            buckets=settings.effective_asset_buckets,
        )
    if isinstance(source, Mapping):
        return validate(dict(source), policy=policy)
    if not isinstance(source, os.PathLike):
        raise payload_error(source)
    path = Path(source)
    raw = await asyncio.to_thread(_read, path)
    return validate(parse_payload(raw, source=str(path)), policy=policy, source=str(path))


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_PAYLOAD_BYTES)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot read: {error.strerror or error}", hint="name a JSON file with one payload"
        ) from error
