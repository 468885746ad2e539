"""Assets from real files: allowed ones are opened, others are rejected with their code, and nothing blocks."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from previewops.job_errors import JobError, PermanentJobError, TransientJobError
from previewops.worker.assets.mounts import find_place
from previewops.worker.assets.opener import AssetRef, FileAssetOpener, storage_errors, verify_checksum

CONTENT = b"content of an asset"
BOUND = 1_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "here.png").write_bytes(CONTENT)
    return folder


def read(uri: str, *roots: Path, max_bytes: int = BOUND) -> bytes:
    opened = FileAssetOpener(roots).open(AssetRef("it", uri), max_bytes=max_bytes)
    with opened.file:
        content = opened.file.read()
    assert opened.size == len(content)
    return content


def rejection(uri: str, *roots: Path, max_bytes: int = BOUND) -> JobError:
    with pytest.raises(JobError) as caught:
        read(uri, *roots, max_bytes=max_bytes)
    error = caught.value
    assert error.data["assetId"] == "it"
    assert str(error.data["uri"]).startswith(uri[:100])
    assert error.data["found"]
    assert error.data["allowed"]
    assert error.hint
    return error


def test_relative_absolute_and_file_uris_are_read(root: Path) -> None:
    (root / "sub folder").mkdir()
    (root / "sub folder" / "ü.png").write_bytes(b"other")
    assert read("here.png", root) == CONTENT
    assert read(str(root / "here.png"), root) == CONTENT
    assert read(f"file://{root}/here.png", root) == CONTENT
    assert read(f"file://{root}/sub%20folder/%C3%BC.png", root) == b"other"


def test_a_relative_uri_is_searched_under_each_root_in_order(root: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    (second / "here.png").write_bytes(b"second")
    (second / "there.png").write_bytes(b"there")
    assert read("here.png", root, second) == CONTENT
    assert read("here.png", second, root) == b"second"
    assert read("there.png", root, second) == b"there"


def test_a_link_that_stays_under_a_root_is_followed(root: Path) -> None:
    (root / "link.png").symlink_to("here.png")
    assert read("link.png", root) == CONTENT


def test_data_uris_are_decoded_up_to_their_limit() -> None:
    uri = "data:image/png;base64," + base64.b64encode(CONTENT).decode()
    assert read(uri) == CONTENT
    assert rejection(uri, max_bytes=5).code == "asset-too-large"
    assert rejection("data:image/png;base64,@@@").code == "asset-uri-unsupported"


def test_a_missing_file_reports_the_searched_paths(root: Path, tmp_path: Path) -> None:
    error = rejection("no.png", root, tmp_path)
    assert isinstance(error, PermanentJobError)
    assert error.code == "asset-missing"
    assert str(root / "no.png") in str(error.hint)
    assert str(tmp_path / "no.png") in str(error.hint)
    assert rejection("here.png/x.png", root).code == "asset-missing"
    assert rejection("n" * 300, root).code == "asset-missing"
    assert rejection("here.png").code == "asset-missing"


def test_an_unfinished_upload_is_transient(root: Path) -> None:
    (root / "coming.png.part").write_bytes(b"half")
    error = rejection("coming.png", root)
    assert isinstance(error, TransientJobError)
    assert error.code == "asset-incomplete"
    (root / "coming.png").write_bytes(b"whole")
    assert read("coming.png", root) == b"whole"


def link_out(root: Path, outside: Path) -> str:
    (root / "out.png").symlink_to(outside)
    return "out.png"


def folder_link_out(root: Path, outside: Path) -> str:
    (root / "folder").symlink_to(outside.parent)
    return f"folder/{outside.name}"


@pytest.mark.parametrize(
    "lead_out",
    [
        link_out,
        folder_link_out,
        lambda _root, outside: str(outside),
        lambda _root, outside: f"file://{outside}",
    ],
    ids=["link", "link of a folder", "absolute", "file uri"],
)
def test_files_outside_of_the_roots_are_rejected(
    root: Path, tmp_path: Path, lead_out: Callable[[Path, Path], str]
) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(b"secret")
    uri = lead_out(root, outside)
    error = rejection(uri, root)
    assert isinstance(error, PermanentJobError)
    assert error.code == "asset-outside-roots"
    assert error.data["allowed"] == str(root)
    if not uri.startswith(("/", "file:")):
        # The producer did not name the target, so it is not reported.
        assert str(outside) not in f"{error.message} {error.hint} {error.data}"
    else:
        assert f'add "{tmp_path}" to PREVIEW_ASSET_ROOTS' in str(error.hint)


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "/passwd",
            "/etc/passwd",
            "/etc/ssl/private/a.png",
            "/proc/self/environ",
            "/proc/1/root/srv/a/b.png",
        ),
        *(
            "/var/lib/redis/dump.rdb",
            "/opt/previewops/venv/a.png",
            "/dev/zero",
            "/sys/a/b.png",
            "/usr/share/x/a.png",
            "/var/log/x/a.png",
            "/root/a/b.png",
            "/run/x/y.png",
        ),
        *(
            "/home/me/a.png",
            "/home/me/.ssh/a.png",
            "/srv/a.png",
            "file:///etc/passwd",
            "link.png",
            "folder/a.png",
        ),
    ],
)
def test_no_hint_proposes_a_folder_of_the_system_or_the_target_of_a_link(root: Path, uri: str) -> None:
    (root / "link.png").symlink_to("/etc/passwd")
    (root / "folder").symlink_to("/proc/self")
    error = rejection(uri, root)
    assert error.code == "asset-outside-roots"
    assert " add " not in str(error.hint)
    assert "/proc" not in str(error.hint)


def test_a_link_out_of_the_roots_is_called_a_link_and_its_target_is_not_told(
    root: Path, tmp_path: Path
) -> None:
    target = tmp_path / "elsewhere" / "a.png"
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    (root / "out.png").symlink_to(target)
    error = rejection("out.png", root)
    assert "link" in str(error)
    assert "elsewhere" not in f"{error} {error.hint}"


def test_a_long_uri_is_told_shortened(root: Path) -> None:
    error = rejection(f"{'a' * 5_000}.png", root)
    assert len(str(error)) < 2_000


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in ("previews/other/job-1/poster.png", "redis/dump.rdb", "assets/mine.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(CONTENT)
    return folder


@pytest.mark.parametrize(
    "uri", ["data/previews/other/job-1/poster.png", "data/redis/dump.rdb", "out.png", "out/a"]
)
def test_of_the_data_folder_only_assets_are_read(tmp_path: Path, data_dir: Path, uri: str) -> None:
    (tmp_path / "out.png").symlink_to(data_dir / "previews" / "other" / "job-1" / "poster.png")
    (tmp_path / "out").symlink_to(data_dir / "previews" / "other")
    (data_dir / "previews" / "other" / "a").write_bytes(CONTENT)
    (data_dir / "assets" / "link.png").symlink_to("../redis/dump.rdb")
    opener = FileAssetOpener((tmp_path, data_dir / "previews"), data_dir=data_dir)
    for named in (uri, str(tmp_path / uri), "data/assets/link.png", "other/job-1/poster.png"):
        with pytest.raises(PermanentJobError) as caught:
            opener.open(AssetRef("it", named), max_bytes=BOUND)
        assert caught.value.code == "asset-outside-roots"
        assert "DATA_DIR" in caught.value.message
        assert "DATA_DIR/assets" in str(caught.value.hint)
    with opener.open(AssetRef("it", "data/assets/mine.png"), max_bytes=BOUND).file as file:
        assert file.read() == CONTENT


MOUNTS = r"""36 35 98:0 /srv/data /mnt/all rw,noatime - ext3 /dev/root rw
37 35 98:0 /srv/data/previews /mnt/a\040b rw - ext3 /dev/root rw
38 35 98:0 / / rw - ext3 /dev/root rw
"""


@pytest.mark.parametrize(
    ("number", "path", "place"),
    [
        (36, "/mnt/all/redis/a", "/srv/data/redis/a"),
        (37, "/mnt/a b/p/a", "/srv/data/previews/p/a"),
        (38, "/srv/data/a", "/srv/data/a"),
        (38, "/", "/"),
        (37, "/elsewhere", None),
        (3, "/mnt/all/a", None),
    ],
)
def test_the_place_of_a_file_is_the_same_through_every_mount(
    number: int, path: str, place: str | None
) -> None:
    expected = None if place is None else ("98:0", PurePosixPath(place))
    assert find_place(MOUNTS, number, PurePosixPath(path)) == expected


MOUNTED = """
import ctypes, os, sys
from pathlib import Path
from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef, FileAssetOpener

