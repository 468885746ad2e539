"""Validates a payload against schema and semantics, in one report."""

from __future__ import annotations

from collections.abc import Iterator

from previewops.contract.json_copy import copy_as_json
from previewops.contract.limits import MAX_PAYLOAD_BYTES
from previewops.contract.payload import Payload, canonical_json
from previewops.contract.semantics import semantic_violations
from previewops.contract.uris import AssetPolicy
from previewops.contract.violations import normalize
from previewops.errors import InvalidPayload, Violation


def validate(payload: object, *, policy: AssetPolicy | None = None, source: str | None = None) -> Payload:
    """Validates ``payload``, any Python value.

    Without a ``policy`` absolute paths are not checked against asset roots. ``source``, such as a file name, is
    included in the error.

    Raises:
        InvalidPayload: with every violation, ordered by pointer.
    """
    plain, found = _examined(payload, policy)
    if found or not isinstance(plain, dict):
        raise InvalidPayload(found, source=source)
    return Payload(plain)


def find_violations(payload: object, policy: AssetPolicy | None = None) -> list[Violation]:
    """Returns every violation of ``payload``, ordered by pointer; an empty list if it is valid."""
    return _examined(payload, policy)[1]


def _examined(payload: object, policy: AssetPolicy | None) -> tuple[object, list[Violation]]:
    plain, not_json = copy_as_json(payload)
    return plain, normalize(_found(plain, not_json, policy))


def _found(plain: object, not_json: list[Violation], policy: AssetPolicy | None) -> Iterator[Violation]:
    from previewops.contract.schema_validation import schema_violations  # noqa: PLC0415 - imports jsonschema

    yield from not_json
    known = {violation.pointer for violation in not_json}
    yield from (item for item in schema_violations(plain) if item.pointer not in known)
    yield from (item for item in semantic_violations(plain, policy) if item.pointer not in known)
    if not not_json:
        yield from _oversize(plain)


def _oversize(plain: object) -> Iterator[Violation]:
    size = len(canonical_json(plain))
    if size > MAX_PAYLOAD_BYTES:
        yield Violation(
            "", "too-large", "is too large", f"{size} bytes as compact JSON", f"{MAX_PAYLOAD_BYTES} bytes"
        )
