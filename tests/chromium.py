"""Chromium without a window, driven over a pipe by the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from previewops.tasks import cancel_and_wait

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    *(
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--remote-debugging-pipe",
    ),
    *("--window-size=900,900", "--autoplay-policy=no-user-gesture-required"),
)
_REPLY_LIMIT = 64 * 1024 * 1024  # bytes of one message: a screenshot
_TIMEOUT_S = 60


class Page:
    """One page. ``call`` sends a command, and ``event`` waits for what the page reports."""

    def __init__(self, reader: asyncio.StreamReader, pipe: int) -> None:
        self._reader, self._pipe = reader, pipe
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self._session: dict[str, str] = {}

    async def read(self) -> None:
        """Reads messages until the browser ends."""
        while True:
            message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            if "id" in message:
                self._replies.pop(message["id"]).set_result(message)
            else:
                self._queue(message["method"]).put_nowait(message["params"])

    def _queue(self, name: str) -> asyncio.Queue[dict[str, Any]]:
        return self._events.setdefault(name, asyncio.Queue())

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._replies[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params, **self._session}
        os.write(self._pipe, json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(_TIMEOUT_S):
            reply = await self._replies[number]
        assert "error" not in reply, reply
        result: dict[str, Any] = reply["result"]
        return result

    async def event(self, name: str) -> dict[str, Any]:
        async with asyncio.timeout(_TIMEOUT_S):
            return await self._queue(name).get()

    async def open(self, url: str) -> None:
        """Opens an address, and waits until it has loaded."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        await self.call("Page.enable")
        await self.call("Page.navigate", url=url)
        await self.event("Page.loadEventFired")

    async def run(self, script: str) -> Any:
        """Runs the body of an asynchronous function in the page. Returns its result."""
        result = await self.call(
            "Runtime.evaluate",
            expression=f"(async () => {{ {script} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def picture(self, element_id: str) -> Image.Image:
        """Returns what the page shows of an element."""
        box = await self.run(
            f"const {{x, y, width, height}} = document.getElementById('{element_id}').getBoundingClientRect();"
            "return {x: x + scrollX, y: y + scrollY, width, height};"
        )
        reply = await self.call(
            "Page.captureScreenshot", clip={**box, "scale": 1}, captureBeyondViewport=True
        )
        return Image.open(io.BytesIO(base64.b64decode(reply["data"]))).convert("RGB")


@asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Page]:
    """Starts a browser with an empty profile."""
    assert CHROMIUM is not None
    commands, command_end = os.pipe()
    message_end, messages = os.pipe()
    # The browser reads descriptor 3 and writes 4.
    shell = ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{messages}', "bash"]
    browser = subprocess.Popen(  # noqa: ASYNC220
        [*shell, CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(commands, messages),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands)
    os.close(messages)
    reader = asyncio.StreamReader(_REPLY_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(message_end, "rb")
    )
    page = Page(reader, command_end)
    reading = asyncio.create_task(page.read())
    try:
        yield page
    finally:
        await cancel_and_wait([reading])
        os.close(command_end)
        browser.terminate()
        await asyncio.to_thread(browser.wait, 30)
