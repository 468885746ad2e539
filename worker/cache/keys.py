"""What a result is made from, as one key: the request, the content of its assets, the renderer itself.

Equal keys mean equal bytes. So a key knows nothing of addresses, of metadata that is never drawn, or of ids but the
project's, which is on the title card; and all of whatever changes a pixel: the renderer's own files, the fonts,
and the libraries that decode and encode.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from previewops.contract import limits as contract
from previewops.contract.payload import canonical_json
from previewops.worker.render.storyboard import Storyboard

_LIBRARIES = ("pillow", "av")
_WORKER = Path(__file__).resolve().parents[1]
_RENDERER_PATHS = ("render", "fonts", "bundle_builder.py")
_NOT_DRAWN = "metadata"


@cache
def renderer_fingerprint() -> str:
    """Hex SHA-256 of the renderer: its modules, its fonts, and the versions of Python and its libraries.

    RENDERER_VERSION is in one of the modules; the contract's defaults fill in what a request leaves out.
    """
    digest = hashlib.sha256(f"{sys.version}\n".encode())
    digest.update(Path(contract.__file__).read_bytes())
    for name in _LIBRARIES:
        try:
            digest.update(f"{name} {version(name)}\n".encode())
        except PackageNotFoundError:
            digest.update(f"{name} is not there\n".encode())
    for part in _RENDERER_PATHS:
        for path in sorted([_WORKER / part, *(_WORKER / part).rglob("*")]):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(_WORKER)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def bundle_key(
    request: Mapping[str, Any],
    digests: Mapping[str, str],
    limits: Mapping[str, int],
    *,
    project: str,
    fonts: str,
) -> str:
    """The key of all that a valid ``request`` (its previewRequest) makes.

    ``digests`` has the hex SHA-256 of each asset's content, by its id; ``project`` is the projectId; ``fonts`` is the
    fingerprint of those beside the package's own, see ``FontSources``.
    """
    drawn = _without(request, "uri", _NOT_DRAWN)
    inputs = {
        "renderer": renderer_fingerprint(),
        "project": project,
        "request": drawn,
        "assets": digests,
        "limits": limits,
        "fonts": fonts,
    }
    return hashlib.sha256(canonical_json(inputs)).hexdigest()


def thumbnail_key(storyboard: Storyboard, digest: str, decoded: tuple[int, int]) -> str:
    """The key of the thumbnail of an asset with content of the hex SHA-256 ``digest``.

    ``decoded`` is the size, in pixels, at which the job wants the picture: the thumbnail is made from that.
    """
    inputs = {
        "renderer": renderer_fingerprint(),
        "asset": digest,
        "decoded": decoded,
        "box": list(storyboard.thumbnail) if storyboard.thumbnail else None,
        "format": storyboard.image_format,
        "quality": storyboard.quality,
        "ground": list(storyboard.theme.background),
    }
    return hashlib.sha256(canonical_json(inputs)).hexdigest()


def _without(value: Any, *names: str) -> Any:
    """``value`` without the members of these names, and those that begin with x-, at any depth."""
    if isinstance(value, Mapping):
        members = (
            (name, inner) for name, inner in value.items() if name not in names and not name.startswith("x-")
        )
        return {name: _without(inner, *names) for name, inner in members}
    if isinstance(value, list):
        return [_without(inner, *names) for inner in value]
    return value
