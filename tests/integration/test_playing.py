"""Videos and animated pictures that play within their steps: colours at times, durations, sound, limits."""

from __future__ import annotations

import math
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageChops

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.bundle_builder import build_bundle
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.decode.memory import clip_bytes
from previewops.worker.render.encoder_memory import reserve_memory
from previewops.worker.render.limits import RESERVED_BYTES, RenderLimits
from previewops.worker.render.render import RenderResult
from previewops.worker.render.storyboard import read_storyboard
from tests.render_support import payload, read_preview, render_into
from tests.sample_clips import (
    BLUE,
    GREEN,
    GREY,
    RED,
    Colour,
    at,
    colour_animation,
    colour_clip,
    joined_clips,
    picture_frames,
    video_frames,
)
from tests.sample_sounds import measure_loudness, tone

CARD_MS = 2_000
PLACE = (215, 90)  # in the picture of a step of 320x180
RGB = [(RED, 400), (GREEN, 600), (BLUE, 1_000)]

Shown = list[tuple[int, int, Image.Image]]


def rendered(
    folder: Path, clips: dict[str, bytes], *, step: dict[str, Any] | None = None, **options: Any
) -> tuple[RenderResult, Shown]:
    """Renders a job with one step that plays all ``clips`` and a step of text; returns what is shown when."""
    asset = options.pop("asset", {})
    limits = options.pop("limits", None)
    audio = options.pop("audio", None)
    for name, content in clips.items():
        (folder / name).write_bytes(content)
    names = [name for name in clips if not name.endswith(".wav")]
    job = payload(
        [{"title": "It moves", "assetIds": names, **(step or {})}, {"title": "Then text"}],
        [{"id": name, "uri": name, "play": True, **asset} for name in names],
        audio=audio,
        **{"format": "mp4", "imageFormat": "png", **options},
    )
    out = folder / "out"
    result = render_into(out, job, folder, limits)
    path = next(iter(result.paths.animations), None)
    content = (out / path).read_bytes() if path else b""
    read = video_frames if path and path.endswith(("mp4", "webm")) else picture_frames
    return result, read(content) if content else []


def durations_ms(result: RenderResult) -> tuple[int, ...]:
    """The durations of the cards."""
    return tuple(end_ms - start_ms for _, start_ms, end_ms in result.storyboard.intervals())


def is_near(image: Image.Image, colour: Colour, place: tuple[int, int] = PLACE) -> bool:
    pixel = image.convert("RGB").getpixel(place)
    assert isinstance(pixel, tuple)
    return all(abs(a - b) < 12 for a, b in zip(pixel, colour, strict=True))


def colours(shown: Shown, times_ms: list[int]) -> list[str]:
    """The name of the colour at each time after the title card."""
    names = {"red": RED, "green": GREEN, "blue": BLUE, "grey": GREY}
    images = [at(shown, CARD_MS + ms) for ms in times_ms]
    return [next((name for name in names if is_near(image, names[name])), "other") for image in images]


@pytest.mark.parametrize("format_", ["webp", "gif", "apng", "webm", "mp4"])
def test_a_video_plays_in_every_format_for_its_duration(tmp_path: Path, format_: str) -> None:
    result, shown = rendered(tmp_path, {"a.mp4": colour_clip(RGB)}, format=format_)
    assert durations_ms(result) == (2_000, 2_000, 2_000)
    assert [(start, end) for start, end, _ in shown] == [
        (0, 2_000),
        (2_000, 2_400),
        (2_400, 3_000),
        (3_000, 4_000),
        (4_000, 6_000),
    ]
    assert colours(shown, [0, 399, 400, 999, 1_000, 1_999]) == [
        "red",
        "red",
        "green",
        "green",
        "blue",
        "blue",
    ]
    assert colours(shown, [2_000]) == ["other"]
    assert result.warnings == ()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animated_picture_keeps_its_delays_as_in_browsers(tmp_path: Path, kind: str) -> None:
    content = colour_animation([(RED, 300), (GREEN, 10), (BLUE, 200)], kind)
    result, shown = rendered(tmp_path, {"a": content}, format="webp")
    assert durations_ms(result)[1] == 600
    assert [start for start, _, _ in shown] == [0, 2_000, 2_300, 2_400, 2_600]
    assert colours(shown, [0, 300, 400, 599]) == ["red", "green", "blue", "blue"]


