"""Assets by the digest of their content, in a folder and in a bucket in memory."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from previewops.bucket_addresses import parse_bucket_address
from previewops.file_kinds import HEAD_BYTES
from previewops.stores import asset_drafts
from previewops.stores.asset_drafts import (
    AssetDigestMismatch,
    AssetDraft,
    AssetKindUnsupported,
    AssetTooLarge,
    sweep_drafts,
)
from previewops.stores.assets import AssetStore, StoredAsset, parse_asset_name
from previewops.stores.folder.assets import FolderAssets
from previewops.stores.objects.assets import BucketAssets
from previewops.stores.objects.client import ObstoreClient

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 100
SHA = hashlib.sha256(PNG).hexdigest()


def bucket_assets(folder: Path) -> AssetStore:
    objects = MemoryStore()
    return BucketAssets(
        parse_bucket_address("s3://memory/some/assets"),
        folder / "drafts",
        make_client=lambda _address: ObstoreClient(objects),
    )


OPENERS: dict[str, Callable[[Path], AssetStore]] = {"folder": FolderAssets, "bucket": bucket_assets}


@pytest.fixture(params=OPENERS)
def assets(request: pytest.FixtureRequest, tmp_path: Path) -> AssetStore:
    return OPENERS[request.param](tmp_path / "assets")


def store(assets: AssetStore, content: bytes = PNG, sha256: str | None = None) -> StoredAsset:
    with AssetDraft(assets.drafts, 10_000) as draft:
        for start in range(0, len(content), 100):
            draft.write(content[start : start + 100])
        return draft.commit(assets, sha256=sha256)


def drafts(assets: AssetStore) -> list[Path]:
    return [*assets.drafts.iterdir()] if assets.drafts.is_dir() else []


def test_a_stored_file_is_found_by_its_digest(assets: AssetStore) -> None:
    assert assets.find(SHA) is None
    asset = store(assets, sha256=SHA)
    assert (asset.sha256, asset.extension, asset.bytes) == (SHA, "png", len(PNG))
    assert asset.uri == assets.uri(f"{SHA[:2]}/{SHA}.png")
    found = assets.find(SHA)
    assert found is not None
    assert replace(found, used_s=asset.used_s) == asset
    assert [listed.uri for listed in assets.list_assets()] == [asset.uri]
    assert store(assets).uri == asset.uri, "the same content has the same uri"
    assert drafts(assets) == []


@pytest.mark.parametrize(
    ("content", "sha256", "error"),
    [
        (b"root:x:0:0:" * 10, None, AssetKindUnsupported),
        (b"\x89PN", None, AssetKindUnsupported),
        (b"", None, AssetKindUnsupported),
        (PNG * 20, None, AssetTooLarge),
        (PNG, "0" * 64, AssetDigestMismatch),
    ],
    ids=["text", "too short", "empty", "too large", "other digest"],
)
def test_other_content_leaves_nothing(
    assets: AssetStore, content: bytes, sha256: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        store(assets, content, sha256)
    assert [*assets.list_assets()] == []
    assert drafts(assets) == []


def test_an_unsupported_file_is_rejected_at_its_start(assets: AssetStore) -> None:
    with (
        AssetDraft(assets.drafts, 10 * HEAD_BYTES) as draft,
        pytest.raises(AssetKindUnsupported, match="found ZIP"),
    ):
        draft.write(b"PK\x03\x04".ljust(HEAD_BYTES, b"x"))


def test_removal_spares_what_was_used_since_it_was_listed(assets: AssetStore) -> None:
    stored = store(assets)
    assert not assets.remove(replace(stored, used_s=stored.used_s - 10))
    assert assets.find(SHA) is not None
    (listed,) = assets.list_assets()
    assert assets.remove(listed)
    assert assets.find(SHA) is None
    assert assets.remove(listed), "removing what is gone succeeds"


def test_files_of_other_names_are_no_assets(tmp_path: Path) -> None:
    assets = FolderAssets(tmp_path)
    (tmp_path / "logo.png").write_bytes(PNG)
    (tmp_path / SHA[:2]).mkdir()
    (tmp_path / SHA[:2] / "logo.png").write_bytes(PNG)
    assert [*assets.list_assets()] == []
    assert parse_asset_name(f"00/{SHA}.png") is None
    assert parse_asset_name(f"{SHA[:2]}/{SHA}.png") == (SHA, "png")


def test_a_look_up_counts_as_use(tmp_path: Path) -> None:
    assets = FolderAssets(tmp_path)
    path = tmp_path / store(assets).uri
    os.utime(path, (1, 1))
    (old,) = assets.list_assets()
    assert assets.find(SHA) is not None
    assert not assets.remove(old)


def test_a_bucket_asks_for_an_old_object_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = bucket_assets(tmp_path)
    store(assets)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86_400)
    assert assets.find(SHA) is None
    assert len([*assets.list_assets()]) == 1, "it is there until it is pruned"
    monkeypatch.undo()
    assert assets.find(SHA) is not None


def test_old_drafts_are_swept(tmp_path: Path) -> None:
    with AssetDraft(tmp_path, 100):
        (name,) = (path.name for path in tmp_path.iterdir())
        (tmp_path / "killed.part").touch()
        os.utime(tmp_path / "killed.part", (1, 1))
        assert sweep_drafts(tmp_path) == 1
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert sweep_drafts(tmp_path, time.time() + asset_drafts.DRAFT_AGE_S + 60) == 1
    assert sweep_drafts(tmp_path / "missing") == 0


def test_racing_uploads_and_removals_end_with_the_file_or_without(tmp_path: Path) -> None:
    assets = FolderAssets(tmp_path)
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            for _ in range(100):
                work()
        except BaseException as error:
            errors.append(error)

    def remove() -> None:
        for asset in assets.list_assets():
            assets.remove(asset)

    works = [lambda: store(assets), lambda: store(assets), remove]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store(assets).sha256 == SHA
    assert (tmp_path / assets.uri(f"{SHA[:2]}/{SHA}.png")).read_bytes() == PNG
    assert drafts(assets) == []
