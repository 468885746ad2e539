"""Switches a running screen to another queue. Nothing of the old queue stays: neither rows nor marks nor filters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual.screen import Screen

from previewops.errors import PreviewopsError
from previewops.tui.keymap import SCREENS, key_of
from previewops.tui.protocols import OpenQueue, QueueChoice

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp

_BETWEEN = "between"
"""Mode of the empty screen that is shown while the others are replaced."""


class CommandUnderWay(PreviewopsError):
    """A command runs, whose progress would be lost from sight."""

    code = "command-under-way"

    def __init__(self) -> None:
        super().__init__(
            "a command is running on this queue",
            hint=f"wait until it has ended, or press {key_of('cancel_command')} to cancel it",
        )


async def switch_queue(app: OperatorApp, choice: QueueChoice) -> None:
    """Shows another queue on the screen that is visible now.

    Raises:
        PreviewopsError: a command is running, or the queue's settings are invalid. The screen is unchanged.
    """
    if app.command_runner.is_running:
        raise CommandUnderWay
    assert app.queue_opener is not None
    opened = app.queue_opener.open(choice)
    for group in app.READING_GROUPS:
        app.workers.cancel_group(app, group)
    close, app.close_queue = app.close_queue, opened.close
    _connect(app, opened)
    await _replace_screens(app)
    app.run_poller()
    await close()


def _connect(app: OperatorApp, opened: OpenQueue) -> None:
    app.options = replace(
        app.options,
        queue_name=opened.queue_name,
        address=opened.address,
        context=opened.context,
        environment=opened.environment,
        read_only=opened.read_only,
        heartbeat_ms=opened.heartbeat_ms,
        local_time=app.view.local_time,
    )
    app.job_id = ""
    app.opened_from = "jobs"
    app.connect(opened.source, opened.executor, opened.health_source, interval_s=app.poller.interval_s)


async def _replace_screens(app: OperatorApp) -> None:
    """Removes the screens with all that they know, and shows a new one of the same kind."""
    mode = app.current_mode
    app.add_mode(_BETWEEN, Screen)
    await app.switch_mode(_BETWEEN)
    for name, _ in SCREENS:
        await app.remove_mode(name)
        app.add_mode(name, partial(app.make_screen, name))
    await app.switch_mode(mode)
    await app.remove_mode(_BETWEEN)
