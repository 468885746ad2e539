"""``previewops tui``: the terminal UI for operators."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_out
from previewops.cli.shared_options import SecondsRange, theme_option
from previewops.cli.terminal_check import check_terminal
from previewops.errors import UsageError

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp
    from previewops.tui.options import Options
    from previewops.tui.preferences.contexts import ContextSettings
    from previewops.tui.preferences.model import Preferences


DEFAULT_REFRESH_S = 1.0


@click.command(
    epilog="""\b
Examples:
  previewops tui
  previewops tui --read-only --refresh 5
  previewops tui --context production    a queue of the settings file
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
@click.option("--context", "name", metavar="NAME", help="Open this context of the settings file.")
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
    name: str | None,
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
    preferences, problems = _read_settings()
    options = _base_options(preferences, problems, theme, refresh)
    if replay is not None:
        return _run(_recorded(replay, options, refresh))
    contexts = preferences.contexts
    return _run(
        _live(context, options, contexts, name=name or "", read_only=read_only, leaving_stops=leaving_stops)
    )


def _read_settings() -> tuple[Preferences, tuple[str, ...]]:
    from previewops.tui.preferences.locations import settings_path
    from previewops.tui.preferences.settings_file import read_settings_file

    return read_settings_file(settings_path(os.environ))


def _base_options(
    preferences: Preferences, problems: Sequence[str], theme: str | None, refresh_s: float | None
) -> Options:
    """Options of every screen: those of the command line, then those of the settings file."""
    from previewops.tui.options import Options
    from previewops.tui.preferences.locations import saved_filters_path, settings_path
    from previewops.tui.preferences.saved_filters import SavedFilters
    from previewops.tui.preferences.settings_file import format_notes
    from previewops.tui.terminal.capabilities import select_theme

    return Options(
        queue_name="",
        interval_s=refresh_s or preferences.refresh_s or DEFAULT_REFRESH_S,
        theme=select_theme(theme or preferences.theme, os.environ),
        columns=preferences.columns,
        keys=preferences.keys,
        local_time=preferences.local_time,
        mouse=preferences.mouse,
        saved_filters=SavedFilters(preferences.filters, saved_filters_path(os.environ)),
        notes=format_notes(settings_path(os.environ), problems),
    )


def _list_keys() -> int:
    """Prints ids, keys and meanings, and what is wrong with the settings file."""
    from previewops.formatting import format_table
    from previewops.tui.preferences.keys import format_key_table
    from previewops.tui.preferences.locations import settings_path

    path = settings_path(os.environ)
    preferences, problems = _read_settings()
    for line in format_table(
        ("ID", "KEYS (DEFAULT)", "ACTION"), format_key_table(preferences.keys), flexible="ACTION"
    ):
        print_out(line)
    for problem in problems:
        print_err(f"note: {path}: ignored: {problem}")
    return 0


def _live(
    context: Context,
    options: Options,
    contexts: Mapping[str, ContextSettings],
    *,
    name: str,
    read_only: bool,
    leaving_stops: bool,
) -> OperatorApp:
    from previewops.health import parse_thresholds
    from previewops.tui.app import OperatorApp
    from previewops.tui.data.live.opening import LiveQueues
    from previewops.tui.protocols import QueueChoice
    from previewops.tui.terminal.capabilities import detect_image_mode, is_image_mode_forced
    from previewops.tui.terminal.graphics import prepare_graphics

    if name and (context.redis_option is not None or "PREVIEW_QUEUE_NAME" in context.env_overrides):
        raise UsageError("found --context with --redis-url or --queue, allowed one of them")
    missing = "" if name else context.missing_default_queue()
    if missing:
        print_err(f"note: read-only: {missing}")
    opener = LiveQueues(
        {**os.environ, **context.env_overrides},
        context.redis_url(),
        context.operator,
        read_only=read_only,
        base_read_only=bool(missing),
        contexts_by_name=contexts,
    )
    queue = opener.open(QueueChoice(name, ""))
    options = replace(
        options,
        queue_name=queue.queue_name,
        address=queue.address,
        context=queue.context,
        environment=queue.environment,
        read_only=queue.read_only,
        images=prepare_graphics(detect_image_mode(os.environ), forced=is_image_mode_forced(os.environ)),
        thresholds=parse_thresholds(os.environ),
        heartbeat_ms=queue.heartbeat_ms,
        leaving="Workers and Redis on this machine will stop." if leaving_stops else "",
    )
    app = OperatorApp(
        queue.source, queue.executor, options, health_source=queue.health_source, queue_opener=opener
    )
    app.close_queue = queue.close
    return app


def _recorded(path: Path, options: Options, refresh_s: float | None) -> OperatorApp:
    from previewops.recording.reader import read_header
    from previewops.tui.replay_app import DEFAULT_INTERVAL_S, ReplayApp

    queue_name = read_header(path).queue
    interval_s = refresh_s or DEFAULT_INTERVAL_S
    return ReplayApp(path, replace(options, queue_name=queue_name, read_only=True, interval_s=interval_s))


def _run(app: OperatorApp) -> int:
    """Runs the app, then closes its queue in the event loop of its connections."""

    async def run() -> int | None:
        try:
            return await app.run_async(mouse=app.options.mouse)
        finally:
            await app.close_queue()

    status = asyncio.run(run())
    if app.failure is not None:
        raise app.failure
    return status or 0
