"""The page of examples/browser in Chromium: uploads three pictures, follows the job and plays it, without a token."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from tests.chromium import CHROMIUM, Page, chromium
from tests.docs.documents import ROOT
from tests.integration.cli_program import Program
from tests.integration.test_api_program import TOKEN, running
from tests.ports import free_port

KEY = "a-key-of-more-than-32-characters-0"
POSTER = "*/artifacts/poster.*"

pytestmark = [
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

# What a person does in the page, and what a person sees.
START = """
async function picture(color) {
  const canvas = new OffscreenCanvas(320, 180);
  const context = canvas.getContext("2d");
  context.fillStyle = color;
  context.fillRect(0, 0, 320, 180);
  return new File([await canvas.convertToBlob({ type: "image/png" })], color + ".png", { type: "image/png" });
}
const state = document.getElementById("state");
window.states = [];
new MutationObserver(() => states.push(state.textContent)).observe(state, { childList: true });
const chosen = new DataTransfer();
for (const color of ["crimson", "gold", "teal"]) chosen.items.add(await picture(color));
document.getElementById("files").files = chosen.files;
document.getElementById("form").requestSubmit();
"""
PLAY = """
const video = document.getElementById("video");
const wait = async (condition) => { while (!condition()) await new Promise(requestAnimationFrame); };
await video.play();
await wait(() => video.currentTime > 0.2);
return {
  state: document.getElementById("state").textContent, states,
  video: [video.videoWidth, video.videoHeight], duration: video.duration,
  page: document.documentElement.outerHTML + await (await fetch("previews.js")).text(),
};
"""


@asynccontextmanager
async def application(env: dict[str, str], port: int) -> AsyncIterator[None]:
    """Serves the example."""
    command = [sys.executable, "-m", "uvicorn", "examples.browser.application:app", "--log-level", "warning"]
    process = subprocess.Popen([*command, "--port", str(port)], cwd=ROOT, env=env)  # noqa: ASYNC220
    try:
        await until_listening(port)
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


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures, of 255, above the player's controls, in a raster without letters."""
    small = [picture.resize((32, 18), Image.Resampling.BOX).crop((0, 0, 32, 13)) for picture in (one, other)]
    return sum(ImageStat.Stat(ImageChops.difference(*small)).mean) / 3


def edges(picture: Image.Image) -> int:
    """The largest difference of two pixels side by side: large for letters, small for a blur."""
    moved = ImageChops.offset(picture, 1, 0)
    title = (
        2,
        0,
        picture.width * 2 // 5,
        picture.height * 3 // 4,
    )  # beside the player's wheel, above its controls
    extrema = ImageChops.difference(picture, moved).crop(title).getextrema()
    return max(high for _, high in extrema)


async def poster_is_shown(page: Page, poster: Image.Image) -> Image.Image:
    async with asyncio.timeout(60):
        while edges(shown := await page.picture("video")) < edges(poster) / 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return shown


async def test_the_page_uploads_follows_and_plays(redis_url: str, tmp_path: Path) -> None:
    port = free_port()
    origin = f"http://localhost:{port}"
    env = {"PREVIEW_API_TOKEN": TOKEN, "PREVIEW_LINK_KEY": KEY, "PREVIEW_API_ORIGINS": origin}
    program = Program(tmp_path, redis_url, env)
    worker = program.start("worker", stderr=subprocess.DEVNULL)
    try:
        with running(program) as api:
            url = api.url.replace("127.0.0.1", "localhost")
            environ = {**program.environ, "PREVIEW_API_URL": url}
            async with application(environ, port), chromium(tmp_path / "chromium") as page:
                await page.open(origin)
                await page.call("Fetch.enable", patterns=[{"urlPattern": POSTER}])
                await page.run(START)
                request = await page.event("Fetch.requestPaused")
                placeholder = await page.picture("video")
                await page.call("Fetch.continueRequest", requestId=request["requestId"])
                (file,) = (tmp_path / "data" / "previews").glob("*/*/poster.*")
                poster = Image.open(file).convert("RGB")
                shown = await poster_is_shown(page, poster)
                report = await page.run(PLAY)
    finally:
        worker.terminate()
        await asyncio.to_thread(worker.wait, 60)
    assert edges(placeholder) < edges(poster) / 4, "nothing sharp is painted before the poster"
    assert difference(placeholder, poster) * 2 < difference(placeholder, ImageOps.mirror(poster)), (
        "a blur of it"
    )
    assert difference(shown, poster) < 3
    assert report["state"] == "Done"
    assert report["video"] == [640, 360]
    assert report["duration"] > 2
    assert {"Uploading 1 of 3", "Uploading 3 of 3"} <= set(report["states"])
    assert any(state.startswith(("waiting", "active")) for state in report["states"]), report["states"]
    for secret in (TOKEN, KEY, "Bearer"):
        assert secret not in report["page"]
