"""``previewops up``: workers, Redis and the TUI on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import click

from previewops.cli.context import Context, open_redis, pass_context
from previewops.cli.deferred_output import DeferredOutput
from previewops.cli.output import print_status
from previewops.cli.shared_options import theme_option
from previewops.cli.supervise import default_worker_count
from previewops.cli.terminal_check import can_show_screen
from previewops.disclosure import redact_url
from previewops.errors import PreviewopsError, RedisUnavailable
from previewops.formatting import pluralize
from previewops.process.inherited_signals import add_hangup_handler
from previewops.queue.queue import Queue
from previewops.redis_server.connection import redis_errors
from previewops.settings import Settings
from previewops.snapshot.fleet import WorkerCountRange
from previewops.snapshot.model import Snapshot
from previewops.snapshot.reader import SnapshotReader
from previewops.supervisor.environment import Launch, worker_environment
from previewops.supervisor.events import ControlRequest
from previewops.supervisor.lock import LOG_FOLDER, own_folder
from previewops.supervisor.loop import Supervisor
from previewops.tasks import cancel_and_wait

REPORT_INTERVAL_S = 1.0
DEMO_SUMMARY_TIMEOUT_S = 0.5

StopRequests = asyncio.Queue[signal.Signals]


@click.command(
    epilog="""\b
Examples:
  previewops up --demo        render the Nine Men's Morris samples, then exit
  previewops up               run until you quit; submit from elsewhere
  previewops up --workers 4
