"""From what an application hands over to a valid payload."""

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
from previewops.settings import Settings

PayloadSource: TypeAlias = Mapping[str, object] | os.PathLike[str]
"""A payload, or the path of a file with one in JSON. Text is neither, so that no path is taken for a payload."""


async def load_payload(source: PayloadSource, settings: Settings) -> Payload:
    """The payload in ``source``, if it keeps the contract.

    Files and hosts that it names are held against PREVIEW_ASSET_ROOTS and PREVIEW_ASSET_HOSTS where the
    environment names roots; where it does not, the workers' own decide.

    Raises:
        InvalidPayload: with everything that is wrong with it.
        UsageError: the file cannot be read.
        BadArgument: it is neither.
    """
    policy = None
    if settings.asset_roots is not None:
        policy = AssetPolicy(settings.asset_roots, settings.asset_hosts)
    if isinstance(source, Mapping):
        return validate(dict(source), policy=policy)
    if not isinstance(source, os.PathLike):
        raise payload_error(source)
    path = Path(source)
    raw = await asyncio.to_thread(_read, path)
    return validate(parse_payload(raw, source=str(path)), policy=policy, source=str(path))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_PAYLOAD_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror or error}", hint="name a file with one payload in JSON"
        ) from error
