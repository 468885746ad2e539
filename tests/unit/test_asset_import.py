"""Asset import with real files."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from previewops.stores.asset_import import ImportFailed, ImportPlan, plan_import
from previewops.stores.folder.assets import FolderAssets

MAX_BYTES = 1_000_000


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    Image.new("RGB", (4, 3), "red").save(folder / "a.png")
    Image.new("RGB", (4, 3), "blue").save(folder / "b.jpg")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "data" / "assets"


def job(*uris: str, audio: dict[str, Any] | None = None, **asset: Any) -> dict[str, Any]:
    assets = [{"id": f"a{number}", "uri": uri, **asset} for number, uri in enumerate(uris)]
    return {"previewRequest": {"steps": [], "assets": assets, "audio": audio or {}}}


def uris(plan: ImportPlan) -> list[str]:
    return [asset["uri"] for asset in plan.payload["previewRequest"]["assets"]]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_files_are_stored_by_their_hash(base: Path, store: Path) -> None:
    plan = plan_import(
        job("a.png", str(base / "b.jpg")), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES
    )
    assert not store.exists(), "planning writes nothing"
    plan.execute(FolderAssets(store))
    png, jpg = sha256(base / "a.png"), sha256(base / "b.jpg")
    assert uris(plan) == [f"{png[:2]}/{png}.png", f"{jpg[:2]}/{jpg}.jpg"]
    assert (store / uris(plan)[0]).read_bytes() == (base / "a.png").read_bytes()
    assert (store / uris(plan)[1]).read_bytes() == (base / "b.jpg").read_bytes()
    assert sorted(path.suffix for path in store.rglob("*") if path.is_file()) == [".jpg", ".png"]


def test_given_payload_is_not_changed(base: Path, store: Path) -> None:
    original = job("a.png")
    plan_import(original, base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    assert original == job("a.png")


def test_file_uri_and_symlink_are_imported(base: Path, store: Path) -> None:
    (base / "link.png").symlink_to(base / "a.png")
    plan = plan_import(
        job(f"file://{base}/a.png", "link.png"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES
    )
    assert uris(plan)[0] == uris(plan)[1]
    assert len(plan.copies) == 1


def test_extension_comes_from_the_content(base: Path, store: Path) -> None:
    (base / "a.png").rename(base / "picture.txt")
    (uri,) = uris(plan_import(job("picture.txt"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES))
    assert uri.endswith(".png")


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"OggS\0", "ogg"),
        (b"fLaC", "flac"),
        (b"ID3\x04", "mp3"),
        (b"\xff\xfb\x90\x00", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (struct.pack(">I", 28) + b"ftypM4A ", "m4a"),
        (struct.pack(">I", 28) + b"ftypavif", "avif"),
        (struct.pack(">I", 24) + b"ftypmif1\0\0\0\0miafavif", "avif"),
        (struct.pack(">I", 24) + b"ftypmiaf\0\0\0\0avifmif1", "avif"),
        (struct.pack(">I", 24) + b"ftypmif1\0\0\0\0mif1heic", "heic"),
        (struct.pack(">I", 24) + b"ftypiso5\0\0\0\0iso5dash", "mp4"),
        (struct.pack(">I", 20) + b"ftyp3gp4\0\0\0\0isom", "mp4"),
        (struct.pack(">I", 20) + b"ftypqt  \0\0\0\0qt  ", "mov"),
        (bytes(731) + (b"\xff\xfb\x90\x64" + bytes(413)) * 4, "mp3"),
        (b"ID3\4\0\0\0\0\0\x14" + bytes(20) + b"fLaC", "flac"),
        (b"\xff\x0a" + bytes(30), "jxl"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "svg"),
        (b"%PDF-1.7\n", "pdf"),
        (b"II*\0" + bytes(20), "tiff"),
        (b"\x1a\x45\xdf\xa3" + bytes(20), "webm"),
        (b"GIF89a", "gif"),
    ],
)
def test_kinds(base: Path, store: Path, head: bytes, extension: str) -> None:
    (base / "sound").write_bytes(head)
    plan = plan_import(
        job(audio={"uri": "sound"}), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES
    )
    assert plan.violations == ()
    assert plan.payload["previewRequest"]["audio"]["uri"].endswith(f".{extension}")


def rejection(plan: ImportPlan) -> tuple[str, str]:
    (violation,) = plan.violations
    assert violation.found
    assert violation.allowed
    assert plan.copies == ()
    return violation.pointer, violation.code


def test_a_missing_file(base: Path, store: Path) -> None:
    plan = plan_import(job("never.png"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    assert rejection(plan) == ("/previewRequest/assets/0/uri", "import-missing")


def test_imported_uris_stay_unchanged(base: Path, store: Path) -> None:
    first = plan_import(job("a.png"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    first.execute(FolderAssets(store))
    again = plan_import(
        first.payload, base=base / "elsewhere", assets=FolderAssets(store), max_bytes=MAX_BYTES
    )
    assert (again.payload, again.copies, again.violations) == (first.payload, (), ())


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_only_regular_files(base: Path, store: Path, kind: str) -> None:
    match kind:
        case "folder":
            (base / "x").mkdir()
        case "pipe":
            os.mkfifo(base / "x")
        case _:
            (base / "x").symlink_to("/dev/zero")
    plan = plan_import(job("x"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    assert rejection(plan) == ("/previewRequest/assets/0/uri", "import-not-regular")


def test_unsupported_files_are_rejected(base: Path, store: Path) -> None:
    (base / "secret").write_text("root:x:0:0")
    plan = plan_import(job("secret"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    assert rejection(plan) == ("/previewRequest/assets/0/uri", "import-unknown-kind")
    (base / "empty.png").touch()
    plan = plan_import(job("empty.png"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    assert plan.violations[0].found == "an empty file"


def test_too_large(base: Path, store: Path) -> None:
    with (base / "a.png").open("r+b") as file:
        file.truncate(MAX_BYTES + 1)
    plan = plan_import(job("a.png"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    assert rejection(plan) == ("/previewRequest/assets/0/uri", "import-too-large")
    assert plan.violations[0].allowed == f"{MAX_BYTES} bytes (PREVIEW_ASSET_MAX_MB)"


def test_checksum_of_the_payload_is_verified(base: Path, store: Path) -> None:
    right = sha256(base / "a.png").upper()
    assert (
        plan_import(
            job("a.png", sha256=right), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES
        ).violations
        == ()
    )
    plan = plan_import(
        job("a.png", sha256="0" * 64), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES
    )
    assert rejection(plan) == ("/previewRequest/assets/0/uri", "import-checksum")


@pytest.mark.parametrize(
    "left",
    [
        job("data:image/png;base64,AAAA"),
        job("https://example.org/a.png"),
        job("../mine/a.png"),
        job("a\x00.png"),
        {"previewRequest": {"assets": "a.png", "audio": []}},
        {"previewRequest": {"assets": ["a.png", {"uri": 3}, {}], "audio": None}},
        {"previewRequest": []},
        {},
    ],
)
def test_other_uris_are_left_to_validation(base: Path, store: Path, left: dict[str, Any]) -> None:
    plan = plan_import(left, base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    assert (plan.payload, plan.copies, plan.violations) == (left, (), ())


def test_every_violation_is_reported(base: Path, store: Path) -> None:
    plan = plan_import(
        job("never.png", "a.png", "neither.png"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES
    )
    assert [violation.pointer for violation in plan.violations] == [
        "/previewRequest/assets/0/uri",
        "/previewRequest/assets/2/uri",
    ]


def test_file_that_changes_during_import_leaves_nothing(base: Path, store: Path) -> None:
    plan = plan_import(job("a.png"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    Image.new("RGB", (4, 3), "green").save(base / "a.png")
    with pytest.raises(ImportFailed, match="changed during the import"):
        plan.execute(FolderAssets(store))
    assert [path for path in store.rglob("*") if path.is_file()] == []


def test_unwritable_store(base: Path, store: Path) -> None:
    plan = plan_import(job("a.png"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    store.parent.write_text("a file where DATA_DIR should be")
    with pytest.raises(ImportFailed, match="Not a directory"):
        plan.execute(FolderAssets(store))


def test_mode_of_the_copy_follows_the_umask(base: Path, store: Path) -> None:
    (base / "a.png").chmod(0o600)
    before = os.umask(0o022)
    try:
        plan = plan_import(job("a.png"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
        plan.execute(FolderAssets(store))
    finally:
        os.umask(before)
    assert (store / uris(plan)[0]).stat().st_mode & 0o777 == 0o644


def test_existing_copy_is_kept_and_counts_as_used(base: Path, store: Path) -> None:
    plan = plan_import(job("a.png"), base=base, assets=FolderAssets(store), max_bytes=MAX_BYTES)
    plan.execute(FolderAssets(store))
    os.utime(store / uris(plan)[0], (1, 1))
    before = (store / uris(plan)[0]).stat()
    plan.execute(FolderAssets(store))
    after = (store / uris(plan)[0]).stat()
    assert before.st_ino == after.st_ino
    assert after.st_mtime > before.st_mtime == 1