@pytest.mark.parametrize(
    ("kind", "loops", "at_the_end"),
    [
        ("GIF", 0, "red"),
        ("GIF", None, "blue"),
        ("GIF", 1, "blue"),
        ("WEBP", 0, "red"),
        ("WEBP", 2, "blue"),
        ("PNG", 0, "red"),
        ("PNG", 1, "blue"),
    ],
)
def test_an_animation_repeats_as_often_as_its_file_says(
    tmp_path: Path, kind: str, loops: int | None, at_the_end: str
) -> None:
    content = colour_animation([(RED, 200), (BLUE, 200)], kind, loops=loops)
    _, shown = rendered(tmp_path, {"a": content}, step={"durationMs": 1_000}, format="webp")
    assert colours(shown, [0, 300, 900]) == ["red", "blue", at_the_end]


def test_a_step_longer_than_its_video_holds_the_last_frame_and_a_shorter_one_cuts_it(tmp_path: Path) -> None:
    _, longer = rendered(tmp_path, {"a.mp4": colour_clip(RGB)}, step={"durationMs": 3_000})
    assert colours(longer, [1_000, 2_999]) == ["blue", "blue"]
    assert longer[-2][:2] == (3_000, 5_000)
    result, shorter = rendered(tmp_path, {"a.mp4": colour_clip(RGB)}, step={"durationMs": 500})
    assert colours(shorter, [0, 450]) == ["red", "green"]
    assert result.storyboard.duration_ms == shorter[-1][1] == 4_500


def test_a_part_of_a_video_plays_from_any_time_on(tmp_path: Path) -> None:
    clip = colour_clip(RGB, gop=100)
    asset = {"trim": {"startMs": 300, "endMs": 1_100}}
    result, shown = rendered(tmp_path, {"a.mp4": clip}, asset=asset)
    assert durations_ms(result)[1] == 800
    assert [start for start, _, _ in shown] == [0, 2_000, 2_100, 2_700, 2_800]
    assert colours(shown, [0, 100, 700]) == ["red", "green", "blue"]
    with pytest.raises(PermanentJobError) as caught:
        rendered(tmp_path, {"a.mp4": clip}, asset={"trim": {"startMs": 2_000}})
    assert caught.value.code == "asset-trim-outside"
    assert "2000 ms" in caught.value.message


def test_a_part_of_an_animation_plays(tmp_path: Path) -> None:
    content = colour_animation(RGB)
    asset = {"trim": {"startMs": 300, "endMs": 1_100}}
    result, shown = rendered(tmp_path, {"a.gif": content}, asset=asset, format="webp")
    assert durations_ms(result)[1] == 800
    assert colours(shown, [0, 100, 700]) == ["red", "green", "blue"]


def test_a_part_of_an_animated_png_repeats(tmp_path: Path) -> None:
    content = colour_animation([*RGB, (GREY, 400)], "PNG")
    asset = {"trim": {"startMs": 400, "endMs": 2_000}}
    result, shown = rendered(tmp_path, {"a": content}, asset=asset, step={"durationMs": 3_200}, format="webp")
    assert colours(shown, [0, 700, 1_700, 2_300]) == ["green", "blue", "green", "blue"]
    assert result.warnings == ()


@pytest.mark.parametrize("kind", ["MP4", "GIF", "WEBP", "PNG"])
def test_stills_show_a_frame_of_the_part_that_plays(tmp_path: Path, kind: str) -> None:
    frames = [*RGB, (GREY, 400)]
    content = colour_clip(frames, gop=100) if kind == "MP4" else colour_animation(frames, kind)
    asset = {"trim": {"startMs": 450, "endMs": 900}}
    result, _ = rendered(tmp_path, {"a": content}, asset=asset, format="png")
    with Image.open(tmp_path / "out" / result.paths.frames[1]) as still:
        assert is_near(still, GREEN)


def test_a_video_with_one_key_frame_is_not_shown_by_its_black_start(tmp_path: Path) -> None:
    clip = colour_clip([((0, 0, 0), 200), *[(GREEN, 200)] * 8], gop=100)
    result, _ = rendered(tmp_path, {"a.mp4": clip}, format="png")
    with Image.open(tmp_path / "out" / result.paths.frames[1]) as still:
        assert is_near(still, GREEN)


