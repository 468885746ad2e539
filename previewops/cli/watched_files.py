"""The local files that a payload depends on: itself and its assets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from previewops.contract.uris import FileUri, UriNotAllowed, parse_uri


def watched_files(payload_file: Path, payload: Any, roots: Sequence[Path]) -> tuple[Path, ...]:
    """Returns the payload's file and every place where one of its assets may be, also while it is missing.

    ``payload`` is parsed but may be invalid: what is not an address of a file is skipped.
    """
    paths = [payload_file]
    for uri in _uris(payload):
        try:
            address = parse_uri(uri)
        except UriNotAllowed:
            continue
        if isinstance(address, FileUri):
            paths += [root / address.path for root in roots]
    return tuple(dict.fromkeys(paths))


def _uris(payload: Any) -> Iterator[str]:
    request = payload.get("previewRequest") if isinstance(payload, dict) else None
    if not isinstance(request, dict):
        return
    assets = request.get("assets")
    entries = [*assets, request.get("audio")] if isinstance(assets, list) else [request.get("audio")]
    for entry in entries:
        if isinstance(entry, dict) and isinstance(uri := entry.get("uri"), str):
            yield uri
