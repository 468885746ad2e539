"""Starts one worker process: settings, logs, render processes, signals, and the worker itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import structlog
import uvloop
from arq.typing import StartupShutdown
from arq.worker import func
from redis.asyncio import Redis
from redis.exceptions import ResponseError

import previewops.contract.schema_check
import previewops.contract.schema_validation  # noqa: F401 - both imported now, or the first job would import them and could fail
from previewops.clock import SystemClock, system_rng
from previewops.disclosure import redact_url
from previewops.errors import REINSTALL, PreviewopsError, StartupFailed, StoreUnavailable, data_dir_error
from previewops.job_errors import JobError
from previewops.process.alive import AliveFile, Role, alive_prefix
from previewops.process.sd_notify import SystemdNotifier
from previewops.process.stack_dumps import enable_stack_dumps
from previewops.queue.leases import Leases
from previewops.queue.records import RENDER_FUNCTION
from previewops.redis_server.connection import connection_pool, redis_errors
from previewops.settings import Settings
from previewops.stores.port import BundleStore
from previewops.stores.selection import open_store
from previewops.stores.staging import STAGING_FOLDER, sweep_staging
from previewops.tasks import cancel_and_wait
from previewops.worker.assets.buckets import BucketFetcher
from previewops.worker.assets.download_cache import Fetcher
from previewops.worker.cache.erasure import CacheEraser
from previewops.worker.cache.render_cache import DigestCache, RenderCache
from previewops.worker.cache.store import CacheStore
from previewops.worker.engine.jobs import BUILD_TASK, PRELOAD_MODULES, RenderJobs
from previewops.worker.engine.redis_retry import retry_until_connected
from previewops.worker.engine.worker import BackgroundLoop, PreviewWorker
from previewops.worker.prune import cache_dir, prune_cache
from previewops.worker.render.text.fontconfig import find_fonts
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.child_messages import TaskImportError
from previewops.worker.sandbox.confinement import RESOURCE_LIMITS
from previewops.worker.sandbox.pool import RenderPool
from previewops.worker.store_monitor import StoreMonitor
from previewops.worker.themes.folder import ThemeFolder
from previewops.worker.themes.monitor import ThemeMonitor

log = structlog.get_logger()

MIB = 1024 * 1024


def run_worker(
    settings: Settings,
    *,
    redis_url: str,
    worker_id: str | None = None,
    burst: bool = False,
    build_task: str = BUILD_TASK,
    confined: bool = True,
) -> None:
    """Runs a worker until SIGTERM or SIGINT, or until the queue is empty with ``burst``.

    ``build_task`` is "module:function", the task of render processes instead of
    ``previewops.worker.bundle_builder:build``. A task that opens files itself needs ``confined`` False.

    Raises:
        UsageError: DATA_DIR is not a folder that this user can write to, or webhooks have no secret.
        DataDirUnavailable: DATA_DIR cannot be used now.
        StartupFailed: a render process cannot import its task.
        PreviewopsError: no render process can be started.
        StoreRejected: the store of bundles ignores conditions on writes, or its module is missing.
        RedisUnavailable: Redis rejects the worker for good (a wrong password, say). The worker waits while
            Redis is unavailable.
    """
    enable_stack_dumps()  # a supervisor sends SIGABRT to a hanging worker
    if worker_id is None:  # one that no other worker ever has
        worker_id = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"
    structlog.contextvars.bind_contextvars(worker=worker_id)
    _prepare_data_dir(settings)
    background = _webhook_loops(settings)
    fonts = find_fonts(settings.fonts).with_stamps()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        render_pool = _make_pool(settings, build_task, fonts, confined=confined)
        runner.run(
            _run(settings, redis_url, worker_id, burst, render_pool, background=background, fonts=fonts)
        )


def _prepare_data_dir(settings: Settings) -> None:
    try:
        for name in ("assets", STAGING_FOLDER, *(() if settings.store else ("previews",))):
            (settings.data_dir / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise data_dir_error(str(settings.data_dir), error) from error


def _make_pool(settings: Settings, build_task: str, fonts: FontSources, *, confined: bool) -> RenderPool:
    return RenderPool(
        build_task,
        size=settings.worker_concurrency,
        limits=ChildLimits(
            settings.memory_limit_mb * MIB,
            cpu_s=settings.effective_cpu_limit_s,
            file_bytes=settings.output_max_mb * MIB,
            nice=settings.render_nice,
        ),
        recycle_jobs=settings.recycle_jobs,
        preload=PRELOAD_MODULES,
        confined=confined,
        readable=[file.path for file in (*fonts.preferred, *fonts.system)],
        generation=fonts,
    )


def _make_fetcher(settings: Settings) -> Fetcher | None:
    """The fetcher of assets; None if no host is allowed, so that the HTTP client is not imported."""
    if not settings.asset_hosts:
        return None
    from previewops.worker.assets.fetch import WebFetcher  # noqa: PLC0415 - takes a tenth of a second to import

    return WebFetcher(settings.asset_hosts, settings.fetch_timeout_s)


def _make_bucket_fetcher(settings: Settings) -> BucketFetcher | None:
    """The fetcher of assets from buckets; None if no bucket is allowed."""
    buckets = settings.effective_asset_buckets
    return BucketFetcher(buckets) if buckets else None


def _webhook_loops(settings: Settings) -> list[BackgroundLoop]:
    """The loop that sends webhooks; none if no receiver is allowed.

    Raises:
        UsageError: there is no valid secret.
    """
    if not settings.sends_webhooks:
        return []
    from previewops.queue.queue import Queue  # noqa: PLC0415 - start-up time
    from previewops.queue.webhooks import Webhooks, read_webhook_secret  # noqa: PLC0415
    from previewops.worker.webhooks.delivery import Delivery  # noqa: PLC0415
    from previewops.worker.webhooks.sender import WebhookSender  # noqa: PLC0415

    delivery = Delivery(read_webhook_secret(settings), settings.webhook_url, settings.webhook_hosts)

    async def send(redis: Redis) -> None:
        webhooks, queue = Webhooks(redis, settings), Queue(redis, settings)
        all_jobs = settings.webhook_url is not None
        with closing(delivery):
            await WebhookSender(webhooks, queue, delivery, system_rng(), all_jobs=all_jobs).run()

    return [send]


async def _run(
    settings: Settings,
    redis_url: str,
    worker_id: str,
    burst: bool,
    render_pool: RenderPool,
    *,
    background: Sequence[BackgroundLoop],
    fonts: FontSources,
) -> None:
    pool = connection_pool(redis_url, role="worker")
    roots = tuple(root.resolve() for root in settings.effective_asset_roots(Path.cwd()))
    store = open_store(settings)
    caching = settings.cache_max_mb > 0
    cache = RenderCache(CacheStore(cache_dir(settings.data_dir)), DigestCache()) if caching else None
    monitor = StoreMonitor(store, SystemClock())
    themes = ThemeFolder(settings.themes)
    theme_monitor = ThemeMonitor(themes)
    jobs = RenderJobs(
        settings,
        render_pool,
        roots,
        store,
        fonts,
        _make_fetcher(settings),
        cache,
        buckets=_make_bucket_fetcher(settings),
        monitor=monitor,
        themes=themes,
    )
    alive = AliveFile(alive_prefix(settings.data_dir, settings.queue_name), Role.WORKER)
    notifier = SystemdNotifier(os.environ, alive=alive)
    worker = PreviewWorker(
        [func(jobs.render_preview, name=RENDER_FUNCTION)],
        settings=settings,
        pool=pool,
        worker_id=worker_id,
        burst=burst,
        on_startup=_make_startup_hook(settings, store, notifier),
        helper_pids=render_pool.all_pids,
        report_fields=lambda: {
            **render_pool.confinement_fields(),
            **monitor.report(),
            **theme_monitor.report(),
        },
        background=[*background, CacheEraser(settings, CacheStore(cache_dir(settings.data_dir))).run],
    )
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, worker.drain, signum)
    background_tasks = [
        asyncio.create_task(_feed_watchdog(notifier), name="watchdog"),
        asyncio.create_task(_sweep_periodically(worker.leases, settings, store), name="sweep"),
        asyncio.create_task(monitor.run(), name="store"),
        asyncio.create_task(theme_monitor.run(), name="themes"),
    ]
    try:
        await monitor.start()
        await theme_monitor.check()
        await _start(render_pool)
        log.info(
            "worker.configured",
            roots=[str(root) for root in roots],
            hosts=[str(host) for host in settings.asset_hosts],
            store=store.location,
            redis=redact_url(redis_url),
        )
        _log_confinement(render_pool)
        async with redis_errors(redis_url):
            await worker.main()
    finally:
        notifier.stopping("stopping")
        try:
            await worker.close()
        finally:
            await render_pool.close()
            await cancel_and_wait(background_tasks)
            notifier.close()


async def _start(render_pool: RenderPool) -> None:
    """Starts the render processes before the worker registers: a worker that cannot render takes no jobs."""
    try:
        await render_pool.start()
    except TaskImportError as error:
        if error.error_class not in (ImportError.__name__, ModuleNotFoundError.__name__):
            # Not for a missing module: the message names it.
            log.error("render.process-failed", exception=error.remote_traceback)
        raise StartupFailed(error.message, remedy=error.hint or REINSTALL) from error
    except JobError as error:
        raise PreviewopsError(error.message, hint=error.hint) from error


def _log_confinement(render_pool: RenderPool) -> None:
    """Logs how the render processes are confined, and which layers are missing, with the reasons."""
    confinement = render_pool.confinement
    if confinement.layers == (RESOURCE_LIMITS,):
        log.warning("sandbox.unavailable", by=confinement.describe())
    elif confinement.complete:
        log.info("sandbox.confined", by=confinement.describe())
    else:
        log.warning("sandbox.partial", by=confinement.describe())


def _make_startup_hook(settings: Settings, store: BundleStore, notifier: SystemdNotifier) -> StartupShutdown:
    async def start(ctx: dict[Any, Any]) -> None:
        await retry_until_connected(lambda: _warn_if_redis_evicts(ctx["redis"]), system_rng())
        await _sweep(ctx["leases"], settings, store)
        notifier.ready(f"working on queue {settings.queue_name}")

    return start


async def _feed_watchdog(notifier: SystemdNotifier) -> None:
    """Runs in the worker's own loop, so that systemd or a probe notices a hanging loop."""
    while True:
        notifier.feed_watchdog()
        await asyncio.sleep(notifier.feed_interval_s)


