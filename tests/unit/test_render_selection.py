"""What a job asks for, without pictures: cards, assets, copies, memory of several encoders, alternative texts."""

from __future__ import annotations

from typing import Any

import pytest

from previewops.job_errors import PermanentJobError
from previewops.worker.cache.keys import bundle_key
from previewops.worker.render.alt_texts import card_title, describe_card, shorten
from previewops.worker.render.decode.memory import clip_bytes, clip_pixels
from previewops.worker.render.encoder_memory import reserve_memory
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.layout.sheet import format_sheet_facts
from previewops.worker.render.limits import MIB, RenderLimits
from previewops.worker.render.storyboard import Storyboard, read_storyboard
from previewops.worker.render.widths import format_srcset, plan_copies
from tests.render_support import payload

STEPS: list[dict[str, Any]] = [{"assetIds": ["a"]}, {"assetIds": ["b"]}, {"assetIds": ["c"]}]
ASSETS = [{"id": name, "uri": f"{name}.png"} for name in ("unused", "a", "b", "c")]
AUDIO = {"uri": "sound.wav"}


def board(**options: Any) -> Storyboard:
    return read_storyboard(payload(STEPS, ASSETS, audio=AUDIO, **options))


@pytest.mark.parametrize(
    ("options", "cards", "drawn", "assets"),
    [
        ({}, [0, 1, 2, 3], (0, 1, 2, 3), {"unused", "a", "b", "c", "audio"}),
        ({"only": ["poster"]}, [0, 1, 2, 3], (0,), {"a"}),
        ({"only": ["poster"], "onAssetError": "gap"}, [0, 1, 2, 3], (0,), {"unused", "a", "b", "c"}),
        ({"only": ["frames"]}, [0, 1, 2, 3], (0, 1, 2, 3), {"a", "b", "c"}),
        ({"only": ["thumbnails"]}, [0, 1, 2, 3], (), {"unused", "a", "b", "c"}),
        ({"stepsRange": {"from": 2, "to": 3}}, [2, 3], (0, 2, 3), {"a", "b", "c"}),
        ({"stepsRange": {"from": 3, "to": 3}, "only": ["frames", "thumbnails"]}, [3], (3,), {"c"}),
        ({"only": ["animation"], "format": "mp4"}, [0, 1, 2, 3], (0, 1, 2, 3), {"a", "b", "c", "audio"}),
    ],
)
def test_a_selection_needs_its_cards_and_their_assets(
    options: dict[str, Any], cards: list[int], drawn: tuple[int, ...], assets: set[str]
) -> None:
    chosen = board(**options)
    assert (list(chosen.cards), chosen.drawn_cards, set(chosen.assets)) == (cards, drawn, assets)


@pytest.mark.parametrize(
    ("options", "partial"),
    [
        ({}, None),
        ({"only": ["sheet", "poster"]}, {"only": ["poster", "sheet"], "stepsRange": None}),
        ({"stepsRange": {"from": 1, "to": 2}}, {"only": None, "stepsRange": {"from": 1, "to": 2}}),
        (
            {"only": ["frames"], "stepsRange": {"from": 1, "to": 2}},
            {"only": ["frames"], "stepsRange": {"from": 1, "to": 2}},
        ),
    ],
)
def test_a_selection_says_what_was_asked(options: dict[str, Any], partial: dict[str, Any] | None) -> None:
    assert board(**options).selection.as_json() == partial


def test_a_range_starts_where_its_first_step_starts() -> None:
    chosen = board(stepsRange={"from": 2, "to": 3})
    assert (chosen.duration_ms, chosen.shown_ms, chosen.shown_from_ms) == (8_000, 4_000, 4_000)
    assert list(chosen.intervals()) == [(2, 0, 2_000), (3, 2_000, 4_000)]


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        ({}, "3 steps  ·  8 s  ·  320×180"),
        ({"stepsRange": {"from": 2, "to": 3}}, "2 steps  ·  4 s  ·  320×180"),
    ],
)
def test_a_sheet_names_the_steps_that_it_shows(options: dict[str, Any], facts: str) -> None:
    assert format_sheet_facts(board(**options)).translate({0x2066: None, 0x2069: None}) == facts


