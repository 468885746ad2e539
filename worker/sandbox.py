"""The render sandbox: child processes that can be killed, driven from asyncio.

A pool has as many slots as renders may run at a time, and a long-lived child in each, forked by a fork
server that has the imaging library loaded already; the worker itself never imports it. A child takes one
job after another over a socket and is replaced after a number of them, after it ran out of memory, and when
it dies. Everything is an event of the worker's own loop: no thread, no timer but the deadline of a running
job, no cost at rest.

Why not pebble, which has deadlines and recycling too: it has no way for a running task to report progress;
it keeps helper threads for each pool that wake up to poll, so that an idle worker is never idle; and what a
child returns is unpickled in the parent, which gives whoever takes over a child through a hostile image the
worker as well. Here what a child says is bounded, parsed as JSON and checked; a child that says anything
else is killed.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

from previewops.errors import FailureKind, JobError, PermanentJobError, RenderCrashed, TransientJobError
from previewops.worker import forkserver
from previewops.worker.child import ChildStart
from previewops.worker.framing import HEADER, BadFrame, body_length, decode, encode

ProgressCallback = Callable[[float, str], None]

START_TIMEOUT_S = 30.0
"""How long a child may take until it is ready: the fork server's start, the imports of the task's module."""
_START_TRIES = 3  # each loses to a fork server that dies just then
_EXIT_TIMEOUT_S = 5.0  # a killed process goes at once, unless it hangs in the kernel
_HANG_UP_GRACE_S = 1.0  # between the end of the socket and the exit code of one death
_TEXT_LIMIT = 200  # characters of a progress text


class RenderPool:
    """Runs jobs in killable child processes.

    Args:
        task: "module:function", called in the child as ``function(spec, progress)`` with the job's ``spec``
        and
            a callable that takes a fraction in 0..1 and a short text; returns a JSON object.
        size: slots, that is jobs at a time.
        memory_limit_bytes: bound of a child's address space.
        recycle_jobs: jobs after which a child is replaced; its successor is started during its last one.
        preload: modules that the fork server imports before it forks. There is one fork server in a process:
            the pool that starts it decides.

    ``crashes`` counts children that died or broke the protocol during a job, ``deadline_kills`` those
    killed at a deadline, ``recycled`` those replaced in good health.
    """

    def __init__(
        self, task: str, *, size: int, memory_limit_bytes: int, recycle_jobs: int, preload: Sequence[str]
    ) -> None:
        self.crashes = 0
        self.deadline_kills = 0
        self.recycled = 0
        self._start = ChildStart(task, memory_limit_bytes)
        self._recycle_jobs = recycle_jobs
        self._preload = tuple(preload)
        self._children = _Nursery(self._start)
        self._slots = [_Slot(self._children) for _ in range(size)]
        self._free = list(self._slots)
        self._vacancies = asyncio.Semaphore(size)
        self._opened = False
        self._closed = False

    async def start(self) -> None:
        """Starts all children and waits until they are ready. Without it each is started by its first job.

        Raises:
            TransientJobError: code "render-process-unavailable", a child cannot be started.
        """
        self._open()
        await asyncio.gather(*(slot.child() for slot in self._slots))

    async def run(
        self, spec: dict[str, Any], *, deadline_s: float, progress: ProgressCallback | None = None
    ) -> dict[str, Any]:
        """What the task returns for ``spec``; waits for a free slot first.

        ``deadline_s`` counts from when a child has the job. ``progress`` is called in the loop for each
        report of the task. When the caller is cancelled, or ``progress`` raises, the child is killed before
        that goes on.

        Raises:
            PermanentJobError, TransientJobError: what the task raised, with ``remote_traceback``; code
                "unexpected" and ``error_class`` for any other exception; "out-of-memory" (permanent);
                "deadline-exceeded"; "render-process-unavailable".
            RenderCrashed: the child died or broke the protocol.
        """
        self._open()
        async with self._vacancies:
            slot = self._free.pop()
            try:
                child = await slot.child()
                if child.jobs + 1 >= self._recycle_jobs:
                    slot.prepare_successor()
                return await self._run_in(slot, child, child.request(spec), deadline_s, progress)
            finally:
                self._free.append(slot)

    def pids(self) -> list[int]:
        """Process ids of the children that are in a slot now."""
        return [slot.current.pid for slot in self._slots if slot.current is not None]

    def process_ids(self) -> list[int]:
        """Process ids of everything that runs for the pool: the fork server and all children, ready or not."""
        server = forkserver.server_pid()
        return [*self._children.pids(), *([] if server is None else [server])]

    async def close(self, *, kill: bool = True) -> None:
        """Ends every child, and with the last pool the fork server.

        ``kill=False`` lets running jobs end first.
        """
        if self._closed:
            return
        if not kill:
            for _ in self._slots:
                await self._vacancies.acquire()
        self._closed = True
        for slot in self._slots:
            slot.abandon()
        await self._children.kill_all()
        if self._opened:
            forkserver.release()

    def _open(self) -> None:
        if self._closed:
            raise RuntimeError("the render pool is closed")
        if not self._opened:
            self._opened = True
            forkserver.acquire(self._preload)

    async def _run_in(
        self, slot: _Slot, child: _Child, frame: bytes, deadline_s: float, progress: ProgressCallback | None
    ) -> dict[str, Any]:
        deadline = asyncio.timeout(deadline_s)
        try:
            async with deadline:
                outcome = await child.converse(frame, progress)
        except BaseException as error:
            slot.vacate()
            code = await child.end(grace_s=_HANG_UP_GRACE_S if isinstance(error, _HungUp) else 0)
            if not self._closed:
                slot.prepare_successor()
            if deadline.expired() and isinstance(error, TimeoutError):
                self.deadline_kills += 1
                raise _deadline_exceeded(deadline_s) from None
            if isinstance(error, _HungUp | BadFrame):
                raise self._crashed(error, code, killed=child.killed) from None
            raise
        if child.spent or child.jobs >= self._recycle_jobs:
            slot.vacate()
            child.dismiss()
            self.recycled += 1
        if isinstance(outcome, JobError):
            raise outcome
        return outcome

    def _crashed(self, error: Exception, code: int | None, *, killed: bool) -> JobError:
        if self._closed:
            return TransientJobError(
                "render-pool-closed", "the worker stopped rendering before the job was done"
            )
        self.crashes += 1
        if isinstance(error, BadFrame):
            return RenderCrashed(f"broke its protocol ({error}) and was killed")
        if killed:
            return RenderCrashed("hung up without ending and was killed")
        return _death(code)


class _HungUp(Exception):
    """The child closed its end of the socket: it is dying or dead."""


class _Child:
    """One child process that is ready for jobs."""

    def __init__(
        self, process: forkserver.ForkedProcess, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.jobs = 0
        self.spent = False
        self.killed = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        """False once it died, hung up or ran out of memory."""
        return not (self._process.exited.done() or self._reader.at_eof() or self.spent)

    async def receive(self) -> dict[str, Any]:
        """The next message. Raises _HungUp, BadFrame."""
        try:
            length = body_length(await self._reader.readexactly(HEADER.size))
            return decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise _HungUp from error

    def request(self, spec: dict[str, Any]) -> bytes:
        """The frame that asks for the next job. Raises PermanentJobError when ``spec`` fits in none."""
        try:
            frame = encode({"job": self.jobs + 1, "spec": spec})
        except BadFrame as error:
            raise PermanentJobError(
                "spec-unsendable",
                f"the job cannot be handed to a render process: {error}",
                hint="shorten the payload's texts and metadata",
            ) from error
        self.jobs += 1
        return frame

    async def converse(self, frame: bytes, progress: ProgressCallback | None) -> dict[str, Any] | JobError:
        """Sends a ``request`` and reads to the end of that job. Raises _HungUp, BadFrame."""
        try:
            self._writer.write(frame)
            await self._writer.drain()
        except ConnectionError as error:
            raise _HungUp from error
        while True:
            message = await self.receive()
            if message.get("job") != self.jobs:
                raise BadFrame("a message about another job")
            if "progress" in message:
                fraction, text = _progress(message["progress"])
                if progress is not None:
                    progress(fraction, text)
            elif "error" in message:
                outcome = _revived(message["error"])
                self.spent = outcome.code == "out-of-memory"
                return outcome
            else:
                return _object(message.get("result"), "result")

    def dismiss(self) -> None:
        """Hangs up: the child ends by itself."""
        self._writer.close()

    async def end(self, *, grace_s: float = 0) -> int | None:
        """Waits ``grace_s`` for its end, then kills it. The exit code once it is gone, None if unknown."""
        exited = self._process.exited
        if grace_s and not exited.done():
            await asyncio.wait([exited], timeout=grace_s)
        if not exited.done():
            self.killed = True
            self._process.kill()
        self._writer.transport.abort()
        await asyncio.wait([exited], timeout=_EXIT_TIMEOUT_S)
        return exited.result() if exited.done() else None


class _Nursery:
    """Starts children, and knows every process that was started and has not gone."""

    def __init__(self, start: ChildStart) -> None:
        self._start = start
        self._processes: set[forkserver.ForkedProcess] = set()

    async def child(self) -> _Child:
        """A new child that is ready. Raises TransientJobError "render-process-unavailable"."""
        for _ in range(_START_TRIES):
            child = await self._attempt()
            if child is not None:
                return child
            await forkserver.server_end(_EXIT_TIMEOUT_S)
        raise _unavailable(f"the fork server died {_START_TRIES} times in a row")

    def pids(self) -> list[int]:
        """Of every process that has started and not gone."""
        return [process.pid for process in self._processes if process.pid]

    async def kill_all(self) -> None:
        """Kills what is left and waits until it is gone."""
        exits = [process.exited for process in self._processes]
        for process in self._processes:
            process.kill()
        if exits:
            await asyncio.wait(exits, timeout=_EXIT_TIMEOUT_S)

    async def _attempt(self) -> _Child | None:
        """None when the fork server died meanwhile: the next attempt gets a new one."""
        ours, theirs = socket.socketpair()
        try:
            process = forkserver.fork(self._start, theirs)
        except ConnectionError:
            ours.close()
            return None
        except OSError as error:
            ours.close()
            raise _unavailable(str(error)) from error
        finally:
            theirs.close()
        self._processes.add(process)
        process.exited.add_done_callback(lambda _: self._processes.discard(process))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                return await _introduced(process, ours)
        except TimeoutError:
            process.kill()
            raise _unavailable(f"it was not ready after {START_TIMEOUT_S:g} s") from None
        except BaseException:
            process.kill()
            raise


async def _introduced(process: forkserver.ForkedProcess, ours: socket.socket) -> _Child | None:
    """The child behind ``ours`` once it has said that it is ready; None when the fork server died."""
    try:
        if not await process.started:
            ours.close()
            return None
        child = _Child(process, *await asyncio.open_unix_connection(sock=ours))
    except BaseException:
        ours.close()
        raise
    try:
        greeting = await child.receive()
    except (_HungUp, BadFrame) as error:
        code = await child.end(grace_s=_HANG_UP_GRACE_S)
        if code is None and not child.killed:
            return None
        raise _unavailable(_death(code).message if isinstance(error, _HungUp) else str(error)) from None
    except BaseException:
        child.dismiss()
        raise
    if "error" in greeting:
        child.dismiss()
        cause = _revived(greeting["error"])
        failure = _unavailable(f"its task cannot be imported: {cause.message}")
        failure.remote_traceback = cause.remote_traceback
        raise failure
    return child


class _Slot:
    """A place for one child, and for its successor while that is being started."""

    def __init__(self, nursery: _Nursery) -> None:
        self.current: _Child | None = None
        self._nursery = nursery
        self._successor: asyncio.Task[_Child] | None = None

    async def child(self) -> _Child:
        """The slot's child, a new one if there is none that can be used."""
        if self.current is not None and not self.current.usable:
            self.current.dismiss()
            self.current = None
        if self.current is None:
            self.current = await self._grown_successor()
        return self.current

    def prepare_successor(self) -> None:
        """Starts the next child ahead of its time."""
        if self._successor is None:
            self._successor = asyncio.create_task(self._nursery.child(), name="render-child-start")
            self._successor.add_done_callback(_retrieve)

    def vacate(self) -> None:
        """Empties the slot; what becomes of the child is the caller's business."""
        self.current = None

    def abandon(self) -> None:
        """Gives up the child and its successor."""
        if self._successor is not None:
            self._successor.cancel()
            self._successor = None
        if self.current is not None:
            self.current.dismiss()
            self.current = None

    async def _grown_successor(self) -> _Child:
        if self._successor is not None and self._successor.done():
            prepared, self._successor = self._successor, None
            if not prepared.cancelled() and prepared.exception() is None and prepared.result().usable:
                return prepared.result()
        self.prepare_successor()
        assert self._successor is not None
        successor = self._successor
        try:
            # A cancelled job leaves the half-started child to the next one.
            return await asyncio.shield(successor)
        finally:
            if successor.done():
                self._successor = None


