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
    included in the error. The payload is copied (a tenth of the time), because that also normalizes its numbers.

    Raises:
        InvalidPayload: with every violation, ordered by pointer.
    """
    document, body, violations = _validated(payload, policy)
    if violations or not isinstance(document, dict):
        raise InvalidPayload(violations, source=source)
    return Payload(document, body)


def find_violations(payload: object, policy: AssetPolicy | None = None) -> list[Violation]:
    """Returns every violation of ``payload``, ordered by pointer; an empty list if it is valid."""
    return _validated(payload, policy)[2]


def _validated(payload: object, policy: AssetPolicy | None) -> tuple[object, bytes, list[Violation]]:
    """Returns the copied payload, its canonical JSON ("" if it has none) and its violations."""
    document, not_json = copy_as_json(payload)
    body = b"" if not_json else canonical_json(document)
    return document, body, normalize(_violations(document, len(body), not_json, policy))


def _violations(
    document: object, size: int, not_json: list[Violation], policy: AssetPolicy | None
) -> Iterator[Violation]:
    from previewops.contract.schema_check import fits_schema  # noqa: PLC0415 - imports jsonschema-rs

    yield from not_json
    reported = {violation.pointer for violation in not_json}
    if not_json or not fits_schema(document):
        from previewops.contract.schema_validation import schema_violations  # noqa: PLC0415 - imports jsonschema

        yield from (item for item in schema_violations(document) if item.pointer not in reported)
    yield from (item for item in semantic_violations(document, policy) if item.pointer not in reported)
    if size > MAX_PAYLOAD_BYTES:
        found, allowed = f"{size} bytes as compact JSON", f"{MAX_PAYLOAD_BYTES} bytes"
        yield Violation("", "too-large", "is too large", found, allowed)
