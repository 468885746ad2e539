"""Render processes as the worker holds them: starts, exchanges messages, closes and kills."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from previewops.job_errors import JobError, PermanentJobError
from previewops.worker.sandbox.child import MAX_LOG_LINES, ChildConfig
from previewops.worker.sandbox.child_messages import (
    TaskImportError,
    crash_error,
    parse_log,
    parse_progress,
    unavailable_error,
)
from previewops.worker.sandbox.child_output import ChildOutput
from previewops.worker.sandbox.confinement import ConfinementReport
from previewops.worker.sandbox.error_codec import decode_error, encode_error, require_object
from previewops.worker.sandbox.fork_server import EXIT_TIMEOUT_S, ForkedProcess, ForkServer
from previewops.worker.sandbox.framing import HEADER, ProtocolError, body_length, decode_body, encode_frame

log = structlog.get_logger()

ProgressCallback = Callable[[float, str], None]
RequestHandler = Callable[[dict[str, Any]], Awaitable[tuple[dict[str, Any], tuple[int, ...]]]]
"""Returns the answer to a child's request, and descriptors, which the receiver closes."""
ResultCheck = Callable[[dict[str, Any]], None]
"""Raises ProtocolError for a malformed result."""

START_TIMEOUT_S = 30.0
"""Time until a child is ready: start of the fork server, import of the task's module."""
EXIT_GRACE_S = 1.0
"""Time between the end of a dying child's socket and its exit code."""
CPU_CHECK_INTERVAL_S = 0.02
"""The shortest time between two readings of a process's processor time."""
MAX_RESULT_BYTES = 2 * 1024 * 1024
"""Bytes of the result of a job. Decoding the worst JSON of this size blocks the worker for half a second."""
MAX_MESSAGE_BYTES = 128 * 1024
"""Bytes of every other message of a child."""
MAX_JOB_BYTES = 16 * 1024 * 1024
"""Bytes of all messages of one job, except its result: the time that a worker spends on reading them."""
_LEAST_BYTES = 256  # that a message counts: many short ones take as long to read as few long ones
_KINDS = ("progress", "log", "request", "error")
_START_TRIES = 3  # each may find that the fork server has just died


class ConnectionClosed(Exception):
    """The child closed its end of the socket: it is exiting or has exited."""


