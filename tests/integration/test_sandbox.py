"""The pool with real render processes: results, errors, deaths, and that no process is left."""

from __future__ import annotations

import asyncio
import errno
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop
from structlog.testing import capture_logs

from previewops.job_errors import FailureKind, JobError, PermanentJobError, RenderCrashed, TransientJobError
from previewops.worker.sandbox import children
from previewops.worker.sandbox.child import MAX_LOG_LINES, ChildLimits
from previewops.worker.sandbox.children import MAX_MESSAGE_BYTES, MAX_RESULT_BYTES
from previewops.worker.sandbox.error_codec import MESSAGE_LIMIT, NAME_LIMIT, TRACEBACK_LIMIT
from previewops.worker.sandbox.fork_server import ForkedProcess, ForkServer
from previewops.worker.sandbox.framing import HEADER, MAX_FRAME_BYTES, ProtocolError
from previewops.worker.sandbox.pool import RenderPool

MIB = 1024 * 1024
MEMORY_LIMIT = 512 * MIB
LONG_S = 60.0  # no test waits that long
HERE = str(Path(__file__).parent)

MakePool = Callable[..., RenderPool]


@asynccontextmanager
async def pools() -> AsyncIterator[MakePool]:
    """Makes pools over ``sandbox_tasks``, and closes them at the end."""
    made: list[RenderPool] = []

    def make(task: str = "sandbox_tasks:run", *, size: int = 1, recycle_jobs: int = 1000) -> RenderPool:
        made.append(
            RenderPool(
                task,
                size=size,
                limits=ChildLimits(MEMORY_LIMIT),
                recycle_jobs=recycle_jobs,
                preload=["PIL.Image"],
            )
        )
        return made[-1]

    try:
        yield make
    finally:
        for pool in made:
            await pool.close()


@pytest.fixture
async def make_pool(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakePool]:
    monkeypatch.syspath_prepend(HERE)
    async with pools() as make:
        yield make


async def do(pool: RenderPool, act: str, **spec: Any) -> dict[str, Any]:
    return await pool.run({"act": act, **spec}, deadline_s=LONG_S)


async def start_job(
    pool: RenderPool, act: str, *, deadline_s: float = LONG_S, **spec: Any
) -> tuple[asyncio.Task[dict[str, Any]], int]:
    """A running job, and the pid that it has reported."""
    pid_reported: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    job = asyncio.ensure_future(
        pool.run(
            {"act": act, **spec},
            deadline_s=deadline_s,
            progress=lambda fraction, text: pid_reported.done() or pid_reported.set_result(int(text)),
        )
    )
    return job, await pid_reported


async def still_works(pool: RenderPool) -> None:
    assert (await do(pool, "echo", value="still"))["echo"] == "still"