libc = ctypes.CDLL(None, use_errno=True)
root = Path(sys.argv[1])
if libc.unshare(0x00020000) or libc.mount(b"none", b"/", None, 1 << 14 | 1 << 18, None):
    sys.exit(77)  # a mount namespace cannot be made here
mounts = {"all": "data", "some": "data/previews", "one": "data/previews/other", "own": "data/assets"}
for target, source in mounts.items():
    (root / target).mkdir()
    if libc.mount(bytes(root / source), bytes(root / target), None, 1 << 12, None):
        sys.exit(77)
opener = FileAssetOpener((root,), data_dir=root / "data")
for uri in sys.argv[2:]:
    try:
        opener.open(AssetRef("it", uri), max_bytes=100).file.close()
        print(uri, "opened")
    except PermanentJobError as error:
        print(uri, error.code, "DATA_DIR" in error.message)
"""


def test_a_second_path_to_the_data_folder_gives_no_access(tmp_path: Path, data_dir: Path) -> None:
    """By bind mounts of the folder, of one in it, and of one deeper."""
    private = ["all/redis/dump.rdb", "some/other/job-1/poster.png", "one/job-1/poster.png"]
    allowed = ["all/assets/mine.png", "own/mine.png", "data/assets/mine.png"]
    done = subprocess.run(
        [sys.executable, "-c", MOUNTED, str(tmp_path), *private, *allowed],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("this user cannot mount")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        *(f"{uri} asset-outside-roots True" for uri in private),
        *(f"{uri} opened" for uri in allowed),
    ]


def test_a_root_is_not_a_prefix_of_names(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "rootless").mkdir()
    (tmp_path / "rootless" / "a.png").write_bytes(CONTENT)
    assert rejection(str(tmp_path / "rootless" / "a.png"), tmp_path / "root").code == "asset-outside-roots"


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [(Path.mkdir, "a folder"), (make_fifo, "a named pipe"), (make_socket, "a socket")],
)
@pytest.mark.timeout(120)
def test_only_regular_files_are_opened(root: Path, make: Callable[[Path], None], kind: str) -> None:
    make(root / "x")
    error = rejection("x", root)
    assert (error.code, error.data["found"]) == ("asset-not-a-file", kind)


def test_a_device_is_rejected() -> None:
    error = rejection("/dev/zero", Path("/dev"))
    assert (error.code, error.data["found"]) == ("asset-not-a-file", "a character device")


def test_a_link_to_itself_is_missing(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    assert rejection("loop", root).code in ("asset-not-a-file", "asset-missing")


def test_size_is_limited(root: Path) -> None:
    assert read("here.png", root, max_bytes=len(CONTENT)) == CONTENT
    error = rejection("here.png", root, max_bytes=len(CONTENT) - 1)
    assert (error.code, error.data["found"]) == ("asset-too-large", f"{len(CONTENT)} bytes")


@pytest.mark.parametrize("uri", ["http://example.org/a.png", "ftp://x/y", "../here.png", "file://host/a.png"])
def test_other_uris_are_rejected(root: Path, uri: str) -> None:
    assert rejection(uri, root).code == "asset-uri-unsupported"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_rejected(root: Path) -> None:
    (root / "here.png").chmod(0)
    assert rejection("here.png", root).code == "asset-unreadable"


def test_checksums_are_compared(root: Path) -> None:
    right = hashlib.sha256(CONTENT).hexdigest()
    for digest in (None, right, right.upper()):
        ref = AssetRef("it", "here.png", digest)
        opened = FileAssetOpener((root,)).open(ref, max_bytes=BOUND)
        with opened.file:
            verify_checksum(ref, opened)
            assert opened.file.read() == CONTENT
    wrong = AssetRef("it", "here.png", "0" * 64)
    opened = FileAssetOpener((root,)).open(wrong, max_bytes=BOUND)
    with opened.file, pytest.raises(PermanentJobError) as caught:
        verify_checksum(wrong, opened)
    assert caught.value.code == "asset-checksum"
    assert caught.value.data["found"] == right


def test_identity_changes_with_the_content(root: Path) -> None:
    def identity() -> tuple[int | str, ...]:
        opened = FileAssetOpener((root,)).open(AssetRef("it", "here.png"), max_bytes=BOUND)
        opened.file.close()
        return opened.identity

    before = identity()
    assert identity() == before
    (root / "new.png").write_bytes(CONTENT)
    (root / "new.png").rename(root / "here.png")
    assert identity() != before


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EIO, "io-error"),
        (errno.EROFS, "io-error"),
    ],
)
def test_disk_errors_are_transient(number: int, code: str) -> None:
    with pytest.raises(TransientJobError) as caught, storage_errors():
        raise OSError(number, os.strerror(number), "file")
    assert caught.value.code == code
    assert caught.value.data["errno"] == errno.errorcode[number]


@pytest.mark.timeout(120)
def test_a_file_replaced_between_check_and_open_is_rejected(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular = os.lstat(root / "here.png")
    make_fifo(root / "pipe")
    with monkeypatch.context() as patched:
        patched.setattr("previewops.worker.assets.opener.os.lstat", lambda _path: regular)
        assert rejection("pipe", root).code == "asset-not-a-file"
    outside = tmp_path / "secret.png"
    outside.write_bytes(b"secret")
    monkeypatch.setattr(FileAssetOpener, "_resolve", lambda *_args: str(outside))
    assert rejection("here.png", root).code == "asset-outside-roots"
