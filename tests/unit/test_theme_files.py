"""Theme files: what is wrong is named by file and key, what is right becomes a theme."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from PIL import Image
from structlog.testing import capture_logs

from previewops.job_errors import JobError
from previewops.schemas import theme_schema
from previewops.worker.render.theme import Theme
from previewops.worker.themes.definition import ThemeDefinition
from previewops.worker.themes.folder import ThemeFolder
from previewops.worker.themes.monitor import ThemeMonitor
from previewops.worker.themes.theme_file import MAX_LOGO_BYTES, read_theme

FULL = """
extends = "dark"
font = "Source Sans 3"
spacing = 1.25
cornerRadius = 0

[colours]
background = "#0B1D26"
surface = "#12303E"
line = "#2A4C5A"
ink = "#F2F7F5"
muted = "#A9C0C4"
accent = "#5AD1B2"

[brand]
logo = "acme/logo.png"
corner = "bottom-end"
footer = "Acme Learning"
"""


def theme_file(folder: Path, text: str | bytes, name: str = "acme") -> Path:
    path = folder / f"{name}.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def logo(folder: Path) -> bytes:
    (folder / "acme").mkdir()
    Image.new("RGBA", (40, 20), (200, 30, 60, 255)).save(folder / "acme" / "logo.png")
    return (folder / "acme" / "logo.png").read_bytes()


def test_a_theme_has_every_value_of_its_file(tmp_path: Path) -> None:
    content = logo(tmp_path)
    file = read_theme(theme_file(tmp_path, FULL))
    theme = file.theme
    assert file.problems == ()
    assert theme is not None
    assert (theme.name, theme.extends, theme.font) == ("acme", "dark", "Source Sans 3")
    assert (theme.spacing, theme.corner_radius) == (1.25, 0.0)
    assert (theme.corner, theme.footer, theme.logo_file) == ("bottom-end", "Acme Learning", "acme/logo.png")
    assert theme.logo is not None
    assert base64.b64decode(theme.logo.partition(",")[2]) == content
    sent = ThemeDefinition.from_json(theme.as_json())
    assert sent is not None
    assert sent.logo == "acme/logo.png"  # a render process gets the content from its worker
    assert sent.colours == theme.colours


def test_the_schema_names_the_colours_of_the_renderer_that_a_theme_may_have() -> None:
    colours = theme_schema()["properties"]["colours"]["properties"]
    derived = {"accent_ink", "on_accent", "tint", "backing"}
    assert set(colours) == set(Theme.__slots__) - derived


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a = ", ["acme.toml is not TOML: found"]),
        (b"a = '\xff'", ["acme.toml is not TOML: found"]),
        ("spacing = nan", ["acme.toml: spacing is not a finite number: found NaN, allowed finite numbers"]),
        ("extends = 'sepia'", ['acme.toml: extends is not an allowed value: found "sepia", allowed light, dark']),
        ("spacing = 2", ["acme.toml: spacing is above the maximum: found 2, allowed from 0.75 to 1.5"]),
        ("font = 3", ["acme.toml: font must be a string"]),
        ("font = 1979-05-27", ["acme.toml: font "]),
        ("colors = {}", ["acme.toml: colors is not a known property: found an object of 0"]),
        ("[colours]\nink = 'red'", ['acme.toml: colours.ink has an invalid format: found "red", allowed #RRGGBB']),
        (
            "[colours]\nbackground = '#FFFFFF'\nmuted = '#BBBBBB'",
            [
                "acme.toml: colours.muted has too little contrast: found 1.9:1 of muted on background",
                "acme.toml: colours.muted has too little contrast",
            ],
        ),
        ("[brand]\nlogo = '/etc/logo.png'", ["acme.toml: brand.logo has an invalid format"]),
        ("[brand]\nlogo = 'a/../../logo.png'", ["acme.toml: brand.logo has an invalid format"]),
        ("[brand]\nlogo = 'missing.png'", ["acme.toml: brand.logo cannot be read: found No such file"]),
        ("[brand]\nlogo = 'acme.toml'", ["acme.toml: brand.logo is not a picture: found"]),
        ("[brand]\ncorner = 'left'\nfooter = 1", ["acme.toml: brand.corner ", "acme.toml: brand.footer must be"]),
    ],
)  # fmt: skip
def test_each_problem_names_file_and_key(tmp_path: Path, text: str | bytes, problems: list[str]) -> None:
    file = read_theme(theme_file(tmp_path, text))
    assert file.theme is None
    assert len(file.problems) == len(problems), file.problems
    for problem, start in zip(file.problems, problems, strict=True):
        assert problem.startswith(start), problem


@pytest.mark.parametrize("name", ["light", "Acme", "1st", "a_b", "a" * 65])
def test_a_name_that_no_payload_can_have_is_invalid(tmp_path: Path, name: str) -> None:
    (problem,) = read_theme(theme_file(tmp_path, "", name)).problems
    assert "has an invalid name" in problem


def test_a_logo_outside_of_the_folder_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "themes"
    folder.mkdir()
    logo(tmp_path)
    (folder / "logo.png").symlink_to(tmp_path / "acme" / "logo.png")
    (problem,) = read_theme(theme_file(folder, "[brand]\nlogo = 'logo.png'")).problems
    assert "leads out of the folder" in problem
    # Kubernetes mounts each file of a ConfigMap as a link inside of the folder.
    (folder / "..data").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "..data" / "in.png")
    (folder / "in.png").symlink_to("..data/in.png")
    assert read_theme(theme_file(folder, "[brand]\nlogo = 'in.png'")).problems == ()


def test_a_large_logo_and_a_pipe_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(MAX_LOGO_BYTES))
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("big", "pipe"):
        (problem,) = read_theme(theme_file(tmp_path, f"[brand]\nlogo = '{name}.png'")).problems
        assert "brand.logo cannot be read" in problem


def test_the_digest_changes_with_file_and_logo(tmp_path: Path) -> None:
    logo(tmp_path)
    digests = set()
    for change in ("none", "file", "logo"):
        if change == "logo":
            Image.new("RGB", (40, 20), (1, 2, 3)).save(tmp_path / "acme" / "logo.png")
        theme = read_theme(theme_file(tmp_path, FULL + ("# more" if change != "none" else ""))).theme
        assert theme is not None
        digests.add(theme.digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("folder", "name", "code", "words"),
    [
        ("themes", "missing", "theme-unknown", "found missing, allowed light, dark, acme, bad"),
        ("themes", "bad", "theme-invalid", "bad.toml: spacing must be"),
        ("gone", "acme", "themes-unavailable", "cannot be read"),
        (None, "acme", "theme-unknown", "allowed light, dark"),
    ],
)
def test_a_theme_that_is_not_there_is_a_clear_error(
    tmp_path: Path, folder: str | None, name: str, code: str, words: str
) -> None:
    (tmp_path / "themes").mkdir()
    theme_file(tmp_path / "themes", "")
    theme_file(tmp_path / "themes", "spacing = 'wide'", "bad")
    themes = ThemeFolder(tmp_path / folder if folder else None)
    with pytest.raises(JobError) as error:
        themes.find({"options": {"theme": name}})
    assert error.value.code == code
    assert words in error.value.message
    assert error.value.hint
    assert themes.find({}) is None
    assert themes.find({"options": {"theme": "dark"}}) is None


async def test_a_worker_reports_invalid_themes_and_logs_each_once(tmp_path: Path) -> None:
    theme_file(tmp_path, "")
    theme_file(tmp_path, "spacing = 'wide'", "bad")
    monitor = ThemeMonitor(ThemeFolder(tmp_path))
    with capture_logs() as lines:
        await monitor.check()
        await monitor.check()
    assert [line["event"] for line in lines] == ["theme.invalid"]
    report = monitor.report()["themes"]
    assert (report["count"], report["invalid"]) == (2, 1)
    assert "bad.toml: spacing" in report["problems"][0]
    other = ThemeMonitor(ThemeFolder(tmp_path))
    await other.check()
    assert other.report() == monitor.report()
    theme_file(tmp_path, "spacing = 1.1")
    await other.check()
    assert other.report()["themes"]["digest"] != report["digest"]


async def test_a_missing_folder_is_reported_and_no_folder_is_fine(tmp_path: Path) -> None:
    gone, none = ThemeMonitor(ThemeFolder(tmp_path / "gone")), ThemeMonitor(ThemeFolder(None))
    await gone.check()
    await none.check()
    assert "cannot be read" in gone.report()["themes"]["problems"][0]
    assert none.report() == {"themes": {"count": 0, "digest": "", "invalid": 0, "problems": []}}
