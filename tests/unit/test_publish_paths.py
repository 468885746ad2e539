"""Paths of bundles, fences and staging folders: none leaves DATA_DIR."""

from __future__ import annotations

from pathlib import Path

import pytest

from previewops.job_errors import PermanentJobError
from previewops.stores.folder.paths import bundle_path, fence_path
from previewops.stores.staging import staging_path, sweep_staging


def test_the_layout(tmp_path: Path) -> None:
    assert bundle_path(tmp_path, "p", "j") == tmp_path / "previews/p/j"
    assert fence_path(tmp_path, "p", "j") == tmp_path / ".fences/p/j"
    assert staging_path(tmp_path, "j", 7) == tmp_path / ".staging/j.7"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\0b"])
def test_a_name_that_leaves_the_folder_is_rejected(tmp_path: Path, name: str) -> None:
    for path in (bundle_path, fence_path):
        for ids in ((name, "j"), ("p", name)):
            with pytest.raises(PermanentJobError) as rejected:
                path(tmp_path, *ids)
            assert rejected.value.code == "unsafe-path"


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc", "a\0b"])
def test_a_staging_name_that_leaves_the_folder_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(PermanentJobError):
        staging_path(tmp_path, name, 1)


def test_a_link_out_of_the_data_dir_is_rejected(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "previews").mkdir(parents=True)
    (data / "previews" / "p").symlink_to(tmp_path)
    with pytest.raises(PermanentJobError):
        bundle_path(data, "p", "j")


def test_a_data_dir_can_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    data = tmp_path / "data"
    data.symlink_to(tmp_path / "disk")
    assert bundle_path(data, "p", "j") == data / "previews/p/j"


def test_the_sweep_keeps_live_attempts(tmp_path: Path) -> None:
    for name in ("a.1", "a.2", "b.x.1", "b.x.1.replaced"):
        (tmp_path / ".staging" / name / "frames").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / ".staging" / "link.1").symlink_to(outside)
    attempts: list[str] = []

    def is_live(attempt: str) -> bool:
        attempts.append(attempt)
        return attempt == "a.2"

    assert sweep_staging(tmp_path, is_live) == 4
    assert [entry.name for entry in (tmp_path / ".staging").iterdir()] == ["a.2"]
    assert outside.is_dir()
    assert attempts == ["a.1", "a.2", "b.x.1", "b.x.1", "link.1"]


def test_a_sweep_without_a_staging_folder(tmp_path: Path) -> None:
    assert sweep_staging(tmp_path, lambda attempt: False) == 0
