"""Frames, compared with reviewed golden pictures.

There is one picture per resolution and script, with all layouts and alternating themes. The test compares averages of
blocks at small size: it passes with another version of the font rasteriser, but not if a word has moved or lost its
colour. ``PREVIEWOPS_GOLDENS=write`` writes new goldens: review each before the commit.
"""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from previewops.worker.render.fitting import fit_picture
from previewops.worker.render.layout.frames import Placement
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.layout.layout import lay_out_frames
from previewops.worker.render.layout.sheet import ContactSheet
from previewops.worker.render.paint import Painter
from previewops.worker.render.storyboard import Asset, read_storyboard
from previewops.worker.render.text.fontfiles import FontFile, FontSources
from previewops.worker.render.text.typesetting import Typesetter
from tests.render_support import payload
from tests.sample_pictures import landscape, mark

FOLDER = Path(__file__).parent.parent / "goldens"
CELL = 200  # longer side of a frame on a golden, pixels
BLOCK = 4  # side of an averaged block, pixels
MEAN_TOLERANCE, BLOCK_TOLERANCE = 3, 60  # of 255; lossy compression of the goldens causes 2 and 39

PICTURES = {
    "dawn": landscape((960, 540), 0),
    "day": landscape((800, 600), 1),
    "dusk": landscape((540, 960), 2),
    "noon": landscape((600, 600), 3),
    "mark": mark(),
}
RESOLUTIONS = ("320x180", "1280x720", "3840x2160", "1080x1920", "1080x1080")
LARGEST = "3840x2160"  # slow: only for some scripts
CJK = ("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf", "fonts-droid-fallback", "acb6440a713d")
EMOJI = ("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf", "fonts-noto-color-emoji", "e5899ed38b8e")


def site_packages(path: str) -> str:
    """Returns the path of a file of an installed package; it may not exist."""
    package, _, name = path.partition("/")
    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ["/absent"]
    return str(Path(folders[0]) / name)


FONTS = {
    "japanese": CJK,
    "emoji": EMOJI,
    "hindi": (
        site_packages("manimgx_fonts/NotoSansDevanagari[wght].ttf"),
        "previewops[fonts]",
        "bf99bf762743",
    ),
    "thai": (site_packages("manimgx_fonts/NotoSansThai[wght].ttf"), "previewops[fonts]", "13f52f79b04f"),
    "urdu": (site_packages("manimgx_fonts/NotoSansArabic[wght].ttf"), "previewops[fonts]", "3fae4d7239d1"),
    "chinese": (
        site_packages("manimgx_fonts_cjk/NotoSansCJK-VF.otf.ttc"),
        "previewops[fonts]",
        "d3d8256cdec8",
    ),
}
EXTRA = ("hindi", "thai", "urdu", "chinese")  # scripts of the extra fonts: at one resolution

