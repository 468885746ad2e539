"""Images on disk: found inside their bundle only, and read in any state."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from previewops.errors import BundleNotFound
from previewops.states import JobState
from previewops.stores.folder.paths import bundle_path
from previewops.stores.folder.reader import find_artifact
from previewops.stores.port import ArtifactFile
from previewops.tui.terminal import bundle_images
from previewops.tui.terminal.bundle_images import (
    PictureUnreadable,
    find_bundle,
    read_bundle,
    read_pixels,
)
from tests.store_support import memory_store
from tests.tui import scenes
from tests.tui.screen_support import FakeSource

GROUND = (15, 19, 24)
JOB = scenes.record("done-3", JobState.COMPLETED, result=scenes.RESULT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The bundle of ``JOB`` below DATA_DIR, where the worker publishes it."""
    folder = bundle_path(tmp_path, JOB.project_id, JOB.job_id)
    (folder / "frames").mkdir(parents=True)
    Image.new("RGB", (64, 36), (200, 30, 30)).save(folder / "poster.png")
    Image.new("RGB", (64, 36), (30, 200, 30)).save(folder / "frames" / "001.png")
    return folder


def test_a_file_of_the_bundle_is_found_where_the_worker_publishes(folder: Path, tmp_path: Path) -> None:
    assert find_artifact(tmp_path, JOB, "poster.png") == folder / "poster.png"
    assert find_artifact(tmp_path, JOB, "frames/001.png") == folder / "frames" / "001.png"


@pytest.mark.parametrize(
    "path",
    ["", ".", "..", "/etc/passwd", "../done-3/poster.png", "frames/../poster.png", "frames", "a\0b", "x" * 5_000,
     "link.png", "folder-link/secret", "circle", "absent.png", "frames//001.png"],
)  # fmt: skip
def test_no_path_leaves_the_bundle(folder: Path, tmp_path: Path, path: str) -> None:
    secret = tmp_path / "outside"
    secret.mkdir()
    (secret / "secret").write_text("secret")
    (folder / "link.png").symlink_to(secret / "secret")
    (folder / "folder-link").symlink_to(secret)
    (folder / "circle").symlink_to(folder / "circle")
    with pytest.raises(BundleNotFound):
        find_artifact(tmp_path, JOB, path)


@pytest.mark.parametrize("name", ["", ".", "..", "../morris/done-3", "a/b", "a\0b", "y" * 5_000, "gone"])
def test_no_id_leads_elsewhere(folder: Path, tmp_path: Path, name: str) -> None:
    for job in (replace(JOB, job_id=name), replace(JOB, project_id=name)):
        with pytest.raises(BundleNotFound):
            find_artifact(tmp_path, job, "poster.png")


def test_a_bundle_that_links_elsewhere_is_not_found(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    with pytest.raises(BundleNotFound):
        find_artifact(tmp_path, JOB, "poster.png")


def test_a_bundle_elsewhere_names_its_worker(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="is not on this machine") as error:
        find_artifact(tmp_path, JOB, "poster.png")
    assert "/srv/previews/morris/done-3" in str(error.value.hint)


def test_a_bundle_is_measured_and_files_that_are_missing_are_left_unmeasured(
    folder: Path, tmp_path: Path
) -> None:
    source = FakeSource(bundles=tmp_path)
    bundle = read_bundle(source, JOB)
    measured = {artifact.path: artifact.pixels for artifact in bundle.artifacts}
    assert measured["poster.png"] == (64, 36)
    assert measured["sheet.png"] is None
    assert measured["container.json"] is None
    assert find_bundle(source, JOB) == str(folder)
    (folder / "preview.json").write_text("[" * 100_000)
    assert read_bundle(source, JOB).captions == {}


def test_an_empty_bundle_folder_is_elsewhere() -> None:
    with pytest.raises(BundleNotFound):
        read_bundle(FakeSource(), JOB)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGB"), ("a.png", "RGBA"), ("a.png", "P"), ("a.png", "L"), ("a.png", "1"), ("a.png", "I;16"),
     ("a.jpg", "RGB"), ("a.jpg", "CMYK"), ("a.webp", "RGBA"), ("a.gif", "P"), ("a.avif", "RGB")],
)  # fmt: skip
def test_every_kind_is_made_small_with_its_shape(tmp_path: Path, name: str, mode: str) -> None:
    Image.new("RGB", (400, 200), (200, 200, 200)).convert(mode).save(tmp_path / name)
    pixels = read_pixels(ArtifactFile.at(tmp_path / name), (100, 100), GROUND)
    assert (pixels.width, pixels.height) == (100, 50)
    assert len(pixels.data) == 100 * 50 * 3


