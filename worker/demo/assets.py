"""Writes the demo's pictures, and the two that it needs broken."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from previewops.worker.demo.lesson import ALL_PLACED, Scene, position_after, scenes
from previewops.worker.demo.scene import draw_men, draw_scene

FOLDER = "demo"  # under DATA_DIR/assets
PART_SUFFIX = ".part"

MEN = "men.webp"
ARRIVING = "opening.png"  # its upload is under way until finish_upload
CORRUPT = "corrupt.png"
MISSING = "lost.png"

# PNG where a sharp line matters most; a photograph's format for the rest, as a producer would have it.
_SUFFIX = {"placing": ".jpg", "capture": ".jpg", "flying": ".jpg"}
_JPEG_QUALITY = 92
_WEBP_QUALITY = 90
_TRUNCATED_TO = 0.4  # of the file: the header is whole, the pixels end early


def file_name(scene: str) -> str:
    """The file that holds the scene of that name."""
    return scene + _SUFFIX.get(scene, ".png")


def write_assets(folder: Path) -> list[Path]:
    """Draws every asset of the demo into ``folder`` (made if need be) and returns the files, sorted.

    Among them are ``CORRUPT``, a truncated PNG, and ``ARRIVING`` with ``.part`` at its end, an upload that has not
    finished; ``MISSING`` is not written, and ``MISSING`` and ``ARRIVING`` of an earlier demo are removed. The
    same version of the imaging library gives the same bytes. Each file appears whole or not at all.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (ARRIVING, MISSING):
        (folder / name).unlink(missing_ok=True)
    written = [_save(draw_scene(scene), folder / file_name(name)) for name, scene in scenes().items()]
    written.append(_save(draw_men(), folder / MEN))
    opening = draw_scene(Scene(position_after(ALL_PLACED)))
    written.append(_save(opening, folder / (ARRIVING + PART_SUFFIX)))
    whole = written[0].read_bytes()
    written.append(_publish(folder / CORRUPT, whole[: int(len(whole) * _TRUNCATED_TO)]))
    return sorted(written)


def finish_upload(folder: Path) -> Path:
    """Ends the upload that is under way in ``folder``: the file gets its own name. Doing so again does nothing.

    Raises:
        FileNotFoundError: :func:`write_assets` has not run here.
    """
    whole = folder / ARRIVING
    part = folder / (ARRIVING + PART_SUFFIX)
    if part.exists() or not whole.exists():
        part.replace(whole)
    return whole


def _save(image: Image.Image, path: Path) -> Path:
    temporary = _temporary(path)
    match Path(path.name.removesuffix(PART_SUFFIX)).suffix:
        case ".jpg":
            image.save(temporary, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        case ".webp":
            image.save(temporary, "WEBP", quality=_WEBP_QUALITY, method=2)
        case _:
            image.save(temporary, "PNG", compress_level=1)
    return temporary.replace(path)


def _publish(path: Path, content: bytes) -> Path:
    temporary = _temporary(path)
    temporary.write_bytes(content)
    return temporary.replace(path)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")