WORDS = {
    "latin": (
        "A morning above the fog",
        "Where to stand when the light changes.",
        ["Climb before it is light", "Wait at the saddle", "Three lenses, one ridge"],
        "The path is steep for the first hour: keep a slow pace, and drink early (0.5 l).",
    ),
    "arabic": (
        "صباح فوق الضباب",
        "أين تقف عندما يتغير الضوء.",
        ["اصعد قبل الضوء", "انتظر عند السرج", "ثلاث عدسات"],
        "ابدأ في الساعة 4:30. الطريق شديد الانحدار (25 دقيقة)، مع Nikon 70-200mm.",
    ),
    "hebrew": (
        "בוקר מעל הערפל",
        "איפה לעמוד כשהאור משתנה.",
        ["לטפס לפני האור", "לחכות באוכף", "שלוש עדשות"],
        "התחילו ב-4:30. השביל תלול בשעה הראשונה (כ-300 מ׳), עם Nikon 70-200.",
    ),
    "japanese": (
        "霧の上の朝",
        "光が変わるとき、どこに立つべきか。",
        ["明るくなる前に登る", "鞍部で待つ", "三本のレンズ"],
        "最初の一時間は急な坂道なので、ゆっくり歩いて、早めに水を飲みましょう。",
    ),
    "emoji": (
        "Weekend plan 🏔️",
        "Bring 🥾 and 📷 👨‍👩‍👧‍👦",
        ["Climb 🧗🏽‍♀️ early", "Wait ⏳", "Three 📷📷📷"],
        "Drink 💧 before 🌅, and ★★★☆☆ ✓ 1️⃣ 🇨🇭.",
    ),
    "hindi": (
        "कोहरे के ऊपर सुबह",
        "रोशनी बदलने पर कहाँ खड़े हों।",
        ["उजाले से पहले चढ़ें", "घाटी में रुकें", "तीन लेंस"],
        "पहले घंटे में रास्ता कठिन है: धीरे चलें, और जल्दी पानी पिएँ (0.5 l)।",
    ),
    "thai": (
        "เช้าเหนือหมอก",
        "ควรยืนตรงไหนเมื่อแสงเปลี่ยน",
        ["ปีนก่อนฟ้าสาง", "รอที่ช่องเขา", "เลนส์สามตัว"],
        "ชั่วโมงแรกทางชันมากจึงควรเดินช้าๆและดื่มน้ำแต่เนิ่นๆ (0.5 l)",
    ),
    "urdu": (
        "دھند کے اوپر صبح",
        "روشنی بدلے تو کہاں کھڑے ہوں۔",
        ["اجالے سے پہلے چڑھیں", "درے پر ٹھہریں", "تین عدسے"],
        "پہلے گھنٹے راستہ ڈھلوان ہے: 4:30 پر نکلیں (25 منٹ)، Nikon 70-200mm کے ساتھ۔",
    ),
    "chinese": (
        "雾上的早晨",
        "光线变化时，应该站在“哪里”。",
        ["天亮之前登山", "在鞍部等待", "三个镜头"],
        "第一个小时的路很陡：请慢慢走，并且早点喝水（0.5 升），直角门骨。",
    ),
}
FRAMES: tuple[tuple[int, str, list[str]], ...] = (
    (0, "full", ["dawn"]),
    (1, "auto", ["dusk"]),
    (2, "focus", ["day", "dusk", "noon"]),
    (0, "grid", ["day", "dawn", "mark", "noon"]),
    (1, "split", ["dawn", "day"]),
    (2, "auto", []),
    (0, "auto", list(PICTURES)),
)
THEMES: tuple[dict[str, Any], ...] = (
    {"theme": "light"},
    {"theme": "dark"},
    {"background": "#F2D7B6"},
)


CASES = [
    (resolution, script)
    for resolution in RESOLUTIONS
    for script in WORDS
    if (resolution != LARGEST or script in ("latin", "arabic", "japanese"))
    and (resolution == "1280x720" or script not in EXTRA)
]


class ReadyPictures:
    """A picture cache with ready pictures."""

    asset_errors: dict[str, Any] = {}  # noqa: RUF012 - it stays empty

    def get(self, asset: Asset) -> Image.Image:
        return PICTURES[asset.ref.id]

    def fitted(self, picture: Image.Image, placement: Placement) -> Image.Image:
        return fit_picture(picture, placement)


def sources(script: str) -> FontSources:
    """Returns the package's fonts, and for other scripts a Debian font in the reviewed version."""
    if script not in FONTS:
        return FontSources()
    path, package, digest = FONTS[script]
    if not Path(path).exists():
        pytest.skip(f"{path} is missing: install {package}")
    if not hashlib.sha256(Path(path).read_bytes()).hexdigest().startswith(digest):
        pytest.skip(f"{path} is not the version of the goldens")
    return FontSources(system=(FontFile(path),))