def test_a_fast_video_is_shown_at_the_frame_rate(tmp_path: Path) -> None:
    fast = [((number, 255 - number, 128), 4) for number in range(250)]
    _, shown = rendered(tmp_path, {"a.mp4": colour_clip(fast)}, fps=10, format="webp")
    moving = [frame for frame in shown if 2_000 <= frame[0] < 3_000]
    assert 10 <= len(moving) <= 11
    for start, _, image in moving:
        red = image.getpixel(PLACE)[0]  # type: ignore[index]
        assert abs(red - (start - 2_000) / 4) < 8


def test_stills_keep_one_frame_and_tracks_follow_the_video(tmp_path: Path) -> None:
    clip = colour_clip([(RED, 100), *[(GREEN, 340)] * 10], gop=1)
    result, _ = rendered(tmp_path, {"a.mp4": clip}, format="webm")
    out = tmp_path / "out"
    with Image.open(out / result.paths.frames[1]) as still:
        assert is_near(still, GREEN)
    assert "00:00:02.000 --> 00:00:05.500" in (out / "captions.vtt").read_text("utf-8")
    assert "00:00:05.500 --> 00:00:07.500" in (out / "sheet.vtt").read_text("utf-8")


def test_stills_alone_last_as_long_as_the_animation_would(tmp_path: Path) -> None:
    result, _ = rendered(tmp_path, {"a.mp4": colour_clip(RGB)}, format="png", step={})
    assert durations_ms(result) == (2_000, 2_000, 2_000)
    assert result.warnings == ("asset a.mp4: a video; one frame of it is shown",)


def test_two_videos_play_beside_each_other(tmp_path: Path) -> None:
    clips = {
        "a.mp4": colour_clip([(RED, 500), (BLUE, 500)]),
        "b.webm": colour_clip([(GREEN, 300), (RED, 900)], "webm"),
    }
    result, shown = rendered(tmp_path, clips, step={"layout": "split"}, includeCaptions=False)
    assert durations_ms(result)[1] == 1_200
    left, right = (80, 90), (240, 90)
    for ms, one, other in ((0, RED, GREEN), (400, RED, RED), (600, BLUE, RED), (1_100, BLUE, RED)):
        image = at(shown, CARD_MS + ms)
        assert is_near(image, one, left)
        assert is_near(image, other, right)


def test_text_over_a_video_stays(tmp_path: Path) -> None:
    clip = colour_clip([(GREY, 500), (RED, 500)], size=(320, 180), gop=1)
    result, shown = rendered(
        tmp_path, {"a.mp4": clip}, step={"layout": "full", "text": "A caption over it"}, format="apng"
    )
    with Image.open(tmp_path / "out" / result.paths.frames[1]) as still:
        expected = still.convert("RGB")
    difference = ImageChops.difference(at(shown, CARD_MS), expected)
    assert max(high for _, high in difference.getextrema()) <= 2  # the still shows the same frame
    moved = at(shown, CARD_MS + 600)
    assert is_near(moved, RED, (300, 10))
    light = [(x, y) for x in range(320) for y in range(180) if min(expected.getpixel((x, y))) > 240]
    assert light
    assert all(min(moved.getpixel(place)) > 225 for place in light)


def test_corners_stay_round_and_the_rest_of_the_card_is_unchanged(tmp_path: Path) -> None:
    _, shown = rendered(tmp_path, {"a.mp4": colour_clip(RGB)}, format="apng")
    first, last = (at(shown, CARD_MS + ms) for ms in (0, 1_900))
    box = ImageChops.difference(first, last).getbbox()
    assert box is not None
    corner = (box[0], box[1])
    changed = ImageChops.difference(first, last).convert("L")
    inside = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
    assert changed.getpixel(corner) < changed.getpixel(inside) // 2
    assert box[2] - box[0] < 240


def test_a_transparent_animation_is_drawn_on_the_ground_of_its_picture(tmp_path: Path) -> None:
    file, frames = BytesIO(), []
    for colour in (RED, GREEN):
        image = Image.new("RGBA", (160, 90), (0, 0, 0, 0))
        image.paste((*colour, 255), (40, 20, 120, 70))
        frames.append(image)
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:], duration=200, loop=0)
    result, shown = rendered(tmp_path, {"a.png": file.getvalue()}, format="apng")
    with Image.open(tmp_path / "out" / result.paths.frames[1]) as still:
        ground = still.convert("RGB").getpixel((130, 50))
    for ms, colour in ((0, RED), (300, GREEN)):
        assert is_near(at(shown, CARD_MS + ms), colour)
        assert at(shown, CARD_MS + ms).getpixel((130, 50)) == ground


