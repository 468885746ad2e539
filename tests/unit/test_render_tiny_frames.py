"""Frames too small for words beside pictures, and frames that leave out what would be cut."""

from __future__ import annotations

from typing import Any

import pytest

from previewops.worker.render.layout.frames import FrameLayout
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.layout.layout import lay_out_frames
from previewops.worker.render.layout.tiny_frames import initials
from previewops.worker.render.layout.type_scale import is_tiny
from previewops.worker.render.storyboard import read_storyboard
from previewops.worker.render.text.typesetting import Typesetter
from tests.render_support import payload

SHAPES = {f"p{number}": Size(800, 500) for number in range(40)}
TINY = ("64x64", "96x96", "114x64", "128x72", "64x3840")


def frames(
    resolution: str, *steps: dict[str, Any], title: str = "Nine Men's Morris", **options: Any
) -> tuple[FrameLayout, ...]:
    used = {name for step in steps for name in step.get("assetIds", ())}
    assets = [{"id": name, "uri": f"{name}.png", "title": "A title"} for name in SHAPES if name in used]
    job = payload(list(steps), assets, title=title, resolution=resolution, **options)
    return lay_out_frames(read_storyboard(job), SHAPES, Typesetter())


def words(frame: FrameLayout) -> str:
    return " ".join(line.text.strip() for text in frame.texts for line in text.block.lines)


@pytest.mark.parametrize(
    ("resolution", "tiny"),
    [(name, True) for name in TINY] + [(name, False) for name in ("128x96", "128x128", "160x90", "320x64")],
)
def test_the_size_decides_whether_words_are_beside_pictures(resolution: str, tiny: bool) -> None:
    assert is_tiny(Size(*map(int, resolution.split("x")))) == tiny
    card, step = frames(resolution, {"title": "A mill", "text": "Three in a row.", "assetIds": ["p1"]})
    assert (step.badge is None, not step.texts, not step.position) == (tiny, tiny, tiny)
    assert (card.bar is None, not card.texts) == (tiny, tiny)


@pytest.mark.parametrize("resolution", TINY)
@pytest.mark.parametrize("captions", [True, False])
def test_a_picture_fills_a_tiny_frame(resolution: str, captions: bool) -> None:
    brand = {"footer": "Morris Club", "logo": {"uri": "logo.png"}}
    step = {"title": "A mill", "assetIds": ["p1"]}
    for frame in frames(resolution, step, brand=brand, includeCaptions=captions):
        (placement,) = frame.placements
        assert f"{placement.cell.width}x{placement.cell.height}" == resolution
        assert placement.bleeds
        assert (frame.texts, frame.logo, frame.footer) == ((), None, None)


def test_several_pictures_share_a_tiny_frame() -> None:
    _, two, many = frames("64x64", {"assetIds": ["p1", "p2"]}, {"assetIds": list(SHAPES)})
    assert len(two.placements) == 2
    assert not two.texts
    assert sum(place.cell.size.pixels for place in two.placements) > 64 * 64 * 0.5
    assert words(many) == f"+{len(SHAPES) - len(many.placements)}"


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Now it is your turn", "Now it is your turn"),
        ("", "Step 1"),
        ("Donaudampfschifffahrt", "1"),
        ("What happens after both players have placed their nine men", "1"),
        ("طاحونة", "طاحونة"),
        ("三子成線", "1"),  # no font has it
    ],
)
def test_a_tiny_step_without_pictures_has_its_whole_title_or_its_number(title: str, shown: str) -> None:
    _, step = frames("64x64", {"title": title})
    assert words(step).replace(" ", "") == shown.replace(" ", "")
    _, bare = frames("64x64", {"title": title}, includeCaptions=False)
    assert words(bare) == "1"


def test_a_tiny_title_card_without_pictures_has_its_whole_title_or_its_initials() -> None:
    assert words(frames("64x64", title="Morris")[0]) == "Morris"
    (card,) = frames("64x64", title="Understanding Constitutional Law")
    assert words(card) == "UC"
    assert card.texts[0].block.size > 16


@pytest.mark.parametrize(
    ("title", "signs"),
    [
        ("Nine Men's Morris", "NM"),
        ("« élan vital »", "ÉV"),
        ("Morris", "M"),
        ("Top 10", "T"),
        ("3 steps", "3"),
        ("多言語の例", "多"),
        ("कक्षा एक", "क"),
        ("صباح الخير", "ص"),
        ("👩‍🔬 🎉", "👩‍🔬"),
        ("— ?", "—"),
    ],
)
def test_initials_of_a_title(title: str, signs: str) -> None:
    assert initials(title) == signs


def test_a_small_frame_leaves_out_a_text_of_which_few_words_fit() -> None:
    step = {
        "title": "Making a mill",
        "text": "Three men in a row are a mill: take one man.",
        "assetIds": ["p1"],
    }
    _, small = frames("160x90", step)
    assert words(small) == "1 / 1 Making a mill"
    assert small.truncated
    _, fits = frames("160x90", {**step, "text": "Take one."})
    assert words(fits).endswith("Take one.")
    assert not fits.truncated
    (card,) = frames("160x90", title="Nine Men's Morris for beginners")
    assert words(card) == "Nine Men's Morris for beginners"
    assert card.truncated, "without description"