def drawn(resolution: str, script: str) -> Image.Image:
    """Draws all frames and the contact sheet of one storyboard side by side, in small size."""
    title, description, titles, text = WORDS[script]
    steps = [
        {
            "title": titles[number],
            "text": text if layout != "split" else "",
            "assetIds": ids,
            "layout": layout,
        }
        for number, layout, ids in FRAMES
    ]
    assets = [{"id": name, "uri": name, "title": name.title() if name == "mark" else ""} for name in PICTURES]
    theme = THEMES[(RESOLUTIONS.index(resolution) + list(WORDS).index(script)) % len(THEMES)]
    board = read_storyboard(
        payload(steps, assets, title=title, description=description, **{"resolution": resolution, **theme})
    )
    typesetter = Typesetter(sources(script), board.shaping_language)
    shapes = {name: Size(*picture.size) for name, picture in PICTURES.items()}
    painter, sheet = Painter(board, ReadyPictures(), typesetter), ContactSheet(board, typesetter)  # type: ignore[arg-type]
    small = []
    for index, layout in enumerate(lay_out_frames(board, shapes, typesetter)):
        image = painter.draw_frame(layout)
        sheet.add(
            index, image, board.step_heading(board.steps[index - 1]) if index else title, layout.duration_ms
        )
        small.append(image.resize(Size(*image.size).fitted(Size(CELL, CELL)), Image.Resampling.BOX))
    assert typesetter.undrawn == ()
    width, height = small[0].size
    columns = 4
    rows = -(-len(small) // columns)
    index_sheet = sheet.image.resize(
        Size(*sheet.image.size).fitted(Size(columns * width, 2 * CELL)), Image.Resampling.BOX
    )
    mosaic = Image.new("RGB", (columns * width, rows * height + index_sheet.height), (128, 128, 128))
    for index, image in enumerate(small):
        mosaic.paste(image, (index % columns * width, index // columns * height))
    mosaic.paste(index_sheet, (0, rows * height))
    return mosaic


def distance(one: Image.Image, other: Image.Image) -> tuple[float, int]:
    """Returns mean and maximum difference of block averages, 0..255."""
    red, green, blue = ImageChops.difference(one.reduce(BLOCK), other.reduce(BLOCK)).split()
    values = ImageChops.lighter(ImageChops.lighter(red, green), blue).tobytes()
    return sum(values) / len(values), max(values)


@pytest.mark.parametrize(("resolution", "script"), CASES)
def test_frames_match_the_goldens(tmp_path: Path, resolution: str, script: str) -> None:
    golden, image = FOLDER / f"{resolution}-{script}.webp", drawn(resolution, script)
    if os.environ.get("PREVIEWOPS_GOLDENS") == "write":
        image.save(golden, "WEBP", quality=82, method=6)
        return
    with Image.open(golden) as opened:
        expected = opened.convert("RGB")
    assert image.size == expected.size
    mean, maximum = distance(image, expected)
    image.save(tmp_path / "now.png")
    assert mean <= MEAN_TOLERANCE, f"compare {tmp_path / 'now.png'} with {golden}"
    assert maximum <= BLOCK_TOLERANCE, f"compare {tmp_path / 'now.png'} with {golden}"


def test_the_comparison_detects_visible_changes() -> None:
    with Image.open(FOLDER / "1280x720-latin.webp") as opened:
        golden = opened.convert("RGB")
    assert distance(golden, golden) == (0, 0)
    moved = golden.copy()
    moved.paste(golden.crop((0, 0, 200, 112)), (6, 0))
    covered = golden.copy()
    covered.paste((31, 84, 214), (220, 90, 232, 102))
    for changed in (moved, covered):
        assert distance(golden, changed)[1] > BLOCK_TOLERANCE


def test_there_is_one_small_golden_per_case() -> None:
    expected = {f"{resolution}-{script}.webp" for resolution, script in CASES}
    assert {path.name for path in FOLDER.iterdir()} == expected
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000