def test_cards_fade_into_and_out_of_a_video(tmp_path: Path) -> None:
    _, shown = rendered(tmp_path, {"a.mp4": colour_clip(RGB)}, transition="fade")
    starts = [start for start, _, _ in shown if start < 4_000]
    assert starts == [0, 2_000, 2_083, 2_166, 2_250, 2_333, 2_400, 3_000]
    assert colours(shown, [450, 1_500, 2_010]) == ["green", "blue", "other"]
    assert is_near(at(shown, CARD_MS + 1_999), BLUE)
    assert shown[-1][1] == 6_000


def test_a_video_turned_by_its_metadata_plays_upright(tmp_path: Path) -> None:
    file = BytesIO()
    with av.open(BytesIO(colour_clip(RGB))) as source, av.open(file, "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(90) if hasattr(stream, "set_display_rotation") else pytest.skip(
            "this version of PyAV writes no rotation"
        )
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    result, shown = rendered(tmp_path, {"a.mp4": file.getvalue()})
    picture = result.inspected["a.mp4"].picture
    assert picture is not None
    assert picture.size == (90, 160)
    assert any(is_near(at(shown, CARD_MS + 1_500), BLUE, (x, 90)) for x in range(120, 300, 10))


# Sound


def level_of(video: bytes, hertz: float, start_ms: int, end_ms: int) -> float:
    """Returns the amplitude of a tone in a part of a video's sound, 0..1."""
    samples: list[float] = []
    with av.open(BytesIO(video)) as container:
        resampler = av.AudioResampler("flt", "mono", 48_000)
        for frame in [*container.decode(audio=0), None]:
            for made in resampler.resample(frame):
                samples += struct.unpack(f"<{made.samples}f", bytes(made.planes[0])[: 4 * made.samples])
    part = samples[start_ms * 48 : end_ms * 48]
    real = sum(value * math.cos(2 * math.pi * hertz * n / 48_000) for n, value in enumerate(part))
    imaginary = sum(value * math.sin(2 * math.pi * hertz * n / 48_000) for n, value in enumerate(part))
    return 2 * math.hypot(real, imaginary) / max(1, len(part))


@pytest.mark.parametrize("format_", ["mp4", "webm"])
def test_the_sound_of_a_video_is_heard_while_it_plays(tmp_path: Path, format_: str) -> None:
    clip = colour_clip(RGB, wav=tone(2.0, hertz=440, level=0.5))
    result, shown = rendered(
        tmp_path, {"a.mp4": clip}, asset={"mute": False}, format=format_, step={"durationMs": 1_500}
    )
    loud = measure_loudness((tmp_path / "out" / f"animation.{format_}").read_bytes())
    assert max(loud[:195]) < 0.01
    assert min(loud[210:340]) > 0.3
    assert max(loud[360:], default=0) < 0.01
    assert shown[-1][1] == 5_500
    assert result.warnings == ()


def test_a_muted_video_has_no_sound_track(tmp_path: Path) -> None:
    rendered(tmp_path, {"a.mp4": colour_clip(RGB, wav=tone(2.0))})
    with av.open(str(tmp_path / "out" / "animation.mp4")) as container:
        assert not container.streams.audio


def test_a_trimmed_video_has_the_sound_of_its_part(tmp_path: Path) -> None:
    silent_then_loud = tone(1.0, level=0.0)[:44] + tone(1.0, level=0.0)[44:] + tone(1.0, level=0.6)[44:]
    header = bytearray(silent_then_loud)
    struct.pack_into("<I", header, 40, len(header) - 44)
    struct.pack_into("<I", header, 4, len(header) - 8)
    clip = colour_clip(RGB, wav=bytes(header))
    rendered(tmp_path, {"a.mp4": clip}, asset={"mute": False, "trim": {"startMs": 700}})
    loud = measure_loudness((tmp_path / "out" / "animation.mp4").read_bytes())
    assert max(loud[200:226]) < 0.05
    assert min(loud[236:320]) > 0.35


