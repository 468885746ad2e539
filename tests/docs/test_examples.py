"""What the README tells a reader to type is typed, against a real server and a real worker."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.documents import README, ROOT, blocks, command_lines, commands_in_prose, section, table
from tests.integration.cli_program import Program

pytestmark = [pytest.mark.redis]

LOOKING = ("validate", "status", "jobs", "stats", "workers", "completion")
"""Commands that change nothing, and for which the README's own job is enough."""

PICTURE = "docs/images/contact-sheet.webp"


@pytest.fixture
def reader(redis_url: str, tmp_path: Path) -> Iterator[Program]:
    """Somebody with a checkout, a worker that runs, and the README's payload saved."""
    program = Program(tmp_path, redis_url)
    (payload,) = (block.text for block in blocks(README, "json"))
    assert "<!-- file: job.json -->" in section(README, "## Your first own payload")
    program.write("job.json", payload.encode())
    (tmp_path / PICTURE).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / PICTURE, tmp_path / PICTURE)
    worker = program.start("worker", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield program
    finally:
        worker.send_signal(signal.SIGTERM)
        _, log = worker.communicate(timeout=60)
    assert worker.returncode == 0, log.decode()


def test_the_first_own_payload_becomes_the_bundle_that_is_described(reader: Program) -> None:
    submit = next(words for words in command_lines(README, "previewops") if words[0] == "submit")
    done = reader.run(*submit)
    assert done.code == 0, done.err
    bundle = reader.folder / "data" / "previews" / "trial" / "my-first"
    assert f"{bundle.relative_to(reader.folder)}" in section(README, "## Your first own payload")
    described = {name for name, _ in table(README, "## Your first own payload")}
    found = {path.name + "/" * path.is_dir() for path in bundle.iterdir()}
    assert described == found


def test_commands_that_only_look_work_as_shown(reader: Program) -> None:
    assert reader.run("submit", "job.json", "--import", "--wait").code == 0
    everything = [*command_lines(README, "previewops"), *commands_in_prose(README, "previewops")]
    looking = [words for words in everything if words[0] in LOOKING or words[:2] == ("dlq", "list")]
    shown = [*looking, *(words for words in everything if words[0].startswith("-"))]
    assert {words[0] for words in shown} >= {"validate", "status", "stats", "workers", "dlq", "--queue"}
    for words in shown:
        done = reader.run(*words)
        assert done.code == 0, f"previewops {' '.join(words)}: {done.err}"
    health = reader.run("health")
    assert health.out.startswith("PREVIEWOPS WARNING"), (
        "this server has no persistence, which is worth saying"
    )
    assert health.code == 1


def test_the_python_of_the_readme_runs(reader: Program) -> None:
    programs = blocks(README, "python")
    said = []
    for block in programs:
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", block.text],
            cwd=reader.folder,
            env={**reader.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        said.append(run.stdout.strip())
    stock, ours, library = said
    assert stock.startswith("JobStatus.complete True ")
    assert Path(stock.rpartition(" ")[2], "poster.webp").exists()
    assert ours == "from-python waiting completed"
    assert library == "data/two-cards/sheet.webp 4000 ()"