def test_each_selection_has_a_cache_key_of_its_own() -> None:
    selections: list[dict[str, Any]] = [
        {},
        {"only": ["poster"]},
        {"only": ["frames"]},
        {"stepsRange": {"from": 1, "to": 2}},
        {"stepsRange": {"from": 1, "to": 3}},
        {"outputs": ["webp"]},
        {"outputs": ["webp", "gif"]},
        {"widths": [64]},
    ]
    requests = [payload(STEPS, ASSETS, **options)["previewRequest"] for options in selections]
    keys = {bundle_key(request, {}, {}, project="p", fonts="") for request in requests}
    assert len(keys) == len(selections)


def test_copies_are_named_by_their_width_and_never_enlarged() -> None:
    copies = plan_copies("frames/001.webp", Size(1_280, 720), (640, 1_280, 16))
    assert [(copy.path, tuple(copy.size)) for copy in copies] == [
        ("frames/001-16.webp", (16, 9)),
        ("frames/001-640.webp", (640, 360)),
    ]
    assert plan_copies("poster.webp", Size(3_840, 64), (16,))[0].size == (16, 1)
    assert format_srcset("poster.webp", Size(1_280, 720), ()) == "poster.webp 1280w"


def taken_mib(limits: RenderLimits, **options: Any) -> int:
    return (limits.memory_bytes - reserve_memory(board(**options), limits).memory_bytes) // MIB


def test_encoders_and_large_frames_leave_less_memory_to_decoders() -> None:
    limits = RenderLimits()
    assert taken_mib(limits, resolution="1280x720", outputs=["webp", "gif", "apng"]) == 0
    assert taken_mib(limits, resolution="1280x720", outputs=["webm", "mp4"]) == 88
    assert taken_mib(limits, resolution="3840x2160", format="png") == 105
    assert taken_mib(limits, resolution="3840x2160", format="webm") == 722
    with pytest.raises(PermanentJobError, match="found 1176 MiB for webm, mp4, jpeg at 3840x2160") as caught:
        reserve_memory(board(resolution="3840x2160", outputs=["webm", "mp4"]), limits)
    assert caught.value.code == "outputs-too-large"
    larger = RenderLimits(memory_bytes=1_200 * MIB)
    assert taken_mib(larger, resolution="3840x2160", outputs=["webm", "mp4"]) == 904
    small = RenderLimits(memory_bytes=256 * MIB)
    assert reserve_memory(board(resolution="320x180", format="png"), small) == small


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "libdav1d"])
@pytest.mark.parametrize("resolution", ["1920x1080", "3840x2160"])
def test_a_video_of_its_size_plays_in_every_video_format(codec: str, resolution: str) -> None:
    pixels = board(resolution=resolution).size.pixels
    for kind in ("webm", "mp4"):
        limits = reserve_memory(board(resolution=resolution, format=kind), RenderLimits())
        assert clip_bytes(codec, pixels, 12) <= limits.decoder_bytes


@pytest.mark.parametrize("codec", ["h264", "vp9", "mjpeg"])
@pytest.mark.parametrize("memory_mib", [48, 208, 880])
def test_the_pixels_of_a_video_are_as_many_as_fit(codec: str, memory_mib: int) -> None:
    most = clip_pixels(codec, memory_mib * MIB, 12)
    assert clip_bytes(codec, most, 12) <= memory_mib * MIB < clip_bytes(codec, most + 1, 12)


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("short", 10, "short"),
        (" two\n lines\t", 20, "two lines"),
        ("one two three four", 12, "one two…"),
        ("abcdefghijklmnop", 10, "abcdefghi…"),
        ("👨‍👩‍👧‍👦" * 3, 10, "👨‍👩‍👧‍👦…"),
        ("e\u0301" * 9, 10, "e\u0301" * 4 + "…"),
    ],
)
def test_texts_are_cut_between_words_or_clusters(text: str, limit: int, short: str) -> None:
    assert shorten(text, limit) == short


def test_alternative_texts_are_bounded_and_in_the_language_of_the_payload() -> None:
    steps = [{"title": "多" * 400, "text": "x" * 5_000}, {}, {"title": "Ende.", "text": "Schluss"}]
    chosen = read_storyboard(payload(steps, title="", description="", language="de"))
    assert describe_card(chosen, 0) == "Ohne Titel"
    assert len(describe_card(chosen, 1)) == 250
    assert describe_card(chosen, 2) == "Schritt 2"
    assert describe_card(chosen, 3) == "Ende. Schluss"
    title = card_title(chosen, 1)
    assert title.endswith("…")
    assert len(title.encode()) <= 255
