"""The test files of the Unicode consortium against bidi and segmentation (Debian package unicode-data 15.0)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import pytest

from previewops.worker.render.text.bidi import embedding_levels, paragraph_level, visual_order
from previewops.worker.render.text.characters import is_hangul
from previewops.worker.render.text.segmentation import grapheme_clusters, line_breaks

FOLDER = Path("/usr/share/unicode")

# Unicode 15.1 and 16 changed LB15 (quotes), LB20a and LB21a (hyphens) and LB25 (numbers such as ".35" and ",0").
CHANGED_SINCE_15 = [
    "× 002D ÷ 0023 ÷",
    "× 002D × 0308 ÷ 0023 ÷",
    "× 002D ÷ 05D0 ÷",
    "× 002D × 0308 ÷ 05D0 ÷",
    "× 002D ÷ 00A7 ÷",
    "× 002D × 0308 ÷ 00A7 ÷",
    "× 002D ÷ 50005 ÷",
    "× 002D × 0308 ÷ 50005 ÷",
    "× 002D ÷ 0E01 ÷",
    "× 002D × 0308 ÷ 0E01 ÷",
    "× 002C ÷ 0030 ÷",
    "× 002C × 0308 ÷ 0030 ÷",
    "× 0022 × 0020 × 2329 ÷",
    "× 0022 × 0308 × 0020 × 2329 ÷",
    "× 0022 × 0020 × 0028 ÷",
    "× 0022 × 0308 × 0020 × 0028 ÷",
    "× 0065 × 0071 × 0075 × 0061 × 006C × 0073 × 0020 × 002E ÷ 0033 × 0035 × 0020 ÷ 0063 × 0065 × "
    "006E × 0074 × 0073 ÷",
    "× 0061 × 006D × 0062 × 0069 × 0067 × 0075 × 0028 × 00AB × 0020 ÷ 0308 × 0020 ÷ 00BB × 0029 ÷ "
    "0028 × 0065 × 0308 × 0029 ÷",
    "× 0061 × 006D × 0062 × 0069 × 0067 × 0075 × 00AB × 0020 × 0028 × 0020 × 0308 × 0020 × 0029 × "
    "0020 ÷ 00BB × 0028 × 0065 × 0308 × 0029 ÷",
    "× 0061 × 006D × 0062 × 0069 × 0067 × 0075 × 007B × 00AB × 0020 ÷ 0308 × 0020 ÷ 00BB × 007D ÷ "
    "0028 × 0065 × 0308 × 0029 ÷",
    "× 0061 × 006D × 0062 × 0069 × 0067 × 0075 × 00AB × 0020 × 007B × 0020 × 0308 × 0020 × 007D × "
    "0020 ÷ 00BB × 0028 × 0065 × 0308 × 0029 ÷",
    "× 0061 × 002E ÷ 0032 × 0020 ÷",
    "× 0061 × 002E ÷ 0032 × 0020 ÷ 0915 ÷",
    "× 0061 × 002E ÷ 0032 × 0020 ÷ 672C ÷",
    "× 0061 × 002E ÷ 0032 × 3000 ÷ 672C ÷",
    "× 0061 × 002E ÷ 0032 × 3000 ÷ 307E ÷",
    "× 0061 × 002E ÷ 0032 × 3000 ÷ 0033 ÷",
    "× 0041 × 002E ÷ 0031 × 0020 ÷ BABB ÷",
    "× BD24 ÷ C5B4 × 002E × 0020 ÷ 0041 × 002E ÷ 0032 × 0020 ÷ BCFC ÷",
    "× BD10 ÷ C694 × 002E × 0020 ÷ 0041 × 002E ÷ 0033 × 0020 ÷ BABB ÷",
    "× C694 × 002E × 0020 ÷ 0041 × 002E ÷ 0034 × 0020 ÷ BABB ÷",
    "× 0061 × 002E ÷ 0032 × 3000 ÷ 300C ÷",
    "× 05D0 × 002D × 05D0 ÷",
]


def lines_of(name: str) -> Iterator[str]:
    """The lines of a test file without comments; skips the test if Debian's unicode-data 15.0 is not installed."""
    path = FOLDER / name
    content = path.read_text("utf-8") if path.exists() else ""
    if "-15.0.0" not in content.partition("\n")[0]:
        pytest.skip(f"{path} of version 15.0.0 is missing: install unicode-data")
    for line in content.splitlines():
        if data := line.partition("#")[0].strip():
            yield data


def decoded(codes: str) -> str:
    return "".join(chr(int(code, 16)) for code in codes.split())


def pieces_of(line: str) -> list[str]:
    """Splits a test line at its break opportunities (÷)."""
    return [decoded(piece.replace("×", " ")) for piece in line.split("÷") if piece.strip(" ×")]


def test_bidi_passes_every_line() -> None:
    count = 0
    for line in lines_of("BidiCharacterTest.txt"):
        codes, direction, level, levels, order = line.split(";")
        text = decoded(codes)
        base = paragraph_level(text) if direction == "2" else int(direction)
        resolved = embedding_levels(text, base)
        kept = [index for index, expected in enumerate(levels.split()) if expected != "x"]
        assert base == int(level), line
        assert [resolved[index] for index in kept] == [int(part) for part in levels.split() if part != "x"], (
            line
        )
        visual = visual_order([resolved[index] for index in kept])
        assert [kept[index] for index in visual] == [int(part) for part in order.split()], line
        count += 1
    assert count == 91_707


def test_grapheme_clusters_pass_every_line_but_one() -> None:
    failed = [
        line
        for line in lines_of("auxiliary/GraphemeBreakTest.txt")
        if list(grapheme_clusters("".join(pieces_of(line)))) != pieces_of(line)
    ]
    assert failed == ["÷ 2701 × 200D × 2701 ÷"]  # no emoji since Unicode 16


def test_line_breaks_pass_every_line_that_later_versions_kept() -> None:
    failed = []
    for line in lines_of("auxiliary/LineBreakTest.txt"):
        pieces = pieces_of(line)
        text, expected = "".join(pieces), list(accumulate(map(len, pieces)))[:-1]
        # Korean lines end only at spaces.
        kept = [place for place in expected if not all(map(is_hangul, text[place - 1 : place + 1]))]
        if line_breaks(text) != kept:
            failed.append(line)
    assert failed == CHANGED_SINCE_15
