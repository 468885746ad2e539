"""Font fallback: order, unusable files, fingerprints."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from previewops.worker.render.text.fontfiles import FontFile, FontSources
from previewops.worker.render.text.fonts import FontChain, FontWeight
from previewops.worker.render.text.sfnt import read_font_info
from previewops.worker.render.text.typesetting import Typesetter

PACKAGE_FONTS = Path(str(files("previewops.worker.fonts")))
HOST_FONTS = [
    *sorted(PACKAGE_FONTS.glob("*.ttf")),
    *sorted(Path("/usr/share/fonts/truetype").glob("*/*.ttf")),
]
DEJAVU = FontFile(str(PACKAGE_FONTS / "DejaVuSans.ttf"))
DEJAVU_BOLD = FontFile(str(PACKAGE_FONTS / "DejaVuSans-Bold.ttf"))


def name_of(chain: FontChain, cluster: str, weight: FontWeight = FontWeight.REGULAR) -> str | None:
    face = chain.find(cluster, weight)
    return face and Path(face.file.path).name


def test_package_fonts_cover_the_documented_scripts() -> None:
    chain = FontChain(FontSources())
    assert name_of(chain, "a") == "Inter-Regular.ttf"
    assert name_of(chain, "a", FontWeight.BOLD) == "Inter-Bold.ttf"
    assert name_of(chain, "ع") == "DejaVuSans.ttf"
    assert name_of(chain, "ع", FontWeight.SEMIBOLD) == "DejaVuSans-Bold.ttf"
    assert name_of(chain, "漢") is None


def test_preferred_fonts_come_first_in_the_nearest_weight() -> None:
    chain = FontChain(FontSources(preferred=(DEJAVU_BOLD, DEJAVU)))
    assert name_of(chain, "a") == "DejaVuSans.ttf"
    assert name_of(chain, "a", FontWeight.BOLD) == "DejaVuSans-Bold.ttf"
    assert name_of(chain, "ğ") == "Inter-Regular.ttf"  # not in the subset of DejaVu


def test_host_fonts_come_between_inter_and_dejavu(tmp_path: Path) -> None:
    copied = Path(shutil.copy(DEJAVU.path, tmp_path / "machine.ttf"))
    chain = FontChain(FontSources(system=(FontFile(str(copied)),)))
    assert name_of(chain, "a") == "Inter-Regular.ttf"
    assert name_of(chain, "ع") == "machine.ttf"


def test_unusable_fonts_are_skipped_and_listed(tmp_path: Path) -> None:
    for name, content in (
        ("empty.ttf", b""),
        ("text.otf", b"not a font"),
        ("cut.ttf", Path(DEJAVU.path).read_bytes()[:3000]),
    ):
        (tmp_path / name).write_bytes(content)
    broken = tuple(
        FontFile(str(tmp_path / name)) for name in ("empty.ttf", "text.otf", "cut.ttf", "absent.ttf")
    )
    typesetter = Typesetter(FontSources(preferred=broken, system=broken))
    assert typesetter.fit_line("Still set", FontWeight.REGULAR, 20, 300).width > 0
    assert set(typesetter.unusable_fonts) == {file.path for file in broken}


def test_the_fingerprint_changes_with_every_change(tmp_path: Path) -> None:
    copied = Path(shutil.copy(DEJAVU.path, tmp_path / "one.ttf"))
    one = FontFile(str(copied))
    prints = [
        FontSources().with_stamps().fingerprint(),
        FontSources(preferred=(one,)).with_stamps().fingerprint(),
        FontSources(system=(one,)).with_stamps().fingerprint(),
        FontSources(system=(one, DEJAVU)).with_stamps().fingerprint(),
        FontSources(system=(DEJAVU, one)).with_stamps().fingerprint(),
    ]
    copied.write_bytes(Path(DEJAVU_BOLD.path).read_bytes())
    prints.append(FontSources(preferred=(one,)).with_stamps().fingerprint())
    copied.unlink()
    prints.append(FontSources(preferred=(one,)).with_stamps().fingerprint())
    assert len(set(prints)) == len(prints)
    assert (
        FontSources(preferred=(DEJAVU,)).with_stamps().fingerprint()
        == FontSources(preferred=(DEJAVU,)).with_stamps().fingerprint()
    )


def test_a_replaced_font_is_reloaded(tmp_path: Path) -> None:
    copied = Path(shutil.copy(DEJAVU.path, tmp_path / "one.ttf"))
    sources = FontSources(preferred=(FontFile(str(copied)),))
    before = FontChain(sources.with_stamps()).find("a", FontWeight.REGULAR)
    assert before is not None
    assert FontChain(sources.with_stamps()).find("a", FontWeight.REGULAR) is before
    shutil.copy(PACKAGE_FONTS / "Inter-Regular.ttf", tmp_path / "new")
    os.utime(tmp_path / "new", ns=(0, copied.stat().st_mtime_ns))
    (tmp_path / "new").replace(copied)
    after = FontChain(sources.with_stamps()).find("a", FontWeight.REGULAR)
    assert after is not None
    assert (before.name, after.name) == ("DejaVu Sans", "Inter")
    assert before.at_size(20) is not after.at_size(20)


def test_font_sources_round_trip_as_json() -> None:
    sources = FontSources((DEJAVU,), (FontFile("/x.ttc", 3), DEJAVU_BOLD))
    assert FontSources.from_json(sources.as_json()) == sources
    assert (
        FontSources.from_json(json.loads(json.dumps(sources.with_stamps().as_json())))
        == sources.with_stamps()
    )
    assert FontSources.from_json(None) == FontSources()


def test_symbols_keep_the_font_of_their_word_and_runs_are_in_visual_order() -> None:
    block = Typesetter().fit_line("ג abc אבג, 12 (דה)", FontWeight.REGULAR, 20, 1_000)
    runs = block.lines[0].runs
    assert [(run.text, run.rtl) for run in runs if run.text.isascii()][-1] == ("abc", False)
    assert any(run.text.startswith("אבג,") and run.rtl for run in runs)
    assert sorted("".join(run.text for run in runs)) == sorted("ג abc אבג, 12 (דה)")


@pytest.mark.parametrize("size", [10, 23, 24, 60])
def test_text_width_is_proportional_to_its_size(size: int) -> None:
    typesetter = Typesetter()
    large = typesetter.measure("Hamburgefonstiv", FontWeight.REGULAR, 400) / 400
    assert typesetter.measure("Hamburgefonstiv", FontWeight.REGULAR, size) / size == pytest.approx(
        large, rel=0.03
    )


@pytest.mark.parametrize(
    "path", [path for path in HOST_FONTS if path.suffix == ".ttf"], ids=lambda path: path.name
)
def test_font_properties_equal_those_of_fonttools(path: Path) -> None:
    with path.open("rb") as file, TTFont(path, lazy=True) as font:
        info = read_font_info(file)
        strikes = [strike.bitmapSizeTable.ppemX for strike in font["CBLC"].strikes] if "CBLC" in font else []
        assert set(info.coverage) == set(font.getBestCmap())
        assert info.family == font["name"].getBestFamilyName()
        assert info.weight == font["OS/2"].usWeightClass
        assert info.strike == max(strikes, default=None)
        assert info.coloured == any(table in font for table in ("CBDT", "COLR", "SVG ", "sbix"))


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(300 * 1024 * 1024)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "make",
    [
        make_fifo,
        Path.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("/dev/tty"),
        make_huge,
    ],
    ids=["pipe", "folder", "zero", "terminal", "huge"],
)
def test_only_regular_files_of_a_limited_size_are_fonts(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "font.ttf"
    make(path)
    sources = FontSources(preferred=(FontFile(str(path)),)).with_stamps()
    assert sources.preferred[0].stamp == (-1, -1, -1)
    chain = FontChain(sources)
    assert chain.unusable == (str(path),)
    assert name_of(chain, "a") == "Inter-Regular.ttf"
