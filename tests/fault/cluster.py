"""Real workers with a real Redis, and the checks that follow every fault."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from redis.asyncio import Redis

from previewops.contract import validate
from previewops.errors import JobNotFound
from previewops.process.parent_death import die_with_parent_argv
from previewops.queue.leases import Leases
from previewops.queue.queue import Queue, Receipt
from previewops.queue.records import JobRecord
from previewops.redis_server.connection import connect
from previewops.settings import Settings, variable_of
from previewops.snapshot.model import Snapshot
from previewops.snapshot.reader import SnapshotReader
from previewops.states import JobState
from previewops.stores.objects.store import ObjectStore
from tests.forked_programs import ForkedProcess, can_be_forked, program_template

PROJECT = "faults"
PATIENCE_S = 60.0

MODULE = "tests.fault.worker_under_test"

LEDGER = "PREVIEW_FAULT_LEDGER"
"""Variable that names a file; each check adds a line to it, for tests/fault/report.py."""


def payload(job_id: str, *, dry_run: bool = False, **faults: Any) -> dict[str, Any]:
    """Returns a title card, the fastest job. tests/fault/faulty_render.py executes ``faults``."""
    return {
        "jobId": job_id,
        "projectId": PROJECT,
        "requestId": f"request-{job_id}",
        "dryRun": dry_run,
        "previewRequest": {
            "title": job_id,
            "steps": [],
            "assets": [],
            "audio": {},
            "options": {"resolution": "64x64", "format": "png", "imageFormat": "png"},
            "metadata": faults,
        },
    }


class WorkerUnderTest:
    """A worker process with its log."""

    def __init__(
        self, environ: dict[str, str], log: Path, name: str, *, prefix: Sequence[str] = (), fork: bool = True
    ) -> None:
        """Starts the worker, as a fork of the template where that makes no difference unless ``fork`` is False."""
        self.name = name
        self.log = log
        self.process: subprocess.Popen[bytes] | ForkedProcess
        with log.open("ab") as out:
            if fork and not prefix and can_be_forked(environ):
                self.process = program_template().start(
                    MODULE, name, env=environ, stdout=out, stderr=out, new_session=True
                )
                return
            self.process = subprocess.Popen(
                die_with_parent_argv([*prefix, sys.executable, "-m", MODULE, name], signal.SIGKILL),
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def log_text(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def family(self) -> list[psutil.Process]:
        """The worker, its fork server and its render processes."""
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]


class Cluster:
    """A queue, a DATA_DIR and any number of workers. Timeouts are short, so that faults have their effect soon."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        store: ObjectStore | None = None,
        store_url: str = "",
        **settings: Any,
    ) -> None:
        """``store`` has the bundles instead of DATA_DIR, and workers reach it at ``store_url``."""
        self.url = url
        self.folder = folder
        self.store = store
        self._store_environ = {"PREVIEW_STORE": store_url} if store_url else {}
        self.settings = replace(
            Settings(
                redis_url=url,
                data_dir=folder / "data",
                queue_max=100_000,
                lease_ms=1_500,
                heartbeat_ms=300,
                backoff_base_ms=20,
                backoff_max_ms=100,
                drain_timeout_s=5,
                cache_max_mb=0,  # equal jobs have to run, since each has another fault
            ),
            **settings,
        )
        self.redis: Redis = connect(url, role="test")
        self.queue = Queue(self.redis, self.settings)
        self.leases = Leases(self.redis, self.settings, "test")
        self.snapshots = SnapshotReader(self.redis, self.settings)
        self.workers: list[WorkerUnderTest] = []
        self.accepted: set[str] = set()
        self.plans: set[str] = set()
        self.bundles = self.settings.data_dir / "previews" / PROJECT
        self.recovery_ms: list[float] = []
        self._struck: float | None = None

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                worker.kill()
        await self.redis.aclose()

    def start_worker(
        self,
        *,
        prefix: Sequence[str] = (),
        env: dict[str, str] | None = None,
        url: str | None = None,
        fork: bool = True,
    ) -> WorkerUnderTest:
        """Starts a worker: under the command ``prefix``, with further variables, with another Redis address.

        With ``fork=False`` it is a program of its own rather than a fork of the template.
        """
        name = f"worker-{len(self.workers) + 1}"
        environ = {**self.environ(), "REDIS_URL": url or self.url, **(env or {})}
        worker = WorkerUnderTest(environ, self.folder / f"{name}.log", name, prefix=prefix, fork=fork)
        self.workers.append(worker)
        return worker

    async def start_workers(self, count: int) -> list[WorkerUnderTest]:
        """Starts workers and waits for their first heartbeats."""
        started = [self.start_worker() for _ in range(count)]
        await self.reporting(*started)
        return started

    async def reporting(self, *workers: WorkerUnderTest) -> None:
        """Waits until Redis holds a heartbeat of each."""
        names = {worker.name for worker in workers}

        async def all_there() -> bool:
            return names <= {worker.worker_id for worker in (await self.snapshot()).workers}

        await self.eventually(all_there, "the workers report")

    def environ(self) -> dict[str, str]:
        """The environment of a process that has these settings."""
        spec = {
            variable_of(name): os.pathsep.join(map(str, value)) if isinstance(value, tuple) else str(value)
            for name in Settings.__dataclass_fields__
            if (value := getattr(self.settings, name)) is not None
        }
        return {**os.environ, **spec, **self._store_environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    async def submit(self, *payloads: dict[str, Any]) -> None:
        for receipt in await self.queue.submit_many([validate(document) for document in payloads]):
            assert isinstance(receipt, Receipt), receipt
            self.accepted.add(receipt.job_id)
        self.plans |= {document["jobId"] for document in payloads if document["dryRun"]}

    async def snapshot(self) -> Snapshot:
        return await self.snapshots.read()

    async def status(self, job_id: str) -> JobRecord:
        return await self.queue.status(job_id)

    async def until(self, job_id: str, *states: JobState, within_s: float = PATIENCE_S) -> JobRecord:
        async def there() -> JobRecord | None:
            record = await self.status(job_id)
            return record if record.state in states else None

        return await self.eventually(there, f"{job_id} is {states}", within_s=within_s)

    async def drained(self, within_s: float = PATIENCE_S) -> Snapshot:
        async def empty() -> Snapshot | None:
            snapshot = await self.snapshot()
            return snapshot if snapshot.pending == 0 else None

        return await self.eventually(empty, "nothing is pending", within_s=within_s)

    async def eventually(
        self, predicate: Callable[[], Any], what: str, *, within_s: float = PATIENCE_S
    ) -> Any:
        """Polls until ``predicate`` is true: other processes send no signal to wait for."""
        deadline = time.monotonic() + within_s
        while True:
            result = predicate()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
            assert time.monotonic() < deadline, f"not within {within_s} s: {what}\n{self.logs()}"
            await asyncio.sleep(0.02)

    def logs(self) -> str:
        return "\n".join(
            f"--- {worker.name}\n{worker.log.read_text(errors='replace')[-3000:]}" for worker in self.workers
        )

    async def judge(self, expected: Iterable[str] | None = None) -> Snapshot:
        """Checks that accepted = completed + dead + pending, and that each completed id has one complete bundle."""
        snapshot = await self.snapshot()
        expected_ids = self.accepted if expected is None else set(expected)
        states = {job_id: await self._state(job_id) for job_id in expected_ids}
        completed = {job_id for job_id, state in states.items() if state is JobState.COMPLETED}
        self._add_to_ledger(
            jobs=len(expected_ids),
            lost=sum(state is None for state in states.values()),
            doubled=snapshot.counters["completed"] - len(completed),
            states=Counter("lost" if state is None else state.value for state in states.values()),
        )
        assert snapshot.unaccounted == 0, snapshot
        assert None not in states.values(), states
        assert snapshot.counters["accepted"] == len(expected_ids)
        assert len(completed) == snapshot.counters["completed"], "a job completed twice, or was lost"
        bundles = self._published()
        assert completed - self.plans <= bundles, completed - self.plans - bundles
        assert not self.plans & bundles, "a dry run published"
        for name in bundles:
            if self.store is None:
                check_bundle(self.bundles / name)
            else:
                await asyncio.to_thread(check_stored_bundle, self.store, await self.status(name))
        return snapshot

    def _published(self) -> set[str]:
        if self.store is not None:
            return {bundle.job_id for bundle in self.store.list_bundles(PROJECT)}
        return {path.name for path in self.bundles.iterdir()} if self.bundles.exists() else set()

    async def _state(self, job_id: str) -> JobState | None:
        try:
            return (await self.status(job_id)).state
        except JobNotFound:
            return None

    def struck(self) -> None:
        """Starts the measurement of the recovery, at the fault."""
        self._struck = time.monotonic()

    def recovered(self) -> None:
        """Ends the measurement of the recovery. The time is for the report; no test asserts it."""
        assert self._struck is not None
        self.recovery_ms.append((time.monotonic() - self._struck) * 1000)

    def _add_to_ledger(self, **results: Any) -> None:
        if (ledger := os.environ.get(LEDGER)) is None:
            return
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]  # "… (call)"; an id may contain spaces
        with Path(ledger).open("a") as file:
            file.write(json.dumps({"test": test, **results, "recoveryMs": self.recovery_ms}) + "\n")