"""
)
@click.option("--demo", is_flag=True, help="Submit sample jobs; without the TUI, exit when they have ended.")
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Number of worker processes [enough for every processor]."
)
@click.option("--no-tui", is_flag=True, help="Print status lines instead of showing the TUI.")
@theme_option
@pass_context
def up(context: Context, demo: bool, workers: int | None, no_tui: bool, theme: str | None) -> None:
    """Run workers on this machine, a private Redis if none is configured, and the TUI if there is a terminal.

    Redis is the server of --redis-url or REDIS_URL. Without either, a private server starts; it keeps its data
    under DATA_DIR and listens only on a socket there. Ctrl-C drains the workers and stops everything that was
    started; a second Ctrl-C releases running jobs at once. Quitting the TUI stops everything too.
    """
    terminal = (
        sys.stdout is not None and sys.stdout.isatty() and can_show_screen(os.environ, sys.stdin, sys.stderr)
    )
    options = UpOptions(demo=demo, tui=terminal and not no_tui, theme=theme)
    asyncio.run(_up(context, options, count=workers or default_worker_count(context.settings)))


@dataclass(frozen=True, slots=True)
class UpOptions:
    """Options of ``up`` beside the number of workers."""

    demo: bool
    tui: bool
    theme: str | None


async def _up(context: Context, options: UpOptions, *, count: int) -> None:
    from previewops.queue.start_check import check_queue
    from previewops.supervisor.factory import build_supervisor

    settings = context.settings
    stop = _stop_requests()
    output = DeferredOutput()
    async with _redis(context, output) as url, open_redis(url, role="up") as redis:
        launch = Launch(settings, worker_environment(os.environ, settings, url))
        bounds = WorkerCountRange(count, count)
        await check_queue(redis, settings)
        async with build_supervisor(
            launch,
            url,
            bounds=bounds,
            log_action=lambda _, message: output.print(message),
            reload=lambda: launch,
        ) as supervisor:
            print_status(
                f"previewops: {pluralize(count, 'worker')} of {settings.worker_concurrency} jobs each"
                f" on queue {settings.queue_name}\n"
                f"  Redis     {redact_url(url)}\n"
                f"  bundles   {settings.store or settings.data_dir / 'previews'}\n"
                f"  logs      {own_folder(settings, LOG_FOLDER)}"
            )
            foreground = _foreground(context, options, url, Queue(redis, settings), output)
            await _supervise(supervisor, foreground, settings, stop, output)


def _stop_requests() -> StopRequests:
    """Returns a queue of received SIGINT, SIGTERM and SIGHUP."""
    requests: StopRequests = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, requests.put_nowait, signum)
    add_hangup_handler(loop, requests.put_nowait, signal.SIGHUP)
    return requests


@asynccontextmanager
async def _redis(context: Context, output: DeferredOutput) -> AsyncIterator[str]:
    """Yields the address of the configured server, or of a private server that runs until the end of the block.

    Raises:
        EmbeddedUnavailable: the private server cannot be started, or did not run at the end.
    """
    if context.redis_option is not None or context.settings.redis_url is not None:
        yield context.redis_url()
        return
    from previewops.cli.redis_keeper import RedisKeeper
    from previewops.redis_server.embedded import EmbeddedRedis

    async with EmbeddedRedis(context.settings.data_dir) as server:
        version = await server.version()
        if version is not None:
            output.print(f"Redis server: {version.describe()}")
        keeper = RedisKeeper(server, context.settings, output.print)
        keeping = asyncio.create_task(keeper.run())
        try:
            yield server.url
        finally:
            await cancel_and_wait([keeping])
        if keeper.failure is not None:
            raise keeper.failure


async def _foreground(
    context: Context, options: UpOptions, url: str, queue: Queue, output: DeferredOutput
) -> None:
    """Runs the foreground part: TUI, demo or status lines. `up` stops when it ends."""
    from previewops.cli.demo import run_demo, run_demo_in_background

    if not options.tui:
        await (run_demo(queue, context.settings) if options.demo else _report(queue, url))
        return
    from previewops.cli.tui_process import run_tui_process

    demo = (
        asyncio.create_task(run_demo_in_background(queue, context.settings, output)) if options.demo else None
    )
    try:
        quit_by_user = await run_tui_process(context, url, theme=options.theme, output=output)
    finally:
        if demo is not None:
            # Let a demo that has just ended print its summary.
            await asyncio.wait({demo}, timeout=DEMO_SUMMARY_TIMEOUT_S)
            await cancel_and_wait([demo])
    if not quit_by_user:
        await _report(queue, url)


async def _supervise(
    supervisor: Supervisor,
    foreground_work: Coroutine[Any, Any, None],
    settings: Settings,
    stop: StopRequests,
    output: DeferredOutput,
) -> None:
    """Supervises until a signal arrives, all workers are fatal, or ``foreground_work`` has ended."""
    supervising = asyncio.create_task(supervisor.run())
    stop_requested = asyncio.create_task(stop.get())
    all_fatal = asyncio.create_task(supervisor.all_fatal.wait())
    foreground = asyncio.create_task(foreground_work)
    fatal: dict[int, str] = {}
    try:
        await asyncio.wait(
            {supervising, stop_requested, all_fatal, foreground}, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        fatal = supervisor.fatal
        supervisor.request(ControlRequest.STOP)
        await cancel_and_wait([stop_requested, all_fatal, foreground])
        await _drained(supervisor, supervising, stop, output)
    if foreground.done() and not foreground.cancelled():
        foreground.result()
    if fatal:
        raise PreviewopsError(
            "; ".join(f"worker {slot} is not restarted: {reason}" for slot, reason in fatal.items()),
            hint=f"see its log in {own_folder(settings, LOG_FOLDER)}",
        )


async def _drained(
    supervisor: Supervisor, supervising: asyncio.Task[None], stop: StopRequests, output: DeferredOutput
) -> None:
    """Waits until the workers have ended; forwards further stop signals."""
    if sys.stdout.isatty() and not supervising.done():  # explain the wait to a person
        output.print("draining the workers; Ctrl-C releases running jobs at once")
    while not supervising.done():
        stop_again = asyncio.create_task(stop.get())
        await asyncio.wait({supervising, stop_again}, return_when=asyncio.FIRST_COMPLETED)
        if stop_again.done():
            supervisor.request(ControlRequest.STOP)
        else:
            stop_again.cancel()
    await supervising


async def _report(queue: Queue, url: str) -> None:
    """Shows the queue's state whenever it changes: in place in a terminal, as lines elsewhere."""
    snapshots = SnapshotReader(queue.redis, queue.settings)
    shown = ""
    with _state_line() as show:
        while True:
            try:
                async with redis_errors(url):
                    line = _state_text(await snapshots.read())
            except RedisUnavailable as error:
                line = error.message  # the workers wait for Redis too
            if line != shown:
                show(line)
                shown = line
            await asyncio.sleep(REPORT_INTERVAL_S)


@contextmanager
def _state_line() -> Iterator[Callable[[str], None]]:
    if not sys.stdout.isatty():
        yield print_status
        return
    from rich.console import Console
    from rich.text import Text

    with Console().status("") as status:
        yield lambda line: status.update(Text(line))


def _state_text(snapshot: Snapshot) -> str:
    return (
        f"{'paused  ' if snapshot.paused else ''}waiting {sum(snapshot.waiting.values())}"
        f"  delayed {snapshot.delayed}  active {snapshot.active}"
        f"  completed {snapshot.counters['completed']}  dead {snapshot.dead}"
    )
