"""docs/rest-reference.md: its paths and limits are correct, and every example runs."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from previewops.api import backend, submit_batcher
from previewops.api.bounded_protocol import MAX_HEAD_BYTES
from previewops.api.dead_letter_routes import BULK_TIMEOUT_S, MAX_PER_REQUEST
from previewops.api.jsonl_submit import MAX_LINES
from previewops.api.named_tokens import parse_tokens
from previewops.api.server import SHUTDOWN_S
from previewops.contract.limits import MAX_PAYLOAD_BYTES
from tests.api_support import operations
from tests.docs.documents import README, ROOT, blocks, prose, table
from tests.integration.cli_program import Program
from tests.integration.test_api_program import running

pytestmark = [pytest.mark.redis]

API = ROOT / "docs" / "rest-reference.md"

# Each example must succeed.
PREAMBLE = """
set -euo pipefail
curl() { command curl --fail-with-body --silent --show-error --max-time 60 "$@" && echo; }
"""


def test_the_paths_are_those_of_the_description() -> None:
    documented = {tuple(cell.split(" ")) for cell, _ in table(API, "## Paths")}
    assert documented == set(operations())


def test_the_bounds_are_those_of_the_program() -> None:
    text = prose(API)
    assert f"{MAX_LINES:,} lines" in text
    assert f"({MAX_PER_REQUEST:,})" in text
    assert f"within {SHUTDOWN_S} s" in text
    assert (
        f"one of {backend.REDIS_PERMITS} permits for Redis, or of {backend.LONG_REDIS_PERMITS} for actions"
        in text
    )
    assert f"actions on dead letters | {backend.PERMIT_TIMEOUT_S:g} s |" in text
    assert (
        f"{backend.REPLY_TIMEOUT_S:g} s, {BULK_TIMEOUT_S:g} s for an action on dead letters, "
        f"{submit_batcher.REPLY_TIMEOUT_S:g} s for a batch of submits"
    ) in text
    assert f"up to {submit_batcher.MAX_BATCH}." in text
    assert (MAX_PAYLOAD_BYTES, MAX_HEAD_BYTES) == (1024 * 1024, 64 * 1024)


def test_a_new_token_has_the_line_that_is_shown(tmp_path: Path) -> None:
    (command,) = [block.text for block in blocks(API, "sh") if block.text.startswith("previewops token")]
    (shown,) = [block.text for block in blocks(API, "toml")]
    done = Program(tmp_path).run(*shlex.split(command)[1:])
    token, line = done.out.splitlines()
    assert parse_tokens(line).find(token) is not None
    assert parse_tokens(shown).callers
    assert re.sub(r"[0-9a-f]{64}", "…", line) == re.sub(r"[0-9a-f]{64}", "…", shown.strip())


def test_every_example_works(redis_url: str, tmp_path: Path) -> None:
    both = [*blocks(README, "sh"), *blocks(API, "sh")]
    examples = [block.text for block in both if "curl" in block.text]
    script = PREAMBLE + "\n".join(examples)
    program = Program(tmp_path, redis_url)
    worker = program.start("worker", stderr=subprocess.DEVNULL)
    try:
        with running(program) as api:
            assert "API=http://localhost:8080\n" in script
            script = script.replace("http://localhost:8080", api.url).replace("localhost:8080", api.url)
            done = subprocess.run(
                ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
            )
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            assert api.end() == 0
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
    assert done.stdout.count("event: end") == 2
    assert (tmp_path / "poster.webp").read_bytes()[8:12] == b"WEBP"
    assert (tmp_path / "first-bytes").stat().st_size == 100
    assert json.loads((tmp_path / "description.json").read_text("utf-8"))["openapi"] == "3.1.0"
