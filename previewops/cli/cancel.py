"""``previewops cancel``."""

from __future__ import annotations

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_out
from previewops.cli.shared_options import reason_option


@click.command(
    epilog="""\b
Examples:
  previewops cancel lesson-1
  previewops cancel lesson-1 --reason "wrong pictures"
"""
)
@click.argument("job_id", metavar="JOB")
@reason_option
@pass_context
def cancel(context: Context, job_id: str, reason: str) -> None:
    """Cancel a waiting, delayed or active job. A running render is killed within two seconds."""
    before = context.change(lambda queue: queue.cancel(job_id, who=context.operator, reason=reason))
    print_out(f"cancelled {job_id}; it was {before.value}")
