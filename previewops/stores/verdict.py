"""Whether the object store of bundles can be used now, for health checks."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

from previewops.bucket_addresses import BucketAddress
from previewops.errors import StoreRejected, StoreUnavailable
from previewops.settings import Settings
from previewops.stores.folder.identity import identify_folder
from previewops.stores.port import StoreVerdict

TIMEOUT_S = 2.0
MAX_AGE_S = 60.0
"""Age in seconds up to which a process repeats a verdict: the screen asks every few seconds."""


_VERDICTS: dict[BucketAddress, tuple[float, StoreVerdict, str | None]] = {}


async def check_store(settings: Settings) -> StoreVerdict | None:
    """Probes the store of PREVIEW_STORE, unless this process did so lately; None if bundles are in DATA_DIR."""
    return None if settings.store is None else (await _check(settings.store))[0]


async def read_store_id(settings: Settings) -> str | None:
    """Returns the id of the store that this process reads; None if it has none or cannot be read."""
    if settings.store is not None:
        return (await _check(settings.store))[1]
    return await asyncio.to_thread(_read_folder_id, settings.data_dir)


async def _check(address: BucketAddress) -> tuple[StoreVerdict, str | None]:
    known = _VERDICTS.get(address)
    if known is not None and time.monotonic() - known[0] < MAX_AGE_S:
        return known[1:]
    try:
        problem, store_id = await asyncio.wait_for(asyncio.to_thread(_probe, address), TIMEOUT_S)
    except TimeoutError:
        problem, store_id = f"no answer within {TIMEOUT_S:g} s", None
    verdict = StoreVerdict(str(address), problem)
    _VERDICTS[address] = time.monotonic(), verdict, store_id
    return verdict, store_id


def _probe(address: BucketAddress) -> tuple[str, str | None]:
    """Returns why the store cannot be used, "" if it can, and its id."""
    from previewops.stores.objects.client import connect  # noqa: PLC0415 - start-up time
    from previewops.stores.objects.store import ObjectStore  # noqa: PLC0415

    try:
        store = ObjectStore(address, make_client=partial(connect, brief=True))
        store.probe()
        return "", store.identify(create=False)
    except StoreUnavailable as error:
        return error.reason, None
    except StoreRejected as error:
        return error.message, None


def _read_folder_id(data_dir: Path) -> str | None:
    try:
        return identify_folder(data_dir, create=False)
    except StoreUnavailable:
        return None
