"""The WebVTT tracks of a bundle."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from previewops.worker.render.bundle_paths import choose_bundle_paths
from previewops.worker.render.encode.webvtt import build_tracks
from previewops.worker.render.layout.geometry import Box
from previewops.worker.render.layout.sheet import lay_out_sheet
from previewops.worker.render.storyboard import read_storyboard
from tests.render_support import payload

CUE = re.compile(r"(\d\d:\d\d:\d\d\.\d{3}) --> (\d\d:\d\d:\d\d\.\d{3})\n(.+)", re.S)
STEPS: list[dict[str, Any]] = [
    {"title": "First", "text": "A caption: 1 < 2 & 3.\n\n  And  more. ", "durationMs": 1_500},
    {"title": "Only a title"},
    {"durationMs": 100},
    {"text": "شكرا --> thanks", "durationMs": 590_000},
]


def cues(content: bytes) -> list[tuple[str, str, str]]:
    head, *blocks = content.decode("utf-8").rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    matches = [CUE.fullmatch(block) for block in blocks]
    assert all(matches)
    return [(match[1], match[2], match[3]) for match in matches if match]


def made(**options: Any) -> dict[str, bytes]:
    board = read_storyboard(payload(STEPS, **options))
    return build_tracks(board, choose_bundle_paths(board), lay_out_sheet(board))


def test_captions_have_text_and_time_of_each_step() -> None:
    assert cues(made()["captions.vtt"]) == [
        ("00:00:02.000", "00:00:03.500", "A caption: 1 &lt; 2 &amp; 3.\nAnd more."),
        ("00:00:03.500", "00:00:05.500", "Only a title"),
        ("00:00:05.600", "00:09:55.600", "شكرا --&gt; thanks"),
    ]


def test_captions_need_the_option_and_an_animation() -> None:
    assert set(made(includeCaptions=False)) == {"sheet.vtt", "chapters.vtt"}
    assert set(made(format="png")) == {"sheet.vtt"}


def test_the_index_refers_to_the_cells_of_the_sheet() -> None:
    board = read_storyboard(payload(STEPS, imageFormat="jpeg"))
    sheet = lay_out_sheet(board)
    index = cues(build_tracks(board, choose_bundle_paths(board), sheet)["sheet.vtt"])
    assert len(index) == 5
    assert [index[0][0], index[-1][1]] == ["00:00:00.000", "00:09:55.600"]
    assert all(one[1] == other[0] for one, other in pairwise(index))
    for number, (_, _, text) in enumerate(index):
        path, _, fragment = text.partition("#xywh=")
        left, top, width, height = map(int, fragment.split(","))
        assert path == "sheet.jpg"
        assert Box.at(left, top, (width, height)) == sheet.cell_box(number)
        assert left + width <= sheet.size.width
        assert top + height <= sheet.size.height


def test_a_right_to_left_sheet_starts_at_the_right() -> None:
    one, two = (lay_out_sheet(read_storyboard(payload(STEPS, title=title))) for title in ("Hello", "שלום"))
    assert one.cell_box(0).left < one.cell_box(1).left
    assert two.cell_box(0).left > two.cell_box(1).left
    assert two.cell_box(0).right == two.size.width - one.cell_box(0).left
