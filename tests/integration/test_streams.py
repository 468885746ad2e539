"""Videos, checked by decoding: size, frames, times, sound."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from previewops.contract.limits import TITLE_CARD_MS
from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.bundle_builder import build_bundle
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.encode.mp4_index import _list_boxes
from previewops.worker.render.limits import RenderLimits
from tests.render_support import corner_colours, open_picture, payload, quarters
from tests.sample_sounds import KINDS, encode_sound, measure_loudness, tone

VIDEO = ("webm", "mp4")
CODECS = {"webm": ("vp9", "opus"), "mp4": ("h264", "aac")}
STEPS: list[dict[str, Any]] = [
    {"title": "First", "assetIds": ["wide"], "durationMs": 1_500},
    {"title": "Second", "text": "Two pictures.", "assetIds": ["wide", "tall"], "durationMs": 333},
    {"title": "Third", "durationMs": 100},
    {"title": "Fourth", "assetIds": ["tall"], "durationMs": 2_001},
]
STARTS_MS = [0, 2_000, 3_500, 3_833, 3_933]
LENGTH_MS = TITLE_CARD_MS + 3_934
FRAME_MS = 40.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "assets"
    folder.mkdir()
    quarters((800, 450)).save(folder / "wide.jpg", quality=95)
    quarters((300, 600)).save(folder / "tall.png")
    return folder


def built(
    out: Path, root: Path, *, steps: Any = None, sound: dict[str, Any] | None = None, **options: Any
) -> Any:
    assets = [{"id": "wide", "uri": "wide.jpg"}, {"id": "tall", "uri": "tall.png"}]
    job = payload(STEPS if steps is None else steps, assets, audio=sound, **options)
    return build_bundle(
        job,
        opener=FileAssetOpener((root,)),
        output=FolderOutput(out),
        limits=RenderLimits(),
        progress=lambda _share, _word: None,
    )


def times_ms(video: bytes) -> list[float]:
    with av.open(BytesIO(video)) as container:
        return [float(frame.time or 0) * 1000 for frame in container.decode(video=0)]


def duration_ms(video: bytes) -> float:
    with av.open(BytesIO(video)) as container:
        return float(container.duration or 0) / 1000


@pytest.mark.parametrize("kind", VIDEO)
def test_a_video_has_one_frame_per_card_at_its_time(tmp_path: Path, root: Path, kind: str) -> None:
    built(tmp_path / "out", root, format=kind, imageFormat="webp")
    video = (tmp_path / "out" / f"animation.{kind}").read_bytes()
    assert times_ms(video) == pytest.approx(STARTS_MS, abs=1)
    assert duration_ms(video) == LENGTH_MS
    with av.open(BytesIO(video)) as container:
        (stream,) = container.streams.video
        assert not container.streams.audio
        assert (stream.codec_context.name, stream.width, stream.height) == (CODECS[kind][0], 320, 180)
        assert stream.codec_context.pix_fmt == "yuv420p"
        shown = [frame.to_image() for frame in container.decode(video=0)]
    for index, image in enumerate(shown):
        name = "000-title.webp" if index == 0 else f"{index:03d}.webp"
        still = open_picture(tmp_path / "out" / "frames" / name)
        small, expected = (picture.convert("RGB").resize((32, 18)) for picture in (image, still))
        differences = [abs(a - b) for a, b in zip(small.tobytes(), expected.tobytes(), strict=True)]
        assert sum(differences) / len(differences) < 6
    assert corner_colours(shown[4].crop((180, 20, 250, 160))) == corner_colours(
        open_picture(tmp_path / "out" / "frames" / "004.webp").crop((180, 20, 250, 160))
    )


@pytest.mark.parametrize("kind", VIDEO)
def test_fades_have_the_frame_rate_and_keep_the_length(tmp_path: Path, root: Path, kind: str) -> None:
    built(tmp_path / "out", root, format=kind, transition="fade", fps=20)
    video = (tmp_path / "out" / f"animation.{kind}").read_bytes()
    # 8 frames of 50 ms; 166 ms, half of the card's, hold 3; 50 ms hold 1.
    expected = [0, *range(2_000, 2_401, 50), *range(3_500, 3_651, 50), 3_833, 3_883, *range(3_933, 4_334, 50)]
    assert times_ms(video) == pytest.approx(expected, abs=1)
    assert duration_ms(video) == LENGTH_MS
    with av.open(BytesIO(video)) as container:
        shown = [frame.to_image() for frame in container.decode(video=0)][:10]
    first, last = shown[0], shown[9]
    apart = [difference(image, last) for image in shown]
    assert apart == sorted(apart, reverse=True), "each frame is nearer to the next card than the one before"
    assert difference(shown[5], first) > 1


@pytest.mark.parametrize("transition", ["none", "fade"])
def test_a_player_can_seek_to_each_card_of_an_mp4(tmp_path: Path, root: Path, transition: str) -> None:
    built(tmp_path / "out", root, format="mp4", transition=transition)
    with av.open(tmp_path / "out" / "animation.mp4") as container:
        keys_ms = [float(frame.time or 0) * 1000 for frame in container.decode(video=0) if frame.key_frame]
    assert keys_ms[: len(STARTS_MS)] == pytest.approx(STARTS_MS, abs=1)


def difference(one: Image.Image, other: Image.Image) -> float:
    pairs = zip(one.resize((32, 18)).tobytes(), other.resize((32, 18)).tobytes(), strict=True)
    return round(sum(abs(a - b) for a, b in pairs) / (32 * 18 * 3), 1)


@pytest.mark.parametrize("kind", VIDEO)
@pytest.mark.parametrize("sound", KINDS)
def test_every_sound_format_is_muxed(tmp_path: Path, root: Path, kind: str, sound: str) -> None:
    (root / "sound").write_bytes(encode_sound(tone(8, level=0.25), sound))
    summary = built(
        tmp_path / "out", root, format=kind, sound={"uri": "sound", "offsetMs": 1_000, "gainDb": 6.0}
    )
    assert not any("sound" in warning for warning in summary["warnings"])
    video = (tmp_path / "out" / f"animation.{kind}").read_bytes()
    with av.open(BytesIO(video)) as container:
        (stream,) = container.streams.audio
        assert (stream.codec_context.name, stream.rate, stream.channels) == (CODECS[kind][1], 48_000, 2)
    loud = measure_loudness(video)
    assert len(loud) * 10 == pytest.approx(LENGTH_MS, abs=FRAME_MS)
    assert max(loud[5:90]) < 0.02, "silence before the offset"
    assert min(loud[110:480]) == pytest.approx(0.5, abs=0.06), "6 dB more than a quarter"
    assert max(loud[110:480]) == pytest.approx(0.5, abs=0.06)
    assert loud[540] == pytest.approx(0.27, abs=0.08), "half-way through the fade"
    assert loud[-4] < 0.06
    assert duration_ms(video) == LENGTH_MS, "without the delay of Opus"


@pytest.mark.parametrize("kind", VIDEO)
def test_a_shorter_sound_ends_before_the_video(tmp_path: Path, root: Path, kind: str) -> None:
    (root / "sound").write_bytes(tone(2, rate=22_050, channels=2))
    built(tmp_path / "out", root, format=kind, sound={"uri": "sound"})
    video = (tmp_path / "out" / f"animation.{kind}").read_bytes()
    assert len(measure_loudness(video)) * 10 == pytest.approx(2_000, abs=FRAME_MS + 10)
    assert duration_ms(video) == LENGTH_MS


def test_an_mp4_keeps_no_room_for_what_is_not_there(tmp_path: Path, root: Path) -> None:
    steps = [{"title": "Long", "durationMs": 590_000}]
    built(tmp_path / "out", root, steps=steps, format="mp4", resolution="64x64")
    video = (tmp_path / "out" / "animation.mp4").read_bytes()
    boxes = {name: end - start for name, start, end in _list_boxes(BytesIO(video))}
    assert boxes.keys() - {b"free"} == {b"ftyp", b"moov", b"mdat"}
    assert boxes.get(b"free", 0) < 64
    assert len(video) < 10_000


def test_a_sound_with_a_late_offset_is_silent(tmp_path: Path, root: Path) -> None:
    (root / "sound").write_bytes(tone(1))
    built(tmp_path / "out", root, format="webm", sound={"uri": "sound", "offsetMs": 600_000})
    assert max(measure_loudness((tmp_path / "out" / "animation.webm").read_bytes()), default=0) < 0.01


@pytest.mark.parametrize("kind", VIDEO)
def test_the_index_of_a_long_mp4_precedes_its_data(tmp_path: Path, root: Path, kind: str) -> None:
    (root / "sound").write_bytes(tone(30))
    steps = [{"title": f"Step {number}", "durationMs": 100} for number in range(200)]
    built(tmp_path / "out", root, steps=steps, format=kind, sound={"uri": "sound"}, resolution="64x64")
    video = (tmp_path / "out" / f"animation.{kind}").read_bytes()
    assert len(times_ms(video)) == 201
    assert len(measure_loudness(video)) * 10 == pytest.approx(22_000, abs=FRAME_MS)
    if kind == "mp4":
        assert video.index(b"moov") < video.index(b"mdat")


@pytest.mark.parametrize("kind", VIDEO)
def test_a_repeated_render_gives_equal_bytes(tmp_path: Path, root: Path, kind: str) -> None:
    (root / "sound").write_bytes(encode_sound(tone(3), "ogg"))
    for name in ("one", "two"):
        built(tmp_path / name, root, format=kind, sound={"uri": "sound"}, transition="fade")
    one, two = ((tmp_path / name / f"animation.{kind}").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("content", "code", "found"),
    [
        (b"", "asset-unsupported", "an empty file"),
        (b"\x89PNG\r\n\x1a\n and so on", "asset-unsupported", "PNG"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\nhttp://127.0.0.1/", "asset-unsupported", "23 45"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "asset-corrupt", ""),
        (b"OggS" + bytes(100), "asset-corrupt", ""),
        (b"ID3" + bytes(500), "asset-corrupt", ""),
        (b"\x00\x00\x00\x18ftypM4A " + bytes(60), "asset-corrupt", ""),
    ],
)
def test_sound_errors_have_their_codes(
    tmp_path: Path, root: Path, content: bytes, code: str, found: str
) -> None:
    (root / "sound").write_bytes(content)
    with pytest.raises(PermanentJobError) as caught:
        built(tmp_path / "out", root, format="webm", sound={"uri": "sound"})
    assert caught.value.code == code
    assert found in str(caught.value.data["found"])
    assert caught.value.hint


@pytest.mark.parametrize("still", ["webp", "avif", "jpeg", "png"])
def test_a_video_has_stills(tmp_path: Path, root: Path, still: str) -> None:
    built(tmp_path / "out", root, format="mp4", imageFormat=still)
    extension = {"jpeg": "jpg"}.get(still, still)
    poster = open_picture(tmp_path / "out" / f"poster.{extension}")
    assert ((poster.format or "").lower(), poster.size) == (still, (320, 180))
    assert len(list((tmp_path / "out" / "frames").glob(f"*.{extension}"))) == 5


def test_other_formats_warn_about_sound_and_fades(tmp_path: Path, root: Path) -> None:
    (root / "sound").write_bytes(b"anything")
    warnings = built(tmp_path / "out", root, format="gif", sound={"uri": "sound"}, transition="fade")[
        "warnings"
    ]
    assert any("has no sound" in warning for warning in warnings)
    assert any("has no fades" in warning for warning in warnings)


def test_pyav_is_imported_on_demand() -> None:
    script = "import sys, previewops.worker.bundle_builder; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
