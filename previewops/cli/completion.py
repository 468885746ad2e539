"""``previewops completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from previewops.cli.output import print_out


@click.command(
    epilog="""\b
Examples:
  previewops completion bash > ~/.local/share/bash-completion/completions/previewops
  previewops completion zsh > "${fpath[1]}/_previewops"
  previewops completion fish > ~/.config/fish/completions/previewops.fish
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the shell completion script for previewops."""
    from previewops.cli.program import COMPLETION_VARIABLE, PROGRAM

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, PROGRAM, COMPLETION_VARIABLE)
    # Not source(): it runs the shell to check its version, and that shell may not be installed here.
    print_out(script.source_template % script.source_vars())
