"""The renderer without a queue: as a function, and as a command."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from previewops.errors import InvalidPayload
from previewops.job_errors import PermanentJobError
from previewops.worker import render
from previewops.worker.assets.download_cache import DownloadCache
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.render.limits import RenderLimits
from tests.integration.cli_program import Program
from tests.render_support import open_picture, payload, quarters
from tests.web_server import complete_response, serving, web_assets

STEPS: list[dict[str, Any]] = [{"title": "One", "assetIds": ["it"]}, {"title": "Two"}]
ASSETS = [{"id": "it", "uri": "picture.png"}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    quarters((80, 60)).save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_request_is_rendered_into_a_folder(folder: Path) -> None:
    seen: list[float] = []
    request = payload(STEPS, ASSETS)["previewRequest"]
    bundle = render(request, out="out", progress=lambda share, _word: seen.append(share))
    assert (bundle.width, bundle.height, bundle.duration_ms) == (320, 180, 6_000)
    assert open_picture(bundle.poster).size == (320, 180)
    assert [open_picture(frame).size for frame in bundle.frames] == [(320, 180)] * 3
    assert bundle.animation == Path("out/animation.webp")
    assert bundle._repr_html_().startswith('<img alt="Contact sheet"')
    assert {file["path"] for file in bundle.files} == {
        str(path.relative_to("out")) for path in Path("out").rglob("*.*")
    }
    assert seen[-1] == 1.0


def test_a_payload_gives_the_bytes_that_a_worker_publishes(folder: Path) -> None:
    job = {**payload(STEPS, ASSETS, dry_run=True, format="png"), "projectId": "library"}
    bundle = render(job, out=folder / "out", opener=FileAssetOpener((folder,)))
    assert bundle.preview["jobId"] == "job-1"
    assert bundle.animation is None
    again = render(job["previewRequest"], out=folder / "once" / "again")
    hashes = [{file["path"]: file["sha256"] for file in rendered.files} for rendered in (bundle, again)]
    assert all(files.pop("preview.json") for files in hashes)
    assert hashes[0] == hashes[1]


def test_a_downloaded_picture_is_the_one_whose_checksum_was_verified(folder: Path) -> None:
    good = (folder / "picture.png").read_bytes()
    responses = iter([complete_response(good), complete_response(b"something else")])

    def respond(connection: socket.socket, path: str) -> None:
        next(responses)(connection, path)

    with serving(respond) as server:
        asset = {"id": "it", "uri": server.url(), "sha256": hashlib.sha256(good).hexdigest()}
        fetched = DownloadCache(web_assets(server), spool=folder)
        bundle = render(payload(STEPS, [asset]), out="out", opener=FileAssetOpener((), fetched))
        fetched.close()
        assert len(server.requests) == 1
    assert bundle.warnings == ()


def test_errors_are_those_of_the_contract_and_the_renderer(folder: Path) -> None:
    with pytest.raises(InvalidPayload):
        render({"steps": 1}, out="out")
    with pytest.raises(InvalidPayload):
        render(payload([], [{"id": "it", "uri": "/etc/passwd"}]), out="out")
    with pytest.raises(PermanentJobError) as caught:
        render(payload(STEPS, ASSETS), out="out", limits=RenderLimits(frame_pixels=10))
    assert caught.value.code == "asset-too-many-pixels"
    assert not Path("out").exists()


def test_the_signature_is_visible() -> None:
    parameters = inspect.signature(render).parameters
    assert list(parameters) == ["request", "out", "opener", "limits", "fonts", "themes", "progress"]


@pytest.mark.parametrize(
    "way", ["from previewops.worker import render", "import previewops.worker as w; w.render"]
)
def test_importing_it_is_cheap_and_it_can_be_called_in_any_order(folder: Path, way: str) -> None:
    script = (
        f"import sys; {way}\n"
        "names = ('PIL', 'arq', 'redis', 'av', 'httpx', 'jsonschema', 'jsonschema_rs')\n"
        "heavy = [name for name in names if name in sys.modules]\n"
        "assert not heavy, heavy\n"
        "import previewops.worker.render.limits\n"
        "from previewops.worker import render\n"
        "print(render({'steps': [], 'assets': [], 'audio': {}, 'options': {'resolution': '64x64'}}, out='x').width)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=folder
    )
    assert (done.stdout, done.stderr) == ("64\n", "")
    wrong = "from previewops.worker import renderer"
    assert subprocess.run([sys.executable, "-c", wrong], capture_output=True, check=False).returncode == 1


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.fixture
def job(folder: Path) -> Path:
    file = folder / "job.json"
    file.write_text(json.dumps(payload(STEPS, ASSETS)), "utf-8")
    return file


def test_the_command_renders_without_redis(program: Program, job: Path) -> None:
    out = job.parent / "deep" / "out"
    done = program.run("--redis-url", "unix:///nonexistent", "render", str(job), "-o", str(out))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{out}: 12 files")
    assert "  animation.webp\n" in done.out
    assert open_picture(out / "poster.webp").size == (320, 180)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    as_json = program.run("render", str(job), "-o", str(out), "--replace", "--json")
    assert json.loads(as_json.out)["bundle"] == str(out)


def test_other_files_in_the_folder_stay(program: Program, job: Path) -> None:
    out = job.parent / "out"
    out.mkdir()
    (out / "mine").write_bytes(b"mine")
    for options in ([], ["--replace"]):
        done = program.run("render", str(job), "-o", str(out), *options)
        assert done.code == 2
        assert "out" in done.err
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_a_plan_is_printed(program: Program, job: Path) -> None:
    job.write_text(json.dumps(payload(STEPS, ASSETS, dry_run=True)), "utf-8")
    done = program.run("render", str(job), "-o", str(job.parent / "out"))
    assert json.loads(done.out)["plan"]["steps"] == 2
    assert not (job.parent / "out").exists()


def test_failures_are_reported_without_a_traceback_and_leave_no_files(program: Program, job: Path) -> None:
    (job.parent / "picture.png").write_bytes(b"%!PS-Adobe-3.0")
    out = job.parent / "out"
    done = program.run("render", str(job), "-o", str(out))
    assert done.code == 1
    assert "found PostScript, allowed JPEG, PNG, WebP, GIF, AVIF" in done.err
    assert "hint: convert the picture" in done.err
    as_json = program.run("render", str(job), "-o", str(out), "--json")
    assert json.loads(as_json.out)["error"] == "asset-unsupported"
    assert program.run("render", str(job.parent / "no.json"), "-o", str(out)).code == 2
    job.write_text("{}", "utf-8")
    assert program.run("render", str(job), "-o", str(out)).code == 65
    assert not out.exists()
    assert sorted(path.name for path in job.parent.iterdir() if path.name.startswith(".out")) == []


def test_a_terminal_shows_a_progress_bar(job: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "previewops", "render", str(job), "-o", str(job.parent / "out")]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL) as running:
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # EIO: the other side has closed
                break
            if not piece:
                break
            seen += piece
    os.close(ours)
    assert running.returncode == 0
    assert b"%" in seen
    assert "━".encode() in seen