def has_ended(pid: int) -> bool:
    """Whether the process has ended. An orphan stays a zombie until init reaps it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_gone(pidfds: list[int], timeout_s: float = 60.0) -> None:
    """Waits until the processes of these pidfds have ended."""
    for pidfd in pidfds:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        assert poller.poll(timeout_s * 1000), "a process still runs"


async def test_library_log_lines_are_logged_by_the_worker(make_pool: MakePool) -> None:
    pool = make_pool()
    with capture_logs() as lines:
        for lines_wanted in (2, MAX_LOG_LINES + 5):
            await do(pool, "log", lines=lines_wanted)
            await do(pool, "echo", value=1)
    assert lines[0] == {
        "event": "render.logged",
        "log_level": "warning",
        "logger": "a.library",
        "message": "line 0 of secret=hunter2",
    }
    assert len(lines) == 2 + MAX_LOG_LINES
    assert pool.crashes == 0


async def test_results_come_back_from_one_long_lived_child(make_pool: MakePool) -> None:
    threads = threading.active_count()
    pool = make_pool()
    first = await do(pool, "echo", value={"text": "Grüße \N{OWL}", "list": [1, None, 2.5]})
    second = await do(pool, "echo")
    assert first["echo"] == {"text": "Grüße \N{OWL}", "list": [1, None, 2.5]}
    assert first["pid"] == second["pid"] == pool.child_pids()[0]
    assert first["pid"] != os.getpid()
    assert threading.active_count() <= threads


async def test_start_makes_every_child(make_pool: MakePool) -> None:
    pool = make_pool(size=2)
    assert pool.child_pids() == []
    await pool.start()
    before = pool.child_pids()
    assert len(set(before)) == 2
    await still_works(pool)
    assert pool.child_pids() == before


async def test_more_jobs_than_lanes_wait_for_one(make_pool: MakePool) -> None:
    pool = make_pool(size=2)
    results = await asyncio.gather(*(do(pool, "echo", value=number) for number in range(20)))
    assert [result["echo"] for result in results] == list(range(20))
    assert {result["pid"] for result in results} <= set(pool.child_pids())


async def test_lanes_work_at_the_same_time(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(size=2)
    one, one_pid = await start_job(pool, "await_file", path=str(tmp_path / "go"))
    two, two_pid = await start_job(pool, "await_file", path=str(tmp_path / "go"))
    assert one_pid != two_pid
    (tmp_path / "go").touch()
    await asyncio.gather(one, two)


async def test_progress_arrives_in_order_and_clamped(make_pool: MakePool) -> None:
    seen: list[tuple[float, str]] = []
    reports = [[0.25, "a"], [1, "b"], [7, "c"], [-1, "d"], [0.5, "x" * 10_000]]
    await make_pool().run(
        {"act": "report", "reports": reports},
        deadline_s=LONG_S,
        progress=lambda *report: seen.append(report),
    )
    assert seen[:4] == [(0.25, "a"), (1.0, "b"), (1.0, "c"), (0.0, "d")]
    assert len(seen[4][1]) == 200


async def test_every_job_of_a_child_gets_the_common_fields(make_pool: MakePool) -> None:
    pool = make_pool()
    for generation, value in ((1, "one"), (1, "one"), (2, "two"), (2, "two")):
        result = await pool.run(
            {"act": "echo"}, deadline_s=LONG_S, generation=generation, common={"value": value}
        )
        assert result["echo"] == value


async def test_typed_errors_are_raised_unchanged(make_pool: MakePool) -> None:
    pool = make_pool()
    with pytest.raises(PermanentJobError) as caught:
        await do(pool, "permanent")
    error = caught.value
    assert (error.code, error.message, error.hint) == ("too-large", "the image is too large", "shrink it")
    assert error.data == {"found": 9, "allowed": [1, 2]}
    assert error.error_class == "PermanentJobError"
    assert "in act_permanent" in (error.remote_traceback or "")
    with pytest.raises(TransientJobError) as later:
        await do(pool, "transient")
    assert (later.value.code, later.value.hint) == ("not-there", None)
    assert pool.crashes == 0


async def test_error_data_that_is_not_json_is_dropped(make_pool: MakePool) -> None:
    with pytest.raises(PermanentJobError) as caught:
        await do(make_pool(), "unsendable_data")
    assert (caught.value.code, caught.value.data) == ("odd", {})


@pytest.mark.parametrize(
    ("act", "name"),
    [
        ("unexpected", "ZeroDivisionError"),
        ("connection_error", "ConnectionResetError"),
        ("exit", "SystemExit"),
        ("not_json", "ProtocolError"),
    ],
)
async def test_any_other_exception_is_unexpected_and_the_child_lives(
    make_pool: MakePool, act: str, name: str
) -> None:
    pool = make_pool()
    await pool.start()
    before = pool.child_pids()
    with pytest.raises(TransientJobError) as caught:
        await do(pool, act)
    assert (caught.value.code, caught.value.error_class) == ("unexpected", name)
    assert len(caught.value.message) <= MESSAGE_LIMIT + 100
    assert 0 < len(caught.value.remote_traceback or "") <= TRACEBACK_LIMIT
    await still_works(pool)
    assert pool.child_pids() == before
    assert pool.crashes == 0


@pytest.mark.parametrize(("act", "spec"), [("allocate", {"bytes": 1 << 40}), ("bomb", {})])
async def test_a_bomb_is_out_of_memory_and_its_child_is_replaced(
    make_pool: MakePool, act: str, spec: dict[str, Any]
) -> None:
    pool = make_pool()
    await pool.start()
    before = pool.child_pids()
    with pytest.raises(PermanentJobError) as caught:
        await do(pool, act, **spec)
    assert caught.value.code == "out-of-memory"
    assert caught.value.data["allowed"] == MEMORY_LIMIT
    assert 0 < caught.value.data["found"] <= MEMORY_LIMIT
    await still_works(pool)
    assert pool.child_pids() != before


async def test_a_loop_in_c_is_killed_at_its_deadline(make_pool: MakePool) -> None:
    pool = make_pool()
    job, pid = await start_job(pool, "loop_in_c", deadline_s=0.2)
    with pytest.raises(TransientJobError) as caught:
        await job
    assert caught.value.code == "deadline-exceeded"
    assert caught.value.data["allowed"] == 0.2
    assert has_ended(pid)
    assert (pool.deadline_kills, pool.crashes) == (1, 0)
    await still_works(pool)


async def test_elapsed_time_is_taken_from_the_deadline(make_pool: MakePool) -> None:
    pool = make_pool()
    with pytest.raises(TransientJobError) as caught:
        async with asyncio.timeout(LONG_S):
            await pool.run({"act": "wait"}, deadline_s=1_000_000, elapsed_s=999_999.8)
    assert (caught.value.code, caught.value.data["allowed"]) == ("deadline-exceeded", 1_000_000)
    await still_works(pool)


async def test_a_child_of_another_generation_is_replaced(make_pool: MakePool) -> None:
    pool = make_pool()

    async def renderer(edition: str) -> int:
        return int((await pool.run({"act": "echo"}, deadline_s=LONG_S, generation=edition))["pid"])

    first = await renderer("one")
    handle = os.pidfd_open(first)
    pids = [await renderer(edition) for edition in ("one", "two", "two", "one")]
    assert first == pids[0] != pids[1] == pids[2] != pids[3]
    await asyncio.to_thread(wait_gone, [handle])
    os.close(handle)
    assert pool.child_pids() == pids[3:]
    assert (pool.crashes, pool.deadline_kills) == (0, 0)


async def test_a_timeout_of_the_caller_is_not_the_deadline(make_pool: MakePool) -> None:
    def fail(fraction: float, text: str) -> None:
        raise TimeoutError("the caller's own")

    pool = make_pool()
    with pytest.raises(TimeoutError, match="own"):
        await pool.run({"act": "wait"}, deadline_s=LONG_S, progress=fail)
    assert pool.deadline_kills == 0
    await still_works(pool)


@pytest.mark.parametrize(
    ("act", "spec", "signal_name", "status"),
    [
        ("segfault", {}, "SIGSEGV", None),
        ("die", {"signal": "SIGABRT"}, "SIGABRT", None),
        ("die", {"signal": "SIGKILL"}, "SIGKILL", None),
        ("leave", {"status": 7}, None, 7),
    ],
)
async def test_a_death_is_a_crash_with_signal_or_status(
    make_pool: MakePool, act: str, spec: dict[str, Any], signal_name: str | None, status: int | None
) -> None:
    pool = make_pool()
    with pytest.raises(RenderCrashed) as caught:
        await do(pool, act, **spec)
    error = caught.value
    assert (error.signal_name, error.exit_status, error.kind) == (signal_name, status, FailureKind.TRANSIENT)
    assert (signal_name or f"status {status}") in error.message
    assert ("out of memory" in (error.hint or "")) is (signal_name == "SIGKILL")
    assert pool.crashes == 1
    await still_works(pool)


async def test_a_crash_harms_no_other_job(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(size=2)
    neighbour, pid = await start_job(pool, "await_file", path=str(tmp_path / "go"))
    for _ in range(3):
        with pytest.raises(RenderCrashed):
            await do(pool, "segfault")
    (tmp_path / "go").touch()
    assert await neighbour == {"pid": pid}
    assert pool.crashes == 3


def framed(text: str) -> str:
    return (HEADER.pack(len(text.encode())) + text.encode()).hex()


@pytest.mark.parametrize(
    "raw",
    [
        HEADER.pack(MAX_RESULT_BYTES + 1).hex(),
        framed("not json"),
        framed("[1]"),
        pytest.param(
            framed("[" * 100_000), id="deep"
        ),  # pytest puts ids into the environment, which is limited
        (HEADER.pack(2) + b"\xff\xfe").hex(),
        framed('{"job": 2, "result": {}}'),
        framed('{"result": {}}'),
        framed('{"job": 1}'),
        framed('{"job": 1, "result": [1]}'),
        framed('{"job": 1, "progress": [NaN, "x"]}'),
        framed('{"job": 1, "progress": 1}'),
        framed('{"job": 1, "request": {}}'),
        framed('{"job": 1, "request": 1}'),
        framed('{"job": 1, "error": {}}'),
        framed('{"job": 1, "error": {"kind": "cosmic", "message": "m", "data": {}}}'),
        framed('{"job": 1, "error": {"kind": "permanent", "message": "m", "data": {}}}'),
        framed('{"job": 1, "error": {"kind": "permanent", "code": 1, "message": "m", "data": {}}}'),
        framed('{"job": 1, "error": {"kind": "permanent", "code": "a b", "message": "m", "data": {}}}'),
        framed(
            f'{{"job": 1, "error": {{"kind": "permanent", "code": "{"a" * 65}", "message": "m", "data": {{}}}}}}'
        ),
    ],
    # pytest puts the id into the environment; with a longer variable no program can be executed.
    ids=lambda raw: raw[:80],
)
async def test_a_child_that_violates_the_protocol_is_killed(make_pool: MakePool, raw: str) -> None:
    pool = make_pool()
    await pool.start()
    (pid,) = pool.child_pids()
    with pytest.raises(RenderCrashed, match="protocol"):
        await do(pool, "babble", raw=raw)
    assert has_ended(pid)
    assert pool.crashes == 1
    await still_works(pool)


@pytest.mark.parametrize(
    "body",
    [
        '{"job": 1, "progress": [0, ""]}',
        '{"job": 1, "log": ["WARNING", "a", "b"]}',
        pytest.param(f'{{"job": 1, "progress": [0, ""], "x": [{"1," * 60_000}1]}}', id="large"),
    ],
)
async def test_a_child_that_floods_its_worker_is_killed(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setattr(children, "MAX_JOB_BYTES", MIB)
    pool = make_pool()
    with pytest.raises(RenderCrashed, match=r"protocol \(messages of one job: found \d+ bytes, allowed \d+"):
        await do(pool, "flood", body=body)
    await still_works(pool)


@pytest.mark.parametrize("kind", ["progress", "log", "request", "error"])
async def test_only_a_result_may_be_large(make_pool: MakePool, kind: str) -> None:
    body = json.dumps({"job": 1, kind: "", "result": {}, "x": "x" * MAX_MESSAGE_BYTES})
    with pytest.raises(
        RenderCrashed, match=rf"protocol \({kind}: found \d+ bytes, allowed {MAX_MESSAGE_BYTES}"
    ):
        await do(make_pool(), "answer_with", body=body)


async def test_texts_of_an_error_are_limited_by_the_worker(make_pool: MakePool) -> None:
    """A process that was taken over does not keep to the limits of its own code."""
    text = "x\ud800" * 4_000
    error = {
        "kind": "unexpected",
        "class": text,
        "message": text,
        "hint": text,
        "traceback": text,
        "data": {},
    }
    with pytest.raises(TransientJobError) as caught:
        await do(make_pool(), "answer_with", body=json.dumps({"job": 1, "error": error}))
    assert len(caught.value.message) <= MESSAGE_LIMIT + NAME_LIMIT + 2
    assert caught.value.error_class == text[:NAME_LIMIT]
    assert caught.value.remote_traceback == text[-TRACEBACK_LIMIT:]


async def test_a_child_whose_result_is_rejected_is_killed(make_pool: MakePool) -> None:
    def reject(result: dict[str, Any]) -> None:
        raise ProtocolError(f"result: found {sorted(result)}")

    pool = make_pool()
    await pool.start()
    (pid,) = pool.child_pids()
    with pytest.raises(RenderCrashed, match=r"protocol \(result: found \['echo', 'pid'\]\)"):
        await pool.run({"act": "echo"}, deadline_s=LONG_S, check_result=reject)
    assert has_ended(pid)
    await still_works(pool)


async def test_a_recycled_child_that_stays_is_killed(make_pool: MakePool) -> None:
    pool = make_pool(recycle_jobs=1)
    await pool.start()
    (pid,) = pool.child_pids()
    pidfd = os.pidfd_open(pid)
    try:
        assert await do(pool, "result_and_stay") == {}
        await still_works(pool)
        wait_gone([pidfd])
    finally:
        os.close(pidfd)


async def test_a_child_that_closes_its_socket_and_stays_is_killed(make_pool: MakePool) -> None:
    pool = make_pool()
    await pool.start()
    (pid,) = pool.child_pids()
    with pytest.raises(RenderCrashed, match="closed its connection"):
        await do(pool, "hang_up")
    assert has_ended(pid)
    await still_works(pool)


async def test_cancelling_the_job_kills_the_child_first(make_pool: MakePool) -> None:
    pool = make_pool()
    job, pid = await start_job(pool, "loop_in_c")
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert has_ended(pid)
    assert pool.crashes == 0
    await still_works(pool)


async def test_cancelling_a_job_that_waits_for_its_child_kills_no_child(make_pool: MakePool) -> None:
    pool = make_pool()
    job = asyncio.ensure_future(do(pool, "echo"))
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    await still_works(pool)


async def test_a_progress_callback_that_raises_ends_its_job(make_pool: MakePool) -> None:
    def fail(fraction: float, text: str) -> None:
        raise LookupError(text)

    pool = make_pool()
    with pytest.raises(LookupError) as caught:
        await pool.run({"act": "wait"}, deadline_s=LONG_S, progress=fail)
    assert has_ended(int(str(caught.value.args[0])))
    await still_works(pool)


async def test_children_are_recycled(make_pool: MakePool) -> None:
    pool = make_pool(recycle_jobs=2)
    with ExitStack() as stack:
        pids, pidfds = [], []
        for _ in range(6):
            pids.append((await do(pool, "echo"))["pid"])
            if len(pids) % 2 == 1:
                pidfds.append(os.pidfd_open(pids[-1]))
                stack.callback(os.close, pidfds[-1])
        assert pids[0::2] == pids[1::2]
        assert len(set(pids)) == 3
        assert pool.recycled == 3
        await still_works(pool)  # and the loop has closed the sockets
        wait_gone(pidfds)


async def test_the_successor_is_ready_before_the_last_job_ends(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(recycle_jobs=1)
    job, pid = await start_job(pool, "await_file", path=str(tmp_path / "go"))
    server = psutil.Process(pid).parent()
    assert server is not None
    successor = await asyncio.wait_for(_sibling(server, pid), 20)
    (tmp_path / "go").touch()
    await job
    assert (await do(pool, "echo"))["pid"] == successor


async def _sibling(server: psutil.Process, pid: int) -> int:
    while True:
        for child in server.children():
            if child.pid != pid:
                return child.pid
        await asyncio.sleep(0)


async def test_a_child_that_dies_while_idle_is_replaced_without_a_crash(make_pool: MakePool) -> None:
    pool = make_pool()
    await pool.start()
    (pid,) = pool.child_pids()
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    wait_gone([pidfd])
    os.close(pidfd)
    for _ in range(3):  # the loop reads its sockets
        await asyncio.sleep(0)
    await still_works(pool)
    assert pool.crashes == 0


async def test_a_fork_server_that_dies_is_started_again(make_pool: MakePool) -> None:
    pool = make_pool(size=2)
    job, pid = await start_job(pool, "loop_in_c")
    server = psutil.Process(pid).ppid()
    assert server != os.getpid()
    os.kill(server, signal.SIGKILL)
    with pytest.raises(RenderCrashed):
        await job
    assert has_ended(pid)
    await still_works(pool)
    assert psutil.Process(pool.child_pids()[0]).ppid() != server


async def test_restrictions_and_descriptors_of_a_child(make_pool: MakePool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as redis_like:
        redis_like.set_inheritable(True)
        seen = await do(make_pool(), "describe")
    standard = {name: file for name, file in seen["fds"].items() if int(name) <= 2}
    others = [file for name, file in seen["fds"].items() if int(name) > 2 and "/proc/" not in file]
    assert standard["0"] == "/dev/null"
    assert standard["1"] == standard["2"]
    assert standard["1"].startswith("pipe:")
    assert len(others) == 2, others
    assert all(other.startswith("socket:") for other in others)
    assert seen["umask"] == 0o022
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert seen["ignored"] >> (ignored - 1) & 1
    limits = {line[:26].strip(): line[26:].split()[:2] for line in seen["limits"].splitlines()}
    assert limits["Max address space"] == [str(MEMORY_LIMIT)] * 2
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["256", "256"]
    packages = {module.partition(".")[0] for module in seen["modules"]}
    assert "PIL" in packages
    assert packages.isdisjoint({"redis", "arq", "uvloop", "asyncio", "pytest"})
    assert seen["main"] is None, "the worker's main module was imported again"


async def test_a_child_has_no_secret_in_its_environment(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hush@localhost")
    monkeypatch.setenv("PREVIEW_API_TOKEN", "hush")
    pool = make_pool()
    assert await _finds(pool, "PATH")
    assert not await _finds(pool, "hush")
    assert os.environ["REDIS_URL"] == "redis://:hush@localhost"
    await _kill_fork_server(pool)
    assert not await _finds(pool, "hush")


async def test_a_request_to_a_dead_fork_server_fails_and_the_next_one_starts_another() -> None:
    server = ForkServer(())
    with ExitStack() as stack:
        sockets = [stack.enter_context(end) for _ in range(3) for end in socket.socketpair()]
        ends = [end.fileno() for end in sockets[::2]]
        process = server.fork(*ends)
        assert await process.started
        (first,) = server.pids
        pidfds = [os.pidfd_open(pid) for pid in (first, process.pid)]
        os.kill(first, signal.SIGKILL)
        wait_gone(pidfds)  # the loop has not noticed
        with pytest.raises(ConnectionError):
            server.fork(*ends)
        assert await process.exited is None
        other = server.fork(*ends)
        assert await other.started
        assert server.pids != [first]
        other.kill()
        assert await other.exited == -signal.SIGKILL
        for pidfd in pidfds:
            os.close(pidfd)
    server.close()


async def test_a_fork_that_fails_is_reported(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ForkServer, "fork", lambda server, one, *_: _fork_with_one_socket(server, one))
    with pytest.raises(TransientJobError) as caught:
        await do(make_pool(), "echo")
    assert caught.value.code == "render-process-unavailable"
    assert os.strerror(errno.EMFILE) in caught.value.message


_fork = ForkServer.fork


def _fork_with_one_socket(server: ForkServer, one: int) -> ForkedProcess:
    """A request without its second descriptor, which the kernel drops when the server has too many open files."""
    return _fork(server, one)


async def _finds(pool: RenderPool, word: str) -> bool:
    """Whether a child's environment contains ``word``; the environment itself is not shown."""
    environment: str = (await do(pool, "describe"))["environment"]
    return word in environment


