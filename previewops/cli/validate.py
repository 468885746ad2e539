"""``previewops validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from previewops.cli.context import Context, json_option, pass_context
from previewops.cli.output import print_json, print_out
from previewops.cli.payload_files import EXIT_HELP, ParsedPayload, read_payloads, worst_exit_code
from previewops.errors import InvalidPayload, PreviewopsError

if TYPE_CHECKING:
    from previewops.contract import Payload


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
@click.option("--jsonl", "lines", is_flag=True, help="Read every FILE as JSON Lines, one job per line.")
@json_option
@pass_context
def validate(context: Context, files: tuple[str, ...], lines: bool, as_json: bool) -> int:
    """Report every violation in payloads: its pointer, the value found and the values allowed.

    FILE "-" is standard input. Nothing is submitted, and Redis is not used. --json prints one object per payload,
    on one line.
    """
    from previewops.contract import AssetPolicy, explain
    from previewops.contract import validate as check

    policy = AssetPolicy(context.settings.effective_asset_roots(Path.cwd()), context.settings.asset_hosts)

    def verdict(document: ParsedPayload) -> Payload | PreviewopsError:
        if document.error is not None:
            return document.error
        try:
            return check(document.payload, policy=policy, source=document.source)
        except InvalidPayload as error:
            return error

    codes = []
    for document in read_payloads(files, lines=lines):
        found = verdict(document)
        codes.append(found.exit_code if isinstance(found, PreviewopsError) else 0)
        if as_json:
            print_json(_as_json(document.source, found), indent=None)
        elif isinstance(found, InvalidPayload):
            print_out(explain(found))
        elif isinstance(found, PreviewopsError):
            print_out(found.message)
        else:
            print_out(f"{document.source}: valid (job {found.job_id})")
    if len(codes) > 1 and not as_json:
        print_out(f"{codes.count(0)} valid, {len(codes) - codes.count(0)} invalid")
    return worst_exit_code(codes)


def _as_json(source: str, found: Payload | PreviewopsError) -> dict[str, Any]:
    if isinstance(found, PreviewopsError):
        return {"source": source, "valid": False, **found.as_json()}
    return {"source": source, "valid": True, "jobId": found.job_id}
