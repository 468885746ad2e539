"""The screen in a real terminal, with a real Redis and real workers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.fault.cluster import Gate, payload
from tests.redis_server import RedisProcess
from tests.terminal import needs_tmux
from tests.tui.terminal_session import TerminalSession, open_session

pytestmark = [needs_tmux, pytest.mark.redis, pytest.mark.slow]


@pytest.fixture
async def session(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> AsyncIterator[TerminalSession]:
    async with open_session(redis_process, tmp_path) as opened:
        yield opened


async def test_an_operator_at_work(session: TerminalSession, tmp_path: Path) -> None:
    cluster, server = session.cluster, session.server
    screen = session.open_screen()
    await screen.shows("STAGING", "no workers")

    # The depth rises while a gate holds the only worker's job, and falls when it is opened.
    gate = Gate(tmp_path / "gate")
    await cluster.submit(payload("held", gate=str(gate.path)))
    await cluster.start_workers(1)
    await gate.arrival()
    await cluster.submit(*(payload(f"job-{number}", gate=str(gate.path)) for number in range(12)))
    await screen.shows("1 worker", "2 of 2 slots busy", "11")

    # Pause: running jobs continue, no job is claimed.
    screen.press("p")
    await screen.shows("Pause the queue")
    screen.type("deploying")
    screen.press("Enter")
    await screen.shows("paused", ": deploying")
    gate.remove()
    gate.open()
    await screen.shows("0 of 2 slots busy")
    assert (await cluster.snapshot()).pause_reason == "deploying"
    screen.press("p")
    await screen.shows("Resume the queue", "deploying")
    screen.press("Enter")
    await screen.shows("healthy")
    await cluster.drained()
    await screen.shows("completed 13")

    # Redis stops and starts again: the last view stays.
    server.kill()
    await screen.shows("STALE", "connection lost", "completed 13")
    server.start()
    await screen.hides("STALE")
    await screen.shows("healthy")

    # Three jobs die of one cause; it is fixed, and the group is requeued.
    cause = tmp_path / "cause"
    cause.touch()
    await cluster.submit(*(payload(f"bad-{number}", raises_while=str(cause)) for number in range(3)))
    await screen.shows("3 dead letters")
    screen.press("4")
    await screen.shows("3 dead letters, 1 group", "the cause is not fixed")
    cause.unlink()
    screen.press("r")
    await screen.shows("Requeue 3")
    screen.press("Tab", "Enter")
    await screen.shows("requeued 3, skipped 0")
    await cluster.drained()
    await screen.shows("no dead letters")

    screen.press("q")
    assert await screen.end() == 0
    assert (await cluster.judge()).counters["completed"] == 16


async def test_a_screen_that_is_terminated_leaves_the_terminal_as_it_was(
    session: TerminalSession,
) -> None:
    screen = session.open_screen()
    await screen.shows("no workers")
    os.kill(screen.pid, 15)
    assert await screen.end() == 0
    assert "no workers" not in screen.text(), "the alternate screen is gone"


async def test_keys_that_arrive_together_are_handled_in_order(session: TerminalSession) -> None:
    screen = session.open_screen()
    await screen.shows("no workers", "Pause")
    screen.press_at_once("p", "r", "Enter", "Escape")
    await screen.shows("‖ PAUSED")
    for keys in (("?", "Escape", "Escape"), (":", "Escape", "Escape"), (":", "Enter", "Enter", "Escape")):
        screen.press_at_once(*keys, "F12", "z")  # F12: Escape followed by a character would be one key
        await screen.shows("DISPLAY FROZEN", "Latest events")
        screen.press("z")
        await screen.hides("DISPLAY FROZEN")
    assert await screen.leave() == 0