async def _kill_fork_server(pool: RenderPool) -> None:
    """Kills the fork server, and waits until it and the pool's children have ended."""
    (server,) = set(pool.all_pids()) - set(pool.child_pids())
    pidfds = [os.pidfd_open(pid) for pid in (server, *pool.child_pids())]
    os.kill(server, signal.SIGKILL)
    wait_gone(pidfds)
    for pidfd in pidfds:
        os.close(pidfd)
    for _ in range(3):  # the loop reads its sockets
        await asyncio.sleep(0)


async def test_a_task_that_cannot_be_imported_is_reported(make_pool: MakePool) -> None:
    pool = make_pool("no_such_module:run")
    with pytest.raises(TransientJobError) as caught:
        await do(pool, "echo")
    assert caught.value.code == "render-process-unavailable"
    assert "no_such_module" in caught.value.message
    assert "ModuleNotFoundError" in (caught.value.remote_traceback or "")
    assert pool.child_pids() == []


async def test_a_job_too_large_for_a_frame_is_rejected(make_pool: MakePool) -> None:
    pool = make_pool()
    for value in ("x" * MAX_FRAME_BYTES, math.nan):
        with pytest.raises(PermanentJobError) as caught:
            await do(pool, "echo", value=value)
        assert caught.value.code == "spec-unsendable"
    await still_works(pool)