async def _sweep_periodically(leases: Leases, settings: Settings, store: BundleStore) -> None:
    """Sweeps once per job timeout: a long-lived worker would otherwise leave it to the next start."""
    while True:
        await asyncio.sleep(settings.job_timeout_s)
        try:
            await _sweep(leases, settings, store)
        except Exception as error:
            log.warning("sweep.failed", error=f"{type(error).__name__}: {error}")


async def _warn_if_redis_evicts(redis: Redis) -> None:
    """Logs a warning if Redis may evict jobs when memory is full. Some servers do not report the policy."""
    try:
        policy = (await redis.info("memory")).get("maxmemory_policy")
    except ResponseError:
        return
    if policy not in (None, "noeviction"):
        log.warning(
            "redis.eviction-enabled",
            found=policy,
            allowed="noeviction",
            hint="Redis can drop jobs: CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
        )


async def _sweep(leases: Leases, settings: Settings, store: BundleStore) -> None:
    """Removes leftovers of dead attempts from the staging folder, and what bundles in the store have replaced.

    Keeps the folders of active jobs, and those younger than the longest job: another queue may use this DATA_DIR.
    """
    active = await retry_until_connected(leases.active_attempts, system_rng())
    staging = settings.data_dir / STAGING_FOLDER
    live_after_s = time.time() - 2 * settings.job_timeout_s

    def is_live(name: str) -> bool:
        if name in active:
            return True
        try:
            return (staging / name).lstat().st_mtime > live_after_s
        except FileNotFoundError:  # it was published; only what it replaced is left
            return False

    try:
        removed = sweep_staging(settings.data_dir, is_live)
        if removed:
            log.info("staging.swept", folders=removed)
        evicted = await asyncio.to_thread(prune_cache, settings, time.time())
        if evicted:
            log.info("cache.pruned", entries=len(evicted))
    except OSError as error:
        log.warning("sweep.failed", error=str(error))
    try:
        swept = await asyncio.to_thread(store.sweep, time.time())
    except StoreUnavailable as error:
        log.warning("store.unavailable", reason=error.reason)
    else:
        if swept:
            log.info("store.swept", bundles=swept)
