"""What plays, together with several outputs, a brand and a range of steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from previewops.worker.bundle_builder import build_bundle
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render import playing
from previewops.worker.render.decode import moving_clip
from previewops.worker.render.limits import RenderLimits
from tests.render_support import RecordingOpener, payload, read_preview
from tests.sample_clips import at, colour_animation, colour_clip, picture_frames, video_frames
from tests.sample_sounds import measure_loudness, tone

FAST = [((10 * number, 250 - 10 * number, 128), 40) for number in range(25)]  # 1 s at 25 frames per second
STEPS: list[dict[str, Any]] = [
    {"title": "Before", "assetIds": ["early"]},
    {"title": "It moves", "assetIds": ["clip"], "layout": "full"},
    {"title": "Then text", "durationMs": 500},
    {"title": "After", "assetIds": ["late"]},
]
ASSETS = [
    {"id": "early", "uri": "early.gif", "play": True},
    {"id": "clip", "uri": "clip.mp4", "play": True, "mute": False},
    {"id": "late", "uri": "late.mp4", "play": True, "mute": False},
]
RANGE = {"from": 2, "to": 3}
FOOTER = (0, 320, 640, 360)  # the part of a frame of 640x360 with the footer over the picture


@pytest.fixture
def opener(tmp_path: Path) -> RecordingOpener:
    folder = tmp_path / "assets"
    folder.mkdir()
    (folder / "early.gif").write_bytes(colour_animation([((200, 30, 30), 300), ((30, 30, 200), 500)]))
    (folder / "clip.mp4").write_bytes(colour_clip(FAST, wav=tone(1)))
    (folder / "tone.wav").write_bytes(tone(4))
    return RecordingOpener(folder)


def build(out: Path, opener: RecordingOpener, **options: Any) -> dict[str, Any]:
    """Renders the range of the steps with ``options``; returns preview.json."""
    audio = options.pop("audio", None)
    build_bundle(
        payload(STEPS, ASSETS, audio=audio, **{"resolution": "640x360", "stepsRange": RANGE, **options}),
        opener=opener,
        output=FolderOutput(out),
        limits=RenderLimits(),
        progress=lambda _share, _word: None,
    )
    return read_preview(out)


def test_outputs_of_a_branded_range_move_as_in_single_jobs(tmp_path: Path, opener: RecordingOpener) -> None:
    options = {"brand": {"footer": "Confidential"}, "imageFormat": "png", "transition": "fade"}
    outputs = ("webp", "mp4", "gif")
    preview = build(tmp_path / "all", opener, outputs=list(outputs), **options)
    assert opener.opened == {"early", "clip"}  # the poster shows the first picture
    assert preview["durationMs"] == 1_500
    times = [(frame["startMs"], frame["durationMs"]) for frame in preview["frames"]]
    assert times == [(0, 1_000), (1_000, 500)]
    chapters = (tmp_path / "all" / "chapters.vtt").read_text("utf-8")
    assert "00:00:00.000 --> 00:00:01.000\nIt moves" in chapters
    for kind in ("webp", "gif"):
        assert f"asset clip: {kind} has no sound; that of the video is omitted" in preview["warnings"]
    for kind in outputs:
        build(tmp_path / kind, opener, format=kind, **options)
        name = f"animation.{kind}"
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / kind / name).read_bytes(), kind
    slow = picture_frames((tmp_path / "all" / "animation.webp").read_bytes())
    fast = video_frames((tmp_path / "all" / "animation.mp4").read_bytes())
    assert slow[-1][1] == fast[-1][1] == 1_500
    assert sum(start < 1_000 for start, _, _ in slow) == 13
    assert sum(start < 1_000 for start, _, _ in fast) == 25
    with Image.open(tmp_path / "all" / "frames" / "002.png") as still:
        footer = still.convert("L").crop(FOOTER)
    darkest, lightest = footer.getextrema()
    assert lightest - darkest > 100  # type: ignore[operator]  # it has a text
    for shown in (slow, fast):
        for ms in (0, 500, 950):
            difference = ImageChops.difference(at(shown, ms).convert("L").crop(FOOTER), footer)
            assert difference.getextrema()[1] < 60, ms  # type: ignore[operator]
        moved = ImageChops.difference(at(shown, 0), at(shown, 950)).convert("L")
        assert moved.getextrema()[1] > 20  # type: ignore[operator]


def test_a_range_plays_the_sounds_of_its_clips_and_its_part_of_the_track(
    tmp_path: Path, opener: RecordingOpener
) -> None:
    audio = {
        "uri": "tone.wav",
        "offsetMs": 4_000,
    }  # the range starts at 2,800 ms: the step before plays for 800 ms
    build(tmp_path / "out", opener, outputs=["webm", "mp4"], only=["animation"], audio=audio)
    assert opener.opened == {"early", "clip", "audio"}
    for kind in ("webm", "mp4"):
        loudness = measure_loudness((tmp_path / "out" / f"animation.{kind}").read_bytes())
        assert min(loudness[10:90]) > 0.1  # the clip
        assert max(loudness[106:115]) < 0.05
        assert next(at_cs for at_cs in range(110, 150) if loudness[at_cs] > 0.1) == pytest.approx(120, abs=4)


@pytest.mark.parametrize("part", ["poster", "sheet", "frames"])
def test_clips_of_other_parts_are_not_read(tmp_path: Path, opener: RecordingOpener, part: str) -> None:
    preview = build(tmp_path / "out", opener, only=[part], audio={"uri": "tone.wav"}, outputs=["mp4"])
    assert opener.opened == ({"early"} if part == "poster" else {"clip"})
    assert preview["animation"] is None


def test_outputs_that_move_at_other_rates_share_what_is_decoded(
    tmp_path: Path, opener: RecordingOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = 0

    def counting(*arguments: Any) -> Iterator[Any]:
        nonlocal decoded
        for frame in _decoded(*arguments):
            decoded += 1
            yield frame

    _decoded = moving_clip._decoded
    monkeypatch.setattr(moving_clip, "_decoded", counting)
    options = {"only": ["animation"], "imageFormat": "png"}
    build(tmp_path / "one", opener, outputs=["mp4"], **options)
    alone, decoded = decoded, 0
    build(tmp_path / "two", opener, outputs=["webp", "mp4"], **options)
    assert alone == decoded > 0
    decoded = 0
    monkeypatch.setattr(playing, "_SHARED_FRAMES", 10_000)  # as if they did not fit into memory
    build(tmp_path / "apart", opener, outputs=["webp", "mp4"], **options)
    assert decoded == 2 * alone
    for name in ("animation.webp", "animation.mp4"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "apart" / name).read_bytes()
