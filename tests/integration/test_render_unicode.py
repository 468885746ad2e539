"""The test files of the Unicode consortium against bidi and segmentation (Debian package unicode-data 15.0)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from unicodedata import category

import pytest

from previewops.worker.render.text.bidi import embedding_levels, paragraph_level, visual_order
from previewops.worker.render.text.segmentation import grapheme_clusters, split_segments

FOLDER = Path("/usr/share/unicode")
SPACES = " \t\u2000\u200b\u3000"


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
    assert failed == ["÷ 2701 × 200D × 2701 ÷"]


def break_positions(text: str) -> set[int]:
    positions, end = set(), 0
    for piece, _ in split_segments(text):
        start = text.find(piece, end)
        positions.add(start)
        end = start + len(piece)
    return positions


def test_lines_end_only_where_the_standard_allows_it() -> None:
    forbidden, allowed, used = [], 0, 0
    for line in lines_of("auxiliary/LineBreakTest.txt"):
        pieces = pieces_of(line)
        text = "".join(pieces)
        if any(category(char) == "Cc" for char in text):
            continue  # Typesetter.clean removes control characters
        opportunities, positions = set(accumulate(map(len, pieces))), break_positions(text)
        for index in range(1, len(text)):
            if text[index - 1] not in SPACES and text[index] not in SPACES:
                allowed += index in opportunities
                used += index in opportunities and index in positions
                if index in positions and index not in opportunities:
                    forbidden.append(line)
    assert forbidden == ["× 1F1E6 × 0308 × 1F1E6 ÷"]
    assert used / allowed > 0.2
