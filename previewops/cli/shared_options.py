"""``--theme``: the colours of the screen."""

from __future__ import annotations

import click

theme_option = click.option(
    "--theme", type=click.Choice(["dark", "light", "16"]), help="Colours of the screen; else by the terminal."
)
