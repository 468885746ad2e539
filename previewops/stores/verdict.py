"""Whether the object store of bundles can be used now, for health checks."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from previewops.bucket_addresses import BucketAddress
from previewops.errors import StoreRejected, StoreUnavailable
from previewops.settings import Settings
from previewops.stores.port import StoreVerdict

TIMEOUT_S = 2.0
MAX_AGE_S = 60.0
"""Age in seconds up to which a process repeats a verdict: the screen asks every few seconds."""


_VERDICTS: dict[BucketAddress, tuple[float, StoreVerdict]] = {}


async def check_store(settings: Settings) -> StoreVerdict | None:
    """Probes the store of PREVIEW_STORE, unless this process did so lately; None if bundles are in DATA_DIR."""
    address = settings.store
    if address is None:
        return None
    known = _VERDICTS.get(address)
    if known is not None and time.monotonic() - known[0] < MAX_AGE_S:
        return known[1]
    try:
        problem = await asyncio.wait_for(asyncio.to_thread(_probe, address), TIMEOUT_S)
    except TimeoutError:
        problem = f"no answer within {TIMEOUT_S:g} s"
    verdict = StoreVerdict(str(address), problem)
    _VERDICTS[address] = time.monotonic(), verdict
    return verdict


def _probe(address: BucketAddress) -> str:
    from previewops.stores.objects.client import connect  # noqa: PLC0415 - start-up time
    from previewops.stores.objects.store import ObjectStore  # noqa: PLC0415

    try:
        ObjectStore(address, make_client=partial(connect, brief=True)).probe()
    except StoreUnavailable as error:
        return error.reason
    except StoreRejected as error:
        return error.message
    return ""
