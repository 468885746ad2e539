"""Bundle reader: published files are found; manipulated bundles are rejected."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from previewops.errors import ArtifactNotFound, BundleNotFound, BundleUnreadable
from previewops.queue.records import JobRecord
from previewops.states import JobState
from previewops.stores.folder.reader import find_artifact, list_artifacts, open_artifact
from previewops.stores.folder.store import FolderStore
from previewops.stores.manifest import MAX_MANIFEST_BYTES
from tests.tui import scenes

JOB = scenes.record("a", JobState.COMPLETED, result={"bundle": "/srv/previews/morris/a"})
POSTER = b"poster"
SHA256 = hashlib.sha256(POSTER).hexdigest()
ENTRY = {"path": "poster.webp", "bytes": len(POSTER), "sha256": SHA256, "mediaType": "image/webp"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "previews" / JOB.project_id / JOB.job_id
    (folder / "frames").mkdir(parents=True)
    (folder / "poster.webp").write_bytes(POSTER)
    (folder / "frames" / "001.webp").write_bytes(POSTER)
    manifest(folder, ENTRY, {**ENTRY, "path": "frames/001.webp"})
    return folder


def manifest(folder: Path, *entries: Any) -> None:
    (folder / "container.json").write_text(json.dumps({"version": 1, "files": entries}))


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_every_reader_function_finds_a_published_bundle(folder: Path, tmp_path: Path) -> None:
    poster, frame = FolderStore(tmp_path).manifest(JOB)
    assert (poster.name, poster.bytes, poster.sha256) == ("poster.webp", len(POSTER), SHA256)
    assert (poster.file, poster.media_type, poster.read()) == (folder / "poster.webp", "image/webp", POSTER)
    assert frame.file == find_artifact(tmp_path, JOB, "frames/001.webp") == folder / "frames" / "001.webp"
    opened = open_artifact(tmp_path, JOB, "poster.webp")
    try:
        assert os.read(opened.descriptor, 100) == POSTER
        assert (opened.size, opened.sha256, opened.media_type) == (len(POSTER), SHA256, "image/webp")
    finally:
        opened.close()


@pytest.mark.parametrize(
    "read",
    [
        list_artifacts,
        lambda data_dir, record: open_artifact(data_dir, record, "poster.webp"),
        lambda data_dir, record: find_artifact(data_dir, record, "poster.webp"),
    ],
    ids=["list", "open", "path"],
)
def test_data_dir_in_a_link_loop_has_no_bundle(
    tmp_path: Path, read: Callable[[Path, JobRecord], object]
) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    with pytest.raises(BundleNotFound, match="not on this machine"):
        read(circle, JOB)


def test_a_data_dir_may_itself_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(tmp_path)
    assert len(list_artifacts(tmp_path / "data", JOB)) == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"version": 1, "files": [',  # half-written
        "[]",
        "{}",
        '{"files": 1}',
        '{"files": {"poster.webp": 1}}',
        '{"files": [1]}',
        "[" * 200_000,  # deeper than the parser goes
        " " * (MAX_MANIFEST_BYTES + 1),
        '{"files": [{"path": "poster.webp", "bytes": ' + "9" * 5_000 + "}]}",
        "\udcff",
    ],
    ids=range(11),
)
def test_invalid_manifest_is_reported(folder: Path, tmp_path: Path, content: str) -> None:
    (folder / "container.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleNotFound, match="differs from what was published"):
        list_artifacts(tmp_path, JOB)
    with pytest.raises(BundleNotFound, match="differs from what was published"):
        open_artifact(tmp_path, JOB, "poster.webp")


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../../../secret"},
        {"path": "/etc/passwd"},
        {"path": "frames/../poster.webp"},
        {"path": "frames//001.webp"},
        {"path": ""},
        {"path": "a\0b"},
        {"path": "\ud800"},
        {"path": "x" * 300},
        {"path": ["poster.webp"]},
        {"path": "absent.webp"},
        {"path": "frames"},
        {"bytes": 5},
        {"bytes": -1},
        {"bytes": 6.0},
        {"bytes": "6"},
        {"bytes": True},
        {"sha256": 'a"\r\nSet-Cookie: a=b'},
        {"sha256": SHA256.upper()},
        {"sha256": SHA256 + "\n"},
        {"sha256": None},
        {"mediaType": 1},
    ],
    ids=str,
)
def test_invalid_manifest_entry_is_reported(folder: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    changed = {**ENTRY, **change}
    manifest(folder, changed)
    before = descriptors()
    with pytest.raises(BundleNotFound, match="differs from what was published"):
        list_artifacts(tmp_path, JOB)
    with pytest.raises(BundleNotFound):
        open_artifact(tmp_path, JOB, str(changed["path"]))
    assert descriptors() == before


def test_file_listed_twice_is_reported(folder: Path, tmp_path: Path) -> None:
    manifest(folder, ENTRY, {**ENTRY, "bytes": 7})
    with pytest.raises(BundleNotFound, match="twice"):
        list_artifacts(tmp_path, JOB)


def a_link(folder: Path) -> None:
    (folder / "poster.webp").rename(folder / "other")
    (folder / "poster.webp").symlink_to(folder / "other")


def a_folder_that_is_a_link(folder: Path) -> None:
    (folder / "frames").rename(folder / "elsewhere")
    (folder / "frames").symlink_to(folder / "elsewhere")


def a_pipe(folder: Path) -> None:
    (folder / "poster.webp").unlink()
    os.mkfifo(folder / "poster.webp")


def a_manifest_that_is_a_link(folder: Path) -> None:
    (folder / "container.json").rename(folder / "other")
    (folder / "container.json").symlink_to(folder / "other")


def a_bundle_that_is_a_link(folder: Path) -> None:
    folder.rename(folder.with_name("b"))
    folder.symlink_to(folder.with_name("b"))


def a_project_that_is_a_link(folder: Path) -> None:
    folder.parent.rename(folder.parent.with_name("other"))
    folder.parent.symlink_to(folder.parent.with_name("other"))


@pytest.mark.parametrize(
    "tampering",
    [
        a_link,
        a_folder_that_is_a_link,
        a_pipe,
        a_manifest_that_is_a_link,
        a_bundle_that_is_a_link,
        a_project_that_is_a_link,
    ],
)
def test_links_and_non_files_are_not_read(
    folder: Path, tmp_path: Path, tampering: Callable[[Path], None]
) -> None:
    tampering(folder)
    before = descriptors()
    with pytest.raises(BundleNotFound):
        list_artifacts(tmp_path, JOB)
    assert descriptors() == before


def test_unlisted_file_is_not_opened(folder: Path, tmp_path: Path) -> None:
    (folder / "unlisted").write_text("not listed")
    with pytest.raises(ArtifactNotFound, match="has no file unlisted"):
        open_artifact(tmp_path, JOB, "unlisted")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES])
def test_disk_error_is_not_a_missing_bundle(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fails(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number), "/place")

    monkeypatch.setattr(os, "open", fails)
    for reader in (list_artifacts, find_artifact, open_artifact):
        with pytest.raises(BundleUnreadable, match=os.strerror(number)):
            reader(tmp_path, JOB, *(() if reader is list_artifacts else ("poster.webp",)))
