"""A payload that has passed validation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from previewops.states import Priority


@dataclass(frozen=True, slots=True)
class Payload:
    """A valid payload with typed access to the fields that the queue uses. Only ``validate`` creates it.

    ``raw`` is a private copy in plain JSON types, with whole numbers as int; it must not be changed. ``body`` is its
    canonical JSON, which the queue stores.
    """

    raw: dict[str, Any]
    body: bytes = field(repr=False, compare=False)

    @property
    def digest(self) -> str:
        """SHA-256 of ``body``, 64 hexadecimal digits: equal payloads have equal digests."""
        from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL, which validation alone does not need

        return sha256(self.body).hexdigest()

    @property
    def job_id(self) -> str:
        """Id of the job, and name of its bundle's folder."""
        return str(self.raw["jobId"])

    @property
    def project_id(self) -> str:
        """Id of the project, and name of its folder."""
        return str(self.raw["projectId"])

    @property
    def request_id(self) -> str:
        """The producer's own reference."""
        return str(self.raw["requestId"])

    @property
    def priority(self) -> Priority:
        """Priority of the job; normal if the payload does not set it."""
        return Priority(self.raw.get("priority", Priority.NORMAL))

    @property
    def dry_run(self) -> bool:
        """Whether the job only plans the render."""
        return bool(self.raw["dryRun"])

    @property
    def request(self) -> dict[str, Any]:
        """The previewRequest."""
        request: dict[str, Any] = self.raw["previewRequest"]
        return request


def canonical_json(value: object) -> bytes:
    """Encodes ``value`` as compact JSON in UTF-8 with sorted names, so that equal documents give equal bytes.

    Differs from RFC 8785 in two ways: names are sorted by code point instead of UTF-16 unit, and fractions have
    Python's shortest form.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8")
