"""Fonts that a worker finds: the operator's files and folders, and those of fontconfig."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from previewops.worker.render.text.fontconfig import find_fonts
from previewops.worker.render.text.fontfiles import FontFile

ANSWER = r"""#!/bin/sh
case "$3" in
  emoji) printf '/f/emoji.ttf\t0\t0\tFalse\tTrue\n' ;;
  *) printf '/f/sans.ttf\t0\t0\tTrue\tFalse\n/f/slanted.ttf\t0\t100\tTrue\tFalse\n/f/cjk.ttc\t2\t0\tTrue\tFalse\n'
     printf '/f/old.pcf.gz\t0\t0\tFalse\tFalse\n/f/no-number.ttf\tx\t0\tTrue\tFalse\nnonsense\n' ;;
esac
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake fc-match, alone on the PATH with the shell's tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    return folder / "fc-match"


def make(program: Path, script: str) -> None:
    program.write_text(script)
    program.chmod(0o755)


def test_upright_faces_of_fontconfig_come_in_its_order_once(program: Path) -> None:
    make(program, ANSWER)
    fonts = find_fonts([])
    assert fonts.preferred == ()
    assert fonts.system == (FontFile("/f/sans.ttf"), FontFile("/f/cjk.ttc", 2), FontFile("/f/emoji.ttf"))


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\nprintf '\\377\\376'\n", "no program"])
def test_a_failing_fontconfig_returns_no_fonts(program: Path, script: str) -> None:
    make(program, script)
    assert find_fonts([]).system == ()


def test_without_fontconfig_there_are_no_system_fonts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_fonts([]).system == ()


def test_folders_are_searched_for_fonts_in_the_order_given(tmp_path: Path, program: Path) -> None:
    make(program, "#!/bin/sh\n")
    (tmp_path / "fonts" / "deep").mkdir(parents=True)
    for name in ("fonts/b.otf", "fonts/a.TTF", "fonts/deep/c.ttc", "fonts/readme.txt", "single.ttf"):
        (tmp_path / name).write_bytes(b"")
    fonts = find_fonts([tmp_path / "single.ttf", tmp_path / "fonts", tmp_path / "absent.ttf"])
    names = [Path(file.path).name for file in fonts.preferred]
    assert names == ["single.ttf", "a.TTF", "b.otf", "c.ttc", "absent.ttf"]


@pytest.mark.skipif(shutil.which("fc-match") is None, reason="there is no fontconfig")
def test_the_installed_fontconfig_returns_files() -> None:
    fonts = find_fonts([])
    assert all(Path(file.path).is_file() for file in fonts.system)
    assert len(set(fonts.system)) == len(fonts.system)
