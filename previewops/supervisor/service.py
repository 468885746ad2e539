"""Puts a supervisor together, and takes it apart."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum

from previewops.clock import SystemClock, system_random
from previewops.connection import connect
from previewops.fleetviews import Bounds
from previewops.lease import Leases
from previewops.notify import Notifier
from previewops.settings import Settings
from previewops.snapshot import Snapshots
from previewops.supervisor.backend import Backend
from previewops.supervisor.environment import Launch
from previewops.supervisor.fleet import Tell
from previewops.supervisor.host import Gauge, supervisor_id
from previewops.supervisor.lock import sole_supervisor, supervisor_folder
from previewops.supervisor.loop import Supervisor
from previewops.supervisor.orders import OrderBook
from previewops.supervisor.process import Command, ProcessBackend
from previewops.supervisor.recycling import Limits
from previewops.supervisor.roster import Roster
from previewops.supervisor.transient import TransientBackend, UnitLimits
from previewops.supervisor.watchtower import Watchtower

MIB = 1024 * 1024

DEFAULT_LIMITS = Limits(rss_bytes=512 * MIB, jobs=50_000, age_s=24 * 3600)
"""When a worker is recycled. It renders in processes of their own, which have limits of theirs."""


class BackendName(StrEnum):
    """What runs the workers."""

    PROCESS = "process"
    SYSTEMD_RUN = "systemd-run"


def worker_command(worker_id: str) -> list[str]:
    """The command line of a worker of this installation."""
    return [sys.executable, "-m", "previewops", "worker", "--name", worker_id]


@asynccontextmanager
async def supervisor_of(
    launch: Launch,
    url: str,
    *,
    bounds: Bounds,
    tell: Tell,
    reload: Callable[[], Launch],
    limits: Limits = DEFAULT_LIMITS,
    backend: BackendName = BackendName.PROCESS,
    command: Command = worker_command,
) -> AsyncIterator[Supervisor]:
    """A supervisor that has the host's lock; to be set going by its ``run``.

    Raises:
        SupervisorRunning: another process supervises this queue in this DATA_DIR.
        UsageError: DATA_DIR cannot be used.
    """
    settings = launch.settings
    async with AsyncExitStack() as stack:
        stack.enter_context(sole_supervisor(settings))
        redis = connect(url, role="supervisor")
        stack.push_async_callback(redis.aclose)
        notifier = Notifier(os.environ)
        stack.callback(notifier.close)
        gauge = Gauge()
        name = supervisor_id(settings.data_dir)
        book = OrderBook(redis, settings, name)
        yield Supervisor(
            launch,
            backend=_backend(backend, settings, command),
            leases=Leases(redis, settings, name),
            watchtower=Watchtower(book, Snapshots(redis, settings), gauge, slots=settings.worker_concurrency),
            book=book,
            gauge=gauge,
            bounds=bounds,
            limits=limits,
            tell=tell,
            reload=reload,
            notifier=notifier,
            clock=SystemClock(),
            dice=system_random(),
        )


def _backend(name: BackendName, settings: Settings, command: Command) -> Backend:
    folder = supervisor_folder(settings)
    if name is BackendName.SYSTEMD_RUN:
        return TransientBackend(command, settings, folder=folder, limits=UnitLimits.of(settings))
    return ProcessBackend(
        command, log_folder=settings.data_dir / "logs", roster=Roster(folder / "workers.json")
    )
