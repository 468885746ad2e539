"""Pictures and payloads for the tests of the renderer."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from jsonschema import Draft202012Validator
from PIL import Image, ImageDraw

from previewops.contract import validate
from previewops.schemas import preview_schema
from previewops.worker.assets.opener import AssetRef, FileAssetOpener, OpenedAsset
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.artifacts import ArtifactWriter
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limit_checks import check_limits
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.pictures import decode_picture
from previewops.worker.render.render import RenderResult, render
from previewops.worker.render.storyboard import read_storyboard


def quarters(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Draws red, green, blue and yellow quarters, from the top left in reading order."""
    width, height = size
    image = Image.new("RGB", size, (220, 30, 30))
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((width // 2, 0, width, height // 2 - 1), fill=(30, 180, 30))
    canvas.rectangle((0, height // 2, width // 2 - 1, height), fill=(30, 30, 220))
    canvas.rectangle((width // 2, height // 2, width, height), fill=(230, 220, 40))
    return image.convert(mode)


def corner_colours(image: Image.Image) -> list[str]:
    """Returns the colour names of the four quarters of ``image``, in reading order."""
    names = {"red": (220, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 220), "yellow": (230, 220, 40)}

    def nearest(point: tuple[int, int]) -> str:
        pixel = image.convert("RGB").getpixel(point)
        assert isinstance(pixel, tuple)
        return min(names, key=lambda name: sum(abs(a - b) for a, b in zip(names[name], pixel, strict=True)))

    w, h = image.size
    return [nearest((x, y)) for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]


def payload(
    steps: list[dict[str, Any]] | None = None,
    assets: list[dict[str, Any]] | None = None,
    *,
    dry_run: bool = False,
    title: str = "A title",
    description: str = "What it is about.",
    audio: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Returns a valid payload."""
    raw: dict[str, Any] = {
        "jobId": "job-1",
        "projectId": "project",
        "requestId": "request",
        "dryRun": dry_run,
        "previewRequest": {
            "title": title,
            "description": description,
            "steps": steps or [],
            "assets": assets or [],
            "audio": audio or {},
            "options": {"resolution": "320x180", **options},
        },
    }
    return validate(raw).raw


def render_into(
    out: Path, job: dict[str, Any], root: Path, limits: RenderLimits | None = None
) -> RenderResult:
    """Renders ``job`` with assets from ``root``."""
    board = read_storyboard(job)
    check_limits(board, limits or RenderLimits())
    return render(
        board,
        opener=FileAssetOpener((root,)),
        writer=ArtifactWriter(FolderOutput(out), (limits or RenderLimits()).output_bytes),
        limits=limits or RenderLimits(),
        progress=lambda _share, _word: None,
    )


def read_preview(bundle: Path) -> dict[str, Any]:
    """Returns the preview.json of ``bundle``, and checks that the schema describes every member of it."""
    preview: dict[str, Any] = json.loads((bundle / "preview.json").read_text("utf-8"))
    _complete_preview_schema().validate(preview)
    return preview


@cache
def _complete_preview_schema() -> Draft202012Validator:
    """The schema without room for members that it does not describe."""

    def close(node: Any, name: str = "") -> Any:
        if isinstance(node, list):
            return [close(item) for item in node]
        if not isinstance(node, dict):
            return node
        closed = {key: close(value, key) for key, value in node.items()}
        is_object = isinstance(node.get("properties"), dict) and "type" in node
        if (is_object and name != "picture") or name in ("poster", "items"):
            closed["unevaluatedProperties"] = False
        return closed

    return Draft202012Validator(close(preview_schema()))


def open_picture(path: Path) -> Image.Image:
    """Decodes the picture at ``path``."""
    image = Image.open(path)
    image.load()
    return image


def decode_image(ref: AssetRef, file: BinaryIO, limits: RenderLimits, needed: Size) -> Image.Image:
    """Decodes a picture without a look at its notes."""
    return decode_picture(ref, file, limits, needed).image


class RecordingOpener(FileAssetOpener):
    """Opens files, and records the ids of the assets."""

    def __init__(self, root: Path) -> None:
        super().__init__((root,))
        self.opened: set[str] = set()

    def open(self, asset: AssetRef, *, max_bytes: int) -> OpenedAsset:
        self.opened.add(asset.id)
        return super().open(asset, max_bytes=max_bytes)
