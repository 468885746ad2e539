"""Schemathesis against the API process: all checks, thousands of requests, fixed seed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.api_support import JOBS, operations
from tests.integration.cli_program import Program, QueueDriver, queue_driver
from tests.integration.test_api_program import TOKEN, running

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(1_200)]

POSTER = b"poster"
DIGEST = hashlib.sha256(POSTER).hexdigest()

# The contract has rules beyond the schema (references, sums, roots): such payloads get 422.
CONFIG = """
seed = 1
max-stream-events = 1
suppress-health-check = ["filter_too_much", "too_slow"]

[generation]
max-examples = 8
deterministic = true

[[operations]]
include-operation-id = "submitJobs"
# 400: closeBatch without batchId, which a list of parameters cannot exclude.
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "409", "422"]

[[operations]]
include-operation-id = "rescheduleJob"
checks.positive_data_acceptance.expected-statuses = ["2xx", "403", "404", "409", "422"]

[[operations]]
include-operation-id = ["uploadAsset", "putAsset"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "403", "404", "415", "422"]

[[operations]]
include-operation-id = ["getManifest", "getArtifact"]
parameters = { jobId = "done", name = "poster.webp" }
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", "403", "404", "416"]
"""


@contextmanager
def beating(driver: QueueDriver) -> Iterator[None]:
    """Lets the worker report every second: an unhealthy queue is a 503."""

    async def beat() -> None:
        while True:
            await driver.heartbeat()
            await asyncio.sleep(1)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


async def test_schemathesis_finds_nothing(redis_url: str, tmp_path: Path) -> None:
    bundle = tmp_path / "data" / "previews" / "lessons" / "done"
    bundle.mkdir(parents=True)
    (bundle / "poster.webp").write_bytes(POSTER)
    entry = {"path": "poster.webp", "bytes": len(POSTER), "sha256": DIGEST, "mediaType": "image/webp"}
    (bundle / "container.json").write_text(json.dumps({"version": 1, "files": [entry]}))
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    env = {"PREVIEW_API_TOKEN": TOKEN, "PREVIEW_API_RATE": "0", "PREVIEW_QUEUE_MAX": "1000000"}
    env |= {"PREVIEW_LINK_KEY": "k" * 40}
    async with queue_driver(redis_url) as driver:
        await driver.complete("done", result={"bundle": str(bundle)})
        await driver.add_dead_letters("dead")
        await driver.heartbeat()
        with running(Program(tmp_path, redis_url, env)) as api, beating(driver):
            command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"]
            # The served document alone, as another program would get it.
            command += ["run", f"{api.url}/openapi.json", "--url", api.url, "--checks", "all"]
            command += ["-H", f"Authorization: Bearer {TOKEN}"]
            done = await asyncio.to_thread(
                subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, timeout=500
            )
            assert done.returncode == 0, done.stdout[-10_000:]
            # It does not test the path that it loaded the document from.
            others = {key for key in operations() if key != ("GET", "/openapi.json")}
            assert f"Tested: {len(others)}\n" in done.stdout
            # Valid payloads reached the queue, under new ids or under ids of other jobs.
            accepted = [("POST", JOBS, status) for status in (202, 409)]
            assert any((x.get("method"), x.get("path"), x.get("status")) in accepted for x in api.log)
            assert api.end() == 0
        assert not [line for line in api.log if line["level"] == "error"]
