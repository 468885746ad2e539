"""Text segmentation: grapheme clusters, line breaks, hyphens."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.worker.render.text.characters import is_emoji
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.languages import guess_letterforms
from previewops.worker.render.text.segmentation import (
    grapheme_clusters,
    line_breaks,
)
from previewops.worker.render.text.typesetting import Typesetter


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("abc", 3),
        ("e\u0301a\u0300\u0323", 2),
        ("👨‍👩‍👧‍👦", 1),
        ("🧗🏽‍♀️🧗", 2),
        ("🇨🇭🇫🇷", 2),
        ("1️⃣2", 2),
        ("❤️!", 2),
        ("नमस्ते", 3),
        ("क्षत्रिय", 3),
        ("각\u1100\u1161\u11a8", 2),
        ("กำ", 1),
        (" \u0301", 1),
        ("🏴\U000e0067\U000e0062\U000e007f", 1),
    ],
)
def test_grapheme_clusters_are_counted(text: str, count: int) -> None:
    assert len(grapheme_clusters(text)) == count


@given(st.text(max_size=80))
def test_clusters_join_to_the_text(text: str) -> None:
    assert "".join(grapheme_clusters(text)) == text


@pytest.mark.parametrize(
    ("text", "emoji"),
    [
        ("😀", True),
        ("a", False),
        ("☃", False),
        ("☃️", True),
        ("⌚", True),
        ("⌚︎", False),
        ("1️⃣", True),
        ("1", False),
        ("☝🏽", True),
        ("👁\u200d🗨", False),
        ("❤\u200d🔥", True),
    ],
)
def test_emoji_presentation(text: str, emoji: bool) -> None:
    assert is_emoji(text) is emoji


def split(text: str) -> list[str]:
    places = [0, *line_breaks(text), len(text)]
    return [text[start:end].rstrip(" \u200b") for start, end in pairwise(places) if start < end]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("one two", ["one", "two"]),
        ("well-known fact", ["well-", "known", "fact"]),
        ("-5 1/2 and/or", ["-5", "1/2", "and/", "or"]),
        ("no\u00a0break here", ["no\u00a0break", "here"]),
        ("zero\u200bwidth", ["zero", "width"]),
        ("soft\u00adhyphen", ["soft\u00ad", "hyphen"]),
        ("四時半に。", ["四", "時", "半", "に。"]),
        ("「東京」へ", ["「東", "京」", "へ"]),
        ("ゆっくり", ["ゆっ", "く", "り"]),
        ("全部OK", ["全", "部", "OK"]),
        ("안녕 세상", ["안녕", "세상"]),
        ("", []),
    ],
)
def test_segments_end_at_line_break_opportunities(text: str, pieces: list[str]) -> None:
    assert split(text) == pieces


def test_a_soft_hyphen_is_visible_only_at_the_end_of_a_line() -> None:
    block = Typesetter().fit(
        "Donau\u00addampf\u00adschiff", FontWeight.REGULAR, width=120, height=200, size=20, min_size=20
    )
    assert [line.text for line in block.lines] == ["Donau-", "dampfschiff"]


def test_each_line_has_the_direction_of_its_paragraph() -> None:
    block = Typesetter().fit(
        "Hello\nשלום עולם", FontWeight.REGULAR, width=300, height=200, size=20, min_size=20
    )
    assert [line.rtl for line in block.lines] == [False, True]


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["漢字かな"], "ja"),
        (["汉字"], "zh-Hans"),
        (["漢字 한국어"], "ko"),
        (["plain", "这个国家"], "zh-Hans"),
        (["plain", "這個國家"], "zh-Hant"),
        (["plain"], None),
    ],
)
def test_the_texts_identify_the_forms_of_chinese_characters(texts: list[str], language: str | None) -> None:
    assert guess_letterforms(texts) == language
