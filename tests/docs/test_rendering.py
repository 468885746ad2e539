"""docs/rendering.md shows what the schema knows, with pictures that are there."""

from __future__ import annotations

import json

from PIL import Image

from tests.docs.documents import ROOT, links, spans
from tests.docs.pictures import IMAGES, PICTURES

DOCUMENT = ROOT / "docs" / "rendering.md"
LOOK = ("resolution", "includeCaptions", "theme", "background", "onAssetError")


def definitions() -> dict[str, dict[str, dict[str, object]]]:
    schema = json.loads((ROOT / "schemas" / "preview-job.schema.json").read_text("utf-8"))
    return {name: entry.get("properties", {}) for name, entry in schema["$defs"].items()}


def test_every_option_of_the_look_is_described_with_all_its_values() -> None:
    words, known = set(spans(DOCUMENT)), definitions()
    for name in LOOK:
        entry = known["options"][name]
        assert f"options.{name}" in words
        assert set(map(str, entry.get("enum", []))) <= words  # type: ignore[call-overload]
    for value in (*known["step"]["layout"]["enum"], *known["asset"]["fit"]["enum"]):  # type: ignore[misc]
        assert value in words


def test_every_picture_is_shown_and_small() -> None:
    shown = {target for target in links(DOCUMENT) if target.startswith("images/rendering/")}
    there = {f"images/rendering/{path.name}" for path in (IMAGES / "rendering").iterdir()}
    assert shown == there
    assert {f"images/rendering/{name}.webp" for name in PICTURES} | {
        "images/rendering/title-card.webp"
    } == there
    assert sum(path.stat().st_size for path in (IMAGES / "rendering").iterdir()) < 500_000
    for path in (IMAGES / "rendering").iterdir():
        with Image.open(path) as image:
            assert max(image.size) == 480
