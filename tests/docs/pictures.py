"""Draws the pictures of README.md and docs/rendering-options.md: ``python -m tests.docs.pictures``.

Look at them before they are committed. Those of Japanese, Chinese and emoji need the extra fonts and Debian's
fonts-noto-color-emoji, that of a brand's font fonts-dejavu.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
from PIL import Image

from previewops.contract import validate
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.demo import FOLDER, jobs, write_assets
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.artifacts import ArtifactWriter
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.render import render
from previewops.worker.render.storyboard import read_storyboard
from previewops.worker.render.text.fontconfig import find_fonts
from previewops.worker.themes.folder import ThemeFolder
from tests.docs.asset_kinds import write_kinds
from tests.docs.documents import ROOT

IMAGES = ROOT / "docs" / "images"
THEMES = ROOT / "examples" / "themes"
SERIF = Path("/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf")
QUALITY, DETAIL_QUALITY = 72, 88
SIDE = 480  # pixels at most of each picture on the page
FILES = {
    "board": "board.webp",
    "mill": "mill.webp",
    "placing": "placing.jpg",
    "flying": "flying.jpg",
    "men": "men.webp",
    "lost": "nobody-has-this.png",
    "drawing": "drawing.svg",
    "art": "art.svg",
    "rules": "rules.pdf",
    "heic": "photo.heic",
    "jxl": "photo.jxl",
    "clip": "clip.mp4",
    "game": "game.mp4",
}
TITLES = {
    "board": "Before the first move",
    "mill": "The mill",
    "lost": "Left out",
    "drawing": "SVG",
    "rules": "PDF",
    "heic": "HEIF",
    "jxl": "JPEG XL",
    "clip": "MP4",
}
TITLE, TEXT = "Making a mill", "Three men in a row are a mill: take one man from the other side."
STILL = {"resolution": "1280x720", "format": "png", "imageFormat": "png"}
DETAIL = (640, 120, 880, 255)  # of a frame of 1280x720: men, wood and the lines of the board

Options = dict[str, Any]


def second_step(out: Path) -> Image.Image:
    """The frame of the second step, uncropped."""
    return _frame(out, 2)


def title_card(out: Path) -> Image.Image:
    """The title card, uncropped."""
    return _frame(out, 0)


def _frame(out: Path, index: int) -> Image.Image:
    with Image.open(sorted((out / "frames").iterdir())[index]) as image:
        return _fitted(image.convert("RGB"))


def _fitted(image: Image.Image) -> Image.Image:
    scale = min(1.0, SIDE / max(image.size))
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def detail(out: Path) -> Image.Image:
    """A part of the second step's frame, enlarged twice."""
    with Image.open(sorted((out / "frames").iterdir())[2]) as image:
        return _enlarged(image)


def detail_of_gif(out: Path) -> Image.Image:
    """The same part of the animation's third card."""
    with Image.open(out / "animation.gif") as image:
        image.seek(2)
        return _enlarged(image)


def _enlarged(image: Image.Image) -> Image.Image:
    cut = image.convert("RGB").crop(DETAIL)
    return cut.resize((2 * cut.width, 2 * cut.height), Image.Resampling.NEAREST)


def copies(out: Path) -> Image.Image:
    """The copies of the second step's frame side by side, at their size."""
    shown = []
    for path in sorted((out / "frames").glob("002-*"), key=lambda path: int(path.stem.partition("-")[2])):
        with Image.open(path) as image:
            shown.append(image.convert("RGB"))
    return _side_by_side(shown)


def all_frames(out: Path) -> Image.Image:
    """Title card and steps side by side, at their size."""
    shown = []
    for path in sorted((out / "frames").iterdir()):
        with Image.open(path) as image:
            shown.append(image.convert("RGB"))
    return _side_by_side(shown)


def _side_by_side(shown: list[Image.Image]) -> Image.Image:
    strip = Image.new("RGB", (sum(image.width + 8 for image in shown) - 8, shown[-1].height), "white")
    left = 0
    for image in shown:
        strip.paste(image, (left, 0))
        left += image.width + 8
    return strip


