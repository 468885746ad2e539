"""Restrictions of confined render processes, tried from inside real ones."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from previewops.job_errors import PermanentJobError, RenderCrashed
from previewops.worker.assets.download_cache import DownloadCache
from previewops.worker.assets.opener import AssetRef, FileAssetOpener
from previewops.worker.bundle_builder import build_bundle
from previewops.worker.cache.store import CacheStore
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.storyboard import read_storyboard
from previewops.worker.sandbox import landlock, namespaces
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.child_output import MAX_OUTPUT_BYTES
from previewops.worker.sandbox.confinement import ConfinementReport, detect_support
from previewops.worker.sandbox.file_server import FileServer
from previewops.worker.sandbox.framing import ProtocolError
from previewops.worker.sandbox.pool import RenderPool
from previewops.worker.sandbox.private_root import RootLayout
from tests.render_support import payload, quarters
from tests.sample_sounds import encode_sound, tone
from tests.web_server import complete_response, serving, web_assets

MIB = 1024 * 1024
PNG = "data:image/png;base64,aGVsbG8="


@asynccontextmanager
async def pool_of(
    confined: bool, limits: ChildLimits | None = None, task: str = "sandbox_tasks:run"
) -> AsyncIterator[RenderPool]:
    pool = RenderPool(
        task,
        size=1,
        limits=limits or ChildLimits(512 * MIB),
        recycle_jobs=100,
        preload=[],
        confined=confined,
    )
    try:
        yield pool
    finally:
        await pool.close()


@pytest.fixture(autouse=True)
def tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(b"secret")
    return tmp_path


async def attempt_all(folder: Path, task: str) -> dict[str, Any]:
    async with pool_of(confined=True, task=task) as pool:
        return await pool.run({"act": "try", "folder": str(folder)}, deadline_s=60)


FILES = (
    "read a file",
    "list a folder",
    "write a file",
    "write in /tmp",
    "remove a file",
    "make a folder",
    "read passwords",
)
CALLS = (
    "open a socket",
    "open a unix socket",
    "fork",
    "kill",
    "signal by thread",
    "signal with a value",
    "signal a thread with a value",
    "signal by a file",
    "signal by a file, otherwise",
    "choose the signal of a file",
    "signal by a socket",
    "signal by a socket, otherwise",
    "type into a terminal",
    "bound another",
    "slow another down",
    "pin another",
    "schedule another",
    "set the time of a file",
    "set the mode of a file",
    "give a file away",
    "attribute a file",
    "empty a file",
)
STILL = ("signal itself", "read own limit", "pin itself", "read python", "start a thread", "import late")


@pytest.mark.skipif(not detect_support().complete, reason="this kernel lacks Landlock or seccomp")
@pytest.mark.parametrize("task", ["sandbox_tasks:run", "old_kernel_tasks:run"])
async def test_a_confined_process_can_open_no_file_and_reach_no_process(folder: Path, task: str) -> None:
    results = await attempt_all(folder, task)
    hidden = (errno.ENOENT, errno.EACCES, errno.EPERM)  # with a private root or without
    assert {name: results[name] for name in FILES if results[name] not in hidden} == {}
    assert {name: results[name] for name in CALLS} == dict.fromkeys(CALLS, errno.EPERM)
    assert results["run a program"] == errno.EPERM
    assert {name: results[name] for name in STILL} == dict.fromkeys(STILL, 0)
    assert set(results) == {*FILES, *CALLS, *STILL, "run a program"}
    assert (folder / "secret").read_bytes() == b"secret"


OTHERWISE_INSTALLED = """
import os, sys
from pathlib import Path
import PIL
from previewops.worker.sandbox.confinement import confine, prepare_surroundings

confine(prepare_surroundings(os.getppid()), (), os.getppid())
import PIL.late, av
assert Path(PIL.__file__).parent.with_name("pillow.libs").joinpath("some.so").read_bytes() == b"library"
try:
    (Path(PIL.__file__).parents[1] / "secret").read_bytes()
except OSError:
    print(PIL.late.FOUND, av.FOUND)
