"""Checks that a store obeys conditions on writes: several services answer 200 and ignore them."""

from __future__ import annotations

from contextlib import suppress
from secrets import token_hex

from previewops.errors import StoreRejected, StoreUnavailable
from previewops.stores.objects.client import (
    ConditionFailed,
    FailureReason,
    Headers,
    ObjectClient,
    ObjectMissing,
    ObjectStoreFailure,
    ObjectVersion,
)

PROBE_FOLDER = "probes"
_HEADERS = Headers("text/plain", "no-store")
_REMEDY = "bundles need writes with If-None-Match and If-Match: use a service or a version that obeys both"


def probe(client: ObjectClient, location: str) -> None:
    """Creates an object, creates it again, replaces it by its ETag, and by an old ETag. Then deletes it.

    Sets ``client.unquoted_etags`` to the form of If-Match that the service obeys.

    Raises:
        StoreRejected: the service ignores a condition, or rejects a right one.
        StoreUnavailable: it cannot be reached now.
    """
    path = f"{PROBE_FOLDER}/{token_hex(8)}"
    try:
        try:
            _check_conditions(client, path, location)
        finally:
            with suppress(ObjectStoreFailure):
                client.delete([path])
    except ObjectMissing:
        raise _rejected(
            location, "a written object that cannot be read", "reads that follow a write"
        ) from None
    except ObjectStoreFailure as failure:
        if failure.reason is FailureReason.UNSUPPORTED:
            raise _rejected(location, str(failure), "conditional writes") from failure
        raise StoreUnavailable(location, str(failure)) from failure


def _check_conditions(client: ObjectClient, path: str, location: str) -> None:
    try:
        client.put(path, b"1", _HEADERS, expected=None)
    except ConditionFailed:
        raise _rejected(
            location, "a new object that is said to exist", "If-None-Match: * to create it"
        ) from None
    if _accepts(client, path, None):
        raise _rejected(location, "an object that was created twice", "only the first If-None-Match: *")
    _, first = client.get(path)
    _, current = first, _find_etag_form(client, path, first, location)
    if _accepts(client, path, first):
        raise _rejected(
            location, "an object that an old ETag replaced", "only If-Match with its current ETag"
        )
    if current == first:
        raise _rejected(location, "an ETag that did not change with the content", "a new one for each write")


def _find_etag_form(client: ObjectClient, path: str, first: ObjectVersion, location: str) -> ObjectVersion:
    """Replaces the object by its ETag as sent, else without quotes. Returns its new version."""
    for unquoted in (False, True):
        client.unquoted_etags = unquoted
        if _accepts(client, path, first):
            return client.get(path)[1]
    raise _rejected(location, "a replacement that its right ETag does not permit", "If-Match with the ETag")


def _accepts(client: ObjectClient, path: str, expected: ObjectVersion | None) -> bool:
    try:
        client.put(path, b"2", _HEADERS, expected=expected)
    except ConditionFailed:
        return False
    return True


def _rejected(location: str, found: str, allowed: str) -> StoreRejected:
    return StoreRejected(f"PREVIEW_STORE {location}: found {found}, allowed {allowed}", hint=_REMEDY)
