"""Runs the examples of README and docs against a real server and a real worker."""

from __future__ import annotations

import re
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

COMMANDS = ROOT / "docs" / "commands.md"
GET_STARTED = ROOT / "docs" / "get-started.md"
SUBMIT_JOBS = ROOT / "docs" / "submit-jobs.md"
PYTHON_EXAMPLES = (README, SUBMIT_JOBS, GET_STARTED)

LOOKING = ("validate", "status", "jobs", "stats", "workers", "completion")
"""Read-only commands that need only the README's job."""

WEB = re.compile(r"from (?:fastapi|django)")

PICTURE = "docs/images/contact-sheet.webp"


@pytest.fixture
def reader(redis_url: str, tmp_path: Path) -> Iterator[Program]:
    """A checkout with a running worker and the README's payload."""
    program = Program(tmp_path, redis_url)
    (payload,) = (block.text for block in blocks(README, "json"))
    assert "<!-- file: job.json -->" in section(README, "## Render your own payload")
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


def test_the_first_payload_becomes_the_described_bundle(reader: Program) -> None:
    submit = next(command for command in command_lines(README, "previewops") if command[0] == "submit")
    done = reader.run(*submit)
    assert done.code == 0, done.err
    bundle = reader.folder / "data" / "previews" / "trial" / "my-first"
    assert f"{bundle.relative_to(reader.folder)}" in section(README, "## Render your own payload")
    described = {name for name, _ in table(README, "## Render your own payload")}
    files = {path.name + "/" * path.is_dir() for path in bundle.iterdir()}
    assert described == files


def test_read_only_examples_work_as_shown(reader: Program) -> None:
    assert reader.run("submit", "job.json", "--import", "--wait").code == 0
    everything = [
        command
        for document in (README, COMMANDS, GET_STARTED)
        for command in (*command_lines(document, "previewops"), *commands_in_prose(document, "previewops"))
    ]
    looking = [command for command in everything if command[0] in LOOKING or command[:2] == ("dlq", "list")]
    shown = [
        *looking,
        *(command for command in everything if command[0].startswith("-") and len(command) > 1),
    ]
    assert {command[0] for command in shown} >= {"validate", "status", "dlq", "--queue"}
    for command in shown:
        done = reader.run(*command)
        assert done.code == 0, f"previewops {' '.join(command)}: {done.err}"
    health = reader.run("health")
    assert health.out.startswith("PREVIEWOPS WARNING"), (
        "this server has no persistence, which is worth saying"
    )
    assert health.code == 1
    figures = {check["name"]: check["figure"] for check in reader.run("health", "--json").json["checks"]}
    assert figures["confinement"], "the worker reports the confinement of its render processes"
    assert figures["clocks"]


def run_python(reader: Program, text: str) -> str:
    """Returns the output of a Python program; warnings are errors."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        cwd=reader.folder,
        env={**reader.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_the_python_examples_run(reader: Program) -> None:
    texts = [block.text for document in PYTHON_EXAMPLES for block in blocks(document, "python")]
    ours, progress, batch, stock, receiver, library = [
        run_python(reader, text) for text in texts if not WEB.search(text)
    ]
    assert ours.startswith("waiting True ")
    assert ours.endswith("/previews/trial/from-python sheet.webp")
    assert progress.splitlines()[-1] == "completed"
    assert batch == "3 0 0"
    assert stock.startswith("JobStatus.complete True ")
    assert Path(stock.rpartition(" ")[2], "poster.webp").exists()
    assert receiver == ""
    assert library == "data/two-cards/sheet.webp 4000 ()"


def web_example(framework: str) -> str:
    (text,) = (block.text for block in blocks(SUBMIT_JOBS, "python") if f"from {framework}" in block.text)
    return text


def test_the_example_for_fastapi_works(reader: Program) -> None:
    output = run_python(
        reader,
        web_example("fastapi")
        + """
import asyncio, httpx, json
payload = json.load(open("job.json"))
payload["previewRequest"].update(assets=[], steps=[])

async def ask() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http:
        print(*(await http.post("/previews", json=payload)).json().values())
        await previews.wait("my-first", timeout_s=60)
        print((await http.get("/previews/my-first")).json()["status"])
        rejected = await http.post("/previews", json={})
        print(rejected.status_code, len(rejected.json()["detail"]["violations"]))
        taken = await http.post("/previews", json={**payload, "requestId": "another"})
        print(taken.status_code, taken.json()["detail"]["error"])
        unknown = await http.get("/previews/nobody")
        print(unknown.status_code, unknown.json()["detail"]["error"])
    async with app.router.lifespan_context(app):
        pass

asyncio.run(ask())
""",
    )
    assert output.split() == [
        "my-first",
        "waiting",
        "completed",
        "422",
        "5",
        "409",
        "conflict",
        "404",
        "not-found",
    ]


def test_the_example_for_django_works(reader: Program) -> None:
    output = run_python(
        reader,
        """
import django
from django.conf import settings
settings.configure(ALLOWED_HOSTS=["testserver"])
django.setup()
"""
        + web_example("django")
        + """
from django.test import RequestFactory
asked = RequestFactory().get("/")
print(submit(asked, 7).content.decode())
previews.wait("lesson-7", timeout_s=60)
answer = poster(asked, 7)
print(b"".join(answer)[8:12].decode())
answer.close()
""",
    )
    assert output.splitlines() == ['{"jobId": "lesson-7", "new": true}', "WEBP"]