"""


@pytest.mark.skipif(not detect_support().complete, reason="this kernel lacks Landlock or seccomp")
def test_libraries_installed_elsewhere_are_readable_and_nothing_beside_them(folder: Path) -> None:
    for name in ("PIL/__init__.py", "PIL/late.py", "av/__init__.py", "pillow.libs/some.so"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"library" if name.endswith(".so") else b"FOUND = __name__")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", OTHERWISE_INSTALLED],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{root}"},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("PIL.late av\n", "")


async def test_an_unconfined_process_can_do_all_that(folder: Path) -> None:
    async with pool_of(confined=False) as pool:
        results = await pool.run(
            {"act": "write_much", "path": str(folder / "new"), "bytes": 10}, deadline_s=60
        )
        assert results == {"number": 0}
    assert (folder / "new").stat().st_size == 10


def test_layers_and_missing_ones_are_described() -> None:
    all_in_force = ConfinementReport(("Landlock 7", "seccomp", "resource limits"))
    assert all_in_force.describe() == "Landlock 7, seccomp, resource limits"
    assert all_in_force.complete
    partial = ConfinementReport(("seccomp", "resource limits"), {"Landlock": "missing in this kernel"})
    assert partial.describe() == "seccomp, resource limits; without Landlock: missing in this kernel"
    assert not partial.complete
    assert ConfinementReport(("Landlock 7",), {"own user": "why"}).complete
    assert ConfinementReport.from_json(partial.as_json()) == partial


@pytest.mark.parametrize(
    ("number", "is_filtered", "reason"),
    [
        (errno.ENOSYS, False, "missing in this kernel"),
        (errno.ENOSYS, True, "missing in this kernel or filtered by the container"),
        (errno.EOPNOTSUPP, True, "disabled at boot of this kernel, see its option lsm="),
        (errno.EPERM, True, "denied by a system call filter of the service or container"),
    ],
)
def test_the_reason_for_missing_landlock_tells_kernel_from_filter(
    number: int, is_filtered: bool, reason: str
) -> None:
    assert landlock.describe_failure(number, is_filtered=is_filtered) == reason


@pytest.mark.parametrize(
    ("number", "is_root", "word"),
    [
        (errno.ENOSPC, False, "user.max_"),
        (errno.ENOSYS, True, "kernel"),
        (errno.EPERM, True, "CAP_SYS_ADMIN"),
        (errno.EPERM, False, "user namespaces"),
    ],
)
def test_the_reason_for_missing_namespaces(number: int, is_root: bool, word: str) -> None:
    assert word in namespaces.describe_failure(number, is_root=is_root)


def test_the_private_root_has_the_outermost_folders_and_all_links(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "file").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "deep" / "up").symlink_to("../file")
    (tmp_path / "absolute").symlink_to(tmp_path / "link" / "deep")
    (tmp_path / "cycle").symlink_to("cycle")
    real = tmp_path.resolve() / "real"
    layout = RootLayout([tmp_path / "link" / "deep", real / "file"])
    assert layout.outermost() == [real / "deep", real / "file"]
    layout.add([real, tmp_path / "absolute" / "up", tmp_path / "cycle"])
    assert layout.outermost() == [tmp_path.resolve() / "cycle", real]
    assert {Path(link).name: target for link, target in layout.links.items()} == {
        "link": "real",
        "absolute": str(tmp_path / "link" / "deep"),
        "up": "../file",
        "cycle": "cycle",
    }


async def test_assets_and_output_are_passed_as_descriptors(folder: Path) -> None:
    with serving(complete_response(b"from the web")) as server:
        assets = {
            "file": AssetRef("file", "secret"),
            "inline": AssetRef("inline", PNG),
            "web": AssetRef("web", server.url()),
            "none": AssetRef("none", "missing"),
        }
        downloads = DownloadCache(web_assets(server), spool=folder)
        opener = FileAssetOpener((folder,), downloads)
        file_server = FileServer(assets, opener, max_bytes=100, output=FolderOutput(folder / "out"))
        try:
            async with pool_of(confined=True) as pool:
                names = ["file", "inline", "web", "web", "file"]
                questions = [*({"open": [name]} for name in names), {"create": ["sub/made.bin"]}]
                result = await pool.run(
                    {"act": "ask", "questions": questions}, deadline_s=60, handle_request=file_server.handle
                )
                with pytest.raises(PermanentJobError) as caught:
                    await pool.run(
                        {"act": "ask", "questions": [{"open": ["none"]}]},
                        deadline_s=60,
                        handle_request=file_server.handle,
                    )
                assert caught.value.code == "asset-missing"
                assert caught.value.data["assetId"] == "none"
        finally:
            downloads.close()
        assert len(server.requests) == 1, "fetched once, whatever it was asked for"
    contents = [entry["content"] for entry in result["replies"]]
    assert contents == ["secret", "hello", "from the web", "from the web", "secret", 4]
    assert (folder / "out" / "sub" / "made.bin").read_bytes() == b"made"
    assert (folder / "out" / "sub" / "made.bin").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"open": ["other"]}, None),
        ({"open": "file"}, None),
        ({"open": [1]}, None),
        ({"open": []}, None),
        ({"open": ["file"] * 17}, None),
        ({"create": [1]}, None),
        ({"create": "poster.webp"}, None),
        ({"create": []}, None),
        ({"create": ["a"] * 33}, None),
        ({"read": "/etc/passwd"}, None),
        ({"create": ["../escaped"]}, "unsafe-output"),
        ({"create": ["/etc/cron.d/x"]}, "unsafe-output"),
        ({"create": ["a/b/c"]}, "unsafe-output"),
        ({"create": [".hidden"]}, "unsafe-output"),
        ({"create": [""]}, "unsafe-output"),
        ({"create": ["a" * 300]}, "unsafe-output"),
    ],
)
async def test_other_requests_are_rejected(folder: Path, question: dict[str, Any], code: str | None) -> None:
    file_server = FileServer(
        {"file": AssetRef("file", "secret")},
        FileAssetOpener((folder,)),
        max_bytes=100,
        output=FolderOutput(folder / "out"),
    )
    async with pool_of(confined=True) as pool:
        error = RenderCrashed if code is None else PermanentJobError
        with pytest.raises(error) as caught:
            await pool.run(
                {"act": "ask", "questions": [question]}, deadline_s=60, handle_request=file_server.handle
            )
        if code is not None:
            assert caught.value.code == code
    assert not (folder / "out").exists()


async def test_requests_for_thumbnails_are_limited(folder: Path) -> None:
    file_server = FileServer(
        {"file": AssetRef("file", "secret")},
        FileAssetOpener((folder,)),
        max_bytes=100,
        output=None,
        store=CacheStore(folder / "cache"),
        thumbnail_key=lambda _name, size: f"{size[0]:064x}",
    )
    for _ in range(2):
        assert await file_server.handle({"thumbnail": "file", "size": [1, 1]}) == ({}, ())
    with pytest.raises(ProtocolError, match="thumbnails"):
        await file_server.handle({"thumbnail": "file", "size": [2, 1]})


async def built_confined(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The summary of a bundle that a confined process has built in ``out`` from assets in ``folder``."""
    board = read_storyboard(job)
    file_server = FileServer(
        {name: asset.ref for name, asset in board.assets.items()},
        FileAssetOpener((folder,)),
        max_bytes=MIB,
        output=FolderOutput(folder / "out"),
    )
    async with pool_of(confined=True, task="previewops.worker.bundle_builder:build") as pool:
        return await pool.run({"payload": job}, deadline_s=60, handle_request=file_server.handle)


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["webp", "gif", "apng", "webm", "mp4"])
async def test_a_confined_process_renders_every_format_the_same(folder: Path, kind: str) -> None:
    quarters((400, 300)).save(folder / "picture.avif")
    (folder / "sound").write_bytes(encode_sound(tone(1), "m4a"))
    job = payload(
        [{"title": "A step \u05d0\u05d1", "assetIds": ["it"]}],
        [{"id": "it", "uri": "picture.avif"}],
        audio={"uri": "sound"},
        format=kind,
    )
    summary = await built_confined(job, folder)
    outside = build_bundle(
        job,
        opener=FileAssetOpener((folder,)),
        output=FolderOutput(folder / "outside"),
        limits=RenderLimits(),
        progress=lambda _share, _word: None,
    )
    assert _files(folder / "out") == {entry["path"] for entry in summary["artifacts"]}
    apart = ("preview.json",)
    assert [entry for entry in summary["artifacts"] if entry["path"] not in apart] == [
        entry for entry in outside["artifacts"] if entry["path"] not in apart
    ]
    for entry in outside["artifacts"]:
        if entry["path"] not in apart:
            content = (folder / "out" / entry["path"]).read_bytes()
            assert content == (folder / "outside" / entry["path"]).read_bytes()


