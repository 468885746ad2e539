"""Bundles of real pictures: files, checksums, determinism, limits and errors."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from PIL import Image

from previewops.contract.limits import TITLE_CARD_MS
from previewops.job_errors import JobError, PermanentJobError, TransientJobError
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.bundle_builder import build_bundle
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.dry_run import plan_render
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.storyboard import read_storyboard
from tests.render_support import corner_colours, open_picture, payload, quarters, read_preview, render_into

EXTENSIONS = {"webp": "webp", "png": "png", "jpeg": "jpg"}
STEPS: list[dict[str, Any]] = [
    {"title": "First", "text": "One picture.", "assetIds": ["wide"], "durationMs": 1_500},
    {"title": "Second", "text": "Two pictures.", "assetIds": ["wide", "tall"]},
    {"text": "Three pictures, no title.", "assetIds": ["wide", "tall", "round"], "durationMs": 3_000},
    {"title": "No picture"},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "assets"
    folder.mkdir()
    quarters((800, 450)).save(folder / "wide.jpg", quality=95)
    quarters((300, 600)).save(folder / "tall.png")
    logo = quarters((200, 200), "RGBA")
    logo.paste((0, 0, 0, 0), (0, 0, 200, 40))
    logo.save(folder / "round.webp", lossless=True)
    return folder


def assets(**more: Any) -> list[dict[str, Any]]:
    return [
        {"id": "wide", "uri": "wide.jpg", "title": "A wide one", **more},
        {"id": "tall", "uri": "tall.png"},
        {"id": "round", "uri": "round.webp"},
    ]


def build(
    out: Path,
    job: dict[str, Any],
    root: Path,
    progress: Callable[[float, str], None] = lambda _share, _word: None,
    **limits: int,
) -> dict[str, Any]:
    return build_bundle(
        job,
        opener=FileAssetOpener((root,)),
        output=FolderOutput(out),
        limits=RenderLimits.from_mapping(limits),
        progress=progress,
    )


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("animation", ["webp", "gif", "apng"])
@pytest.mark.parametrize("still", ["webp", "png", "jpeg"])
def test_every_format_has_all_files(tmp_path: Path, root: Path, animation: str, still: str) -> None:
    out = tmp_path / "out"
    build(out, payload(STEPS, assets(), format=animation, imageFormat=still), root)
    extension = EXTENSIONS[still]
    assert set(files_in(out)) == {
        f"poster.{extension}",
        f"frames/000-title.{extension}",
        *(f"frames/{number:03d}.{extension}" for number in range(1, 5)),
        f"sheet.{extension}",
        "sheet.vtt",
        f"animation.{animation}",
        "captions.vtt",
        "chapters.vtt",
        *(f"thumbs/{name}.{extension}" for name in ("wide", "tall", "round")),
        "preview.json",
        "container.json",
    }
    for path in out.rglob(f"*.{extension}"):
        image = open_picture(path)
        assert (image.format or "").lower() == still
        if path.parent.name == "frames" or path.stem == "poster":
            assert image.size == (320, 180)
    assert open_picture(out / f"thumbs/wide.{extension}").size == (320, 180)
    assert open_picture(out / f"thumbs/tall.{extension}").size == (90, 180)
    assert open_picture(out / f"thumbs/round.{extension}").size == (180, 180)


@pytest.mark.parametrize("animation", ["webp", "gif", "apng"])
def test_the_animation_has_one_frame_per_card_with_its_duration(
    tmp_path: Path, root: Path, animation: str
) -> None:
    build(tmp_path / "out", payload(STEPS, assets(), format=animation, imageFormat="webp"), root)
    durations = []
    with Image.open(tmp_path / "out" / f"animation.{animation}") as image:
        assert image.n_frames == 5  # type: ignore[attr-defined]
        assert image.info["loop"] == 0
        for index in range(5):
            image.seek(index)
            image.load()
            durations.append(image.info["duration"])
            still = open_picture(
                tmp_path / "out" / "frames" / ("000-title.webp" if index == 0 else f"{index:03d}.webp")
            )
            shown, expected = (picture.convert("RGB").resize((16, 9)) for picture in (image, still))
            differences = [abs(a - b) for a, b in zip(shown.tobytes(), expected.tobytes(), strict=True)]
            assert sum(differences) / len(differences) < 6
    assert durations == [TITLE_CARD_MS, 1_500, 2_000, 3_000, 2_000]


@pytest.mark.parametrize("still", ["png", "jpeg"])
def test_a_still_format_makes_no_animation(tmp_path: Path, root: Path, still: str) -> None:
    summary = build(tmp_path / "out", payload(STEPS, assets(), format=still), root)
    paths = {entry["path"] for entry in summary["artifacts"]}
    assert f"poster.{EXTENSIONS[still]}" in paths
    assert not any(path.startswith("animation") for path in paths)


def test_checksums_cover_every_file(tmp_path: Path, root: Path) -> None:
    out = tmp_path / "out"
    summary = build(out, payload(STEPS, assets()), root)
    files = files_in(out)
    container = json.loads(files["container.json"])
    preview = json.loads(files["preview.json"])
    listed = [entry["path"] for entry in container["files"]]
    assert listed == sorted(set(files) - {"container.json", "preview.json"})
    for entry in container["files"]:
        content = files[entry["path"]]
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["mediaType"] == ("text/vtt" if entry["path"].endswith(".vtt") else "image/webp")
    assert preview["container"]["sha256"] == hashlib.sha256(files["container.json"]).hexdigest()
    assert {entry["path"]: entry["sha256"] for entry in summary["artifacts"]} == {
        path: hashlib.sha256(content).hexdigest() for path, content in files.items()
    }


@pytest.mark.parametrize("animation", ["webp", "gif", "apng"])
def test_a_repeated_render_gives_equal_bytes(tmp_path: Path, root: Path, animation: str) -> None:
    job = payload(STEPS, assets(), format=animation, theme="dark")
    for name in ("one", "two"):
        build(tmp_path / name, job, root)
    one, two = files_in(tmp_path / "one"), files_in(tmp_path / "two")
    del one["preview.json"], two["preview.json"]
    assert one == two


def test_preview_json_describes_the_preview(tmp_path: Path, root: Path) -> None:
    (root / "sound.ogg").write_bytes(b"OggS")
    sound = {"id": "sound", "uri": "sound.ogg", "type": "audio"}
    job = payload(STEPS, [*assets(), sound], audio={"assetId": "sound", "gainDb": -3}, title="日本 and more")
    summary = build(tmp_path / "out", job, root)
    preview = read_preview(tmp_path / "out")
    assert (preview["width"], preview["height"]) == (320, 180)
    assert preview["durationMs"] == summary["durationMs"] == TITLE_CARD_MS + 8_500
    assert [frame["startMs"] for frame in preview["frames"]] == [0, 2_000, 3_500, 5_500, 8_500]
    assert preview["audio"] == {"assetId": "sound", "offsetMs": 0, "gainDb": -3.0}
    assert preview["undrawn"] == ["U+65E5", "U+672C"]
    assert any("not in any font" in warning for warning in summary["warnings"])
    assert any("no sound" in warning for warning in summary["warnings"])
    assert set(preview["timingsMs"]) >= {"inspect", "layout", "draw", "decode", "encode"}
    for entry in (preview["poster"], *preview["assets"][:3]):
        assert 10 <= len(base64.b64decode(entry["thumbhash"])) <= 40
        assert len(entry["dominantColour"]) == 7
    assert preview["assets"][0]["thumbnail"] == "thumbs/wide.webp"


@pytest.mark.parametrize("dry_run_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"format": "gif", "imageFormat": "png"}, {"thumbnails": False}])
def test_a_dry_run_lists_the_files_of_the_render(
    tmp_path: Path, root: Path, options: dict[str, Any], dry_run_first: bool
) -> None:
    out = tmp_path / "out"
    before = files_in(tmp_path)
    dry_run = build(out, payload(STEPS, assets(), dry_run=True, **options), root)
    assert dry_run["dryRun"] is True
    assert files_in(tmp_path) == before
    assert not out.exists()
    summary = build(out, payload(STEPS, assets(), **options), root)
    planned = {entry["path"]: entry for entry in dry_run["plan"]["artifacts"]}
    made = {entry["path"] for entry in summary["artifacts"]} - {"preview.json", "container.json"}
    assert set(planned) == made
    for path, entry in planned.items():
        if path.endswith(".vtt"):
            assert entry["estimatedBytes"] == (out / path).stat().st_size
            continue
        with Image.open(out / path) as image:
            assert (entry["width"], entry["height"]) == image.size
            assert entry["frames"] == getattr(image, "n_frames", 1)
    assert dry_run["plan"]["durationMs"] == summary["durationMs"]
    assert dry_run["plan"]["estimate"]["bytes"] > 0
    assert dry_run["plan"]["text"]["maxCharactersPerText"] == 4_000
    assert dry_run["plan"]["text"]["characters"] > 0
    assert dry_run["plan"]["assets"][0] == {
        "id": "wide",
        "uri": "wide.jpg",
        "type": "image",
        "bytes": (root / "wide.jpg").stat().st_size,
        "format": "jpeg",
        "width": 800,
        "height": 450,
        "frames": 1,
    }


def test_an_empty_job_has_a_title_card(tmp_path: Path, root: Path) -> None:
    job = payload(title="", description="")
    summary = build(tmp_path / "out", job, root)
    assert summary["durationMs"] == TITLE_CARD_MS
    with Image.open(tmp_path / "out" / "animation.webp") as image:
        assert image.n_frames == 1  # type: ignore[attr-defined]
    colours = open_picture(tmp_path / "out" / "poster.webp").convert("RGB").getcolors(100_000)
    assert colours is not None
    assert len(colours) > 20


@pytest.mark.parametrize("layout", ["auto", "full", "split", "grid", "focus"])
@pytest.mark.parametrize("resolution", ["64x64", "320x180", "180x320", "640x640", "600x100"])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_layouts_show_every_picture_at_every_resolution(
    tmp_path: Path, root: Path, layout: str, resolution: str, count: int
) -> None:
    names = [f"p{index}" for index in range(count)]
    shades = [(255, 40 + 20 * index, 0) for index in range(count)]
    for name, shade in zip(names, shades, strict=True):
        Image.new("RGB", (400, 300), shade).save(root / f"{name}.png")
    job = payload(
        [{"title": "A title", "text": "Some text.", "assetIds": names, "layout": layout}],
        [{"id": name, "uri": f"{name}.png"} for name in names],
        resolution=resolution,
        imageFormat="png",
        thumbnails=False,
    )
    result = render_into(tmp_path / "out", job, root)
    frame = open_picture(tmp_path / "out" / "frames" / "001.png").convert("RGB")
    assert f"{frame.width}x{frame.height}" == resolution
    seen = {colour for _count, colour in frame.getcolors(100_000) or []}
    missing = [shade for shade in shades if shade not in seen]
    assert bool(missing) == any("pictures fit" in warning for warning in result.warnings)
    assert any("without text" in warning for warning in result.warnings) == (resolution == "64x64")
    if resolution == "640x640":
        assert not missing


def test_focus_keeps_its_point_in_view(tmp_path: Path, root: Path) -> None:
    for x, expected in ((0.0, ["red", "red", "blue", "blue"]), (1.0, ["green", "green", "yellow", "yellow"])):
        job = payload(
            [{"assetIds": ["wide"]}],
            [{"id": "wide", "uri": "wide.jpg", "fit": "cover", "focus": {"x": x, "y": 0.5}}],
            resolution="200x400",
            includeCaptions=False,
            imageFormat="png",
        )
        render_into(tmp_path / "out", job, root)
        frame = open_picture(tmp_path / "out" / "frames" / "001.png")
        assert corner_colours(frame.crop((30, 40, 170, 340))) == expected


def test_contain_shows_the_whole_picture(tmp_path: Path, root: Path) -> None:
    job = payload([{"assetIds": ["tall"]}], assets(), includeCaptions=False, imageFormat="png")
    render_into(tmp_path / "out", job, root)
    frame = open_picture(tmp_path / "out" / "frames" / "001.png")
    middle = frame.crop((frame.width // 2 - 30, 20, frame.width // 2 + 30, 150))
    assert corner_colours(middle) == ["red", "green", "blue", "yellow"]


def test_transparent_pixels_show_the_panel(tmp_path: Path, root: Path) -> None:
    job = payload([{"assetIds": ["round"]}], assets(), includeCaptions=False, imageFormat="png", theme="dark")
    render_into(tmp_path / "out", job, root)
    assert open_picture(tmp_path / "out" / "thumbs" / "round.png").mode == "RGBA"
    frame = open_picture(tmp_path / "out" / "frames" / "001.png").convert("RGB")
    pixel = frame.getpixel((frame.width // 2, 20))
    assert isinstance(pixel, tuple)
    assert max(pixel) < 60  # the dark panel, not the black or white of ignored alpha


def test_captions_can_be_disabled(tmp_path: Path, root: Path) -> None:
    for captions in (True, False):
        job = payload(
            [{"title": "Title", "text": "Text", "assetIds": ["wide"]}],
            assets(),
            includeCaptions=captions,
            imageFormat="png",
        )
        render_into(tmp_path / str(captions), job, root)
    with_words, without = (open_picture(tmp_path / name / "frames" / "001.png") for name in ("True", "False"))
    # The left column has text, or without captions the edge of the picture.
    assert with_words.tobytes() != without.tobytes()
    empty = without.convert("RGB").crop((0, 0, 15, 150)).getcolors()
    assert empty is not None
    assert len(empty) == 1


def test_every_frame_of_a_gif_has_the_same_background(tmp_path: Path, root: Path) -> None:
    render_into(tmp_path / "out", payload(STEPS, assets(), format="gif", background="#f2efe6"), root)
    with Image.open(tmp_path / "out" / "animation.gif") as image:
        for index in range(5):
            image.seek(index)
            assert image.convert("RGB").getpixel((3, 3)) == (0xF2, 0xEF, 0xE6)


def test_each_asset_is_decoded_once(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from previewops.worker.render import picture_cache

    decoded: list[str] = []
    original = picture_cache.decode_picture

    def counting(ref: Any, *rest: Any, **options: Any) -> Any:
        decoded.append(ref.id)
        return original(ref, *rest, **options)

    monkeypatch.setattr(picture_cache, "decode_picture", counting)
    render_into(tmp_path / "out", payload(STEPS * 3, assets()), root)
    assert sorted(decoded) == ["round", "tall", "wide"]
    decoded.clear()
    render_into(tmp_path / "tight", payload(STEPS * 3, assets()), root, RenderLimits(decoded_bytes=1))
    assert len(decoded) > 3
    assert files_in(tmp_path / "out") == files_in(tmp_path / "tight")


def test_progress_grows_to_one(tmp_path: Path, root: Path) -> None:
    seen: list[float] = []
    build(tmp_path / "out", payload(STEPS, assets()), root, lambda share, _word: seen.append(share))
    assert seen == sorted(seen)
    assert len(seen) == 9  # five frames, three thumbnails, the sheet
    assert seen[-1] == 1.0


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda root: (root / "wide.jpg").unlink(), "asset-missing"),
        (lambda root: (root / "wide.jpg").rename(root / "wide.jpg.part"), "asset-incomplete"),
        (lambda root: (root / "wide.jpg").write_bytes(b"\xff\xd8\xff invalid"), "asset-corrupt"),
        (lambda root: os.truncate(root / "wide.jpg", 3_000), "asset-corrupt"),
        (lambda root: (root / "wide.jpg").write_bytes(b"%!PS-Adobe-3.0"), "asset-unsupported"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_asset_errors_have_their_codes(
    tmp_path: Path, root: Path, damage: Any, code: str, dry_run: bool
) -> None:
    damage(root)
    truncated = code == "asset-corrupt" and (root / "wide.jpg").stat().st_size == 3_000
    if dry_run and truncated:
        return  # a dry run reads only headers
    with pytest.raises(JobError) as caught:
        build(tmp_path / "out", payload(STEPS, assets(), dry_run=dry_run), root)
    assert caught.value.code == code
    assert caught.value.data["assetId"] == "wide"
    assert isinstance(caught.value, TransientJobError if code == "asset-incomplete" else PermanentJobError)


def test_checksums_of_the_payload_are_verified(tmp_path: Path, root: Path) -> None:
    right = hashlib.sha256((root / "wide.jpg").read_bytes()).hexdigest()
    assert build(tmp_path / "one", payload(STEPS, assets(sha256=right)), root)["artifacts"]
    with pytest.raises(PermanentJobError) as caught:
        build(tmp_path / "two", payload(STEPS, assets(sha256="0" * 64)), root)
    assert caught.value.code == "asset-checksum"


def test_a_data_uri_is_rendered(tmp_path: Path, root: Path) -> None:
    file = BytesIO()
    quarters((40, 30)).save(file, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    job = payload([{"assetIds": ["inline"]}], [{"id": "inline", "uri": uri}], imageFormat="png")
    build(tmp_path / "out", job, root)
    thumbnail = open_picture(tmp_path / "out" / "thumbs" / "inline.png")
    assert thumbnail.size == (40, 30)
    assert corner_colours(thumbnail) == ["red", "green", "blue", "yellow"]


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("limits", "code", "found"),
    [
        ({"assets": 2}, "too-many-assets", "3 assets"),
        ({"asset_bytes": 100}, "asset-too-large", "bytes"),
        ({"frame_pixels": 100}, "asset-too-many-pixels", "360000 pixels"),
        ({"total_pixels": 100}, "asset-too-many-frames", "1 frame of 800x450"),
        ({"side": 100}, "resolution-too-large", "320x180"),
        ({"steps": 3}, "too-many-steps", "4 steps"),
        ({"length_ms": 10_499}, "too-long", "10500 ms"),
        ({"output_bytes": 1_000}, "output-too-large", "more than"),
    ],
)
def test_limit_errors_have_found_and_allowed_values(
    tmp_path: Path, root: Path, limits: dict[str, int], code: str, found: str, dry_run: bool
) -> None:
    if dry_run and code == "output-too-large":
        return  # a dry run writes nothing
    with pytest.raises(PermanentJobError) as caught:
        build(tmp_path / "out", payload(STEPS, assets(), dry_run=dry_run), root, **limits)
    error = caught.value
    assert error.code == code
    assert found in str(error.data["found"])
    (bound,) = limits.values()
    assert str(bound) in str(error.data["allowed"])
    assert error.hint


ANIMATIONS = ("webp", "gif", "apng", "webm", "mp4")


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_an_animation_stops_at_the_output_limit(tmp_path: Path, root: Path, kind: str) -> None:
    job, name = payload(STEPS, assets(), format=kind), f"animation.{kind}"
    sizes = {entry["path"]: entry["bytes"] for entry in build(tmp_path / "whole", job, root)["artifacts"]}
    stills = sum(size for path, size in sizes.items() if path.startswith(("frames", "poster", "thumbs")))
    for part in (0, 1, 3, 5, 7, 9):
        bound = stills + sizes[name] * part // 10
        with pytest.raises(PermanentJobError) as caught:
            build(tmp_path / f"out{part}", job, root, output_bytes=bound)
        assert caught.value.code == "output-too-large"
        grown = tmp_path / f"out{part}" / name
        assert not grown.exists() or grown.stat().st_size <= bound


class FullDisk(FolderOutput):
    """An output folder whose disk has ``room`` bytes for an animation."""

    def __init__(self, folder: Path, room: int) -> None:
        super().__init__(folder)
        self._room = room

    def create(self, path: str) -> BinaryIO:
        file = super().create(path)
        return cast("BinaryIO", _FileOnFullDisk(file, self._room)) if path.startswith("animation") else file


class _FileOnFullDisk:
    """A file on a disk with ``room`` bytes."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self._file = file
        self._room = room

    def __enter__(self) -> _FileOnFullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: bytes) -> int:
        if self._file.tell() + len(content) > self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(content)