def test_transparent_pixels_show_the_background(tmp_path: Path) -> None:
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    image.paste((0, 255, 0, 255), (0, 0, 40, 20))
    image.save(tmp_path / "a.png")
    pixels = read_pixels(ArtifactFile.at(tmp_path / "a.png"), (40, 40), GROUND)
    assert pixels.at(20, 5) == (0, 255, 0)
    assert pixels.at(20, 35) == GROUND


def test_small_images_are_not_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (10, 6)).save(tmp_path / "a.png")
    assert read_pixels(ArtifactFile.at(tmp_path / "a.png"), (200, 200), GROUND).width == 10


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"%!PS-Adobe", b"\xff\xd8\xff\xe0"]
)
def test_a_file_that_is_not_an_image_is_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PictureUnreadable, match=r"a\.png cannot be shown"):
        read_pixels(ArtifactFile.at(tmp_path / "a.png"), (10, 10), GROUND)


def test_a_truncated_image_is_rejected(tmp_path: Path) -> None:
    Image.effect_noise((300, 300), 90).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(PictureUnreadable):
        read_pixels(ArtifactFile.at(tmp_path / "a.png"), (10, 10), GROUND)


def test_giants_are_rejected_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (8_000, 8_000)).save(tmp_path / "a.png")
    with pytest.raises(PictureUnreadable, match="found 64,000,000 pixels, allowed 40,000,000"):
        read_pixels(ArtifactFile.at(tmp_path / "a.png"), (10, 10), GROUND)
    Image.new("1", (14_000, 14_000)).save(tmp_path / "b.png")
    with pytest.raises(PictureUnreadable):
        read_pixels(ArtifactFile.at(tmp_path / "b.png"), (10, 10), GROUND)
    monkeypatch.setattr(bundle_images, "MAX_BYTES", 100)
    with pytest.raises(PictureUnreadable, match="bytes, allowed 100"):
        read_pixels(ArtifactFile.at(tmp_path / "a.png"), (10, 10), GROUND)


def test_a_file_that_is_gone_is_unshowable(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    file = ArtifactFile.at(tmp_path / "a.png")
    (tmp_path / "a.png").unlink()
    with pytest.raises(PictureUnreadable):
        read_pixels(file, (10, 10), GROUND)


@pytest.mark.parametrize("kind", ["memory", "ministack", pytest.param("radosgw", marks=pytest.mark.slow)])
def test_pictures_of_a_bundle_in_a_bucket(
    folder: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    store = memory_store() if kind == "memory" else request.getfixturevalue(kind).make_store()
    names = ("poster.png", "frames/001.png")
    listed = [
        {
            "path": name,
            "bytes": (folder / name).stat().st_size,
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
            "mediaType": "image/png",
        }
        for name in names
    ]
    (folder / "container.json").write_text(json.dumps({"version": 1, "files": listed}))
    (folder / "preview.json").write_text("{}")
    store.publish(folder.rename(tmp_path / "staging"), JOB.project_id, JOB.job_id, token=1)
    source = FakeSource(store=store)
    measured = {artifact.path: artifact.pixels for artifact in read_bundle(source, JOB).artifacts}
    assert measured["poster.png"] == (64, 36)
    pixels = read_pixels(source.artifact(JOB, "frames/001.png"), (32, 32), GROUND)
    assert (pixels.width, pixels.height) == (32, 18)
    assert pixels.at(3, 3) == (30, 200, 30)
    assert find_bundle(source, JOB) is None, "there is no folder whose path could be copied"