async def test_a_missing_picture_leaves_no_empty_file(folder: Path) -> None:
    quarters((400, 300)).save(folder / "there.png")
    uris = {"there": "there.png", "gone": "gone.png", "broken": "secret"}
    job = payload(
        [{"assetIds": list(uris)}],
        [{"id": name, "uri": uri} for name, uri in uris.items()],
        onAssetError="gap",
    )
    summary = await built_confined(job, folder)
    results = _files(folder / "out")
    assert results == {entry["path"] for entry in summary["artifacts"]}
    assert "thumbs/there.webp" in results
    assert not any("gone" in path or "broken" in path for path in results)


async def test_links_in_the_output_folder_are_not_followed(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "poster.webp").symlink_to(folder / "secret")
    file_server = FileServer({}, FileAssetOpener(()), max_bytes=1, output=FolderOutput(folder / "out"))
    async with pool_of(confined=True) as pool:
        with pytest.raises(Exception, match="symbolic"):
            await pool.run(
                {"act": "ask", "questions": [{"create": ["poster.webp"]}]},
                deadline_s=60,
                handle_request=file_server.handle,
            )
    assert (folder / "secret").read_bytes() == b"secret"


async def test_descriptors_that_are_never_received_end_the_process(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    file_server = FileServer(
        {"file": AssetRef("file", "secret")}, FileAssetOpener((folder,)), max_bytes=100, output=None
    )
    async with pool_of(confined=False) as pool:
        spec = {"act": "ask_and_leave", "job": 1, "question": {"open": ["file"]}, "times": 1_000}
        with pytest.raises(RenderCrashed):
            await pool.run(spec, deadline_s=60, handle_request=file_server.handle)
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) <= before + 4  # noqa: PTH208 - the fork server's own


