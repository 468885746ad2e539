"""``previewops api``: runs the REST API in the foreground."""

from __future__ import annotations

import os

import click

from previewops.cli.context import Context, pass_context

DEFAULT_PORT = 8080


@click.command(
    epilog="""\b
Examples:
  previewops api
  previewops api --port 9000
  PREVIEW_API_TOKEN=... previewops api --host 0.0.0.0
  previewops api --legacy-routes

\b
Signals: SIGTERM and SIGINT close event streams, finish open requests and
exit. A second signal exits at once.
"""
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on. 0 picks a free port and logs it.",
)
@click.option(
    "--legacy-routes",
    is_flag=True,
    help="Also serve the predecessor's paths and names of metrics; docs/migrate.md lists them.",
)
@pass_context
def api(context: Context, *, host: str, port: int, legacy_routes: bool) -> None:
    """Serve the queue over HTTP: submit jobs, read status, download bundles, manage the queue.

    GET /openapi.json describes the API. A non-loopback address requires PREVIEW_API_TOKEN; clients send it as a
    bearer token.
    """
    from previewops.api.server import run_api
    from previewops.api.token_files import with_tokens_from_files
    from previewops.health import parse_thresholds
    from previewops.logs.setup import configure_logging

    settings, redis_url = with_tokens_from_files(context.settings), context.redis_url()
    configure_logging(settings, verbose=context.verbose)
    run_api(
        settings,
        parse_thresholds(os.environ),
        redis_url=redis_url,
        host=host,
        port=port,
        legacy=legacy_routes,
    )
