"""Brands and named themes, rendered: logo, footer, font and colours in every picture of a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from previewops import worker
from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.bundle_builder import build_bundle
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.text.fontfiles import FontFile, FontSources
from tests.integration.cli_program import Program
from tests.render_support import payload, quarters, read_preview

DEJAVU = Path(worker.__file__).parent / "fonts" / "DejaVuSans.ttf"
RED, BLACK = (220, 20, 60), (0, 0, 0)
LOGO = {"uri": "logo.png"}
STILL = {"resolution": "640x360", "format": "png"}
STEPS = [{"title": "One", "assetIds": ["a"]}, {"title": "Two"}, {"assetIds": ["a"], "layout": "full"}]
ASSETS = [{"id": "a", "uri": "a.png"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    quarters((320, 180)).save(tmp_path / "a.png")
    logo_file(tmp_path, RED)
    return tmp_path


def logo_file(folder: Path, colour: tuple[int, int, int]) -> None:
    """Writes a logo of one colour with transparent margins."""
    image = Image.new("RGBA", (240, 120), (0, 0, 0, 0))
    image.paste((*colour, 255), (60, 30, 180, 90))
    image.save(folder / "logo.png")


def build(folder: Path, job: dict[str, Any], out: str = "out", **given: Any) -> dict[str, Any]:
    return build_bundle(
        job,
        opener=FileAssetOpener((folder,)),
        output=FolderOutput(folder / out),
        limits=RenderLimits(),
        progress=lambda _share, _phase: None,
        **given,
    )


def colour_box(path: Path, colour: tuple[int, int, int]) -> tuple[int, int, int, int] | None:
    """The bounding box of the pixels with exactly ``colour``."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    red, green, blue = ImageChops.difference(image, Image.new("RGB", image.size, colour)).split()
    furthest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return furthest.point([255] + [0] * 255).getbbox()


@pytest.mark.parametrize("corner", ["top-start", "top-end", "bottom-start", "bottom-end"])
@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_logo_is_in_its_corner_of_every_picture(folder: Path, corner: str, language: str) -> None:
    job = payload(STEPS, ASSETS, brand={"logo": LOGO, "corner": corner}, language=language, **STILL)
    assert build(folder, job)["warnings"] == []
    at_left = corner.endswith("start") != (language == "ar")
    for path in (
        folder / "out" / "poster.png",
        folder / "out" / "sheet.png",
        *(folder / "out" / "frames").iterdir(),
    ):
        box = colour_box(path, RED)
        assert box is not None, path
        with Image.open(path) as image:
            width, height = image.size
        if path.name != "sheet.png":  # whose small frames have it too
            assert (box[2] < width / 2) if at_left else (box[0] > width / 2), (path, box)
            assert (box[3] < height / 2) if corner.startswith("top") else (box[1] > height / 2), (path, box)
    # The transparent margins of the file do not move it out of line.
    box = colour_box(folder / "out" / "frames" / "002.png", RED)
    assert box is not None
    assert (box[0] - 32 <= 1) if at_left else (640 - 32 - box[2] <= 1), box


def test_the_logo_is_an_asset_without_a_thumbnail(folder: Path) -> None:
    job = payload(STEPS, [*ASSETS, {"id": "logo", "uri": "a.png"}], brand={"logo": LOGO}, **STILL)
    build(folder, job)
    preview = read_preview(folder / "out")
    assert [asset["id"] for asset in preview["assets"]] == ["a", "logo", "logo-"]
    assert "thumbnail" not in preview["assets"][2]
    assert {path.name for path in (folder / "out" / "thumbs").iterdir()} == {"a.png", "logo.png"}


def test_the_logo_alone_is_not_the_picture_of_a_title_card(folder: Path) -> None:
    build(folder, payload(brand={"logo": LOGO}, **STILL))
    box = colour_box(folder / "out" / "poster.png", RED)
    assert box is not None
    assert box[2] - box[0] < 640 * 0.2


