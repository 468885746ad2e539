"""The page of examples/browser in Chromium: uploads three pictures, follows the job and plays it, without a token."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.docs.documents import ROOT
from tests.integration.cli_program import Program
from tests.integration.test_api_program import TOKEN, running
from tests.ports import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEY = "a-key-of-more-than-32-characters-0"

pytestmark = [
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

# Runs in the page: does what a person does, and reports what a person sees.
SCRIPT = """
const wait = async (condition) => { while (!condition()) await new Promise(requestAnimationFrame); };
async function picture(color) {
  const canvas = new OffscreenCanvas(320, 180);
  const context = canvas.getContext("2d");
  context.fillStyle = color;
  context.fillRect(0, 0, 320, 180);
  return new File([await canvas.convertToBlob({ type: "image/png" })], color + ".png", { type: "image/png" });
}
const states = new Set();
const report = {};
try {
  const state = document.getElementById("state"), video = document.getElementById("video");
  new MutationObserver(() => states.add(state.textContent)).observe(state, { childList: true });
  const chosen = new DataTransfer();
  for (const color of ["crimson", "gold", "teal"]) chosen.items.add(await picture(color));
  document.getElementById("files").files = chosen.files;
  document.getElementById("form").requestSubmit();
  await wait(() => /^(Done|Failed)/.test(state.textContent));
  report.state = state.textContent;
  await video.play();
  await wait(() => video.currentTime > 0.2);
  const poster = new Image();
  poster.src = video.poster;
  await poster.decode();
  Object.assign(report, {
    video: [video.videoWidth, video.videoHeight], duration: video.duration,
    poster: [poster.naturalWidth, poster.naturalHeight], states: [...states],
    page: document.documentElement.outerHTML + await (await fetch("previews.js")).text(),
  });
} catch (error) { report.error = String(error); report.seen = [...states]; }
await fetch("/report", { method: "POST", body: JSON.stringify(report) });
"""


@asynccontextmanager
async def application(folder: Path, env: dict[str, str], port: int) -> AsyncIterator[None]:
    """Serves the example with two more paths: /test, the page with SCRIPT, and /report, which writes a file."""
    (folder / "served.py").write_text(
        f"""
import sys, json
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from examples.browser import application

async def page(request):
    html = (application.PAGE / "index.html").read_text()
    return HTMLResponse(html.replace("</body>", '<script type="module">' + SCRIPT + "</script></body>"))

async def report(request):
    Path("report.tmp").write_bytes(await request.body())
    Path("report.tmp").rename("report.json")
    return JSONResponse({{}})

SCRIPT = {SCRIPT!r}
app = application.app
app.router.routes[:0] = [Route("/test", page), Route("/report", report, methods=["POST"])]
"""
    )
    command = [sys.executable, "-m", "uvicorn", "served:app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=folder, env=env)  # noqa: ASYNC220
    try:
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def until_listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


async def until_reported(path: Path, browser: subprocess.Popen[bytes]) -> dict[str, Any]:
    async with asyncio.timeout(100):
        while not path.exists():  # noqa: ASYNC240 - another process writes it
            assert browser.poll() is None, "Chromium ended"
            await asyncio.sleep(0.05)
    report: dict[str, Any] = json.loads(path.read_text("utf-8"))  # noqa: ASYNC240
    return report


async def test_the_page_uploads_follows_and_plays(redis_url: str, tmp_path: Path) -> None:
    port = free_port()
    origin = f"http://localhost:{port}"
    env = {"PREVIEW_API_TOKEN": TOKEN, "PREVIEW_LINK_KEY": KEY, "PREVIEW_API_ORIGINS": origin}
    program = Program(tmp_path, redis_url, env)
    worker = program.start("worker", stderr=subprocess.DEVNULL)
    assert CHROMIUM is not None
    try:
        with running(program) as api:
            url = api.url.replace("127.0.0.1", "localhost")
            environ = {**program.environ, "PREVIEW_API_URL": url}
            async with application(tmp_path, environ, port):
                await until_listening(port)
                flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
                flags += [
                    f"--user-data-dir={tmp_path / 'chromium'}",
                    "--autoplay-policy=no-user-gesture-required",
                ]
                browser = subprocess.Popen(  # noqa: ASYNC220
                    [CHROMIUM, *flags, f"{origin}/test"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                try:
                    report = await until_reported(tmp_path / "report.json", browser)
                finally:
                    browser.terminate()
                    await asyncio.to_thread(browser.wait, 30)
    finally:
        worker.terminate()
        await asyncio.to_thread(worker.wait, 60)
    assert "error" not in report, report
    assert report["state"] == "Done"
    assert report["video"] == report["poster"] == [640, 360]
    assert report["duration"] > 2
    assert {"Uploading 1 of 3", "Uploading 3 of 3"} <= set(report["states"])
    assert any(state.startswith(("waiting", "active")) for state in report["states"]), report["states"]
    for secret in (TOKEN, KEY, "Bearer"):
        assert secret not in report["page"]
