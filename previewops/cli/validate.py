"""``previewops validate``."""

from __future__ import annotations

from typing import Any

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_json, print_out
from previewops.cli.payload_files import EXIT_HELP, read_payloads, worst_exit_code
from previewops.cli.shared_options import json_option, jsonl_option
from previewops.contract import explain
from previewops.errors import InvalidPayload, PreviewopsError


@click.command(
    epilog="""\b
Examples:
  previewops validate job.json
  previewops validate jobs.jsonl --json
  generate-jobs | previewops validate --jsonl -

"""
    + EXIT_HELP
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@jsonl_option
@json_option
@pass_context
def validate(context: Context, files: tuple[str, ...], lines: bool, as_json: bool) -> int:
    """Report every violation in payloads: its pointer, the value found and the values allowed.

    FILE "-" is standard input. Nothing is submitted, and Redis is not used. --json prints one object per payload,
    on one line.
    """
    policy = context.asset_policy()
    codes = []
    for parsed in read_payloads(files, lines=lines):
        result: dict[str, Any] = {"source": parsed.source, "valid": True}
        try:
            result["jobId"] = parsed.validate(policy).job_id
            text = [f"{parsed.source}: valid (job {result['jobId']})"]
            codes.append(0)
        except PreviewopsError as error:
            result |= {"valid": False, **error.as_json()}
            text = explain(error) if isinstance(error, InvalidPayload) else [error.message]
            codes.append(error.exit_code)
        if as_json:
            print_json(result, indent=None)
        else:
            print_out(text)
    if len(codes) > 1 and not as_json:
        print_out(f"{codes.count(0)} valid, {len(codes) - codes.count(0)} invalid")
    return worst_exit_code(codes)
