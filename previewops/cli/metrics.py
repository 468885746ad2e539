"""``previewops metrics``: prints Prometheus metrics once."""

from __future__ import annotations

from pathlib import Path

import click

from previewops.atomic_files import write_text_atomically
from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_out
from previewops.errors import RedisUnavailable


@click.command(
    epilog="""\b
Examples:
  previewops metrics
  previewops metrics --textfile node_exporter/previewops.prom
"""
)
@click.option(
    "--textfile",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to PATH atomically instead of printing.",
)
@click.option(
    "--legacy-names",
    is_flag=True,
    help="Also the predecessor's names of metrics; docs/migrate.md lists them.",
)
@pass_context
def metrics(context: Context, textfile: Path | None, *, legacy_names: bool) -> None:
    """Print the queue's metrics in the Prometheus text format.

    --textfile writes a file for the textfile collector of node_exporter, which reads names ending in .prom. If
    Redis is unavailable, preview_redis_up is 0 and the exit code is 69.
    """
    from previewops.disclosure import redact_url
    from previewops.metrics import collect, render_exposition

    result = context.call(lambda queue: collect(queue.redis, context.settings))
    text = render_exposition(result, context.settings, legacy_names=legacy_names).decode()
    if textfile is None:
        print_out(text.removesuffix("\n"))
    else:
        write_text_atomically(textfile, text)
    if result.metrics is None:
        raise RedisUnavailable(redact_url(context.redis_url()), result.reason)
