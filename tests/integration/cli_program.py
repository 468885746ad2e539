"""The command line as a process, and a driver that puts queues into given states."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from redis.asyncio import Redis

from previewops.cli.context import server_now_ms
from previewops.contract import validate
from previewops.queue.fingerprint import fingerprint
from previewops.queue.leases import Claim, CompletedJob, DeadLetterReason, Leases
from previewops.queue.queue import Queue
from previewops.queue.records import Attempt
from previewops.queue.retry import DeadLetterCause, FailureCounter
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from tests.forked_programs import ForkedProcess, can_be_forked, program_template
from tests.process_guard import guarded_environ

TIMEOUT_S = 60
_OWN_PROCESS = frozenset({"tui", "up"})
"""Commands that are not forked: they take the terminal, or look at the command lines of their processes."""
ESCAPES = "\x1b[2Jgone\x07"


@dataclass(frozen=True, slots=True)
class ProgramResult:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(slots=True)
class Program:
    """``python -m previewops`` with its own environment and warnings as errors; uses forks where it can."""

    folder: Path
    url: str | None = None
    env: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        kept = {
            name: os.environ[name]
            for name in ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START")
            if name in os.environ
        }
        environ = {**kept, "DATA_DIR": str(self.folder / "data"), "COLUMNS": "80", **self.env}
        environ |= guarded_environ()
        return environ if self.url is None else {"REDIS_URL": self.url, **environ}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "previewops", *arguments]

    def run(self, *arguments: str, stdin: bytes = b"", **env: str) -> ProgramResult:
        environ = {**self.environ, **env}
        if not self._can_be_forked(arguments, environ):
            return self.run_under((), *arguments, stdin=stdin, **env)
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            streams = {"stdin": given, "stdout": out, "stderr": err}
            process = program_template().start(
                "previewops", *arguments, cwd=self.folder, env=environ, **streams
            )
            try:
                code = process.wait(TIMEOUT_S)
            finally:
                process.kill()
            return self._result(arguments, code, _content(out), _content(err))

    def run_under(
        self, prefix: Sequence[str], *arguments: str, stdin: bytes = b"", **env: str
    ) -> ProgramResult:
        """Runs the program through the command ``prefix``, on another host for example."""
        done = subprocess.run(
            [*prefix, *self.command(*arguments)],
            cwd=self.folder,
            env={**self.environ, **env},
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return self._result(arguments, done.returncode, done.stdout, done.stderr)

    def _result(self, arguments: Sequence[str], code: int, out: bytes, err: bytes) -> ProgramResult:
        result = ProgramResult(code, out.decode(), err.decode())
        assert "Traceback (most recent call last)" not in result.err or "--verbose" in arguments, result.err
        return result

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[bytes] | ForkedProcess:
        """Starts a command; ``streams`` are those of Popen."""
        if not self._can_be_forked(arguments, self.environ):
            return subprocess.Popen(self.command(*arguments), cwd=self.folder, env=self.environ, **streams)
        streams = {"stdin": None, **streams}
        return program_template().start(
            "previewops", *arguments, cwd=self.folder, env=self.environ, **streams
        )

    def _can_be_forked(self, arguments: Sequence[str], environ: dict[str, str]) -> bool:
        return can_be_forked(environ, arguments) and _OWN_PROCESS.isdisjoint(arguments)

    def write(self, name: str, content: Any) -> str:
        """Writes a file in the program's folder, bytes unchanged, other content as JSON. Returns its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return name


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def payload(job_id: str = "job-1", *, project: str = "lessons", **changes: Any) -> dict[str, Any]:
    return {
        "jobId": job_id,
        "projectId": project,
        "requestId": f"{job_id}-request",
        "dryRun": False,
        "previewRequest": {"steps": [], "assets": [], "audio": {}},
        **changes,
    }


@dataclass(slots=True)
class QueueDriver:
    """Puts a queue into given states, in place of a worker."""

    redis: Redis
    settings: Settings = field(default_factory=lambda: Settings(queue_max=10_000))

    @property
    def leases(self) -> Leases:
        return Leases(self.redis, self.settings, "driver")

    async def submit(self, *payloads: dict[str, Any]) -> None:
        for reply in await Queue(self.redis, self.settings).submit_many(
            [validate(item) for item in payloads]
        ):
            assert not isinstance(reply, Exception), reply

    async def claim(self, count: int = 1) -> tuple[Claim, ...]:
        return (await self.leases.claim(count)).claims

    async def complete(self, *job_ids: str, result: dict[str, Any] | None = None) -> None:
        await self.submit(*(payload(job_id) for job_id in job_ids))
        for claim in await self.claim(len(job_ids)):
            await self.finish(claim, result)

    async def finish(self, claim: Claim, result: dict[str, Any] | None = None) -> None:
        await self.leases.finish([CompletedJob(claim, json.dumps(result or {}), 12.5)], 0)

    async def add_dead_letters(
        self,
        *job_ids: str,
        project: str = "lessons",
        code: str = "asset-missing",
        message: str = "asset a (pics/a.png): there is no such file",
        error_class: str = "PermanentJobError",
    ) -> None:
        """Submits jobs and moves them to the dead letters."""
        await self.submit(*(payload(job_id, project=project) for job_id in job_ids))
        for claim in await self.claim(len(job_ids)):
            await self.dead_letter_claim(claim, code=code, message=message, error_class=error_class)

    async def dead_letter_claim(
        self, claim: Claim, *, code: str, message: str, error_class: str = "PermanentJobError"
    ) -> None:
        attempt = Attempt(
            claim.claimed_ms,
            1234,
            "driver",
            "permanent",
            error_class,
            code,
            message,
            "Traceback:\n  line 1\n  line 2",
        )
        await self.leases.move_to_dead_letters(
            claim,
            counter=FailureCounter.ATTEMPTS,
            attempt_json=json.dumps(attempt.as_json()),
            reason=DeadLetterReason(
                DeadLetterCause.PERMANENT, error_class, code, message, fingerprint(error_class, code, "")
            ),
        )

    async def wait_for_next_ms(self) -> None:
        """Waits for the server's next millisecond, so that later jobs have a later time."""
        began = await server_now_ms(self.redis)
        while await server_now_ms(self.redis) == began:
            pass

    async def heartbeat(self, worker: str = "w-1", **info: Any) -> None:
        report = {
            "host": "h",
            "pid": 7,
            "state": "working",
            "slots": 2,
            "busy": 1,
            "rssBytes": 45_000_000,
            **info,
        }
        await Leases(self.redis, self.settings, worker).heartbeat(json.dumps(report), [])


@asynccontextmanager
async def queue_driver(url: str) -> AsyncIterator[QueueDriver]:
    client = connect(url, role="test")
    try:
        yield QueueDriver(client)
    finally:
        await client.aclose()


def aligned(lines: Iterable[str]) -> bool:
    """Whether no line exceeds 80 columns."""
    return all(len(line) <= 80 for line in lines)