def test_a_video_is_quieter_while_the_sound_track_speaks(tmp_path: Path) -> None:
    clip = colour_clip([(RED, 2_000), (BLUE, 2_000)], wav=tone(4.0, hertz=440, level=0.3))
    speech = tone(1.5, hertz=1_320, level=0.4)
    rendered(
        tmp_path,
        {"a.mp4": clip, "voice.wav": speech},
        asset={"mute": False},
        audio={"uri": "voice.wav", "offsetMs": 2_500},
    )
    video = (tmp_path / "out" / "animation.mp4").read_bytes()
    before, during, after = (
        level_of(video, 440, *part) for part in ((2_100, 2_450), (3_000, 3_900), (5_000, 5_900))
    )
    assert before == pytest.approx(0.3, abs=0.05)
    assert after == pytest.approx(0.3, abs=0.05)
    assert during < 0.25 * before
    assert level_of(video, 1_320, 3_000, 3_900) == pytest.approx(0.4, abs=0.05)
    assert max(measure_loudness(video)) <= 1.0


def test_a_sound_that_cannot_be_played_leaves_the_video(tmp_path: Path) -> None:
    clip = colour_clip(RGB, "webm", wav=tone(2.0)).replace(b"A_OPUS", b"A_XPUS")
    result, shown = rendered(tmp_path, {"a.webm": clip}, asset={"mute": False})
    assert colours(shown, [0, 1_500]) == ["red", "blue"]
    assert any("its sound cannot be played" in warning for warning in result.warnings)


def test_an_unknown_codec_is_named(tmp_path: Path) -> None:
    clip = colour_clip(RGB, "webm", wav=tone(0.2))
    video, sound = clip.replace(b"V_VP9", b"V_XP9"), clip.replace(b"A_OPUS", b"A_XPUS")
    with pytest.raises(PermanentJobError, match="with the codec unknown") as caught:
        rendered(tmp_path, {"a.webm": video})
    assert caught.value.code == "asset-unsupported"
    (tmp_path / "b.wav").write_bytes(sound)
    with pytest.raises(PermanentJobError, match="with the codec unknown") as caught:
        rendered(tmp_path, {}, audio={"uri": "b.wav"})
    assert caught.value.code == "asset-unsupported"


# Hostile and broken files


