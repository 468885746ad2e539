"""The renderer as a function: a request and its assets in, a folder of pictures out. No Redis, no worker process.

    from previewops.worker import render

    bundle = render({"title": "A trip", "steps": [...], "assets": [...], "audio": {}}, out="trip")
    bundle.sheet

It decodes the pictures in the calling process. For files from untrusted sources, use a worker with its confined
processes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewops.contract import AssetPolicy, validate
from previewops.worker.assets.opener import AssetOpener, FileAssetOpener, storage_errors
from previewops.worker.bundle_builder import build_bundle
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.themes.folder import ThemeFolder


@dataclass(frozen=True, slots=True)
class RenderedBundle:
    """The result of ``render``. Sizes are in pixels, times in ms.

    ``files`` has path (relative to ``folder``), bytes, sha256 and mediaType of each file; ``preview`` is the content
    of ``preview.json``; ``warnings`` are sentences about parts of the request that the bundle does not show.
    """

    folder: Path
    width: int
    height: int
    duration_ms: int
    render_ms: int
    warnings: tuple[str, ...]
    files: tuple[Mapping[str, Any], ...]
    preview: Mapping[str, Any]

    @property
    def poster(self) -> Path | None:
        """The picture that represents the whole bundle; None if ``options.only`` excludes it."""
        return self._path_of("poster")

    @property
    def sheet(self) -> Path | None:
        """The contact sheet; None if ``options.only`` excludes it."""
        return self._path_of("sheet")

    @property
    def frames(self) -> tuple[Path, ...]:
        """The title card, then a still of each step, without those that the options exclude."""
        return tuple(self.folder / str(frame["path"]) for frame in self.preview["frames"])

    @property
    def animation(self) -> Path | None:
        """The main animation; None if the bundle has none."""
        return self._path_of("animation")

    @property
    def animations(self) -> tuple[Path, ...]:
        """All animations, the main one first."""
        return tuple(self.folder / str(animation["path"]) for animation in self.preview["animations"])

    def _path_of(self, part: str) -> Path | None:
        entry = self.preview[part]
        return self.folder / str(entry["path"]) if entry else None

    def _repr_html_(self) -> str | None:
        """The contact sheet, else the poster, for notebooks."""
        picture, alt = (self.sheet, "Contact sheet") if self.sheet else (self.poster, "Poster")
        if picture is None:
            return None
        kind = next(file["mediaType"] for file in self.files if file["path"] == picture.name)
        content = base64.b64encode(picture.read_bytes()).decode("ascii")
        return f'<img alt="{alt}" style="max-width: 100%" src="data:{kind};base64,{content}">'


def render(
    request: Mapping[str, Any],
    *,
    out: str | Path,
    opener: AssetOpener | None = None,
    limits: RenderLimits | None = None,
    fonts: FontSources | None = None,
    themes: str | Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> RenderedBundle:
    """Renders ``request`` into the folder ``out``, which it creates, and returns what it has made.

    ``request`` is a payload, or its ``previewRequest`` alone; ``dryRun`` is ignored. ``opener`` opens assets: by
    default ``data:`` uris and files under the current folder. ``fonts`` are used beside the package's own: by default
    none, so that every machine renders the same pictures. ``themes`` is a folder of theme files. ``progress``
    receives the completed share, 0..1, and a phase. Files of an earlier bundle with the same names are replaced.

    Raises:
        InvalidPayload: ``request`` violates the contract.
        PermanentJobError, TransientJobError: an asset, a limit or the disk, see the code.
    """
    payload = _as_payload(request)
    roots = (Path.cwd(),)
    document = validate(payload, policy=AssetPolicy(roots) if opener is None else None)
    folder = Path(out)
    theme = ThemeFolder(Path(themes) if themes is not None else None).find(document.request)
    with storage_errors():
        folder.parent.mkdir(parents=True, exist_ok=True)
    summary = build_bundle(
        document.raw,
        opener=opener or FileAssetOpener(roots),
        output=FolderOutput(folder),
        limits=limits or RenderLimits(),
        fonts=fonts.with_stamps() if fonts else None,
        theme=theme,
        progress=progress or (lambda _share, _phase: None),
    )
    return RenderedBundle(
        folder=folder,
        width=summary["width"],
        height=summary["height"],
        duration_ms=summary["durationMs"],
        render_ms=summary["renderMs"],
        warnings=tuple(summary["warnings"]),
        files=tuple(summary["artifacts"]),
        preview=json.loads((folder / "preview.json").read_text("utf-8")),
    )


def _as_payload(request: Mapping[str, Any]) -> dict[str, Any]:
    ids = {"jobId": "render", "projectId": "library", "requestId": "render"}
    if "previewRequest" in request:
        return {**ids, **request, "dryRun": False}
    return {**ids, "dryRun": False, "previewRequest": dict(request)}