def check_bundle(bundle: Path) -> None:
    """Checks that a bundle has exactly the files of its manifest, with their sizes and hashes."""
    manifest = json.loads((bundle / "container.json").read_text("utf-8"))
    named = {entry["path"]: entry for entry in manifest["files"]}
    files = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert files == {*named, "container.json", "preview.json"}
    for path, entry in named.items():
        content = (bundle / path).read_bytes()
        assert len(content) == entry["bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def check_stored_bundle(store: ObjectStore, record: JobRecord) -> None:
    """Checks that each listed file of a bundle in an object store has its size and hash."""
    listed = store.manifest(record)
    for artifact in listed:
        content = artifact.read()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (artifact.bytes, artifact.sha256)
    assert store.file(record, "preview.json").size > 0


class Gate:
    """A named pipe at which a render waits until the test opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._fd: int | None = None

    async def arrival(self, within_s: float = PATIENCE_S) -> None:
        """Waits until a render has reached the gate; it stays there until ``open``."""
        # Opening for writing blocks until the render opens the pipe for reading.
        self._fd = await asyncio.wait_for(asyncio.to_thread(os.open, self.path, os.O_WRONLY), within_s)

    def abandoned(self) -> bool:
        """Whether the render that waited here has ended."""
        assert self._fd is not None
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))

    def remove(self) -> None:
        """Removes the gate for later attempts. A render that waits at it still waits."""
        self.path.unlink()

    def open(self) -> None:
        """Lets the waiting render continue."""
        assert self._fd is not None
        os.close(self._fd)
        self._fd = None
