"""The manifest of a bundle, ``container.json``. Its names are not trusted: any writer of the store may change it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

MANIFEST_FILE = "container.json"
"""Manifest of a bundle: lists all its files except ``preview.json``."""

PREVIEW_FILE = "preview.json"
"""File of a bundle that describes what was rendered."""

UNLISTED_FILES = (MANIFEST_FILE, PREVIEW_FILE)

VOLATILE_FILES = frozenset({PREVIEW_FILE})
"""Files that differ between renders of the same input, because they hold timings."""

MAX_MANIFEST_BYTES = 4 * 1024 * 1024

OCTETS = "application/octet-stream"
SAFE_MEDIA_TYPES = frozenset(
    {
        "image/webp",
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/apng",
        "image/avif",
        "video/webm",
        "video/mp4",
        "application/json",
        "text/vtt",
    }
)
"""Media types that files are served with; others are served as octets. Browsers do not execute any of them."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One listed file: its name within the bundle, length in bytes, digest (hexadecimal) and media type."""

    name: str
    bytes: int
    sha256: str
    media_type: str


def parse_manifest(content: bytes) -> dict[str, ManifestEntry]:
    """Returns the manifest's files by name.

    Raises:
        ValueError: the manifest is invalid.
    """
    try:
        manifest: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{MANIFEST_FILE} is not JSON: {error}") from error
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, list):
        raise ValueError(f"{MANIFEST_FILE} lists no files")
    listed = {entry.name: entry for entry in map(_parse_entry, files)}
    if len(listed) != len(files):
        raise ValueError(f"{MANIFEST_FILE} lists a file twice")
    return listed


def check_name(name: str) -> str:
    """Returns ``name`` if it is a plain name. Raises ValueError."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} is outside the bundle")
    return name


def _parse_entry(raw: Any) -> ManifestEntry:
    match raw:
        case {"path": str(name), "bytes": int(size), "sha256": str(digest), "mediaType": str(kind)} if (
            size >= 0 and not isinstance(size, bool) and _SHA256.fullmatch(digest)
        ):
            for step in name.split("/"):
                check_name(step)
            return ManifestEntry(name, size, digest, kind)
    raise ValueError(f"{MANIFEST_FILE} has an entry without path, bytes, sha256 or mediaType")