@dataclass(eq=False, slots=True)
class Child:
    """One child process that is ready for jobs."""

    _process: ForkedProcess
    _output: ChildOutput
    _cpu_watch: CpuTimeWatch
    _fd_socket: socket.socket
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    generation: Hashable
    jobs: int = 0
    out_of_memory: bool = False
    killed: bool = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        """False once the child has exited, closed its socket, or run out of memory or processor time."""
        ended = self._process.exited.done() or self._reader.at_eof()
        return not (ended or self.out_of_memory or self.cpu_time_exceeded)

    async def receive(self) -> dict[str, Any]:
        """The next message. Raises ConnectionClosed, ProtocolError."""
        return decode_body(await self._receive_body())

    async def _receive_body(self) -> bytes:
        try:
            length = body_length(await self._reader.readexactly(HEADER.size), MAX_RESULT_BYTES)
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ConnectionClosed from error

    def encode_job(self, spec: dict[str, Any], common: Mapping[str, Any]) -> bytes:
        """The frame of the next job; the first one includes ``common``.

        Raises:
            PermanentJobError: "spec-unsendable", when it is too large or not JSON.
        """
        first_only = {} if self.jobs else {"common": common}
        try:
            frame = encode_frame({"job": self.jobs + 1, "spec": spec, **first_only})
        except ProtocolError as error:
            raise PermanentJobError(
                "spec-unsendable",
                f"cannot send the job to a render process: {error}",
                hint="shorten the payload's texts and metadata",
            ) from error
        self.jobs += 1
        return frame

    @property
    def cpu_time_exceeded(self) -> bool:
        """Whether it was killed because it had used its processor time."""
        return self._cpu_watch.exceeded

    async def run_job(
        self,
        frame: bytes,
        progress: ProgressCallback | None,
        handle_request: RequestHandler | None,
        check_result: ResultCheck | None,
    ) -> dict[str, Any] | JobError:
        """Sends the frame of a job and handles messages until its end. Raises ConnectionClosed, ProtocolError."""
        self._cpu_watch.restart()
        idle, self._output.context = self._output.context, contextvars.copy_context()
        try:
            outcome = await self._run_job(frame, progress, handle_request)
            if check_result is not None and not isinstance(outcome, JobError):
                check_result(outcome)
            return outcome
        finally:
            self._output.read()  # what the job has printed
            self._output.context = idle

    async def _run_job(
        self, frame: bytes, progress: ProgressCallback | None, handle_request: RequestHandler | None
    ) -> dict[str, Any] | JobError:
        await self.send(frame)
        logged, read_bytes = 0, 0
        while True:
            body = await self._receive_body()
            message = decode_body(body)
            if message.get("job") != self.jobs:
                raise ProtocolError("a message of another job")
            kind = next((name for name in _KINDS if name in message), "result")
            if kind != "result":
                read_bytes += max(len(body), _LEAST_BYTES)
                _check_size(kind, len(body), MAX_MESSAGE_BYTES)
                _check_size("messages of one job", read_bytes, MAX_JOB_BYTES)
            if kind == "progress":
                fraction, text = parse_progress(message["progress"])
                if progress is not None:
                    progress(fraction, text)
            elif kind == "log":
                level, logger, text = parse_log(message["log"])
                logged += 1
                if logged <= MAX_LOG_LINES:
                    log.log(level, "render.logged", logger=logger, message=text)
            elif kind == "request":
                await self._reply(require_object(message["request"], "request"), handle_request)
            elif kind == "error":
                outcome = decode_error(message["error"])
                self.out_of_memory = outcome.code == "out-of-memory"
                return outcome
            else:
                return require_object(message.get("result"), "result")

    async def _reply(self, request: dict[str, Any], handler: RequestHandler | None) -> None:
        if handler is None:
            raise ProtocolError("an unexpected request")
        try:
            reply, fds = await handler(request)
        except JobError as error:
            await self.send(encode_frame({"job": self.jobs, "error": encode_error(error)}))
            return
        # Before the reply, so that they have arrived when the child reads it.
        self._send_fds(fds)
        await self.send(encode_frame({"job": self.jobs, "reply": {**reply, "files": len(fds)}}))

    def _send_fds(self, fds: tuple[int, ...]) -> None:
        try:
            if fds:
                socket.send_fds(self._fd_socket, [b"\0"], fds)
        except BlockingIOError:
            raise ProtocolError("descriptors that it did not receive") from None
        except ConnectionError as error:
            raise ConnectionClosed from error
        finally:
            for fd in fds:
                os.close(fd)

    async def send(self, frame: bytes) -> None:
        """Sends a frame. Raises ConnectionClosed."""
        try:
            self._writer.write(frame)
            await self._writer.drain()
        except ConnectionError as error:
            raise ConnectionClosed from error

    def close(self) -> None:
        """Closes the sockets and kills the process, which might stay otherwise if it was taken over."""
        self._process.kill()
        self._writer.close()
        self._fd_socket.close()

    async def terminate(self, *, grace_s: float = 0) -> int | None:
        """Waits ``grace_s`` for the exit, then kills. Returns the exit code, None if unknown."""
        exited = self._process.exited
        if grace_s and not exited.done():
            await asyncio.wait([exited], timeout=grace_s)
        if not exited.done():
            self.killed = True
            self._process.kill()
        self._writer.transport.abort()
        self._fd_socket.close()
        await asyncio.wait([exited], timeout=EXIT_TIMEOUT_S)
        return exited.result() if exited.done() else None


def _check_size(what: str, found: int, allowed: int) -> None:
    if found > allowed:
        raise ProtocolError(f"{what}: found {found} bytes, allowed {allowed}")


class CpuTimeWatch:
    """Kills a process once it has used ``limit_s`` of processor time, all threads together, since its last job began.

    Limits of the kernel cannot do this: it sends SIGXCPU at a limit that the process itself sets for each job, so one
    that was taken over would set another. ``exceeded`` reports the kill. None means no limit.
    """

    def __init__(self, process: ForkedProcess, limit_s: float | None) -> None:
        self.exceeded = False
        self._process = process
        self._limit_s = limit_s
        self._end_s = 0.0
        self._next_check: asyncio.TimerHandle | None = None
        process.exited.add_done_callback(lambda _: self._stop())

    def restart(self) -> None:
        """A job begins."""
        self._stop()
        if self._limit_s is not None and not self._process.exited.done():
            self._end_s = self._used_s() + self._limit_s
            self._check()

    def _stop(self) -> None:
        if self._next_check is not None:
            self._next_check.cancel()
            self._next_check = None

    def _check(self) -> None:
        remaining_s = self._end_s - self._used_s()
        if remaining_s <= 0:
            self.exceeded = True
            log.warning("render.cpu-time-exceeded", pid=self._process.pid, allowed=self._limit_s)
            self._process.kill()
            return
        # Not before all processors together could have used up the rest.
        delay_s = max(remaining_s / len(os.sched_getaffinity(0)), CPU_CHECK_INTERVAL_S)
        self._next_check = asyncio.get_running_loop().call_later(delay_s, self._check)

    def _used_s(self) -> float:
        try:
            return self._process.cpu_s()
        except OSError:  # it has ended
            return 0.0


