"""``previewops up``: everything on this machine, Redis included."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import announce
from previewops.errors import PreviewopsError
from previewops.settings import Settings

if TYPE_CHECKING:
    from previewops.embedded import EmbeddedRedis
    from previewops.fleet import Fleet
    from previewops.queue import Queue
    from previewops.snapshot import Snapshot

KILL_AFTER_S = 5
"""How long after the drain deadline a worker may take to end before it is killed."""

REPORT_EVERY_S = 1.0

StopRequests = asyncio.Queue[signal.Signals]


@click.command(
    epilog="""\b
Examples:
  previewops up --demo        render a lesson in Nine Men's Morris, and end
  previewops up               run until Ctrl-C; submit from elsewhere
  previewops up --workers 4
"""
)
@click.option("--demo", is_flag=True, help="Submit the demo's jobs, and end when all have ended.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes [enough for every processor].")
@pass_context
def up(context: Context, demo: bool, workers: int | None) -> None:
    """Run workers on this machine, and Redis if none is configured.

    Redis is the server of --redis-url or REDIS_URL; else a private one is started that keeps its data under
    DATA_DIR, and listens on a socket there and nowhere else. Ctrl-C drains the workers, and stops all that was
    started; a second Ctrl-C gives running jobs back at once.
    """
    asyncio.run(_up(context, demo=demo, count=workers or _default_workers(context.settings)))


def _default_workers(settings: Settings) -> int:
    return max(1, -(-(os.cpu_count() or 1) // settings.worker_concurrency))


async def _up(context: Context, *, demo: bool, count: int) -> None:
    from previewops.connection import connect, redact, redis_errors
    from previewops.fleet import Fleet
    from previewops.lease import Leases
    from previewops.queue import Queue

    settings = context.settings
    stop = _stop_requests()
    async with _redis(context) as url, redis_errors(url):
        redis = connect(url, role="up")
        try:
            await redis.ping()
            fleet = Fleet(
                count=count,
                environ=_worker_environment(settings, url),
                leases=Leases(redis, settings, "up"),
                log_folder=settings.data_dir / "logs",
                tell=announce,
            )
            announce(
                f"previewops: {count} worker{'s' if count > 1 else ''} of {settings.worker_concurrency} jobs each"
                f" on queue {settings.queue_name}\n"
                f"  Redis     {redact(url)}\n"
                f"  bundles   {settings.data_dir / 'previews'}\n"
                f"  logs      {settings.data_dir / 'logs'}"
            )
            await _work(fleet, Queue(redis, settings), settings, stop, demo=demo)
        finally:
            await redis.aclose()


def _stop_requests() -> StopRequests:
    """SIGINT, SIGTERM and SIGHUP as they come. The handlers do nothing but queue them."""
    requests: StopRequests = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, requests.put_nowait, signum)
    return requests


def _worker_environment(settings: Settings, url: str) -> dict[str, str]:
    """What the workers have to be told so that they see the settings of this process."""
    return {
        **os.environ,
        "REDIS_URL": url,
        "PREVIEW_QUEUE_NAME": settings.queue_name,
        "DATA_DIR": str(settings.data_dir.resolve()),
    }


@asynccontextmanager
async def _redis(context: Context) -> AsyncIterator[str]:
    """The address of the configured server, or of a private one that is kept running meanwhile."""
    if context.redis_option is not None or context.settings.redis_url is not None:
        yield context.redis_url()
        return
    from previewops.embedded import EmbeddedRedis

    async with EmbeddedRedis(context.settings.data_dir) as server:
        keeper = asyncio.create_task(_keep_running(server))
        try:
            yield server.url
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)


async def _keep_running(server: EmbeddedRedis) -> None:
    while server.owned:
        status = await server.wait()
        announce(f"Redis ended with status {status}; it starts again")
        await server.start()


async def _work(fleet: Fleet, queue: Queue, settings: Settings, stop: StopRequests, *, demo: bool) -> None:
    """Runs the fleet until it is asked to stop, nothing is left of it, or the demo is over."""
    fleet.start()
    asked = asyncio.create_task(stop.get())
    fallen = asyncio.create_task(fleet.wait())
    busy = asyncio.create_task(_demo(queue, settings) if demo else _report(queue))
    try:
        await asyncio.wait({asked, fallen, busy}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (asked, busy):
            if not task.done():
                task.cancel()
        await _stop(fleet, settings, stop)
        await asyncio.gather(asked, fallen, busy, return_exceptions=True)
    if busy.done() and not busy.cancelled():
        busy.result()
    if fleet.abandoned:
        raise PreviewopsError(
            "; ".join(f"worker {place} stays down: {reason}" for place, reason in fleet.abandoned.items()),
            hint=f"its log is in {settings.data_dir / 'logs'}",
        )


async def _stop(fleet: Fleet, settings: Settings, stop: StopRequests) -> None:
    stopping = asyncio.create_task(fleet.stop(settings.drain_timeout_s + KILL_AFTER_S))
    while not stopping.done():
        again = asyncio.create_task(stop.get())
        await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
        if again.done():
            fleet.hurry()
        else:
            again.cancel()
    await stopping


async def _demo(queue: Queue, settings: Settings) -> None:
    from previewops.cli.demo import run_demo

    await run_demo(queue, settings)


async def _report(queue: Queue) -> None:
    """Says how the queue is whenever that has changed: in one place in a terminal, line by line elsewhere."""
    from previewops.snapshot import Snapshots

    snapshots = Snapshots(queue.redis, queue.settings)
    told = ""
    with _state_line() as show:
        while True:
            line = _in_words(await snapshots.take())
            if line != told:
                show(line)
                told = line
            await asyncio.sleep(REPORT_EVERY_S)


@contextmanager
def _state_line() -> Iterator[Callable[[str], None]]:
    if not sys.stdout.isatty():
        yield announce
        return
    from rich.console import Console
    from rich.text import Text

    with Console().status("") as status:
        yield lambda line: status.update(Text(line))


def _in_words(snapshot: Snapshot) -> str:
    return (
        f"{'paused  ' if snapshot.paused else ''}waiting {sum(snapshot.waiting.values())}"
        f"  delayed {snapshot.delayed}  active {snapshot.active}"
        f"  completed {snapshot.counters['completed']}  dead {snapshot.dead}"
    )
