"""A sample picture of a theme: the same small storyboard for every theme, drawn by the renderer."""

from __future__ import annotations

import base64
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from previewops.contract import validate
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.bundle_builder import build_bundle
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.themes.definition import ThemeDefinition

_SIZE = (960, 600)  # of the picture in it
_FRAME, _GAP, _GREY = (640, 360), 16, (128, 128, 128)
_TEXTS = (
    ("One idea, one picture", "A title of a few words, and a text that explains the picture beside it."),
    ("A picture to the edges", "The text is a subtitle."),
    ("A statement", "Without a picture, the words are large."),
)


def draw_sample(
    name: str, theme: ThemeDefinition | None, fonts: FontSources | None
) -> tuple[Image.Image, tuple[str, ...]]:
    """Draws the frames of the sample storyboard in the theme ``name``; returns them with the warnings.

    ``theme`` is None for a built-in one.

    Raises:
        PermanentJobError: its logo cannot be decoded.
    """
    payload = validate(_payload(name)).raw
    with tempfile.TemporaryDirectory(prefix="previewops-theme-") as folder:
        out = Path(folder) / "bundle"
        summary = build_bundle(
            payload,
            opener=FileAssetOpener(()),
            output=FolderOutput(out),
            limits=RenderLimits(),
            progress=lambda _share, _phase: None,
            fonts=fonts,
            theme=theme,
        )
        return _side_by_side(sorted((out / "frames").iterdir())), tuple(summary["warnings"])


def _side_by_side(frames: list[Path]) -> Image.Image:
    """Returns four frames in two rows."""
    width, height = _FRAME
    sample = Image.new("RGB", (2 * width + 3 * _GAP, 2 * height + 3 * _GAP), _GREY)
    for number, path in enumerate(frames):
        row, column = divmod(number, 2)
        with Image.open(path) as frame:
            small = frame.convert("RGB").resize(_FRAME, Image.Resampling.LANCZOS)
        sample.paste(small, (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    return sample


def _payload(name: str) -> dict[str, Any]:
    layouts = ("auto", "full", "auto")
    steps = [
        {
            "title": title,
            "text": text,
            "layout": layout,
            "assetIds": [] if title == "A statement" else ["hills"],
        }
        for (title, text), layout in zip(_TEXTS, layouts, strict=True)
    ]
    return {
        "jobId": "sample",
        "projectId": name,
        "requestId": "sample",
        "dryRun": False,
        "previewRequest": {
            "title": f"The theme {name}",
            "description": "Colours, type, spacing, logo and footer of a preview.",
            "steps": steps,
            "assets": [{"id": "hills", "uri": _hills()}],
            "audio": {},
            "options": {"theme": name, "format": "png", "resolution": "1280x720", "thumbnails": False},
        },
    }


def _hills() -> str:
    """A drawn landscape as a ``data:`` uri."""
    image = Image.new("RGB", _SIZE, (150, 190, 220))
    canvas = ImageDraw.Draw(image)
    canvas.ellipse((640, 90, 740, 190), fill=(252, 240, 210))
    for level, colour in enumerate(((176, 190, 186), (122, 150, 140), (74, 110, 98), (38, 70, 62))):
        base = 260 + 85 * level
        ridge = [
            (x, base - round(70 * abs(((x / 160 + level * 0.7) % 2) - 1))) for x in range(0, _SIZE[0] + 1, 8)
        ]
        canvas.polygon([(0, _SIZE[1]), *ridge, (_SIZE[0], _SIZE[1])], fill=colour)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
