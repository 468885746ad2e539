"""The id of a store: a random number in an object that the first worker creates.

A digest of the address would not do: one bucket has several addresses, by the endpoint's names and by region.
"""

from __future__ import annotations

from contextlib import suppress
from secrets import token_hex

from previewops.stores.objects.client import ConditionFailed, Headers, ObjectClient, ObjectMissing
from previewops.stores.port import parse_store_id

ID_OBJECT = "id"
_HEADERS = Headers("text/plain", "no-cache")


def read_store_id(client: ObjectClient, *, create: bool) -> str | None:
    """Returns the id; None if there is none and ``create`` is False, or if the object is damaged.

    Raises:
        ObjectStoreFailure: the store cannot be used now.
    """
    try:
        return parse_store_id(client.get(ID_OBJECT)[0])
    except ObjectMissing:
        if not create:
            return None
    with suppress(ConditionFailed):  # another worker was first
        client.put(ID_OBJECT, f"{token_hex(16)}\n".encode(), _HEADERS, expected=None)
    return read_store_id(client, create=False)
