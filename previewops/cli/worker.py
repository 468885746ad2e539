"""``previewops worker``: one worker process in the foreground."""

from __future__ import annotations

from dataclasses import replace

import click

from previewops.cli.context import Context, pass_context


@click.command(
    epilog="""\b
Examples:
  previewops worker
  previewops worker --concurrency 4
  previewops worker --burst          until the queue is empty, then exit
"""
)
@click.option(
    "--concurrency", type=click.IntRange(1, 256), help="Jobs at a time [PREVIEW_WORKER_CONCURRENCY]."
)
@click.option("--burst", is_flag=True, help="Exit when nothing is pending.")
@click.option("--name", help="Worker id; it has to be unique in the fleet. For supervisors.", hidden=True)
@pass_context
def worker(context: Context, concurrency: int | None, burst: bool, name: str | None) -> None:
    """Take jobs from the queue and render them, until SIGTERM or Ctrl-C.

    A first SIGTERM drains: no new jobs, running ones end within PREVIEW_DRAIN_TIMEOUT_S, the rest goes back
    to the queue without an attempt spent. A second one gives everything back at once.
    """
    from previewops.logs.setup import configure_logging
    from previewops.worker.main import run_worker

    settings = context.settings
    if concurrency is not None:
        settings = replace(settings, worker_concurrency=concurrency)
    configure_logging(settings, verbose=context.verbose)
    run_worker(settings, redis_url=context.redis_url(), worker_id=name, burst=burst)
