"""Task of the workers under test: executes the requested fault, then the real build."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from previewops.worker import bundle_builder
from previewops.worker.sandbox.child import TaskContext


def build(spec: dict[str, Any], host: TaskContext) -> dict[str, Any]:
    """Executes the faults in ``previewRequest.metadata`` of the payload, then builds."""
    fault = spec["payload"]["previewRequest"].get("metadata", {})
    if "gate" in fault and Path(fault["gate"]).exists():
        host(0.5, "at the gate")
        with Path(fault["gate"]).open("rb") as gate:
            gate.read()
    if "while_there" in fault:
        while Path(fault["while_there"]).exists():
            time.sleep(0.02)
    if "takes_s" in fault:
        time.sleep(fault["takes_s"])
    if fault.get("spin"):
        # One call into C that takes hours.
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
    if fault.get("loops"):
        # The same without processor time: it waits with the interpreter's lock.
        ctypes.PyDLL(None).sleep(2**31 - 1)
    if fault.get("segfault"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault.get("kills_worker"):
        # The parent is the fork server, and its parent the worker.
        psutil.Process(os.getppid()).parent().kill()
        signal.pause()
    if "raises_while" in fault and Path(fault["raises_while"]).exists():
        raise RuntimeError("the cause is not fixed")
    if fault.get("raises"):
        raise RuntimeError(fault["raises"])
    return bundle_builder.build(spec, host)
