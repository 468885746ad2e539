"""Font discovery: the fonts of the operator, of fontconfig, and of the packages of the extra ``fonts``.

The worker runs it once, so that render processes start no programs. It opens no font;
``previewops.worker.render.text.fonts`` checks the files.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import structlog

from previewops.worker.render.text.fontfiles import FontFile, FontSources

log = structlog.get_logger()

_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
# Of the extra "fonts": Noto Sans for 20 scripts, and for Chinese, Japanese and Korean.
_FONT_PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
_MAX_FACES = 400  # a host may have thousands of faces
_FACE_MASK = (
    0xFFFF  # the upper bits number the instances of a variable font, whose axes are set when it is loaded
)
_TIMEOUT_S = 20  # fontconfig builds its cache on the first run
# Upright faces in fontconfig's fallback order for a sans serif, without faces that add no characters.
_PATTERNS = ("sans-serif:slant=0:weight=80", "sans-serif:slant=0:weight=200", "emoji")
_FORMAT = r"%{file}\t%{index}\t%{slant}\t%{scalable}\t%{color}\n"


def find_fonts(preferred: Sequence[Path]) -> FontSources:
    """Returns the files of ``preferred`` (fonts or folders, in order), of fontconfig and of installed font packages.

    Without fontconfig, or if it fails, it returns only the others.
    """
    first = [FontFile(str(path.absolute())) for entry in preferred for path in _font_files(entry)]
    packaged = [FontFile(str(path)) for folder in _package_folders() for path in _font_files(folder)]
    return FontSources(tuple(first[:_MAX_FACES]), (*_system_fonts(), *packaged))


def _package_folders() -> Iterator[Path]:
    for name in _FONT_PACKAGES:
        spec = find_spec(name)
        yield from map(Path, (spec and spec.submodule_search_locations) or ())


def _font_files(entry: Path) -> list[Path]:
    if entry.is_dir():
        return sorted(path for path in entry.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not entry.exists():
        log.warning("fonts.missing", path=str(entry))
    return [entry]


def _system_fonts() -> list[FontFile]:
    program = which("fc-match")
    if program is None:
        return []
    fonts = dict.fromkeys(font for pattern in _PATTERNS for font in _match_fonts(program, pattern))
    return list(fonts)[:_MAX_FACES]


def _match_fonts(program: str, pattern: str) -> Iterator[FontFile]:
    try:
        output = subprocess.run(  # noqa: S603 - a fixed command from the PATH
            [program, "--sort", f"--format={_FORMAT}", pattern],
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError) as failure:
        log.warning("fonts.unavailable", reason=str(failure))
        return
    for line in output.splitlines():
        path, face, slant, scalable, colour = (*line.split("\t"), *("",) * 5)[:5]
        upright = slant in ("", "0")
        if upright and "True" in (scalable, colour) and path.lower().endswith(_SUFFIXES) and face.isdecimal():
            yield FontFile(path, int(face) & _FACE_MASK)
