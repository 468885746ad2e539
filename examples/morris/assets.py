"""Draws the demo's pictures, including a truncated one and an unfinished upload."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image

from examples.morris.lesson import ALL_PLACED, Scene, position_after, scenes
from examples.morris.scene import draw_men, draw_scene
from previewops.worker.demo import UPLOADING

MEN = "men.webp"
CORRUPT = "corrupt.png"

# A photograph's format for some, as a producer would have it; WebP has a third of its bytes.
_SUFFIX = {"placing": ".jpg", "capture": ".jpg", "flying": ".jpg"}
_JPEG_QUALITY = 82
_WEBP_QUALITY = 90
_TRUNCATED_TO = 60_000  # bytes: the header is complete, the pixels end early


def file_name(scene: str) -> str:
    """The file that holds the scene of that name."""
    return scene + _SUFFIX.get(scene, ".webp")


def write_assets(folder: Path) -> list[Path]:
    """Draws every picture of the demo into ``folder`` and returns the files, sorted.

    Among them are ``CORRUPT``, a truncated PNG, and ``UPLOADING`` with the suffix of an unfinished upload. The same
    version of the imaging library gives the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {file_name(name): draw_scene(scene) for name, scene in scenes().items()}
    pictures[MEN] = draw_men()
    pictures[f"{UPLOADING}.part"] = draw_scene(Scene(position_after(ALL_PLACED)))
    contents = {
        name: _encode(image, Path(name.removesuffix(".part")).suffix) for name, image in pictures.items()
    }
    contents[CORRUPT] = _encode(pictures[file_name("board")], ".png")[:_TRUNCATED_TO]
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return sorted(folder / name for name in contents)


def _encode(image: Image.Image, suffix: str) -> bytes:
    file = BytesIO()
    match suffix:
        case ".jpg":
            image.save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        case ".webp":
            image.save(file, "WEBP", quality=_WEBP_QUALITY, method=4)
        case _:
            image.save(file, "PNG")
    return file.getvalue()