async def test_a_large_job_and_a_large_result_pass(make_pool: MakePool) -> None:
    value = "x" * (MAX_FRAME_BYTES - 1000)
    assert await do(make_pool(), "length", value=value) == {"length": len(value)}
    value = "x" * (MAX_RESULT_BYTES - 1000)
    assert (await do(make_pool(), "echo", value=value))["echo"] == value


def descriptors() -> dict[str, str]:
    descriptors_by_fd = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this listing
            descriptors_by_fd[entry.name] = str(entry.readlink())
    return descriptors_by_fd


async def test_close_leaves_no_process_and_no_descriptor(make_pool: MakePool) -> None:
    first = make_pool()
    await still_works(first)
    await first.close()  # from now on libuv has its spare descriptor, one per loop
    before = descriptors()
    children = set(psutil.Process().children(recursive=True))
    pool, other = make_pool(size=2, recycle_jobs=2), make_pool()
    await pool.start()
    await still_works(pool)
    await still_works(other)
    with pytest.raises(RenderCrashed):
        await do(pool, "segfault")
    running, _ = await start_job(pool, "loop_in_c")
    await pool.close()
    with pytest.raises(JobError) as caught:
        await running
    assert caught.value.code == "render-pool-closed"
    await still_works(other)
    await other.close()
    await other.close()
    assert set(psutil.Process().children(recursive=True)) <= children
    await asyncio.sleep(0)  # transports close in the next iteration of the loop
    assert descriptors().items() <= before.items()
    with pytest.raises(RuntimeError):
        await do(pool, "echo")


