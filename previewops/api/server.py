"""API server process: sockets, signals, start and shutdown."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

import previewops.contract.schema_check
import previewops.contract.schema_validation  # noqa: F401 - both imported early, so that no request waits for them
from previewops.api.accept_loop import AcceptLoop
from previewops.api.app import build_app, build_error_app, build_routes
from previewops.api.auth import AccessPolicy
from previewops.api.backend import CONNECT_TIMEOUT_S, REDIS_PERMITS, SOCKET_TIMEOUT_S, ApiBackend
from previewops.api.bounded_protocol import BoundedProtocol
from previewops.api.client_address import ClientAddresses
from previewops.api.connection_limits import RESERVED_CONNECTIONS, ConnectionLimits
from previewops.api.cors import CorsPolicy
from previewops.api.errors import TokenRequired
from previewops.api.job_watcher import JobWatcher
from previewops.api.sockets import bind_sockets, is_loopback, resolve_addresses
from previewops.api.token_files import open_tokens_file
from previewops.clock import SystemClock
from previewops.disclosure import redact_url
from previewops.errors import ForeignKey, RedisUnavailable, StoreUnavailable
from previewops.health import Thresholds
from previewops.process.alive import AliveFile, Role, alive_prefix
from previewops.process.sd_notify import SystemdNotifier
from previewops.queue.start_check import check_queue
from previewops.redis_server.connection import connect, redis_errors
from previewops.settings import Settings

SWITCH_INTERVAL_S = 0.001
"""Time in seconds for which the thread of validations keeps the event loop waiting, each time that it runs."""

SHUTDOWN_S = 20
"""Time in seconds that open requests have after SIGTERM."""

KEEP_ALIVE_S = 10
_TICKS_PER_SECOND = 10
_OTHER_OPEN_FILES = 256

log = structlog.get_logger()


def run_api(
    settings: Settings, thresholds: Thresholds, *, redis_url: str, host: str, port: int, legacy: bool = False
) -> None:
    """Serves until SIGTERM or SIGINT, then closes event streams and finishes open requests.

    ``thresholds`` are those of the health checks. ``legacy`` adds the paths of the predecessor.

    Raises:
        TokenRequired: other machines can reach ``host``, and no token is set.
        ListenError: the address cannot be bound.
    """
    resolved = resolve_addresses(host, port)
    loopback = is_loopback(resolved)
    if not loopback and settings.api_token is None and settings.api_tokens_file is None:
        raise TokenRequired(host)
    sockets = bind_sockets(host, port, resolved)
    try:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        _raise_file_limit(settings.api_connections)
        access = AccessPolicy.from_settings(settings, loopback=loopback, named=open_tokens_file(settings))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, redis_url, access, thresholds, sockets, legacy=legacy))
    finally:
        for bound in sockets:
            bound.close()


def _raise_file_limit(connections: int) -> None:
    """Raises the limit of open files; its default of 1024 on most machines limits connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVED_CONNECTIONS + _OTHER_OPEN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        new_soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # above the limit, connections wait to be accepted
            resource.setrlimit(resource.RLIMIT_NOFILE, (new_soft, hard))


async def _serve(
    settings: Settings,
    redis_url: str,
    access: AccessPolicy,
    thresholds: Thresholds,
    sockets: list[socket.socket],
    *,
    legacy: bool,
) -> None:
    redis = connect(
        redis_url,
        role="api",
        connect_timeout_s=CONNECT_TIMEOUT_S,
        socket_timeout_s=SOCKET_TIMEOUT_S,
        max_connections=REDIS_PERMITS * 2,
    )
    backend = ApiBackend(
        redis, redis_url, settings, working_dir=Path.cwd(), default_operator=f"api@{socket.gethostname()}"
    )
    backend.store.connect()
    if settings.store is None:
        # Health then detects a DATA_DIR that is not the one of the workers.
        with suppress(StoreUnavailable):
            backend.store.identify(create=True)
    clients = ClientAddresses(settings.api_proxies)
    streams, connections = settings.api_streams, settings.api_connections
    watcher = JobWatcher(backend, max_listeners=streams, per_holder=settings.api_share(streams))
    limits: ConnectionLimits[BoundedProtocol] = ConnectionLimits(
        connections, settings.api_share(connections), clients.is_shared
    )
    clock = SystemClock()
    app = build_app(
        build_routes(backend, watcher, thresholds, clients=clients, legacy=legacy),
        access,
        clients=clients,
        rate=settings.api_rate,
        connections_per_token=settings.api_share(connections),
        clock=clock,
        new_id=_generate_request_id,
        signer=backend.signer,
        cors=CorsPolicy(frozenset(settings.api_origins)),
    )
    protocol = partial(
        BoundedProtocol,
        limits=limits,
        client_timeout_s=settings.api_client_timeout_s,
        build_error_app=partial(build_error_app, clients=clients, clock=clock, new_id=_generate_request_id),
    )
    alive = AliveFile(alive_prefix(settings.data_dir, settings.queue_name), Role.API)
    notifier = SystemdNotifier(os.environ, alive=alive)
    try:
        with suppress(
            RedisUnavailable, ForeignKey
        ):  # they may pass while the API serves; a newer layout does not
            async with redis_errors(redis_url):
                await check_queue(redis, settings)
        addresses = [f"http://{_format_address(bound)}" for bound in sockets]
        log.info("api.started", addresses=addresses, queue=settings.queue_name, redis=redact_url(redis_url))
        await _Server(_build_config(app, protocol), sockets, notifier, watcher.closing.set).serve()
        log.info("api.stopped")
    finally:
        notifier.close()
        await watcher.aclose()
        await backend.submit_batcher.wait_until_idle()
        backend.close()
        await redis.aclose()


def _generate_request_id() -> str:
    return uuid.uuid4().hex


def _build_config(app: ASGIApp, protocol: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        log_level="critical",  # the middleware logs, with request ids
        access_log=False,
        proxy_headers=False,  # clients can forge X-Forwarded-For
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


class _Server(uvicorn.Server):
    """uvicorn server with its own accept loop and signal handlers; it exits with 0 after a signal.

    It notifies systemd. ``on_stop`` is called when shutdown begins.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket.socket],
        notifier: SystemdNotifier,
        on_stop: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._acceptor = AcceptLoop(asyncio.get_running_loop(), sockets, self._build_protocol)
        self._notifier = notifier
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        self._acceptor.start()
        self._notifier.ready("serving")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._acceptor.stop()
        await super().shutdown(sockets)

    def _build_protocol(self) -> asyncio.Protocol:
        protocol_class: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = protocol_class(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_SECOND == 0:
            self._notifier.feed_watchdog()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop)
        yield

    def _stop(self) -> None:
        self._notifier.stopping("ending")
        self.force_exit = self.should_exit
        self.should_exit = True
        self._on_stop()


def _format_address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
