"""What a bundle contains: several animations, widths, parts, ranges of steps, AVIF, alternative texts, chapters."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageChops

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef
from previewops.worker.bundle_builder import build_bundle
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.dry_run import plan_render
from previewops.worker.render.encode import avif
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.paint import Painter
from previewops.worker.render.pictures import decode_picture
from previewops.worker.render.storyboard import ANIMATED_FORMATS, read_storyboard
from tests.render_support import RecordingOpener, open_picture, payload, quarters, read_preview
from tests.sample_sounds import measure_loudness, tone

STEPS: list[dict[str, Any]] = [
    {"title": "First", "text": "A caption.", "assetIds": ["wide"], "durationMs": 1_500},
    {"title": "Why?", "text": "Because.", "assetIds": ["tall"]},
    {"assetIds": ["tall", "wide"], "durationMs": 700},
    {"title": "Last", "durationMs": 1_000},
]
ASSETS = [{"id": "wide", "uri": "wide.jpg", "title": "A wide one"}, {"id": "tall", "uri": "tall.png"}]


@pytest.fixture
def opener(tmp_path: Path) -> RecordingOpener:
    folder = tmp_path / "assets"
    folder.mkdir()
    quarters((800, 450)).save(folder / "wide.jpg", quality=95)
    quarters((300, 600)).save(folder / "tall.png")
    return RecordingOpener(folder)


def build(
    out: Path, opener: RecordingOpener, *, limits: RenderLimits | None = None, **options: Any
) -> dict[str, Any]:
    """Renders the steps with ``options``; returns preview.json."""
    audio = options.pop("audio", None)
    build_bundle(
        payload(STEPS, ASSETS, audio=audio, **options),
        opener=opener,
        output=FolderOutput(out),
        limits=limits or RenderLimits(),
        progress=lambda _share, _word: None,
    )
    return read_preview(out)


def names(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*.*") if path.suffix != ".json"}


def listed(out: Path) -> set[str]:
    return {entry["path"] for entry in json.loads((out / "container.json").read_text("utf-8"))["files"]}


def test_several_outputs_equal_those_of_single_jobs_and_are_drawn_once(
    tmp_path: Path, opener: RecordingOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, decoded = [], []
    draw = Painter.draw_frame
    monkeypatch.setattr(
        Painter, "draw_frame", lambda self, layout: drawn.append(layout) or draw(self, layout)
    )

    def decode(ref: AssetRef, *rest: Any, **named: Any) -> Any:
        decoded.append(ref.id)
        return decode_picture(ref, *rest, **named)

    monkeypatch.setattr("previewops.worker.render.picture_cache.decode_picture", decode)
    outputs = ["mp4", "webp", "gif", "apng", "webm"]
    preview = build(tmp_path / "all", opener, outputs=outputs, imageFormat="webp", transition="fade")
    assert len(drawn) == 1 + len(STEPS)
    assert sorted(decoded) == ["tall", "wide"]
    assert [entry["path"] for entry in preview["animations"]] == [f"animation.{kind}" for kind in outputs]
    assert preview["animation"] == preview["animations"][0]
    assert [text.partition(":")[0] for text in preview["warnings"]] == ["transition"] * 3
    for kind in ANIMATED_FORMATS:
        build(tmp_path / kind, opener, format=kind, imageFormat="webp", transition="fade")
        name = f"animation.{kind}"
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / kind / name).read_bytes(), kind


def test_each_video_output_has_the_whole_sound(tmp_path: Path, opener: RecordingOpener) -> None:
    (tmp_path / "assets" / "tone.wav").write_bytes(tone(9))
    build(tmp_path / "out", opener, outputs=["webm", "mp4"], audio={"uri": "tone.wav"})
    for kind in ("webm", "mp4"):
        with av.open(str(tmp_path / "out" / f"animation.{kind}")) as container:
            length_s = sum(frame.samples for frame in container.decode(audio=0)) / 48_000
        assert length_s == pytest.approx(7.2, abs=0.1)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_all_outputs_together_stay_within_the_output_limit(
    tmp_path: Path, opener: RecordingOpener, share: float
) -> None:
    options: dict[str, Any] = {"outputs": ["apng", "gif", "mp4"], "imageFormat": "png"}
    build(tmp_path / "whole", opener, **options)
    size = sum(path.stat().st_size for path in (tmp_path / "whole").rglob("*") if path.is_file())
    limit = RenderLimits(output_bytes=round(size * share))
    with pytest.raises(PermanentJobError) as caught:
        build(tmp_path / "cut", opener, limits=limit, **options)
    assert caught.value.code == "output-too-large"
    written = sum(path.stat().st_size for path in (tmp_path / "cut").rglob("*") if path.is_file())
    assert written <= limit.output_bytes
    build(tmp_path / "fits", opener, limits=RenderLimits(output_bytes=size + 500), **options)


def test_poster_and_frames_have_copies_at_each_width(tmp_path: Path, opener: RecordingOpener) -> None:
    out = tmp_path / "out"
    preview = build(out, opener, widths=[320, 160, 75], imageFormat="png")
    assert preview["poster"]["srcset"] == "poster-75.png 75w, poster-160.png 160w, poster.png 320w"
    for entry in (preview["poster"], *preview["frames"]):
        assert [copy["width"] for copy in entry["copies"]] == [75, 160]
        candidates = [candidate.split(" ") for candidate in entry["srcset"].split(", ")]
        assert [descriptor for _, descriptor in candidates] == ["75w", "160w", "320w"]
        assert {path for path, _ in candidates} <= listed(out)
        large = open_picture(out / entry["path"])
        for copy in entry["copies"]:
            small = open_picture(out / copy["path"])
            assert small.size == (copy["width"], copy["height"])
            smooth = large.resize(small.size, Image.Resampling.LANCZOS)
            difference = ImageChops.difference(small.convert("RGB"), smooth.convert("RGB"))
            assert max(high for _, high in difference.getextrema()) <= 24  # type: ignore[misc]
    assert preview["poster"]["copies"][0]["height"] == 42
    assert preview["frames"][2]["copies"][0]["path"] == "frames/002-75.png"
    plan = plan_render(
        read_storyboard(payload(STEPS, ASSETS, widths=[320, 160, 75], imageFormat="png")),
        opener=opener,
        limits=RenderLimits(),
    )
    assert {entry["path"] for entry in plan["artifacts"]} == listed(out)


@pytest.mark.parametrize(
    ("options", "files", "opened"),
    [
        ({"only": ["poster"]}, {"poster.webp"}, {"wide"}),
        ({"only": ["poster"], "widths": [160]}, {"poster.webp", "poster-160.webp"}, {"wide"}),
        (
            {"only": ["frames"], "stepsRange": {"from": 2, "to": 2}},
            {"frames/002.webp"},
            {"tall"},
        ),
        ({"only": ["sheet"], "stepsRange": {"from": 4, "to": 4}}, {"sheet.webp", "sheet.vtt"}, set()),
        ({"only": ["thumbnails"], "stepsRange": {"from": 2, "to": 2}}, {"thumbs/tall.webp"}, {"tall"}),
        (
            {"only": ["animation"], "outputs": ["gif"]},
            {"animation.gif", "captions.vtt", "chapters.vtt"},
            {"wide", "tall"},
        ),
        (
            {"stepsRange": {"from": 2, "to": 2}},
            {"poster.webp", "frames/002.webp", "sheet.webp", "sheet.vtt", "animation.webp", "captions.vtt"}
            | {"thumbs/tall.webp"},
            {"wide", "tall"},
        ),
    ],
)
def test_only_what_is_asked_is_opened_written_and_listed(
    tmp_path: Path, opener: RecordingOpener, options: dict[str, Any], files: set[str], opened: set[str]
) -> None:
    out = tmp_path / "out"
    preview = build(out, opener, **options)
    assert names(out) == files == listed(out)
    assert opener.opened == opened == {asset["id"] for asset in preview["assets"]}
    assert preview["partial"] is not None
    plan = plan_render(
        read_storyboard(payload(STEPS, ASSETS, **options)), opener=opener, limits=RenderLimits()
    )
    assert {entry["path"] for entry in plan["artifacts"]} == files
    assert plan["partial"] == preview["partial"]


def test_a_missing_asset_fails_only_what_shows_it(tmp_path: Path, opener: RecordingOpener) -> None:
    (tmp_path / "assets" / "tall.png").unlink()
    assert build(tmp_path / "poster", opener, only=["poster"])["poster"]["path"] == "poster.webp"
    with pytest.raises(PermanentJobError, match=r"tall\.png"):
        build(tmp_path / "frames", opener, only=["frames"])


def test_a_range_shows_the_frames_of_the_whole_preview(tmp_path: Path, opener: RecordingOpener) -> None:
    (tmp_path / "assets" / "tone.wav").write_bytes(tone(9))
    options: dict[str, Any] = {"format": "mp4", "imageFormat": "png", "audio": {"uri": "tone.wav"}}
    whole = build(tmp_path / "whole", opener, **options)
    part = build(tmp_path / "part", opener, stepsRange={"from": 2, "to": 3}, **options)
    assert whole["partial"] is None
    assert part["partial"] == {"only": None, "stepsRange": {"from": 2, "to": 3}}
    assert part["animation"] == {"path": "animation.mp4", "format": "mp4"}, "a video has no loops"
    assert (whole["durationMs"], part["durationMs"]) == (7_200, 2_700)
    shown = [(frame["step"], frame["startMs"], frame["durationMs"]) for frame in part["frames"]]
    assert shown == [(2, 0, 2_000), (3, 2_000, 700)]
    for path in ("frames/002.png", "frames/003.png", "poster.png"):
        one, other = (open_picture(tmp_path / name / path) for name in ("whole", "part"))
        assert one.tobytes() == other.tobytes(), path
    with av.open(str(tmp_path / "part" / "animation.mp4")) as container:
        assert len(list(container.decode(video=0))) == 2
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["Why?", "Step 3"]
    with av.open(str(tmp_path / "part" / "animation.mp4")) as container:
        length_s = sum(frame.samples for frame in container.decode(audio=0)) / 48_000
    assert length_s == pytest.approx(2.7, abs=0.1)


def test_a_range_plays_its_part_of_the_sound(tmp_path: Path, opener: RecordingOpener) -> None:
    (tmp_path / "assets" / "tone.wav").write_bytes(tone(9))
    audio = {"uri": "tone.wav", "offsetMs": 6_500}  # the last step starts at 6,200 ms
    build(
        tmp_path / "out",
        opener,
        outputs=["webm"],
        only=["animation"],
        stepsRange={"from": 4, "to": 4},
        audio=audio,
    )
    loudness = measure_loudness((tmp_path / "out" / "animation.webm").read_bytes())
    assert next(at for at, peak in enumerate(loudness) if peak > 0.1) == pytest.approx(30, abs=3)


def test_avif_stills_keep_the_colours_of_thin_lines(tmp_path: Path, opener: RecordingOpener) -> None:
    stripes = Image.new("RGB", (64, 64), (30, 30, 220))
    for x in range(0, 64, 2):
        stripes.paste((220, 30, 30), (x, 0, x + 1, 64))
    content = avif.encode_avif(stripes, 80, 8)
    with Image.open(BytesIO(content)) as image:
        difference = ImageChops.difference(image.convert("RGB"), stripes)
    assert max(high for _, high in difference.getextrema()) < 30  # type: ignore[misc]  # with 4:2:0 it is 115
    preview = build(tmp_path / "out", opener, imageFormat="avif")
    for entry in (preview["poster"], *preview["frames"], preview["sheet"]):
        with Image.open(tmp_path / "out" / entry["path"]) as image:
            assert image.format == "AVIF"


def test_a_pillow_without_avif_is_named(
    tmp_path: Path, opener: RecordingOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avif.features, "check", lambda name: name != "avif")
    with pytest.raises(PermanentJobError, match=r"allowed webp, png, jpeg with Pillow \d") as caught:
        build(tmp_path / "out", opener, imageFormat="avif")
    assert caught.value.code == "image-format-unavailable"
    with pytest.raises(PermanentJobError):
        plan_render(
            read_storyboard(payload(STEPS, ASSETS, imageFormat="avif")), opener=opener, limits=RenderLimits()
        )
    assert build(tmp_path / "out", opener, imageFormat="webp")["warnings"] == []


@pytest.mark.parametrize("kind", ["webm", "mp4"])
def test_videos_have_a_chapter_per_card(tmp_path: Path, opener: RecordingOpener, kind: str) -> None:
    preview = build(tmp_path / "out", opener, format=kind)
    with av.open(str(tmp_path / "out" / f"animation.{kind}")) as container:
        chapters = [
            (
                round(chapter["start"] * (chapter["time_base"] or 0) * 1000),
                round(chapter["end"] * (chapter["time_base"] or 0) * 1000),
                chapter["metadata"]["title"],
            )
            for chapter in container.chapters()
        ]
    assert chapters == [
        (0, 2_000, "A title"),
        (2_000, 3_500, "First"),
        (3_500, 5_500, "Why?"),
        (5_500, 6_200, "Step 3"),
        (6_200, 7_200, "Last"),
    ]
    assert preview["chapters"] == "chapters.vtt"
    track = (tmp_path / "out" / "chapters.vtt").read_text("utf-8")
    assert track.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nA title\n")
    assert track.count("-->") == 5


def test_pictures_have_alternative_texts(tmp_path: Path, opener: RecordingOpener) -> None:
    preview = build(tmp_path / "out", opener, language="de", includeCaptions=False)
    assert preview["poster"]["alt"] == "A title: What it is about."
    assert [frame["alt"] for frame in preview["frames"]] == [
        "A title: What it is about.",
        "First: A caption.",
        "Why? Because.",
        "A wide one",
        "Last",
    ]
