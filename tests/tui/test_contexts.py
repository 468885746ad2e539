"""Contexts and queues: the screen switches between them, and commands go to the queue that is shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from previewops.errors import UsageError
from previewops.queue.keys import Keys
from previewops.queue.queue import Queue
from previewops.queue.queue_search import find_queues
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import Pause, ReadOnlyExecutor
from previewops.tui.data.live.opening import LiveQueues
from previewops.tui.data.poller import SnapshotArrived
from previewops.tui.options import Options
from previewops.tui.preferences.contexts import ContextSettings
from previewops.tui.protocols import OpenQueue, QueueChoice
from tests.queue_support import payload
from tests.tui import scenes
from tests.tui.screen_support import FakeExecutor, FakeSource, ManualClock, make_app, screen_text, until

SIZE = (120, 40)


@dataclass
class FakeQueues:
    """A ``QueueOpener`` over made-up queues."""

    contexts: tuple[QueueChoice, ...] = (
        QueueChoice("", "preview-jobs", "here:6379/0"),
        QueueChoice("prod", "previews", "db1:6379/0", "production"),
    )
    source: FakeSource = field(default_factory=lambda: FakeSource(scenes.IDLE, queue_names=("previews",)))
    executor: FakeExecutor = field(default_factory=FakeExecutor)
    opened: list[QueueChoice] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def open(self, choice: QueueChoice) -> OpenQueue:
        self.opened.append(choice)
        if choice.context == "broken":
            raise UsageError("context: found 'broken'")

        async def close() -> None:
            self.closed.append(choice.context)

        production = choice.context == "prod"
        return OpenQueue(
            source=self.source,
            executor=self.executor,
            health_source=self.source,
            close=close,
            context=choice.context,
            queue_name=choice.queue or "previews",
            address="db1:6379/0",
            environment="production" if production else "",
            read_only=False,
            heartbeat_ms=1_000,
        )


def two_queues() -> tuple[OperatorApp, FakeSource, FakeExecutor, FakeQueues]:
    source, executor, queues = FakeSource(), FakeExecutor(), FakeQueues()
    options = Options(queue_name="preview-jobs", address="here:6379/0")
    app = OperatorApp(
        source, executor, options, health_source=source, clock=ManualClock(), queue_opener=queues
    )
    return app, source, executor, queues


async def test_the_screen_switches_and_commands_go_to_the_shown_queue() -> None:
    app, source, executor, queues = two_queues()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "1,204" in screen_text(app))
        assert "preview-jobs on here:6379/0" in screen_text(app).splitlines()[0]
        await pilot.press("2", "slash", *"project:kids", "enter", "minus")
        await until(pilot, lambda: "active filter" in screen_text(app))
        before = app.screen
        await pilot.press("at")
        await until(pilot, lambda: "Queues and contexts" in screen_text(app))
        for part in ("(command line)", "preview-jobs on here:6379/0", "prod", "PRODUCTION", "trial-jobs"):
            assert part in screen_text(app)
        await pilot.press("k", "enter")
        await until(pilot, lambda: "previews on db1:6379/0" in screen_text(app).splitlines()[0])
        assert queues.opened == [QueueChoice("prod", "previews", "db1:6379/0", "production")]
        await until(pilot, lambda: "PRODUCTION" in screen_text(app).splitlines()[0])
        assert app.current_mode == "jobs", "the same screen of the other queue"
        assert app.screen is not before
        assert "active filter" not in screen_text(app)
        assert app.poller.interval_s == 2.0
        polls = len(source.snapshot_queries)
        await pilot.press("p")
        await until(pilot, lambda: "Pause the queue" in screen_text(app))
        await pilot.press(*"disk", "enter")
        await until(pilot, lambda: queues.executor.commands == [Pause("disk")])
        assert executor.commands == []
        assert len(source.snapshot_queries) == polls, "the old queue is not read any more"
        await pilot.press("1", "colon")
        await pilot.pause()
        await pilot.press(*"contextprod")
        await until(pilot, lambda: "Switch to context prod" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: queues.closed == ["prod"])
    assert len(queues.opened) == 2


async def test_snapshots_of_the_queue_before_are_dropped() -> None:
    app, _, _, _ = two_queues()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "1,204" in screen_text(app))
        old = app.poller
        await pilot.press("at")
        await until(pilot, lambda: "Queues and contexts" in screen_text(app))
        await pilot.press("j", "enter")
        await until(pilot, lambda: app.poller is not old and app.view.snapshot is not None)
        assert app.view.queue_name == "trial-jobs"
        app.on_snapshot_arrived(SnapshotArrived(replace(scenes.BUSY, dead=77), old))
        assert app.view.snapshot.dead != 77
        app.on_snapshot_arrived(SnapshotArrived(replace(scenes.BUSY, dead=78), app.poller))
        assert app.view.snapshot.dead == 78


async def test_what_cannot_be_opened_leaves_the_screen_as_it_is() -> None:
    app, source, _, queues = two_queues()
    queues.contexts = (*queues.contexts[:1], QueueChoice("broken", "x", "nowhere"))
    source.fault = RuntimeError("SCAN is not permitted")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "1,204" in screen_text(app))
        await pilot.press("at")
        await until(pilot, lambda: "SCAN is not permitted" in screen_text(app))
        await pilot.press("k", "enter")
        await until(pilot, lambda: "found 'broken'" in screen_text(app))
        assert "here:6379/0" in screen_text(app).splitlines()[0]
    plain = make_app()
    async with plain.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: plain.view.snapshot is not None)
        await pilot.press("at")
        assert plain.screen is plain.front_screen, "there is nothing to switch to"


# -- a real server --------------------------------------------------------------------------------------


@pytest.fixture
async def redis(redis_url: str) -> Redis:
    client = connect(redis_url, role="test")
    yield client
    await client.aclose()


@pytest.mark.redis
async def test_queues_are_found_by_their_keys_in_a_bounded_search(redis: Redis, tmp_path: Path) -> None:
    for name in ("previews", "other.queue"):
        settings = Settings(queue_name=name, data_dir=tmp_path)
        await Queue(redis, settings).submit_many([payload(f"meta-{number}") for number in range(30)])
    await redis.hset("not:a:queue:meta", "a", "b")
    await redis.set("text:meta", "a")
    found = await find_queues(redis)
    assert found.names == ("other.queue", "previews")
    assert found.complete
    partly = await find_queues(redis, max_calls=1, count=1)
    assert not partly.complete


@pytest.mark.redis
async def test_contexts_open_their_own_queue_and_record_there(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    async def progress(_done: int, _total: int) -> None: ...

    environ = {"PREVIEW_QUEUE_NAME": "previews", "DATA_DIR": str(tmp_path), "PREVIEW_ENV": "staging"}
    contexts = {
        "here": ContextSettings(queue="second"),
        "prod": ContextSettings(redis_url=redis_url, queue="third", environment="production", read_only=True),
    }
    queues = LiveQueues(environ, redis_url, "ada@ops", contexts_by_name=contexts)
    assert [choice.context for choice in queues.contexts] == ["", "here", "prod"]
    base, here, prod = (queues.open(QueueChoice(name, "")) for name in ("", "here", "prod"))
    other = queues.open(QueueChoice("here", "fourth"))
    assert [queue.queue_name for queue in (base, here, prod, other)] == [
        "previews",
        "second",
        "third",
        "fourth",
    ]
    assert [queue.environment for queue in (base, here, prod)] == ["staging", "staging", "production"]
    assert "://" not in prod.address
    assert isinstance(prod.executor, ReadOnlyExecutor)
    await here.executor.execute(Pause("disks"), progress)
    assert await redis.hget(Keys("second").meta, "pausedBy") or await redis.exists(Keys("second").actions)
    assert not await redis.exists(Keys("previews").actions, Keys("third").actions)
    with pytest.raises(UsageError, match="here, prod"):
        queues.open(QueueChoice("gone", ""))
    for queue in (base, here, prod, other):
        await queue.close()


def test_the_password_of_one_server_is_not_sent_to_another(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    environ = {"REDIS_URL": "redis://a:1/0", "PREVIEW_REDIS_PASSWORD_FILE": str(secret)}
    queues = LiveQueues(
        environ, "redis://a:1/0", "ada", contexts_by_name={"b": ContextSettings(redis_url="redis://b:1/0")}
    )
    opened = queues.open(QueueChoice("b", ""))
    settings = opened.source._settings  # type: ignore[attr-defined]
    assert settings.redis_password_file is None
    assert settings.redis_url is None
