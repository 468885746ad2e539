"""Cache keys, from all that determines a result: the request, the content of its assets, the renderer.

Equal keys mean equal bytes. A key ignores addresses, metadata that is not drawn, and ids except the project's, which
is on the title card. It covers everything that changes a pixel: the renderer's files, the fonts, and the libraries
that decode, break lines and encode.
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

_LIBRARIES = ("pillow", "icu4py", "av", "pillow-heif", "pillow-jxl-plugin", "resvg-py", "pypdfium2")
_WORKER = Path(__file__).resolve().parents[1]
_RENDERER_PATHS = ("render", "fonts", "themes", "bundle_builder.py")
_NOT_DRAWN = ("metadata", "webhook", "chapterId")


@cache
def renderer_fingerprint() -> str:
    """Hex SHA-256 of the renderer: modules, fonts, and versions of Python and libraries.

    One of the modules has RENDERER_VERSION. The contract's defaults complete a request.
    """
    digest = hashlib.sha256(f"{sys.version}\n".encode())
    digest.update(Path(contract.__file__).read_bytes())
    for name in _LIBRARIES:
        try:
            digest.update(f"{name} {version(name)}\n".encode())
        except PackageNotFoundError:
            digest.update(f"{name} is missing\n".encode())
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
    theme: str | None = None,
) -> str:
    """The cache key of the bundle of a valid ``request`` (its previewRequest).

    ``digests`` has the hex SHA-256 of each asset's content by id; ``project`` is the projectId; ``fonts`` is the
    fingerprint of additional fonts, see ``FontSources``; ``theme`` is the digest of the named theme.
    """
    inputs = {
        "renderer": renderer_fingerprint(),
        "project": project,
        "request": _without(request, "uri", *_NOT_DRAWN),
        "assets": digests,
        "limits": limits,
        "fonts": fonts,
        "theme": theme,
    }
    return hashlib.sha256(canonical_json(inputs)).hexdigest()


def thumbnail_key(
    storyboard: Storyboard, digest: str, decoded: tuple[int, int], *, page: int | None = None
) -> str:
    """The cache key of the thumbnail of an asset whose content has the hex SHA-256 ``digest``.

    ``decoded`` is the size in pixels at which the job decodes the picture; the thumbnail is made from that. ``page``
    is the asset's.
    """
    inputs = {
        "renderer": renderer_fingerprint(),
        "asset": digest,
        "page": page,
        "decoded": decoded,
        "box": list(storyboard.thumbnail) if storyboard.thumbnail else None,
        "format": storyboard.image_format,
        "quality": storyboard.quality,
        "speed": storyboard.avif_speed if storyboard.image_format == "avif" else None,
        "ground": list(storyboard.theme.background),
    }
    return hashlib.sha256(canonical_json(inputs)).hexdigest()


def _without(value: Any, *names: str) -> Any:
    """``value`` without members of these ``names`` or with the prefix x-, at any depth."""
    if isinstance(value, Mapping):
        members = (
            (name, inner) for name, inner in value.items() if name not in names and not name.startswith("x-")
        )
        return {name: _without(inner, *names) for name, inner in members}
    if isinstance(value, list):
        return [_without(inner, *names) for inner in value]
    return value
