"""`previewops reload`: it waits for the outcome, and fails if the supervisor rejects the settings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.cli_program import Program
from tests.integration.up_program import running, up

pytestmark = pytest.mark.redis


@contextmanager
def supervise(program: Program, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    log = program.folder / "supervisor.log"
    with log.open("wb") as out:
        process = program.start("supervise", *arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        while not running(program):
            assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


def test_the_outcome_is_that_of_the_supervisor(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    settings = Path(program.folder / "settings")
    settings.write_text("PREVIEW_BACKOFF_MAX_MS=2000\n")
    with supervise(program, "--workers", "1", "--env-file", str(settings)):
        before = running(program)
        done = program.run("reload")
        assert (done.code, done.out) == (0, "reloaded\n"), done.err
        assert running(program) not in ([], before)
        settings.write_text("PREVIEW_BACKOFF_MAX_MS=soon\n")
        rejected = program.run("reload", PREVIEW_BACKOFF_MAX_MS="soon")
        assert rejected.code == 1
        assert "the reload is rejected: PREVIEW_BACKOFF_MAX_MS: found 'soon'" in rejected.err
        settings.write_text("")
        assert program.run("reload").code == 0
    stopped = program.run("reload")
    assert stopped.code == 1
    assert "no supervisor of queue preview-jobs runs on this host" in stopped.err


def test_up_does_not_reload(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    with up(program, "--workers", "1", "--no-tui") as process:
        done = program.run("reload")
        assert done.code == 1
        assert f"process {process.pid} does not reload its settings" in done.err
        assert process.poll() is None