@pytest.mark.parametrize("kind", ANIMATIONS)
@pytest.mark.parametrize("room", [0, 500, 2_000])
def test_a_full_disk_during_an_animation_is_transient(
    tmp_path: Path, root: Path, kind: str, room: int
) -> None:
    with pytest.raises(TransientJobError) as caught:
        build_bundle(
            payload(STEPS, assets(), format=kind),
            opener=FileAssetOpener((root,)),
            output=FullDisk(tmp_path / "out", room),
            limits=RenderLimits(),
            progress=lambda _share, _word: None,
        )
    assert caught.value.code == "disk-full"


def test_an_unwritable_staging_folder_is_transient(tmp_path: Path, root: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TransientJobError) as caught:
        build(tmp_path / "file" / "out", payload(STEPS, assets()), root)
    assert caught.value.code == "io-error"


def test_memory_errors_are_raised(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from previewops.worker.render.decode import pillow_picture

    def exhausted(*_args: Any) -> Image.Image:
        raise MemoryError

    monkeypatch.setattr(pillow_picture, "resize", exhausted)
    with pytest.raises(MemoryError):
        build(tmp_path / "out", payload(STEPS, assets()), root)


def test_plan_render_returns_json_values(root: Path) -> None:
    plan = plan_render(
        read_storyboard(payload(STEPS, assets())), opener=FileAssetOpener((root,)), limits=RenderLimits()
    )
    assert plan["steps"] == 4
    assert json.loads(json.dumps(plan)) == plan


def test_text_over_a_white_picture_has_enough_contrast(tmp_path: Path, root: Path) -> None:
    from previewops.worker.render.theme import WHITE, contrast

    Image.new("RGB", (1280, 720), WHITE).save(root / "white.png")
    job = payload(
        [{"title": "A title", "text": "Some words. " * 14, "assetIds": ["white"], "layout": "full"}],
        [{"id": "white", "uri": "white.png"}],
        resolution="640x360",
        imageFormat="png",
        format="png",
    )
    render_into(tmp_path / "out", job, root)
    frame = open_picture(tmp_path / "out" / "frames" / "001.png").convert("RGB")
    ink = [y for y in range(100, 340) if frame.crop((32, y, 300, y + 1)).getextrema()[0][1] > 250]  # type: ignore[index]
    rows = [y for y in ink if frame.getpixel((620, y)) != WHITE]
    assert len(rows) > 60
    for y in rows[8:]:
        ground = frame.getpixel((620, y))
        assert isinstance(ground, tuple)
        assert contrast(WHITE, ground) >= 4.5, y  # type: ignore[arg-type]