def test_a_dark_logo_on_a_dark_theme_gets_a_plate(folder: Path) -> None:
    logo_file(folder, BLACK)
    for theme, has_plate in (("light", False), ("dark", True)):
        build(folder, payload(STEPS, ASSETS, brand={"logo": LOGO}, theme=theme, **STILL), theme)
        path = folder / theme / "frames" / "002.png"
        box = colour_box(path, BLACK)
        assert box is not None
        with Image.open(path) as image:
            beside = image.convert("RGB").getpixel((box[0] - 2, (box[1] + box[3]) // 2))
            ground = image.convert("RGB").getpixel((2, 2))
        assert (beside != ground) is has_plate


@pytest.mark.parametrize("on_error", ["fail", "gap"])
def test_a_missing_logo_fails_the_job_or_is_reported(folder: Path, on_error: str) -> None:
    brand = {"logo": {"uri": "nowhere.png"}}
    job = payload(STEPS, ASSETS, brand=brand, onAssetError=on_error, **STILL)
    if on_error == "fail":
        with pytest.raises(PermanentJobError) as error:
            build(folder, job)
        assert error.value.code == "asset-missing"
        return
    (warning,) = build(folder, job)["warnings"]
    assert "asset logo" in warning
    assert "omitted (asset-missing)" in warning


def test_pictures_that_are_all_missing_are_not_replaced_by_a_logo(folder: Path) -> None:
    (folder / "a.png").unlink()
    with pytest.raises(PermanentJobError) as error:
        build(folder, payload(STEPS, ASSETS, brand={"logo": LOGO}, onAssetError="gap", **STILL))
    assert error.value.code == "asset-missing"


def test_the_logo_has_the_limits_and_the_checksum_of_an_asset(folder: Path) -> None:
    wrong = {"logo": {**LOGO, "sha256": "0" * 64}}
    with pytest.raises(PermanentJobError) as error:
        build(folder, payload(STEPS, ASSETS, brand=wrong, **STILL))
    assert error.value.code == "asset-checksum"
    with pytest.raises(PermanentJobError) as error:
        build_bundle(
            payload(STEPS, ASSETS, brand={"logo": LOGO}, **STILL),
            opener=FileAssetOpener((folder,)),
            output=FolderOutput(folder / "out"),
            limits=RenderLimits(assets=1),
            progress=lambda _share, _phase: None,
        )
    assert error.value.code == "too-many-assets"


def test_the_footer_is_on_frames_and_once_on_the_sheet(folder: Path) -> None:
    """Frames with another footer differ only in its row; the cells of the sheet do not differ at all."""
    for name, footer in (("one", "Acme Learning"), ("two", "Northern Light")):
        build(folder, payload(STEPS, ASSETS, brand={"footer": footer}, **STILL), name)
    for path in sorted((folder / "one" / "frames").iterdir()):
        one, two = (
            Image.open(folder / name / "frames" / path.name).convert("RGB") for name in ("one", "two")
        )
        changed = [
            row for row in range(360) if one.crop((0, row, 640, row + 1)) != two.crop((0, row, 640, row + 1))
        ]
        assert changed
        assert min(changed) >= 320
        assert max(changed) < 360 - 18
    one, two = (Image.open(folder / name / "sheet.png").convert("RGB") for name in ("one", "two"))
    width, height = one.size
    rows = [
        row
        for row in range(height)
        if one.crop((0, row, width, row + 1)) != two.crop((0, row, width, row + 1))
    ]
    assert rows
    assert min(rows) > height - 100


def test_texts_have_the_font_of_the_brand_or_a_warning(folder: Path) -> None:
    shutil.copy(DEJAVU, folder / "own.ttf")
    fonts = FontSources(preferred=(FontFile(str(folder / "own.ttf")),)).with_stamps()

    def used(out: str, **brand: str) -> tuple[list[str], list[str]]:
        summary = build(folder, payload(STEPS, ASSETS, brand=brand, **STILL), out, fonts=fonts)
        fonts_used: list[str] = json.loads((folder / out / "preview.json").read_text())["fonts"]
        return fonts_used, summary["warnings"]

    assert used("default") == used("own", font="dejavu sans")
    assert "DejaVu Sans" in used("again", font="DejaVu Sans")[0]
    families, warnings = used("inter", font="Inter")
    assert warnings == []
    assert all(family.startswith("Inter") for family in families)
    families, (warning,) = used("other", font="Lora")
    assert "DejaVu Sans" in families
    assert warning.startswith("brand.font: found 'Lora', allowed DejaVu Sans, Inter (PREVIEW_FONTS)")


def test_an_animation_has_logo_and_footer(folder: Path) -> None:
    brand = {"logo": LOGO, "footer": "Acme"}
    build(folder, payload(STEPS, ASSETS, brand=brand, resolution="640x360", format="apng", imageFormat="png"))
    with Image.open(folder / "out" / "animation.apng") as animation:
        for index, path in enumerate(sorted((folder / "out" / "frames").iterdir())):
            animation.seek(index)
            with Image.open(path) as frame:
                assert animation.convert("RGB").tobytes() == frame.convert("RGB").tobytes()


def test_the_same_brand_gives_the_same_bytes(folder: Path) -> None:
    brand = {"logo": LOGO, "footer": "Acme", "accent": "#AA3300"}
    for name in ("one", "two"):
        build(folder, payload(STEPS, ASSETS, brand=brand, **STILL), name)
    assert (folder / "one" / "container.json").read_bytes() == (
        folder / "two" / "container.json"
    ).read_bytes()


def test_a_dry_run_reports_the_logo_and_the_warnings(folder: Path) -> None:
    brand = {"logo": LOGO, "accent": "#FFCC00", "font": "Lora"}
    plan = build(folder, payload(STEPS, ASSETS, brand=brand, dry_run=True, **STILL))["plan"]
    assert [asset["id"] for asset in plan["assets"]] == ["a", "logo"]
    assert [warning.partition(":")[0] for warning in plan["warnings"]] == ["brand.accent", "brand.font"]


def write_theme(folder: Path, background: str) -> None:
    (folder / "themes").mkdir(exist_ok=True)
    shutil.copy(folder / "logo.png", folder / "themes" / "logo.png")
    text = f"[colours]\nbackground = '{background}'\n[brand]\nlogo = 'logo.png'\ncorner = 'bottom-end'\n"
    (folder / "themes" / "acme.toml").write_text(text)


def test_a_named_theme_is_rendered_by_the_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_theme(folder, "#204060")
    monkeypatch.chdir(folder)
    request = payload(STEPS, ASSETS, theme="acme", **STILL)["previewRequest"]
    bundle = worker.render(request, out="bundle", themes="themes")
    theme, brand = (read_preview(bundle.folder)[name] for name in ("theme", "brand"))
    assert (theme["name"], theme["background"], len(theme["digest"])) == ("acme", "#204060", 64)
    assert brand == {"logo": "logo", "corner": "bottom-end", "font": None, "footer": None}
    box = colour_box(bundle.frames[2], RED)
    assert box is not None
    assert box[1] > 180
    with Image.open(bundle.poster) as poster:
        assert poster.convert("RGB").getpixel((2, 2)) == (0x20, 0x40, 0x60)
    with pytest.raises(PermanentJobError) as error:
        worker.render(request, out="other")
    assert error.value.code == "theme-unknown"


def test_the_commands_list_check_and_draw_themes(folder: Path) -> None:
    write_theme(folder, "#204060")
    (folder / "themes" / "bad.toml").write_text("spacing = 'wide'\n")
    for name in ("acme", "bad", "none"):
        job = payload(STEPS, ASSETS, theme=name, **STILL)
        (folder / f"{name}.json").write_text(json.dumps({**job, "jobId": name}))
    program = Program(folder, env={"PREVIEW_THEMES": str(folder / "themes")})
    listed = program.run("themes", "--json")
    drawn = program.run("themes", "acme", "--preview", "samples")
    invalid, unknown = program.run("validate", "none.json"), program.run("themes", "none")
    rendered, broken = (program.run("render", f"{name}.json", "-o", name) for name in ("acme", "bad"))
    assert listed.code == 1
    rows = {row["name"]: row for row in json.loads(listed.out)["themes"]}
    assert {name: row["valid"] for name, row in rows.items()} == {
        "light": True,
        "dark": True,
        "acme": True,
        "bad": False,
    }
    assert rows["bad"]["violations"][0]["pointer"] == "/spacing"
    assert rows["acme"]["source"] == str(folder / "themes" / "acme.toml")
    assert drawn.code == 0
    assert colour_box(folder / "samples" / "acme.png", RED)
    assert invalid.code == 65
    assert "/previewRequest/options/theme" in invalid.out
    assert "light, dark, acme, bad (PREVIEW_THEMES)" in invalid.out
    assert unknown.code == 2
    assert rendered.code == 0
    assert broken.code == 1
    assert "bad.toml: spacing must be a number" in broken.err