def test_a_video_cut_in_the_middle_plays_what_is_there(tmp_path: Path) -> None:
    noise = [(colour, 100) for colour in (RED, GREEN, BLUE) for _ in range(7)]
    clip = colour_clip(noise, "webm", gop=3)
    result, shown = rendered(tmp_path, {"a.webm": clip[: len(clip) * 6 // 10]}, step={"durationMs": 3_000})
    assert colours(shown, [0, 2_900])[0] == "red"
    assert shown[-1][1] == 7_000
    assert any("missing" in warning or "damaged" in warning for warning in result.warnings)


def test_a_damaged_video_plays_up_to_the_damage_and_holds(tmp_path: Path) -> None:
    clip = bytearray(colour_clip([(RED, 500), (GREEN, 500), (BLUE, 1_000)], "webm", gop=1, codec="libvpx"))
    with av.open(BytesIO(bytes(clip))) as container:
        positions = [packet.pos for packet in container.demux(video=0) if packet.size]
    start = clip.index(bytes([0x9D, 0x01, 0x2A]), positions[2])
    clip[start : start + 3] = b"\0\0\0"
    result, shown = rendered(tmp_path, {"a.webm": bytes(clip)})
    assert durations_ms(result)[1] == 2_000
    assert colours(shown, [0, 600, 1_900]) == ["red", "green", "green"]
    assert any("damaged" in warning for warning in result.warnings)


def test_a_damaged_animation_holds_its_last_good_frame(tmp_path: Path) -> None:
    noisy = [Image.effect_noise((160, 90), 90).convert("RGB") for _ in range(3)]
    file = BytesIO()
    noisy[0].save(file, "PNG", save_all=True, append_images=noisy[1:], duration=300, loop=0)
    content = bytearray(file.getvalue())
    last = content.rindex(b"fdAT")
    content[last + 60 : last + 2_000] = bytes(1_940)
    result, shown = rendered(tmp_path, {"a.png": bytes(content)}, format="webp", step={"durationMs": 1_800})
    assert shown[-1][1] == 5_800
    assert any("damaged" in warning for warning in result.warnings)


def test_claims_of_a_file_about_its_duration_do_not_count(tmp_path: Path) -> None:
    clip = bytearray(colour_clip(RGB))
    place = clip.index(b"mvhd")
    struct.pack_into(">I", clip, place + 4 + 16, 3_600_000)  # an hour in its scale of 1/1000
    result, _ = rendered(tmp_path, {"a.mp4": bytes(clip)})
    assert durations_ms(result)[1] == 2_000


def test_a_picture_without_movement_is_shown_as_one(tmp_path: Path) -> None:
    file = BytesIO()
    Image.new("RGB", (160, 90), GREEN).save(file, "PNG")
    result, shown = rendered(tmp_path, {"a.png": file.getvalue()})
    assert durations_ms(result)[1] == 2_000
    assert colours(shown, [0]) == ["green"]
    assert result.warnings == ("asset a.png: nothing in it plays; it is shown as a picture",)


def test_changing_sizes_stay_in_their_place(tmp_path: Path) -> None:
    parts = (
        colour_clip([(colour, 500)] * 2, "webm", codec="libvpx", size=size, gop=1)
        for colour, size in ((RED, (160, 90)), (BLUE, (240, 136)))
    )
    _, shown = rendered(tmp_path, {"a.webm": joined_clips(*parts)})
    assert colours(shown, [0, 1_500]) == ["red", "blue"]
    assert not is_near(at(shown, CARD_MS + 1_500), BLUE, (40, 20))


def test_a_size_that_grows_beyond_the_limit_ends_the_video(tmp_path: Path) -> None:
    parts = (
        colour_clip([(colour, 500)] * 2, "webm", codec="libvpx", size=size, gop=1)
        for colour, size in (
            (RED, (160, 90)),
            (BLUE, (640, 360)),
        )
    )
    limits = RenderLimits(frame_pixels=160 * 90)
    result, shown = rendered(tmp_path, {"a.webm": joined_clips(*parts)}, limits=limits)
    assert colours(shown, [0, 1_500]) == ["red", "red"]
    assert any("damaged" in warning for warning in result.warnings)


def test_limits_of_frames_and_time_are_checked_before_anything_is_decoded(tmp_path: Path) -> None:
    clip = colour_clip(RGB)
    for limits, code in (
        (RenderLimits(played_frames=2), "too-many-played-frames"),
        (RenderLimits(played_pixels=3 * 160 * 90 - 1), "too-many-played-frames"),
        (RenderLimits(length_ms=5_999), "too-long"),
    ):
        with pytest.raises(PermanentJobError) as caught:
            rendered(tmp_path, {"a.mp4": clip}, limits=limits)
        assert caught.value.code == code
    endless = colour_animation([(RED, 20), (BLUE, 20)])
    with pytest.raises(PermanentJobError) as caught:
        rendered(
            tmp_path, {"a.gif": endless}, step={"durationMs": 1_000}, limits=RenderLimits(played_frames=49)
        )
    assert "50 frames" in caught.value.message


def test_videos_that_do_not_fit_into_memory_together_are_stills(tmp_path: Path) -> None:
    clips = {f"{name}.mp4": colour_clip(RGB) for name in "ab"}
    encoder = (
        RenderLimits().memory_bytes
        - reserve_memory(read_storyboard(payload(format="mp4")), RenderLimits()).memory_bytes
    )
    allowed = RESERVED_BYTES + encoder + clip_bytes("h264", 160 * 90, 12) * 3 // 2
    result, shown = rendered(
        tmp_path, clips, limits=RenderLimits(memory_bytes=allowed), step={"layout": "split"}
    )
    assert len(shown) > 3
    assert result.warnings == (
        "asset b.mp4: a video; one frame of it is shown",
        "asset b.mp4: too many large assets play in its step; one frame of it is shown",
    )


def test_the_manifest_and_the_plan_have_the_duration_of_the_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(colour_clip(RGB[:2]))
    for dry_run in (True, False):
        job = payload(
            [{"assetIds": ["a"]}], [{"id": "a", "uri": "a.mp4", "play": True}], dry_run=dry_run, format="webp"
        )
        summary = build_bundle(
            job,
            opener=FileAssetOpener((tmp_path,)),
            output=FolderOutput(tmp_path / "out"),
            limits=RenderLimits(),
            progress=lambda _share, _phase: None,
        )
        plan = summary["plan"] if dry_run else summary
        assert plan["durationMs"] == 3_000
        if dry_run:
            animation = next(entry for entry in plan["artifacts"] if entry["path"] == "animation.webp")
            assert animation["frames"] == 2 + 12  # a second at the default frame rate
    preview = read_preview(tmp_path / "out")
    assert [frame["durationMs"] for frame in preview["frames"]] == [2_000, 1_000]
    assert preview["durationMs"] == 3_000
