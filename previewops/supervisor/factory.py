"""Builds a supervisor from its settings."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from pathlib import Path

from previewops.clock import SystemClock, system_rng
from previewops.logs.journal import is_journal
from previewops.process.alive import AliveFile, Role, alive_prefix
from previewops.process.sd_notify import SystemdNotifier
from previewops.queue.leases import Leases
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.snapshot.fleet import WorkerCountRange
from previewops.supervisor.actions import LogAction
from previewops.supervisor.backend import WorkerBackend
from previewops.supervisor.commands import CommandChannel
from previewops.supervisor.environment import Launch
from previewops.supervisor.host import HostMetrics, supervisor_id
from previewops.supervisor.lock import LOG_FOLDER, hold_supervisor_lock, own_folder, supervisor_folder
from previewops.supervisor.loop import Supervisor
from previewops.supervisor.process_backend import BuildArgv, ProcessBackend
from previewops.supervisor.process_registry import ProcessRegistry
from previewops.supervisor.records import SupervisorRecords
from previewops.supervisor.recycle_policy import RecycleLimits
from previewops.supervisor.redis_poller import RedisPoller
from previewops.supervisor.stale_folders import remove_stale_folders
from previewops.supervisor.systemd_backend import SystemdBackend

MIB = 1024 * 1024
STANDARD_ERROR = 2

DEFAULT_RECYCLE_LIMITS = RecycleLimits(rss_bytes=512 * MIB, jobs=50_000, age_s=24 * 3600)
"""Limits of a worker without its render processes, which have limits of their own."""


class BackendName(StrEnum):
    """Backend that runs the workers."""

    PROCESS = "process"
    SYSTEMD_RUN = "systemd-run"


def build_worker_argv(worker_id: str) -> list[str]:
    """Returns the command line of a worker of this installation."""
    return [sys.executable, "-m", "previewops", "worker", "--name", worker_id]


@asynccontextmanager
async def build_supervisor(
    launch: Launch,
    url: str,
    *,
    bounds: WorkerCountRange,
    log_action: LogAction,
    reload: Callable[[], Launch],
    limits: RecycleLimits = DEFAULT_RECYCLE_LIMITS,
    backend: BackendName = BackendName.PROCESS,
    build_argv: BuildArgv = build_worker_argv,
) -> AsyncIterator[Supervisor]:
    """Yields a supervisor that holds the host's lock. Call its ``run``.

    Raises:
        SupervisorRunning: another process supervises this queue in this DATA_DIR.
        UsageError: DATA_DIR cannot be used.
    """
    settings = launch.settings
    async with AsyncExitStack() as stack:
        stack.enter_context(hold_supervisor_lock(settings))
        redis = connect(url, role="supervisor")
        stack.push_async_callback(redis.aclose)
        alive = AliveFile(alive_prefix(settings.data_dir, settings.queue_name), Role.SUPERVISOR)
        notifier = SystemdNotifier(os.environ, alive=alive)
        stack.callback(notifier.close)
        host_metrics = HostMetrics(settings.data_dir)
        name = supervisor_id(settings.data_dir)
        channel = CommandChannel(redis, settings, name)
        await asyncio.to_thread(remove_stale_folders, settings.data_dir, time.time())
        yield Supervisor(
            launch,
            backend=_build_backend(backend, settings, build_argv, log_action),
            leases=Leases(redis, settings, name),
            poller=RedisPoller(channel, host_metrics, job_slots=settings.worker_concurrency),
            channel=channel,
            host_metrics=host_metrics,
            bounds=bounds,
            limits=limits,
            records=SupervisorRecords(supervisor_folder(settings)),
            log_action=log_action,
            reload=reload,
            notifier=notifier,
            clock=SystemClock(),
            rng=system_rng(),
        )


def worker_log_folder(settings: Settings) -> Path | None:
    """Returns the folder of the logs of this host's workers; None if they log to systemd's journal."""
    in_journal = is_journal(os.environ, STANDARD_ERROR)
    return None if in_journal else own_folder(settings, LOG_FOLDER)


def _build_backend(
    name: BackendName, settings: Settings, build_argv: BuildArgv, log_action: LogAction
) -> WorkerBackend:
    folder = supervisor_folder(settings)
    if name is BackendName.SYSTEMD_RUN:
        return SystemdBackend(build_argv, settings, folder=folder)
    registry = ProcessRegistry(folder / "workers.json")
    return ProcessBackend(
        build_argv, log_folder=worker_log_folder(settings), registry=registry, log_action=log_action
    )
