"""``previewops token``: named tokens of the REST API."""

from __future__ import annotations

from pathlib import Path

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.shared_options import json_option
from previewops.errors import UsageError


@click.group(
    epilog="""\b
Examples:
  previewops token new lessons-app --scope submit --scope read --project lessons
  previewops token list /etc/previewops/tokens.toml
"""
)
def token() -> None:
    """Create a named token of the REST API, or list those of a file."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(["submit", "read", "operate"]),
    help="What the token permits; repeatable.",
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    required=True,
    metavar="ID",
    help="Its projectId; repeatable. '*' stands for all projects.",
)
@click.option(
    "--rate", type=click.IntRange(0), default=0, help="Requests per second; default: no limit of its own."
)
@click.option(
    "--queue", type=click.IntRange(0), default=0, help="Pending jobs of its projects; default: no limit."
)
@json_option
def new(
    name: str, *, scopes: tuple[str, ...], projects: tuple[str, ...], rate: int, queue: int, as_json: bool
) -> None:
    """Print a new token, and its line for PREVIEW_API_TOKENS_FILE. The token is not stored: it is shown only now."""
    from previewops.api.named_tokens import TokensInvalid, create_token, format_entry

    secret = create_token()
    try:
        line = format_entry(secret, name, scopes=scopes, projects=projects, rate=rate, queue=queue)
    except TokensInvalid as error:
        raise UsageError(str(error)) from None
    if as_json:
        print_json({"name": name, "token": secret, "line": line})
        return
    print_out(secret)
    print_err("Give the line above to the client. Add this line to PREVIEW_API_TOKENS_FILE:")
    print_out(line)


@token.command(name="list")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@json_option
@pass_context
def list_(context: Context, *, file: Path | None, as_json: bool) -> None:
    """List the tokens of FILE, by default of PREVIEW_API_TOKENS_FILE. Reports what is wrong with it."""
    from previewops.api.named_tokens import TokensInvalid
    from previewops.api.token_files import read_tokens

    path = file or context.settings.api_tokens_file
    if path is None:
        raise UsageError(
            "FILE: found nothing, allowed a path", hint="name it, or set PREVIEW_API_TOKENS_FILE"
        )
    try:
        tokens = read_tokens(path)
    except TokensInvalid as error:
        raise UsageError(f"the file {path} cannot be used: {error}") from None
    rows = [caller.as_json() for _, caller in tokens.callers.values()]
    if as_json:
        print_json({"tokens": rows})
        return
    for row in rows:
        limits = "".join(f"  {field} {row[field]}" for field in ("rate", "queue") if row[field])
        print_out(f"{row['name']}  {','.join(row['scopes'])}  {','.join(row['projects'])}{limits}")
