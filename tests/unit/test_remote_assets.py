"""What a render process keeps of its worker's replies, and how often it reports progress."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef, FileAssetOpener
from previewops.worker.bundle_builder import throttle
from previewops.worker.sandbox.child import TaskContext
from previewops.worker.sandbox.file_client import RemoteAssets
from previewops.worker.sandbox.file_server import FileServer

NAMES = [f"a{number}" for number in range(20)]


class DirectContext:
    """Passes requests to a file server without a process, and records them."""

    def __init__(self, server: FileServer) -> None:
        self.requests: list[list[str]] = []
        self._server = server

    def request(self, **arguments: Any) -> tuple[dict[str, Any], tuple[int, ...]]:
        self.requests.append(arguments["open"])
        return self._server._open_all([self._server.assets[name] for name in arguments["open"]])


@pytest.fixture
def context(tmp_path: Path) -> DirectContext:
    for name in NAMES:
        (tmp_path / name).write_text(f"content of {name}")
    refs = {name: AssetRef(name, name) for name in NAMES}
    return DirectContext(FileServer(refs, FileAssetOpener((tmp_path,)), max_bytes=100, output=None))


@pytest.fixture
def assets(context: DirectContext) -> Iterator[RemoteAssets]:
    with closing(RemoteAssets(cast(TaskContext, context), NAMES)) as remote:
        yield remote


def read(assets: RemoteAssets, name: str) -> str:
    with assets.open(AssetRef(name, name), max_bytes=100).file as file:
        return file.read().decode()


def test_assets_are_requested_together_and_once(context: DirectContext, assets: RemoteAssets) -> None:
    for _ in range(2):
        assert [read(assets, name) for name in NAMES] == [f"content of {name}" for name in NAMES]
    assert context.requests == [NAMES[:16], NAMES[16:]]


def test_two_readers_of_an_asset_have_positions_of_their_own(assets: RemoteAssets) -> None:
    ref = AssetRef("a1", "a1")
    with assets.open(ref, max_bytes=100).file as one, assets.open(ref, max_bytes=100).file as other:
        assert one.read(7) == b"content"
        assert other.seek(-2, os.SEEK_END) == 11
        assert (other.read(), one.read()) == (b"a1", b" of a1")
        with pytest.raises(OSError, match="Invalid argument"):
            other.seek(-1)


def test_a_file_that_changes_is_requested_again(
    context: DirectContext, assets: RemoteAssets, tmp_path: Path
) -> None:
    read(assets, "a0")
    (tmp_path / "a0").write_text("other")
    assert read(assets, "a0") == "other"
    assert context.requests == [NAMES[:16], ["a0", *NAMES[16:]]]


def test_an_error_belongs_to_its_own_asset(
    context: DirectContext, assets: RemoteAssets, tmp_path: Path
) -> None:
    (tmp_path / "a1").unlink()
    assert read(assets, "a0") == "content of a0"
    with pytest.raises(PermanentJobError, match="a1"):
        read(assets, "a1")
    assert read(assets, "a2") == "content of a2"


def test_downloads_are_not_made_ahead(context: DirectContext, assets: RemoteAssets) -> None:
    cast(dict[str, AssetRef], context._server.assets)["a1"] = AssetRef("a1", "https://example.com/a1")
    read(assets, "a0")
    read(assets, "a2")
    assert context.requests[1][0] == "a2", "the reply to the first request ended before the download"


def test_descriptors_are_bounded_and_closed(context: DirectContext, tmp_path: Path) -> None:
    names = [f"b{number}" for number in range(100)]
    for name in names:
        (tmp_path / name).touch()
    cast(dict[str, AssetRef], context._server.assets).update({name: AssetRef(name, name) for name in names})
    before = len(list(Path("/proc/self/fd").iterdir()))
    with closing(RemoteAssets(cast(TaskContext, context), names)) as remote:
        for name in names:
            read(remote, name)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 64
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_progress_is_reported_at_intervals() -> None:
    now_s, reports = 0.0, []
    report = throttle(lambda share, _phase: reports.append(share), 0.1, lambda: now_s)
    for tick in range(25):
        now_s = tick / 100
        report(tick / 25, "frames")
    assert reports == [0 / 25, 10 / 25, 20 / 25]