def contact_sheet(out: Path) -> Image.Image:
    """The contact sheet."""
    with Image.open(out / "sheet.png") as image:
        return _fitted(image.convert("RGB"))


def thumbnail(out: Path) -> Image.Image:
    """The thumbnail of the first asset, at its size."""
    with Image.open(min((out / "thumbs").iterdir())) as image:
        return image.convert("RGB")


def fade(out: Path) -> Image.Image:
    """The frames of the fade from the title card to the first step, side by side."""
    with av.open(str(out / "animation.mp4")) as container:
        shown = [frame.to_image() for frame in container.decode(video=0)]
    of_a_fade = shown[1 : 1 + (len(shown) - 4) // 3]  # four cards, three fades
    width = (SIDE - 4 * (len(of_a_fade) - 1)) // len(of_a_fade)
    height = round(width * shown[0].height / shown[0].width)
    strip = Image.new("RGB", (width * len(of_a_fade) + 4 * (len(of_a_fade) - 1), height), "white")
    for place, image in enumerate(of_a_fade):
        strip.paste(image.resize((width, height), Image.Resampling.LANCZOS), (place * (width + 4), 0))
    return strip


def moments(out: Path) -> Image.Image:
    """Four moments of the second step, which plays, in two rows."""
    with av.open(str(out / "animation.mp4")) as container:
        frames = {frame.time: frame.to_image() for frame in container.decode(video=0)}
    width, height = (SIDE - 4) // 2, (SIDE - 4) // 2 * 9 // 16
    sheet = Image.new("RGB", (2 * width + 4, 2 * height + 4), "white")
    for place in range(4):
        at_s = 4.1 + 0.9 * place  # behind the title card and the first step
        shown = frames[max(time for time in frames if time is not None and time <= at_s)]
        small = shown.resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(small, (place % 2 * (width + 4), place // 2 * (height + 4)))
    return sheet


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: changes to the second of three steps, options, assets and request, and the part that is shown."""

    step: Options = field(default_factory=dict)
    options: Options = field(default_factory=dict)
    assets: Options = field(default_factory=dict)
    request: Options = field(default_factory=dict)
    titled: bool = False  # whether the assets have titles
    take: Callable[[Path], Image.Image] = second_step
    fonts: tuple[Path, ...] = ()  # of PREVIEW_FONTS

    @property
    def quality(self) -> int:
        """Of the WebP file: higher where the picture shows what a format does to it."""
        return DETAIL_QUALITY if self.take in (detail, detail_of_gif) else QUALITY


LOGO = {"uri": f"{FOLDER}/logo.svg"}
ACCENT = {"accent": "#7A1F3D"}
ONE, TWO, FOUR = ["mill"], ["mill", "flying"], ["board", "placing", "mill", "flying"]
PICTURES: dict[str, Shot] = {
    "title-card": Shot(
        {"assetIds": ONE},
        request={"description": "The first thing to learn in Nine Men's Morris."},
        take=title_card,
    ),
    "title-card-plain": Shot(
        request={
            "title": "Nothing but words",
            "description": "No pictures, no steps: a title card.",
            "steps": [],
        },
        take=title_card,
    ),
    "theme-light": Shot({"assetIds": ONE}, {"theme": "light"}),
    "theme-dark": Shot({"assetIds": ONE}, {"theme": "dark"}),
    "background": Shot({"assetIds": ONE}, {"background": "#183A38"}),
    "theme-named": Shot({"assetIds": ONE}, {"theme": "morris"}),
    "brand": Shot(
        {"assetIds": ONE}, {"brand": {"logo": LOGO, **ACCENT, "footer": "Morris Club"}}, take=title_card
    ),
    "brand-logo": Shot({"assetIds": ONE}, {"brand": {"logo": LOGO, **ACCENT}}),
    "brand-logo-dark": Shot({"assetIds": ONE}, {"brand": {"logo": LOGO}, "theme": "dark"}),
    "brand-accent": Shot({"assetIds": ONE}, {"brand": {"accent": "#FFC400"}}),
    "brand-font": Shot({"assetIds": ONE}, {"brand": {"font": "DejaVu Serif"}}, fonts=(SERIF,)),
    "brand-corner": Shot({"assetIds": ONE}, {"brand": {"logo": LOGO, **ACCENT, "corner": "bottom-start"}}),
    "brand-footer": Shot(
        {"assetIds": ONE, "layout": "full"},
        {"brand": {"footer": "© 2026 Morris Club · morris.example"}},
        assets={"fit": "cover"},
    ),
    "layout-auto-1": Shot({"assetIds": ["board"]}),
    "layout-auto-3": Shot({"assetIds": ["mill", "men", "flying"]}),
    "layout-auto-0": Shot(),
    "layout-full": Shot({"assetIds": ONE, "layout": "full"}, assets={"fit": "cover"}),
    "layout-full-contain": Shot({"assetIds": ONE, "layout": "full"}),
    "layout-split": Shot({"assetIds": ["board", "mill"], "layout": "split"}),
    "layout-grid": Shot({"assetIds": FOUR, "layout": "grid"}),
    "layout-grid-more": Shot({"assetIds": FOUR * 16, "layout": "grid"}),
    "layout-focus": Shot({"assetIds": ["mill", "board", "placing", "flying"], "layout": "focus"}),
    "captions-off": Shot({"assetIds": TWO}, {"includeCaptions": False}),
    "fit-cover": Shot({"assetIds": ONE}, assets={"fit": "cover"}),
    "fit-focus": Shot({"assetIds": ONE}, assets={"fit": "cover", "focus": {"x": 0.5, "y": 0.1}}),
    "asset-title": Shot({"assetIds": ["board", "mill"]}, titled=True),
    "asset-gap": Shot({"assetIds": ["mill", "lost"]}, {"onAssetError": "gap"}, titled=True),
    "asset-kinds": Shot(
        {"assetIds": ["drawing", "rules", "heic", "jxl", "clip"], "layout": "grid"}, titled=True
    ),
    "asset-backing": Shot({"assetIds": ["art", "drawing"]}, {"theme": "dark"}),
    "playing": Shot(
        {"assetIds": ["game"], "text": "The clip plays beside its caption."},
        {"format": "mp4"},
        assets={"play": True},
        take=moments,
    ),
    "portrait": Shot({"assetIds": TWO}, {"resolution": "720x1280"}),
    "square": Shot({"assetIds": TWO}, {"resolution": "720x720"}),
    "small": Shot({"assetIds": TWO}, {"resolution": "320x180"}),
    "tiny": Shot({"assetIds": ONE}, {"resolution": "96x96"}, take=all_frames),
    "quality-80": Shot({"assetIds": ONE}, {"imageFormat": "webp"}, take=detail),
    "quality-20": Shot({"assetIds": ONE}, {"imageFormat": "webp", "quality": 20}, take=detail),
    "image-format-avif": Shot({"assetIds": ONE}, {"imageFormat": "avif"}, take=detail),
    "image-format-jpeg": Shot({"assetIds": ONE}, {"imageFormat": "jpeg"}, take=detail),
    "image-format-png": Shot({"assetIds": ONE}, take=detail),
    "format-gif": Shot({"assetIds": ONE}, {"format": "gif"}, take=detail_of_gif),
    "transition-fade": Shot({"assetIds": ONE}, {"format": "mp4", "transition": "fade"}, take=fade),
    "fps-5": Shot({"assetIds": ONE}, {"format": "mp4", "transition": "fade", "fps": 5}, take=fade),
    "widths": Shot({"assetIds": ONE}, {"widths": [240, 144, 72]}, take=copies),
    "steps-range": Shot(
        {"assetIds": ONE}, {"only": ["sheet"], "stepsRange": {"from": 2, "to": 3}}, take=contact_sheet
    ),
    "thumbnails": Shot({"assetIds": ONE}, {"thumbnails": True}, take=thumbnail),
    "thumbnails-box": Shot({"assetIds": ONE}, {"thumbnails": {"width": 160, "height": 90}}, take=thumbnail),
    "arabic": Shot(
        {
            "title": "كيف تصنع طاحونة",
            "text": "ثلاثة أحجار في صف واحد (خذ حجراً 1 من الخصم).",
            "assetIds": ONE,
        }
    ),
    "japanese": Shot(
        {
            "title": "ミルを作る",
            "text": "三つの石を一列に並べるとミルになります。相手の石を一つ取りましょう 🎉",
            "assetIds": ONE,
        },
        {"theme": "dark"},
    ),
    "language": Shot(
        {
            "title": "三子成線",
            "text": "三顆棋子排成一線，便可取走對方一顆棋子：“骨、直、角”的寫法隨語言而不同。",
            "assetIds": ONE,
        },
        {"language": "zh-Hant"},
    ),
}
MOVING = "animation"
"""The one picture that moves: each card for its ``durationMs``."""


def payload(shot: Shot) -> dict[str, Any]:
    """Returns a job of three steps; the picture shows the second."""
    shown = {"title": TITLE, "text": TEXT, **shot.step}
    used = ["mill", *shown.get("assetIds", [])] if shot.request.get("steps") != [] else []
    assets = [
        {
            "id": name,
            "uri": f"{FOLDER}/{file}",
            **shot.assets,
            **({"title": TITLES[name]} if shot.titled and name in TITLES else {}),
        }
        for name, file in FILES.items()
        if name in used
    ]
    return _job(
        {
            "title": shown["title"],
            "steps": [{}, shown, {}],
            "assets": assets,
            "audio": {},
            **shot.request,
            "options": {**STILL, **shot.options},
        }
    )


def moving() -> dict[str, Any]:
    """A job whose animation is shown as it is."""
    steps = [
        {"title": "Placing", "assetIds": ["placing"], "durationMs": 800},
        {"title": "Making a mill", "assetIds": ["mill"], "durationMs": 2400},
        {"title": "Flying", "assetIds": ["flying"], "durationMs": 800},
    ]
    assets = [{"id": name, "uri": f"{FOLDER}/{FILES[name]}"} for name in ("placing", "mill", "flying")]
    options = {"resolution": f"{SIDE}x270", "quality": 60}
    return _job(
        {"title": "Nine Men's Morris", "steps": steps, "assets": assets, "audio": {}, "options": options}
    )


def _job(request: dict[str, Any]) -> dict[str, Any]:
    ids = {"jobId": "picture", "projectId": "docs", "requestId": "docs", "dryRun": False}
    return validate({**ids, "previewRequest": request}).raw


def rendered(made: dict[str, Any], root: Path, out: Path, fonts: tuple[Path, ...] = ()) -> Path:
    """Renders a job with ``fonts`` and those of this machine; returns the folder of the bundle."""
    render(
        read_storyboard(made, ThemeFolder(THEMES).find(made["previewRequest"])),
        opener=FileAssetOpener((root,)),
        writer=ArtifactWriter(FolderOutput(out), RenderLimits().output_bytes),
        limits=RenderLimits(),
        progress=lambda _share, _word: None,
        fonts=find_fonts(fonts),
    )
    return out


def main(names: list[str]) -> None:
    """Writes the pictures with these names, or all."""
    target = IMAGES / "rendering"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_assets(root / FOLDER)
        write_kinds(root / FOLDER)
        shutil.copy(THEMES / "morris" / "logo.svg", root / FOLDER)
        for name, shot in PICTURES.items():
            if not names or name in names:
                image = shot.take(rendered(payload(shot), root, root / name, shot.fonts))
                image.save(target / f"{name}.webp", quality=shot.quality, method=6)
        if not names or MOVING in names:
            shown = rendered(moving(), root, root / MOVING) / "animation.webp"
            (target / f"{MOVING}.webp").write_bytes(shown.read_bytes())
        if not names:
            lesson = jobs(project_id="morris", created_at_ms=0, prefix="")[0].payload
            sheet = rendered(validate(lesson).raw, root, root / "lesson") / "sheet.webp"
            (IMAGES / "contact-sheet.webp").write_bytes(sheet.read_bytes())


if __name__ == "__main__":
    main(sys.argv[1:])