class ProcessSpawner:
    """Starts children, and keeps track of every process until it has exited.

    ``generation`` identifies the files that children may read; each child keeps that of its start. ``confinement`` is
    how the last started child is confined.
    """

    def __init__(self, config: ChildConfig, server: ForkServer, generation: Hashable) -> None:
        self.generation = generation
        self._cpu_s = config.limits.cpu_s
        self._config_frame = encode_frame({"config": asdict(config)})
        self._server = server
        self._processes: set[ForkedProcess] = set()
        self.confinement = ConfinementReport()
        self._log_context = contextvars.copy_context()  # without the fields of any job

    async def start_child(self) -> Child:
        """A new child that is ready. Raises TransientJobError "render-process-unavailable"."""
        for _ in range(_START_TRIES):
            child = await self._attempt()
            if child is not None:
                return child
        raise unavailable_error(f"the fork server died {_START_TRIES} times in a row")

    def pids(self) -> list[int]:
        """Process ids of all processes that have started and not exited."""
        return [process.pid for process in self._processes if process.pid]

    async def kill_all(self) -> None:
        """Kills the remaining processes and waits for their exit."""
        exits = [process.exited for process in self._processes]
        for process in self._processes:
            process.kill()
        if exits:
            await asyncio.wait(exits, timeout=EXIT_TIMEOUT_S)

    async def _attempt(self) -> Child | None:
        """None when the fork server died: the next attempt starts another one."""
        ours, theirs = socket.socketpair()
        fd_socket, their_fd_socket = socket.socketpair()
        fd_socket.setblocking(False)
        output = ChildOutput(self._log_context)
        try:
            process = self._server.fork(theirs.fileno(), their_fd_socket.fileno(), output.writer)
        except OSError as error:
            ours.close()
            fd_socket.close()
            output.close()
            if isinstance(error, ConnectionError):
                return None
            raise unavailable_error(str(error)) from error
        finally:
            theirs.close()
            their_fd_socket.close()
            output.close_writer()
        self._processes.add(process)
        process.exited.add_done_callback(lambda _: self._processes.discard(process))
        process.exited.add_done_callback(lambda _: fd_socket.close())  # also if it never started
        process.exited.add_done_callback(lambda _: output.close())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                return await self._ready_child(process, output, ours, fd_socket)
        except TimeoutError:
            process.kill()
            raise unavailable_error(f"it was not ready after {START_TIMEOUT_S:g} s") from None
        except OSError as error:  # the fork failed
            raise unavailable_error(str(error)) from error
        except BaseException:
            process.kill()
            raise

    async def _ready_child(
        self, process: ForkedProcess, output: ChildOutput, ours: socket.socket, fd_socket: socket.socket
    ) -> Child | None:
        """Configures a process and waits until it is ready. None when the fork server died."""
        generation = self.generation
        try:
            if not await process.started:
                ours.close()
                return None
            output.pid = process.pid
            streams = await asyncio.open_unix_connection(sock=ours)
            watch = CpuTimeWatch(process, self._cpu_s)
            child = Child(process, output, watch, fd_socket, *streams, generation)
        except BaseException:
            ours.close()  # the process's end closes the other
            raise
        try:
            await child.send(self._config_frame)
            first_message = await child.receive()
        except (ConnectionClosed, ProtocolError) as error:
            code = await child.terminate(grace_s=EXIT_GRACE_S)
            if code is None and not child.killed:
                return None
            raise unavailable_error(
                crash_error(code).message if isinstance(error, ConnectionClosed) else str(error)
            ) from None
        except BaseException:
            child.close()
            raise
        if "error" in first_message:
            child.close()
            raise TaskImportError(decode_error(first_message["error"]))
        self.confinement = ConfinementReport.from_json(first_message["ready"])
        return child
