"""Makes the pictures of README.md and docs/rendering.md from the demo's scenes: ``python -m tests.docs.pictures``.

Look at them before they are committed. Those of Japanese and emoji need Debian's fonts-droid-fallback and
fonts-noto-color-emoji.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from previewops.contract import validate
from previewops.worker.assets import FileAssetOpener
from previewops.worker.demo.assets import FOLDER, MEN, write_assets
from previewops.worker.demo.jobs import jobs
from previewops.worker.fontfinder import find_fonts
from previewops.worker.output import FolderOutput
from previewops.worker.render.artifacts import ArtifactWriter
from previewops.worker.render.limits import Limits
from previewops.worker.render.render import render
from tests.docs.documents import ROOT

IMAGES = ROOT / "docs" / "images"
WIDTH = 480  # pixels, of each picture on the page
FILES = {
    "board": "board.png",
    "mill": "mill.png",
    "placing": "placing.jpg",
    "flying": "flying.jpg",
    "men": MEN,
    "lost": "nobody-has-this.png",
}
TITLE, TEXT = "Making a mill", "Three men in a row are a mill: take one man from the other side."

Frame = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]  # step, options, what an asset has more
PICTURES: dict[str, Frame] = {
    "theme-light": ({"assetIds": ["mill"]}, {"theme": "light"}, {}),
    "theme-dark": ({"assetIds": ["mill"]}, {"theme": "dark"}, {}),
    "background": ({"assetIds": ["mill"]}, {"background": "#183A38"}, {}),
    "layout-auto-1": ({"assetIds": ["board"]}, {}, {}),
    "layout-auto-3": ({"assetIds": ["mill", "men", "flying"]}, {}, {}),
    "layout-auto-0": ({}, {}, {}),
    "layout-full": ({"assetIds": ["mill"], "layout": "full"}, {}, {"fit": "cover"}),
    "layout-full-contain": ({"assetIds": ["mill"], "layout": "full"}, {}, {}),
    "layout-split": ({"assetIds": ["board", "mill"], "layout": "split"}, {}, {}),
    "layout-grid": ({"assetIds": ["board", "placing", "mill", "flying"], "layout": "grid"}, {}, {}),
    "layout-focus": ({"assetIds": ["mill", "board", "placing", "flying"], "layout": "focus"}, {}, {}),
    "captions-off": ({"assetIds": ["mill", "flying"]}, {"includeCaptions": False}, {}),
    "fit-cover": ({"assetIds": ["mill"]}, {}, {"fit": "cover", "focus": {"x": 0.2, "y": 0.5}}),
    "asset-gap": ({"assetIds": ["mill", "lost"]}, {"onAssetError": "gap"}, {}),
    "portrait": ({"assetIds": ["mill", "flying"]}, {"resolution": "720x1280"}, {}),
    "square": ({"assetIds": ["mill", "flying"]}, {"resolution": "720x720"}, {}),
    "arabic": (
        {
            "title": "كيف تصنع طاحونة",
            "text": "ثلاثة أحجار في صف واحد (خذ حجراً 1 من الخصم).",
            "assetIds": ["mill"],
        },
        {},
        {},
    ),
    "japanese": (
        {
            "title": "ミルを作る",
            "text": "三つの石を一列に並べるとミルになります。相手の石を一つ取りましょう 🎉",
            "assetIds": ["mill"],
        },
        {"theme": "dark"},
        {},
    ),
}


def payload(step: dict[str, Any], options: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """A job of three steps of which the second is the one to look at."""
    shown = {"title": TITLE, "text": TEXT, **step}
    used = ["mill", *shown.get("assetIds", [])]
    assets = [
        {"id": name, "uri": f"{FOLDER}/{file}", **more, **({"title": "Left out"} if name == "lost" else {})}
        for name, file in FILES.items()
        if name in used
    ]
    made = {
        "jobId": "picture",
        "projectId": "docs",
        "requestId": "docs",
        "dryRun": False,
        "previewRequest": {
            "title": shown["title"],
            "steps": [{}, shown, {}],
            "assets": assets,
            "audio": {},
            "options": {"resolution": "1280x720", "format": "png", "imageFormat": "png", **options},
        },
    }
    return validate(made).raw


def frames(made: dict[str, Any], root: Path, out: Path) -> list[Path]:
    """Renders a job and returns its frames, the title card first."""
    render(
        made,
        opener=FileAssetOpener((root,)),
        writer=ArtifactWriter(FolderOutput(out), Limits().output_bytes),
        limits=Limits(),
        progress=lambda _share, _word: None,
        fonts=find_fonts([]),
    )
    return sorted((out / "frames").iterdir())


def save(frame: Path, target: Path) -> None:
    with Image.open(frame) as image:
        height = round(image.height * WIDTH / image.width)
        small = (round(image.width * WIDTH / image.height), WIDTH) if height > WIDTH else (WIDTH, height)
        image.convert("RGB").resize(small, Image.Resampling.LANCZOS).save(target, quality=82, method=6)


def main() -> None:
    """Writes every picture."""
    (IMAGES / "rendering").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_assets(root / FOLDER)
        for name, frame in PICTURES.items():
            made = frames(payload(*frame), root, root / name)
            save(made[2], IMAGES / "rendering" / f"{name}.webp")
            if name == "theme-light":
                save(made[0], IMAGES / "rendering" / "title-card.webp")
        lesson = jobs(project_id="morris", created_at_ms=0, prefix="")[0].payload
        frames(validate(lesson).raw, root, root / "lesson")
        (IMAGES / "contact-sheet.webp").write_bytes((root / "lesson" / "sheet.webp").read_bytes())


if __name__ == "__main__":
    main()
