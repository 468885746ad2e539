"""The screen in a real terminal over a very deep queue: what an operator looks for is found, and acted on.

PREVIEWOPS_DEEP_JOBS=1000000 runs it over a million waiting jobs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from previewops.queue.keys import Keys
from previewops.queue.queue import Queue
from previewops.redis_server.connection import connect
from previewops.snapshot.event_log import EventLog
from previewops.states import JobState
from tests.deep_queue import add_events, fill_waiting
from tests.redis_server import RedisProcess
from tests.terminal import needs_tmux
from tests.tui.terminal_session import open_session

pytestmark = [needs_tmux, pytest.mark.redis, pytest.mark.slow]

JOBS = int(os.environ.get("PREVIEWOPS_DEEP_JOBS", "50000"))
MATCHING = JOBS // 100
LONG_S = 600.0
"""Patience in seconds for what takes longer the deeper the queue is."""


@pytest.mark.timeout(1_800)
async def test_an_operator_at_a_deep_queue(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    async with open_session(redis_process, tmp_path, persistent=False) as session:
        settings = session.cluster.settings
        keys, redis = Keys(settings.queue_name), connect(session.server.url, role="test")
        queue = Queue(redis, settings)
        await fill_waiting(redis, keys, JOBS)
        await queue.pause(who="ada@ops", reason="new disks")
        await queue.resume(who="ada@ops")
        await add_events(redis, keys, 10_000)
        screen = session.open_screen()
        await screen.shows("no workers")

        # A job by its id, however deep it is.
        middle = JOBS // 2
        screen.press(":")
        await screen.shows("Search for an action, or for a job by id")
        screen.type(f"card-{middle}")
        await screen.shows(f"Open job card-{middle}")
        screen.press("Enter")
        await screen.shows("waiting for a worker", f'"title": "Card {middle}"')

        # All jobs that match, over all pages.
        screen.press("2")
        await screen.shows("jobs 1-200")
        screen.press("/")
        await screen.shows("esc clears it")
        screen.type("project:=project-7")
        screen.press("Enter")
        await screen.shows("active filter: project:=project-7", "200 found among")
        screen.press("A")
        await screen.shows(f"all {MATCHING:,} that match selected", within_s=LONG_S)
        screen.press("x")
        await screen.shows(f"Cancel {MATCHING:,} jobs", "Filter: project:=project-7", "card-7,")
        screen.type("cancel jobs")
        screen.press("Enter")
        await screen.shows(f"cancelled {MATCHING:,}, skipped 0", within_s=LONG_S)
        assert await redis.zcard(keys.cancelled) == MATCHING
        assert (await queue.status(f"card-{middle + 7}")).state is JobState.CANCELLED
        assert (await queue.status(f"card-{middle + 8}")).state is JobState.WAITING

        # An alarm that is known.
        screen.press("7")
        await screen.shows("no worker")
        screen.press("s")
        await screen.shows("Silence workers", "for how long")
        screen.press("Enter", "Enter")
        screen.type("new disks")
        screen.press("Enter")
        await screen.shows("workers is silenced up to critical")

        # What an operator did ten thousand events ago.
        screen.press("6")
        await screen.shows("retry")
        assert "ada@ops" not in screen.text()
        screen.press("o")
        await screen.shows("paused", "by ada@ops: new disks")
        assert await screen.leave() == 0

        page = await EventLog(redis, settings).page(operators=True, before=None, limit=9)
        assert [event.kind for event in page.events] == ["silenced", "cancelled", "resumed", "paused"]
        await redis.aclose()
