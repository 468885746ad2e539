"""Tasks that fail in every way a renderer could, run in real render processes."""

from __future__ import annotations

import ctypes
import fcntl
import json
import logging
import os
import platform
import re
import resource
import signal
import socket
import stat
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from previewops.job_errors import JobError, PermanentJobError, TransientJobError
from previewops.worker.sandbox.child import TaskContext
from previewops.worker.sandbox.framing import HEADER

Progress = Callable[[float, str], None]


def run(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Calls the function that ``spec["act"]`` names."""
    act: Callable[[dict[str, Any], Progress], dict[str, Any]] = globals()[f"act_{spec['act']}"]
    return act(spec, progress)


def act_echo(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"echo": spec.get("value"), "pid": os.getpid()}


def act_length(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"length": len(spec["value"])}


def act_log(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    for number in range(spec["lines"]):
        logging.getLogger("a.library").warning("line %d of %s", number, "secret=hunter2")
    return {}


def act_report(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    for fraction, text in spec["reports"]:
        progress(fraction, text)
    return {"done": True}


def act_permanent(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise PermanentJobError("too-large", "the image is too large", hint="shrink it", found=9, allowed=[1, 2])


def act_transient(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise TransientJobError("not-there", "the asset is not there yet")


def act_unsendable_data(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise PermanentJobError("odd", "data that no JSON holds", found=object())


def act_unexpected(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise ZeroDivisionError("x" * 50_000)


def act_connection_error(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise ConnectionResetError("the asset's host hung up")


def act_exit(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    sys.exit(3)


def act_not_json(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"set": {1, 2}}


def act_allocate(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"length": len(bytearray(spec["bytes"]))}


def act_die(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    os.kill(os.getpid(), getattr(signal, spec["signal"]))
    return {}


def act_segfault(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"read": ctypes.string_at(8)}


def act_leave(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    os._exit(spec["status"])


def act_loop_in_c(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Stays in one exponential C call that holds the interpreter's lock."""
    progress(0.0, str(os.getpid()))
    return {"match": bool(re.match(r"(a+)+$", "a" * 64 + "b"))}


def act_wait(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    progress(0.0, str(os.getpid()))
    while True:
        time.sleep(60)


def act_await_file(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Runs until the file ``spec["path"]`` exists."""
    progress(0.0, str(os.getpid()))
    while not Path(spec["path"]).exists():
        time.sleep(0.005)
    return {"pid": os.getpid()}


def act_bomb(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    from PIL import Image

    return {"size": Image.new("RGB", (100_000, 100_000)).size}


def act_describe(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The state of the process, seen from inside."""
    umask = os.umask(0)
    os.umask(umask)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return {
        "umask": umask,
        "fds": _open_descriptors(),
        "ignored": int(status.split("SigIgn:")[1].split()[0], 16),
        "limits": Path("/proc/self/limits").read_text(encoding="ascii"),
        "environment": Path("/proc/self/environ").read_text("utf-8", "replace")
        + repr(sorted(os.environ.items())),
        "modules": sorted(sys.modules),
        "main": getattr(sys.modules["__main__"], "__file__", None),
    }


def _open_descriptors() -> dict[str, str]:
    descriptors = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor of this listing
            descriptors[entry.name] = str(entry.readlink())
    return descriptors


def act_babble(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Writes ``spec["raw"]`` instead of a frame, like a compromised child."""
    _channel().sendall(bytes.fromhex(spec["raw"]))
    return act_wait(spec, lambda fraction, text: None)


def act_answer_with(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    body = spec["body"].encode()
    return act_babble({"raw": (HEADER.pack(len(body)) + body).hex()}, progress)


def act_flood(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Sends ``spec["body"]`` for as long as the worker reads it."""
    body = spec["body"].encode()
    channel = _channel()
    while True:
        channel.sendall(HEADER.pack(len(body)) + body)


def act_result_and_stay(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Sends a result, and then neither reads nor ends."""
    body = b'{"job": 1, "result": {}}'
    _channel().sendall(HEADER.pack(len(body)) + body)
    return act_wait(spec, lambda fraction, text: None)


def act_hang_up(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    _channel().shutdown(socket.SHUT_RDWR)
    return act_wait(spec, lambda fraction, text: None)


def _channel() -> socket.socket:
    return socket.socket(fileno=os.dup(_channel_fd()))


def _channel_fd() -> int:
    for fd in range(3, 256):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                return fd
    raise AssertionError("no socket")


def act_try(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """The errno of each attempt at something denied to a confined process, 0 where it succeeded."""
    folder = Path(spec["folder"])
    attempts: dict[str, Callable[[], object]] = {
        "read a file": (folder / "secret").read_bytes,
        "list a folder": lambda: list(folder.iterdir()),
        "write a file": lambda: (folder / "new").write_bytes(b"x"),
        "write in /tmp": lambda: Path(f"/tmp/previewops-{os.getpid()}").write_bytes(b"x"),
        "remove a file": (folder / "secret").unlink,
        "make a folder": (folder / "made").mkdir,
        "read passwords": lambda: Path("/etc/passwd").read_bytes(),
        "open a socket": lambda: socket.socket(socket.AF_INET),
        "open a unix socket": lambda: socket.socket(socket.AF_UNIX),
        "fork": os.fork,
        "run a program": lambda: os.execv("/bin/true", ["true"]),
        "kill": lambda: os.kill(os.getppid(), 0),
        **_calls(),
        "set the time of a file": lambda: os.utime(folder / "secret", (1, 1)),
        "set the mode of a file": lambda: (folder / "secret").chmod(0o666),
        "give a file away": lambda: os.chown(folder / "secret", -1, os.getgid()),
        "attribute a file": lambda: os.setxattr(folder / "secret", "user.x", b"x"),
        "empty a file": lambda: os.truncate(folder / "secret", 0),
        "signal itself": lambda: signal.pthread_kill(threading.get_ident(), 0),
        "read own limit": lambda: resource.getrlimit(resource.RLIMIT_AS),
        "pin itself": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
        "read python": lambda: Path(os.__file__).read_bytes(),
        "start a thread": _in_a_thread,
        "import late": lambda: __import__("decimal"),
    }
    return {name: _number_of(attempt) for name, attempt in attempts.items()}


def _calls() -> dict[str, Callable[[], object]]:
    """Ways to reach another process, here the parent; none has a lasting effect."""
    parent, libc = os.getppid(), ctypes.CDLL(None, use_errno=True)
    x86 = platform.machine() == "x86_64"

    def call(number: int, *arguments: object) -> None:
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), "refused")

    def own(command: int, value: object) -> None:
        fcntl.fcntl(_channel_fd(), command, value)  # type: ignore[call-overload]

    def by_ioctl(command: int) -> None:
        fcntl.ioctl(_channel_fd(), command, struct.pack("i", parent))

    information = ctypes.create_string_buffer(struct.pack("iii", 0, 0, -1), 128)
    owner = struct.pack("ii", 1, parent)
    return {
        "signal by thread": lambda: call(234 if x86 else 131, parent, parent, 0),
        "signal with a value": lambda: call(129 if x86 else 138, parent, 0, information),
        "signal a thread with a value": lambda: call(297 if x86 else 240, parent, parent, 0, information),
        "signal by a file": lambda: own(fcntl.F_SETOWN, parent),
        "signal by a file, otherwise": lambda: own(15, owner),  # F_SETOWN_EX
        "choose the signal of a file": lambda: own(10, signal.SIGURG),  # F_SETSIG
        "signal by a socket": lambda: by_ioctl(0x8901),  # FIOSETOWN
        "signal by a socket, otherwise": lambda: by_ioctl(0x8902),  # SIOCSPGRP
        "type into a terminal": lambda: fcntl.ioctl(2, termios.TIOCSTI, b"\0"),
        "bound another": lambda: resource.prlimit(parent, resource.RLIMIT_CPU),
        "slow another down": lambda: os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(0, parent)),
        "pin another": lambda: os.sched_setaffinity(parent, os.sched_getaffinity(parent)),
        "schedule another": lambda: os.sched_setscheduler(
            parent, os.sched_getscheduler(parent), os.sched_getparam(parent)
        ),
    }


def _number_of(attempt: Callable[[], object]) -> int:
    try:
        attempt()
    except OSError as error:
        return error.errno or -1
    return 0


def _in_a_thread() -> None:
    thread = threading.Thread(target=time.time)
    thread.start()
    thread.join()


def act_ask(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Sends ``spec["questions"]``, and reads or writes the files of the answers."""
    replies = []
    for question in spec["questions"]:
        reply, fds = context.request(**question)
        for fd in fds:
            with os.fdopen(fd, "r+b" if "create" in question else "rb") as file:
                reply["content"] = file.write(b"made") if "create" in question else file.read().decode()
        replies.append(reply)
    return {"replies": replies}


def act_ask_and_leave(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Requests descriptors and receives none of them."""
    job = {"job": spec["job"], "request": spec["question"]}
    body = json.dumps(job).encode()
    with _channel() as channel:
        for _ in range(spec["times"]):
            channel.sendall(HEADER.pack(len(body)) + body)
    return act_wait(spec, lambda fraction, text: None)


def act_print(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Prints ``spec["text"]`` as a library would, ``spec["times"]`` times, or until nobody listens."""
    written = 0
    with suppress(BrokenPipeError):
        for _ in range(spec.get("times", 1)):
            written += os.write(spec["fd"], spec["text"].encode())
    return {"written": written}


def act_burn(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Uses a processor for ``spec["seconds"]`` of its time, unless killed. First it tries to remove its limits."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, unlimited)
    until = time.process_time() + spec["seconds"]
    while time.process_time() < until:
        pass
    return {"burnt": True}


def act_burn_afterwards(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Leaves a thread behind that uses a processor for ever."""
    threading.Thread(target=act_burn, args=({"seconds": 1_000}, context), daemon=True).start()
    return {"pid": os.getpid()}


def act_write_much(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    return {"number": _number_of(lambda: Path(spec["path"]).write_bytes(bytes(spec["bytes"])))}


def act_decode_all(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Decodes every named asset. Returns the error code of each, "" for success, and what differs of messages."""
    results = [_decoded(context, name, sound=spec["sound"]) for name in spec["names"]]
    messages = {message.partition("): ")[2] for _, message in results if message}
    return {"codes": [code for code, _ in results], "messages": sorted(messages)}


def _decoded(context: TaskContext, name: str, *, sound: bool) -> tuple[str, str]:
    from previewops.worker.assets.opener import AssetRef
    from previewops.worker.render.encode.sound import SoundTrack
    from previewops.worker.render.layout.geometry import Size
    from previewops.worker.render.limits import RenderLimits
    from previewops.worker.render.pictures import decode_picture
    from previewops.worker.render.storyboard import Sound
    from previewops.worker.sandbox.file_client import RemoteAssets

    ref = AssetRef(name, name)
    try:
        with closing(RemoteAssets(context)) as assets, assets.open(ref, max_bytes=1).file as file:
            if sound:
                for _ in SoundTrack(ref, file, Sound(name, 0, 0.0), 2_000).frames():
                    pass
            else:
                decode_picture(ref, file, RenderLimits(), Size(20, 20))
    except JobError as error:
        return error.code, error.message
    except MemoryError:  # an allowed size that exceeds this process's memory
        return "out-of-memory", ""
    return "", ""