def _retrieve(task: asyncio.Task[_Child]) -> None:
    """Looks at a failure to start ahead, or asyncio reports it as forgotten: the next job tries again."""
    if not task.cancelled():
        task.exception()


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadFrame(f"{name} is a {type(value).__name__}; allowed is an object")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadFrame(f"{name} is a {type(value).__name__}; allowed is a string")
    return value


def _progress(value: Any) -> tuple[float, str]:
    match value:
        case [int() | float() as fraction, str() as text] if math.isfinite(fraction):
            return min(1.0, max(0.0, float(fraction))), text[:_TEXT_LIMIT]
    raise BadFrame("progress is not [number, text]")


def _revived(value: Any) -> JobError:
    """The exception that the child described, see ``previewops.worker.child``. Raises BadFrame."""
    described = _object(value, "error")
    kind = _text(described.get("kind"), "error kind")
    message = _text(described.get("message"), "error message")
    data = {str(key): item for key, item in _object(described.get("data"), "error data").items()}
    error: JobError
    if kind == "out-of-memory":
        error = PermanentJobError(
            "out-of-memory",
            f"the render ran out of memory: it had mapped {data.get('found')} bytes and asked for more; "
            f"{data.get('allowed')} are allowed",
            hint="use smaller or fewer assets, or raise PREVIEW_MEMORY_LIMIT_MB",
        )
    elif kind == "unexpected":
        error = TransientJobError("unexpected", f"{described.get('class')}: {message}")
    elif kind in (FailureKind.PERMANENT, FailureKind.TRANSIENT):
        family = PermanentJobError if kind == FailureKind.PERMANENT else TransientJobError
        hint = described.get("hint")
        error = family(_text(described.get("code"), "error code"), message, hint=hint and _text(hint, "hint"))
    else:
        raise BadFrame(f"error kind {kind!r}")
    error.data = data
    error.error_class = _text(described.get("class"), "error class")
    error.remote_traceback = _text(described.get("traceback"), "traceback")
    return error


def _deadline_exceeded(deadline_s: float) -> TransientJobError:
    return TransientJobError(
        "deadline-exceeded",
        f"the render was killed at its deadline of {deadline_s:g} s",
        hint="shorten the animation or its resolution, or raise PREVIEW_JOB_TIMEOUT_S",
        found=f"not done after {deadline_s:g} s",
        allowed=deadline_s,
    )


def _unavailable(reason: str) -> TransientJobError:
    return TransientJobError(
        "render-process-unavailable",
        f"no render process could be started: {reason}",
        hint="look at the worker's log, and at the limits on processes, memory and open files",
    )


def _death(code: int | None) -> RenderCrashed:
    if code is None:
        return RenderCrashed("died together with its fork server", hint="look at the kernel's log")
    if code >= 0:
        return RenderCrashed(f"exited with status {code}", exit_status=code)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = None
    if name == "SIGKILL":
        hint = "probably out of memory: the kernel kills with SIGKILL; look at its log, or use smaller assets"
    return RenderCrashed(f"was ended by {name}", signal_name=name, hint=hint)
