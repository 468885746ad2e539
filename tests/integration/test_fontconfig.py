"""Font discovery: the operator's files and folders, and fontconfig."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from previewops.worker.render.storyboard import read_storyboard
from previewops.worker.render.text import fontconfig
from previewops.worker.render.text.fontconfig import find_fonts
from previewops.worker.render.text.fontfiles import FontFile, FontSources
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.typesetting import Typesetter
from tests.render_support import payload

FC_MATCH = r"""#!/bin/sh
case "$3" in
  emoji) printf '/f/emoji.ttf\t0\t0\tFalse\tTrue\n' ;;
  *) printf '/f/sans.ttf\t0\t0\tTrue\tFalse\n/f/slanted.ttf\t0\t100\tTrue\tFalse\n/f/cjk.ttc\t2\t0\tTrue\tFalse\n'
     printf '/f/old.pcf.gz\t0\t0\tFalse\tFalse\n/f/no-number.ttf\tx\t0\tTrue\tFalse\nnonsense\n' ;;
esac
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_packages: None) -> Path:
    """Returns a fake fc-match, alone on the PATH with the shell tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    return folder / "fc-match"


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the font packages of the extra `fonts`."""
    monkeypatch.setattr(fontconfig, "_FONT_PACKAGES", ("previewops_absent_fonts",))


def make(program: Path, script: str) -> None:
    program.write_text(script)
    program.chmod(0o755)


def test_upright_faces_are_listed_once_in_fontconfig_order(program: Path) -> None:
    make(program, FC_MATCH)
    fonts = find_fonts([])
    assert fonts.preferred == ()
    assert fonts.system == (FontFile("/f/sans.ttf"), FontFile("/f/cjk.ttc", 2), FontFile("/f/emoji.ttf"))


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\nprintf '\\377\\376'\n", "no program"])
def test_a_failing_fontconfig_gives_no_fonts(program: Path, script: str) -> None:
    make(program, script)
    assert find_fonts([]).system == ()


@pytest.mark.usefixtures("without_packages")
def test_without_fontconfig_there_are_no_host_fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_fonts([]).system == ()


def test_font_folders_are_searched_in_order(tmp_path: Path, program: Path) -> None:
    make(program, "#!/bin/sh\n")
    (tmp_path / "fonts" / "deep").mkdir(parents=True)
    for name in ("fonts/b.otf", "fonts/a.TTF", "fonts/deep/c.ttc", "fonts/readme.txt", "single.ttf"):
        (tmp_path / name).write_bytes(b"")
    fonts = find_fonts([tmp_path / "single.ttf", tmp_path / "fonts", tmp_path / "absent.ttf"])
    names = [Path(file.path).name for file in fonts.preferred]
    assert names == ["single.ttf", "a.TTF", "b.otf", "c.ttc", "absent.ttf"]


@pytest.mark.skipif(shutil.which("fc-match") is None, reason="fontconfig is not installed")
def test_fontconfig_of_the_host_lists_files() -> None:
    fonts = find_fonts([])
    assert all(Path(file.path).is_file() for file in fonts.system)
    assert len(set(fonts.system)) == len(fonts.system)


STORYBOARDS = {
    "Chinese": ("骨直角门：这个国家", "zh-Hans"),
    "Japanese": ("骨直角門：ひらがな", "ja"),
    "Korean": ("한국어 미리보기", "ko"),
    "Hindi": ("नमस्ते क्षत्रिय", "hi"),
    "Thai": ("วางหมากของคุณเก้าตัว", "th"),
    "Arabic": ("صباح فوق الضباب", "ar"),
    "Urdu": ("ہر کھلاڑی کے پاس نو مہرے ہیں۔", "ur"),
    "Bengali": ("বাংলা ভাষা", None),
    "Tamil": ("தமிழ் மொழி", None),
    "Khmer": ("ភាសាខ្មែរ", None),
    "Burmese": ("မြန်မာဘာသာ", None),
    "Lao": ("ພາສາລາວ", None),
}


@pytest.mark.parametrize("language", STORYBOARDS)
def test_the_extra_draws_every_script_on_a_host_without_fonts(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    text, tag = STORYBOARDS[language]
    board = read_storyboard(payload(title=text, description=""))
    assert board.language == tag
    typesetter = Typesetter(find_fonts([]), board.shaping_language)
    words = [
        typesetter.fit_line(text, weight, 40, 2_000).lines[0]
        for weight in (FontWeight.REGULAR, FontWeight.BOLD)
    ]
    assert typesetter.undrawn == ()
    regular, bold = ([run for run in line.runs if not run.text.isspace()] for line in words)
    assert len({run.face.file for run in regular}) == 1, "one font for all words of a script"
    assert {run.face.weight for run in regular} == {400}
    assert {run.face.weight for run in bold} == {700}


def test_upright_faces_precede_italic_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (folder,) = (path for path in fontconfig._package_folders() if path.name == "manimgx_fonts")
    assert any("Italic" in path.name for path in folder.iterdir())
    run = Typesetter(FontSources(preferred=find_fonts([folder]).preferred)).fit_line(
        "a", FontWeight.REGULAR, 40, 90
    )
    assert not run.lines[0].runs[0].face.info.italic
