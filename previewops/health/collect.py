"""Collects the inputs of health checks from a snapshot, the Redis server and this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from previewops.clock import Clock, SystemClock
from previewops.health import RECENT_WINDOW_S, HealthInputs
from previewops.health.from_snapshot import inputs_from_snapshot
from previewops.queue.webhooks import Webhooks
from previewops.server_versions import ServerVersion
from previewops.settings import Settings
from previewops.snapshot.model import CounterBucket, Snapshot
from previewops.stores.verdict import check_store, read_store_id

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def collect_inputs(
    redis: Redis,
    settings: Settings,
    snapshot: Snapshot,
    *,
    buckets: Iterable[CounterBucket] | None = None,
    clock: Clock | None = None,
) -> HealthInputs:
    """Collects everything that ``previewops.health.evaluate`` needs, in three round trips to Redis. It probes the
    store of PREVIEW_STORE, at most once a minute.

    Args:
        snapshot: taken with ``runs=True``; otherwise stuck jobs are not checked.
        buckets: 10 s buckets of at least the last five minutes. None uses those of the snapshot; if they do not reach
            back far enough, failures are not checked.
        clock: measures the latency of Redis.

    Raises:
        redis.exceptions.RedisError: the server cannot be used.
    """
    if buckets is None and snapshot.history_s >= RECENT_WINDOW_S:
        buckets = snapshot.buckets
    redis_ms, ahead_ms = await _time(redis, clock or SystemClock())
    config = await _server_config(redis, settings.queue_name)
    rejected = config.rejected_commands | ({} if redis_ms is not None else {"redis": "TIME"})
    free_bytes, disk_bytes = await asyncio.to_thread(_disk_space, settings.data_dir)
    return replace(
        inputs_from_snapshot(snapshot, buckets, heartbeat_ms=settings.heartbeat_ms),
        eviction_policy=config.eviction_policy,
        persistent=config.persistent,
        redis_version=config.version,
        bullmq_key=config.bullmq_key,
        redis_is_private=config.is_private,
        rejected_commands=rejected,
        run_ages_ms=_run_ages_ms(snapshot),
        deadline_ms=settings.job_timeout_s * 1000,
        disk_free_bytes=free_bytes,
        disk_bytes=disk_bytes,
        redis_ms=redis_ms,
        queue_max=settings.queue_max,
        store=await check_store(settings),
        store_id=await read_store_id(settings),
        clock_ahead_ms=ahead_ms,
        webhooks=await Webhooks(redis, settings).backlog(),
    )


def _run_ages_ms(snapshot: Snapshot) -> dict[str, int] | None:
    if snapshot.active and not snapshot.running_jobs:
        return None
    return {run.job_id: snapshot.now_ms - run.claimed_ms for run in snapshot.running_jobs}


async def measure_latency_ms(redis: Redis, clock: Clock) -> float | None:
    """Measures the latency of Redis in ms on an open connection; None if the TIME command is forbidden.

    Raises:
        redis.exceptions.RedisError: the server cannot be used.
    """
    return (await _time(redis, clock))[0]


async def _time(redis: Redis, clock: Clock) -> tuple[float | None, int | None]:
    """Returns the latency and this host's clock lead, in ms; None if the TIME command is forbidden."""
    from redis.exceptions import ResponseError  # noqa: PLC0415 - start-up time of commands without Redis

    before = clock.monotonic()
    try:
        seconds, microseconds = await redis.time()
    except ResponseError:
        return None, None
    took_ms = (clock.monotonic() - before) * 1000
    server_ms = int(seconds) * 1000 + int(microseconds) // 1000
    # The server read its clock about half-way.
    return took_ms, round(clock.now_ms() - took_ms / 2) - server_ms


_BULLMQ_PARTS = ("wait", "prioritized", "delayed", "meta", "id")
"""Keys of a BullMQ queue, waiting jobs first. If an access-control list forbids to look, none is reported."""


class _ServerConfig(NamedTuple):
    """What a server reports about itself. A hosted server may forbid a command: None, and the command by check."""

    eviction_policy: str | None
    persistent: bool | None
    version: ServerVersion | None
    is_private: bool
    rejected_commands: dict[str, str]
    bullmq_key: str | None


async def _server_config(redis: Redis, queue_name: str) -> _ServerConfig:
    from redis.exceptions import ResponseError  # noqa: PLC0415 - as above

    bullmq_keys = [f"bull:{queue_name}:{part}" for part in _BULLMQ_PARTS]
    async with redis.pipeline(transaction=False) as pipe:
        pipe.info("memory")
        pipe.info("persistence")
        pipe.config_get("save")
        pipe.info("server")
        for key in bullmq_keys:
            pipe.exists(key)
        memory, persistence, save, server, *found = await pipe.execute(raise_on_error=False)
    policy = None if isinstance(memory, ResponseError) else memory.get("maxmemory_policy")
    info = {} if isinstance(server, ResponseError) else server
    persistent: bool | None = None
    if not isinstance(persistence, ResponseError) and persistence.get("aof_enabled"):
        persistent = True
    elif not isinstance(persistence, ResponseError) and not isinstance(save, ResponseError):
        persistent = bool(next(iter(save.values()), ""))
    rejected = {
        "eviction": "INFO" if policy is None else None,
        "persistence": None if persistent is not None else "INFO" if policy is None else "CONFIG GET",
    }
    return _ServerConfig(
        policy,
        persistent,
        ServerVersion.from_info(info),
        info.get("tcp_port") == 0,
        {name: command for name, command in rejected.items() if command is not None},
        next((key for key, exists in zip(bullmq_keys, found, strict=True) if exists == 1), None),
    )


def _disk_space(folder: Path) -> tuple[int | None, int | None]:
    """Returns the free bytes for this user and the total bytes; None without such a folder."""
    try:
        stats = os.statvfs(f"{folder}/")  # fails for a file, whose file system is not the one of bundles
    except OSError:
        return None, None
    return stats.f_bavail * stats.f_frsize, stats.f_blocks * stats.f_frsize
