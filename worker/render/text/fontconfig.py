"""The fonts that a worker offers its renders: the operator's, and what fontconfig knows of.

Looked up in the worker, once, so that no render process starts a program. No font is opened here: whether a file is
one, and what it has, is for ``previewops.worker.render.text.fonts`` to find out.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which

import structlog

from previewops.worker.render.text.fontfiles import FontFile, FontSources

log = structlog.get_logger()

_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_MAX_FACES = 400  # faces offered: a machine may have thousands
_TIMEOUT_S = 20  # a first run of fontconfig builds its cache
# Upright faces in the order in which fontconfig falls back for a sans serif, less those that add no character.
_PATTERNS = ("sans-serif:slant=0:weight=80", "sans-serif:slant=0:weight=200", "emoji")
_FORMAT = r"%{file}\t%{index}\t%{slant}\t%{scalable}\t%{color}\n"


def find_fonts(preferred: Sequence[Path]) -> FontSources:
    """The files of ``preferred`` (fonts, or folders of them, in order), and those that fontconfig finds.

    Where there is no fontconfig, or it fails, there are none of the second kind.
    """
    first = [FontFile(str(path.absolute())) for entry in preferred for path in _font_files(entry)]
    return FontSources(tuple(first[:_MAX_FACES]), tuple(_system_fonts()))


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
    fonts: dict[FontFile, None] = {}
    for pattern in _PATTERNS:
        fonts.update(dict.fromkeys(_match_fonts(program, pattern)))
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
            yield FontFile(path, int(face))
