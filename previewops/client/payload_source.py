"""Loads and validates payloads of client calls."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

from previewops.client.arguments import payload_error
from previewops.client.uploads import upload_named_files
from previewops.contract import AssetPolicy, Payload, parse_payload, validate
from previewops.contract.limits import MAX_PAYLOAD_BYTES
from previewops.errors import UsageError
from previewops.regular_files import read_regular
from previewops.settings import Settings
from previewops.theme_names import themes_on_this_host

PayloadSource: TypeAlias = Mapping[str, object] | os.PathLike[str]
"""A payload, or the path of a JSON file with one. Text is rejected, as it could be either."""


async def load_payload(source: PayloadSource, settings: Settings, *, upload: bool = False) -> Payload:
    """Returns the valid payload of ``source``; with ``upload``, of stored copies of the files that it names by path.

    If PREVIEW_ASSET_ROOTS is set, asset files and hosts are checked against it and PREVIEW_ASSET_HOSTS; if
    PREVIEW_THEMES is, the theme's name. Otherwise the workers check them.

    Raises:
        InvalidPayload: with every violation.
        UsageError: the file cannot be read.
        BadArgument: ``source`` is neither a mapping nor a path.
    """
    name, base = None, Path()
    if isinstance(source, Mapping):
        payload = dict(source)
    elif isinstance(source, os.PathLike):
        path = Path(source)
        name, base = str(path), path.parent
        payload = parse_payload(await asyncio.to_thread(_read, path), source=name)
    else:
        raise payload_error(source)
    if upload:
        payload = await asyncio.to_thread(
            partial(upload_named_files, payload, settings, base=base, source=name)
        )
    return validate(payload, policy=_policy(settings), source=name)


def _policy(settings: Settings) -> AssetPolicy:
    themes = themes_on_this_host(settings.themes)
    if settings.asset_roots is None:
        return AssetPolicy(None, themes=themes)
    return AssetPolicy(
        settings.asset_roots,
        settings.asset_hosts,
        settings.data_dir,
        buckets=settings.effective_asset_buckets,
        webhook_hosts=settings.webhook_hosts or None,
        themes=themes,
    )


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_PAYLOAD_BYTES)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot read: {error.strerror or error}", hint="name a JSON file with one payload"
        ) from error
