"""Options that several commands share."""

from __future__ import annotations

import click

theme_option = click.option(
    "--theme", type=click.Choice(["dark", "light", "16"]), help="Colours of the TUI. Default: by terminal."
)
