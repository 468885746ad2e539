"""``previewops tui``: the terminal UI for operators."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_out
from previewops.cli.shared_options import SecondsRange, theme_option
from previewops.cli.terminal_check import check_terminal

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp
    from previewops.tui.data.live.connection import QueueConnection
    from previewops.tui.options import Options


DEFAULT_REFRESH_S = 1.0


@click.command(
    epilog="""\b
Examples:
  previewops tui
  previewops tui --read-only --refresh 5
  previewops tui --replay night.rec      replay a recording of `previewops record`
"""
)
@click.option("--read-only", is_flag=True, help="Disable all commands that change the queue.")
@click.option(
    "--refresh",
    metavar="S",
    type=SecondsRange(0.25, 60),
    help="Polling interval in seconds [1; replay 0.5]; + and - change it.",
)
@click.option(
    "--replay",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Replay a recording, read-only.",
)
@theme_option
@click.option("--keys", is_flag=True, help="List all keys with their ids for the settings file, and exit.")
@click.option("--leaving-stops", is_flag=True, hidden=True, help="Confirm before quitting, which stops `up`.")
@pass_context
def tui(
    context: Context,
    *,
    read_only: bool,
    refresh: float | None,
    replay: Path | None,
    theme: str | None,
    keys: bool,
    leaving_stops: bool,
) -> int:
    """Monitor and manage the queue, also over SSH.

    PREVIEW_ENV is shown in the title, in red for production. NO_COLOR disables colours. PREVIEW_IMAGES selects
    how previews are drawn: auto (the default), blocks, kitty, sixel or off.
    """
    if keys:
        return _list_keys()
    check_terminal(os.environ, sys.stdin, sys.stderr)
    # Milliseconds that Textual waits after an escape for the rest of a key sequence. The default, 100, is noticeable.
    os.environ.setdefault("ESCDELAY", "25")
    options = _base_options(theme, refresh)
    if replay is not None:
        return _run(_recorded(replay, options, refresh))
    return _run(*_live(context, options, read_only=read_only, leaving_stops=leaving_stops))


def _base_options(theme: str | None, refresh_s: float | None) -> Options:
    """Options of every screen: those of the command line, then those of the settings file."""
    from previewops.tui.options import Options
    from previewops.tui.preferences.locations import saved_filters_path, settings_path
    from previewops.tui.preferences.saved_filters import SavedFilters
    from previewops.tui.preferences.settings_file import format_notes, read_settings_file
    from previewops.tui.terminal.capabilities import select_theme

    path = settings_path(os.environ)
    preferences, problems = read_settings_file(path)
    return Options(
        queue_name="",
        interval_s=refresh_s or preferences.refresh_s or DEFAULT_REFRESH_S,
        theme=select_theme(theme or preferences.theme, os.environ),
        columns=preferences.columns,
        keys=preferences.keys,
        local_time=preferences.local_time,
        mouse=preferences.mouse,
        saved_filters=SavedFilters(preferences.filters, saved_filters_path(os.environ)),
        notes=format_notes(path, problems),
    )


def _list_keys() -> int:
    """Prints ids, keys and meanings, and what is wrong with the settings file."""
    from previewops.formatting import format_table
    from previewops.tui.preferences.keys import format_key_table
    from previewops.tui.preferences.locations import settings_path
    from previewops.tui.preferences.settings_file import read_settings_file

    path = settings_path(os.environ)
    preferences, problems = read_settings_file(path)
    for line in format_table(
        ("ID", "KEYS (DEFAULT)", "ACTION"), format_key_table(preferences.keys), flexible="ACTION"
    ):
        print_out(line)
    for problem in problems:
        print_err(f"note: {path}: ignored: {problem}")
    return 0


def _live(
    context: Context, options: Options, *, read_only: bool, leaving_stops: bool
) -> tuple[OperatorApp, QueueConnection]:
    from previewops.health import parse_thresholds
    from previewops.tui.app import OperatorApp
    from previewops.tui.commands.commands import ReadOnlyExecutor
    from previewops.tui.data.live.connection import QueueConnection
    from previewops.tui.data.live.executor import LiveExecutor
    from previewops.tui.data.live.source import LiveSource
    from previewops.tui.terminal.capabilities import detect_image_mode, is_image_mode_forced
    from previewops.tui.terminal.graphics import prepare_graphics

    settings = context.settings
    missing = context.missing_default_queue()
    if missing:
        print_err(f"note: read-only: {missing}")
        read_only = True
    link = QueueConnection(context.redis_url(), settings, who=context.operator)
    source, executor = LiveSource(link), LiveExecutor(link)
    options = replace(
        options,
        queue_name=settings.queue_name,
        environment=os.environ.get("PREVIEW_ENV", ""),
        read_only=read_only,
        images=prepare_graphics(detect_image_mode(os.environ), forced=is_image_mode_forced(os.environ)),
        thresholds=parse_thresholds(os.environ),
        heartbeat_ms=settings.heartbeat_ms,
        leaving="Workers and Redis on this machine will stop." if leaving_stops else "",
    )
    commands = ReadOnlyExecutor(executor) if read_only else executor
    return OperatorApp(source, commands, options, health_source=source), link


def _recorded(path: Path, options: Options, refresh_s: float | None) -> OperatorApp:
    from previewops.recording.reader import read_header
    from previewops.tui.replay_app import DEFAULT_INTERVAL_S, ReplayApp

    queue_name = read_header(path).queue
    interval_s = refresh_s or DEFAULT_INTERVAL_S
    return ReplayApp(path, replace(options, queue_name=queue_name, read_only=True, interval_s=interval_s))


def _run(app: OperatorApp, link: QueueConnection | None = None) -> int:
    """Runs the app, then closes ``link`` in the event loop of its connections."""

    async def run() -> int | None:
        try:
            return await app.run_async(mouse=app.options.mouse)
        finally:
            if link is not None:
                await link.aclose()

    status = asyncio.run(run())
    if app.failure is not None:
        raise app.failure
    return status or 0
