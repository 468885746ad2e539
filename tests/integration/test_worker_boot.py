"""Output and exit status of a worker that cannot start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from previewops.errors import EXIT_CONFIG, EXIT_FAILED
from previewops.queue.queue import Queue
from previewops.settings import Settings
from tests.integration.cli_program import Program, payload, queue_driver

pytestmark = pytest.mark.redis

ABSENCE = str(Path(__file__).parents[1] / "missing_module")


@pytest.mark.parametrize(
    "module",
    [
        "PIL",
        "previewops.worker.bundle_builder",
        "jsonschema",
        "jsonschema_rs",
        "arq",
        "redis",
        "hiredis",
        "uvloop",
        "structlog",
        "click",
    ],
)
async def test_a_missing_module_is_reported_in_one_line_and_no_job_is_claimed(
    redis_url: str, tmp_path: Path, module: str
) -> None:
    program = Program(tmp_path, redis_url, {"PYTHONPATH": ABSENCE, "PYTHON_MISSING_MODULE": module})
    async with queue_driver(redis_url) as driver:
        await driver.submit(payload())
        done = program.run("worker", "--burst")
        (line,) = done.err.splitlines()
        assert module in line
        assert "pip install --force-reinstall previewops" in line
        assert done.code == EXIT_CONFIG
        assert (await Queue(driver.redis, Settings()).status("job-1")).state == "waiting"


def test_a_worker_with_every_module_renders(redis_url: str, tmp_path: Path) -> None:
    done = Program(tmp_path, redis_url, {"PYTHONPATH": ABSENCE}).run("worker", "--burst")
    assert done.code == 0


def test_a_task_that_raises_on_import_logs_its_traceback_in_one_line(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "breaks.py").write_text("raise ValueError('first\\nsecond')\n")
    script = (
        "import sys; from previewops.cli.program import run; from previewops.worker.main import run_worker\n"
        "run_worker.__kwdefaults__['build_task'] = 'breaks:build'\n"
        "sys.exit(run(['worker', '--burst']))"
    )
    program = Program(tmp_path, redis_url, {"PYTHONPATH": str(tmp_path), "PREVIEW_WORKER_CONCURRENCY": "1"})
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=program.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == EXIT_CONFIG
    broken = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [line["event"] for line in broken] == ["render.process-failed"]
    assert broken[0]["exception"].endswith("ValueError: first\nsecond\n")
    assert "Traceback" not in "".join(x for x in done.stderr.splitlines() if not x.startswith("{"))


def test_a_render_process_that_dies_at_its_start_is_reported(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text("import os\nos._exit(3)\n")
    script = (
        "import sys; from previewops.cli.program import run; from previewops.worker.main import run_worker\n"
        "run_worker.__kwdefaults__['build_task'] = 'dies:build'\n"
        "sys.exit(run(['worker', '--burst']))"
    )
    program = Program(tmp_path, redis_url, {"PYTHONPATH": str(tmp_path)})
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=program.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == EXIT_FAILED
    message, hint = done.stderr.splitlines()
    assert message == (
        "previewops: no render process could be started: the render process exited with status 3"
    )
    assert hint.startswith("hint: ")


def test_leftovers_of_dead_attempts_are_swept_at_the_start(redis_url: str, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    old = [data_dir / ".staging" / name for name in ("job-a.5.replaced", "job-b.3", "job-c.1")]
    young = data_dir / ".staging" / "job-d.2"
    for folder in (*old, young):
        (folder / "frames").mkdir(parents=True)
    for folder in old:
        os.utime(folder, (1, 1))
    done = Program(tmp_path, redis_url).run("worker", "--burst")
    assert done.code == 0, done.err
    assert list((data_dir / ".staging").iterdir()) == [young]