@pytest.mark.parametrize("confined", [False, True])
async def test_renders_yield_to_the_worker(confined: bool) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    async with pool_of(confined=confined, limits=ChildLimits(512 * MIB, nice=7)) as pool:
        await pool.start()
        assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in pool.child_pids()] == [min(19, own + 7)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


@pytest.mark.parametrize("confined", [False, True])
async def test_processor_time_is_limited_per_job(confined: bool) -> None:
    async with pool_of(confined=confined, limits=ChildLimits(512 * MIB, cpu_s=0.5)) as pool:
        for _ in range(3):  # in one process, whose total time exceeds the limit
            assert await pool.run({"act": "burn", "seconds": 0.2}, deadline_s=60) == {"burnt": True}
        with pytest.raises(PermanentJobError) as caught:
            await pool.run({"act": "burn", "seconds": 50}, deadline_s=60)
        assert caught.value.code == "cpu-time-exceeded"
        assert caught.value.data["allowed"] == 0.5
        assert (pool.crashes, pool.deadline_kills) == (0, 1)
        assert await pool.run({"act": "burn", "seconds": 0}, deadline_s=60) == {"burnt": True}


async def test_a_process_that_computes_without_a_job_is_killed() -> None:
    async with pool_of(confined=True, limits=ChildLimits(512 * MIB, cpu_s=0.3)) as pool:
        await pool.run({"act": "burn_afterwards"}, deadline_s=60)
        (pid,) = pool.child_pids()
        handle = os.pidfd_open(pid)
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(handle, ended.set)
        await asyncio.wait_for(ended.wait(), 60)
        loop.remove_reader(handle)
        os.close(handle)
        assert await pool.run({"act": "burn", "seconds": 0}, deadline_s=60) == {"burnt": True}
        assert pool.crashes == 0


@pytest.mark.parametrize("fd", [1, 2])
async def test_what_a_process_prints_is_one_labelled_event(fd: int) -> None:
    forged = '{"event": "job.completed", "jobId": "other"}\n\x1b[2J\x1b]0;owned\x07'
    async with pool_of(confined=True) as pool:
        with capture_logs() as lines:
            await pool.run({"act": "print", "fd": fd, "text": forged}, deadline_s=60)
        assert [(line["event"], line["log_level"], line["text"]) for line in lines] == [
            ("render.printed", "warning", forged)
        ]
        assert lines[0]["pid"] in pool.child_pids()


async def test_what_a_job_prints_has_the_fields_of_the_job() -> None:
    async with pool_of(confined=True) as pool:
        await pool.start()
        with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
            for job in ("one", "two"):
                with structlog.contextvars.bound_contextvars(jobId=job):
                    await pool.run({"act": "print", "fd": 2, "text": job}, deadline_s=60)
    assert [(line["jobId"], line["text"]) for line in lines] == [("one", "one"), ("two", "two")]


async def test_output_beyond_the_limit_is_closed_and_reported(folder: Path) -> None:
    async with pool_of(confined=True) as pool:
        with capture_logs() as lines:
            spec = {"act": "print", "fd": 2, "text": "x" * 1_000, "times": 1_000}
            result = await pool.run(spec, deadline_s=60)
            assert await pool.run({"act": "echo", "value": 1}, deadline_s=60)
    assert result["written"] < 1_000_000
    printed = sum(len(line["text"]) for line in lines if line["event"] == "render.printed")
    assert MAX_OUTPUT_BYTES <= printed < MAX_OUTPUT_BYTES + 4_096
    assert [line["event"] for line in lines].count("render.output-closed") == 1


async def test_output_byte_by_byte_is_closed_after_some_events(folder: Path) -> None:
    async with pool_of(confined=True) as pool:
        with capture_logs() as lines:
            await pool.run({"act": "print", "fd": 2, "text": "x", "times": 20_000}, deadline_s=60)
            assert await pool.run({"act": "echo", "value": 1}, deadline_s=60)
    assert [line["event"] for line in lines].count("render.printed") <= MAX_OUTPUT_BYTES // 512
    assert lines[-1]["event"] == "render.output-closed"


async def test_file_size_is_limited(folder: Path) -> None:
    async with pool_of(confined=False, limits=ChildLimits(512 * MIB, file_bytes=1_000)) as pool:
        spec = {"act": "write_much", "path": str(folder / "much"), "bytes": 2_000}
        assert await pool.run(spec, deadline_s=60) == {"number": errno.EFBIG}
    assert (folder / "much").stat().st_size <= 1_000