async def test_close_without_kill_lets_the_job_finish(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(size=2)
    job, pid = await start_job(pool, "await_file", path=str(tmp_path / "go"))
    closing = asyncio.ensure_future(pool.close(kill=False))
    await asyncio.sleep(0)
    assert not closing.done()
    (tmp_path / "go").touch()
    assert await job == {"pid": pid}
    await closing
    assert has_ended(pid)


@pytest.mark.parametrize(
    "scenario",
    [
        test_results_come_back_from_one_long_lived_child,
        test_more_jobs_than_lanes_wait_for_one,
        test_progress_arrives_in_order_and_clamped,
        test_a_loop_in_c_is_killed_at_its_deadline,
        test_a_child_that_closes_its_socket_and_stays_is_killed,
        test_cancelling_the_job_kills_the_child_first,
        test_cancelling_a_job_that_waits_for_its_child_kills_no_child,
        test_children_are_recycled,
        test_a_fork_server_that_dies_is_started_again,
        test_a_large_job_and_a_large_result_pass,
        test_close_leaves_no_process_and_no_descriptor,
    ],
)
def test_the_same_on_uvloop(
    scenario: Callable[[MakePool], Coroutine[Any, Any, None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(HERE)

    async def play() -> None:
        async with pools() as make:
            await scenario(make)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())


WORKER = """
import asyncio, signal, sys

sys.path.insert(0, sys.argv[1])
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.pool import RenderPool


async def main():
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, lambda number=number: print(number.name, flush=True))
    pool = RenderPool(
        "sandbox_tasks:run", size=2, limits=ChildLimits(512 << 20), recycle_jobs=9, preload=["PIL.Image"]
    )
    await pool.start()
    assert "PIL" not in sys.modules, "the worker has imported the imaging library"
    spec = {"act": sys.argv[2], "path": sys.argv[3]}
    result = await pool.run(spec, deadline_s=60, progress=lambda fraction, pid: print(pid, flush=True))
    print(result, flush=True)
    if sys.argv[4] == "close":
        await pool.close()


asyncio.run(main())
"""


def start_worker(act: str, path: Path, *, close: bool = True) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, HERE, act, str(path), "close" if close else "forget"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def line_of(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def family(worker: subprocess.Popen[str], stack: ExitStack) -> list[int]:
    """A pidfd of each descendant."""
    pidfds = [os.pidfd_open(child.pid) for child in psutil.Process(worker.pid).children(recursive=True)]
    for pidfd in pidfds:
        stack.callback(os.close, pidfd)
    return pidfds


@pytest.mark.parametrize("act", ["loop_in_c", "wait"])
def test_a_killed_worker_leaves_no_orphan(act: str, tmp_path: Path) -> None:
    with start_worker(act, tmp_path) as worker, ExitStack() as stack:
        assert line_of(worker).isdecimal()
        pidfds = family(worker, stack)
        assert len(pidfds) >= 3, "at least the fork server and two children"
        worker.kill()
        wait_gone(pidfds)


def test_a_worker_that_does_not_close_its_pool_leaves_no_process(tmp_path: Path) -> None:
    with (
        start_worker("await_file", tmp_path / "go", close=False) as worker,
        ExitStack() as stack,
    ):
        assert line_of(worker).isdecimal()
        pidfds = family(worker, stack)
        (tmp_path / "go").touch()
        assert worker.wait(60) == 0
        wait_gone(pidfds)


def test_signals_to_the_process_group_reach_only_the_worker(tmp_path: Path) -> None:
    with start_worker("await_file", tmp_path / "go") as worker:
        pid = line_of(worker)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.killpg(worker.pid, number)
            assert line_of(worker) == number.name
        (tmp_path / "go").touch()
        assert line_of(worker) == str({"pid": int(pid)})
        assert worker.wait(60) == 0


def test_the_child_imports_nothing_of_the_queue() -> None:
    listing = subprocess.run(
        [sys.executable, "-c", "import sys, previewops.worker.sandbox.child; print(*sys.modules)"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    packages = {module.partition(".")[0] for module in listing.stdout.split()}
    assert packages.isdisjoint({"redis", "arq", "uvloop", "asyncio", "PIL", "click", "structlog"})
