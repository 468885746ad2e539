"""``previewops worker``: runs one worker process in the foreground."""

from __future__ import annotations

from dataclasses import replace

import click

from previewops.cli.context import Context, pass_context


@click.command(
    epilog="""\b
Examples:
  previewops worker
  previewops worker --concurrency 4
  previewops worker --burst          exit when the queue is empty
"""
)
@click.option(
    "--concurrency", type=click.IntRange(1, 256), help="Concurrent jobs [PREVIEW_WORKER_CONCURRENCY]."
)
@click.option("--burst", is_flag=True, help="Exit when no job is pending.")
@click.option("--name", help="Worker id, unique in the fleet. For supervisors.", hidden=True)
@pass_context
def worker(context: Context, concurrency: int | None, burst: bool, name: str | None) -> None:
    """Claim and render jobs until SIGTERM or Ctrl-C.

    The first SIGTERM drains: no new claims, and running jobs have PREVIEW_DRAIN_TIMEOUT_S to end. The rest is
    released without counting an attempt. A second SIGTERM releases all jobs at once.
    """
    from previewops.logs.setup import configure_logging
    from previewops.worker.main import run_worker

    settings = context.settings
    if concurrency is not None:
        settings = replace(settings, worker_concurrency=concurrency)
    configure_logging(settings, verbose=context.verbose)
    run_worker(settings, redis_url=context.redis_url(), worker_id=name, burst=burst)
