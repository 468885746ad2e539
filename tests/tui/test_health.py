"""The health screen: result, checks, figures and the data-loss alarm."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Button

from previewops.health import Check, Health, Status, unknown_health
from previewops.queue.webhook_messages import WebhookList, WebhookMessage
from previewops.snapshot.history import History
from previewops.snapshot.model import Snapshot
from previewops.snapshot.silences import Silence
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import (
    AcknowledgeDataLoss,
    EndSilence,
    ResendWebhooks,
    SilenceCheck,
)
from previewops.tui.data.health_poller import BACKGROUND_INTERVAL_S
from previewops.tui.screens.dialogs.confirm import ConfirmDialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.screens.dialogs.silence import SilenceDialog
from previewops.tui.screens.health.screen import HealthScreen
from previewops.tui.screens.text_viewer import TextViewer
from previewops.tui.viewmodel.health.webhooks import LISTED
from previewops.tui.widgets.block_list import BlockList
from tests.tui import scenes
from tests.tui.screen_support import (
    FakeExecutor,
    FakeSource,
    ManualClock,
    make_app,
    renew,
    screen_text,
    shown,
    until,
)

SIZE = (120, 40)


def judged(**changes: object) -> FakeSource:
    return replace(FakeSource(verdict=scenes.FULL_HEALTH), **changes)  # type: ignore[arg-type]


async def opened(pilot: Pilot[int], app: OperatorApp) -> None:
    await pilot.press("7")
    await until(pilot, lambda: isinstance(app.screen, HealthScreen) and bool(app.screen.query("#checks")))
    await until(pilot, lambda: app.view.health is not None or app.view.connection_loss is not None)
    await until(pilot, lambda: bool(verdict(app)))


def verdict(app: OperatorApp) -> str:
    return shown(app.screen.query_one("#verdict"))


def checks(app: OperatorApp) -> str:
    return shown(app.screen.query_one("#checks"))


def keys(app: OperatorApp) -> str:
    return shown(app.screen.query_one("#keys"))


@pytest.mark.parametrize(("size", "wide"), [((80, 24), False), ((120, 40), False), ((200, 60), True)])
async def test_result_checks_advice_and_figures(size: tuple[int, int], wide: bool) -> None:
    app = make_app(judged())
    async with app.run_test(size=size) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "CRITICAL: the queue needs help now" in verdict(app))
        await until(pilot, lambda: "oldest-waiting" in checks(app))
        assert checks(app).index("→ `previewops stats`; add workers") < checks(app).index("dead-letters")
        assert "waiting" in shown(app.screen.query_one("#figures"))
        left, right = (
            app.screen.query_one("#checks-panel").region,
            app.screen.query_one("#figures-panel").region,
        )
        assert (right.x > left.x, right.y > left.y) == (wide, not wide)


async def test_the_cursor_goes_through_the_checks_and_scrolls() -> None:
    app = make_app(judged())
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        reading = app.screen.query_one("#checks", BlockList)
        await until(pilot, lambda: reading.max_scroll_y > 0)
        assert reading.has_focus
        assert reading.cursor_key == "oldest-waiting"
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: reading.cursor_key == "disk")
        await pilot.press("k", "k", "k", "k")
        await until(pilot, lambda: reading.cursor_key == "oldest-waiting")
        await pilot.press("G")
        await until(pilot, lambda: reading.cursor_key == "paused")
        assert reading.scroll_y == reading.max_scroll_y
        await pilot.press("pageup", "g")
        await until(pilot, lambda: reading.scroll_y == 0)
        await pilot.press("pagedown")
        await until(pilot, lambda: reading.scroll_y > 0)
        await pilot.click("#checks", offset=(3, 1))
        await until(pilot, lambda: reading.cursor_key not in ("oldest-waiting", "paused"))


async def test_a_check_higher_than_the_panel_is_scrolled_through_line_by_line() -> None:
    health = Health((Check("depth", Status.WARNING, "word " * 400), Check("workers", Status.OK, "4")))
    app = make_app(judged(verdict=health))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        reading = app.screen.query_one("#checks", BlockList)
        await until(pilot, lambda: reading.max_scroll_y > 2)
        await pilot.press("j", "j", "k")
        await until(pilot, lambda: reading.scroll_y == 1)
        assert reading.cursor_key == "depth"


async def test_a_check_is_silenced_for_a_time_up_to_a_level_and_for_a_reason() -> None:
    executor = FakeExecutor()
    app = make_app(judged(), executor)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "Silence" in keys(app))
        assert "Unsilence" not in keys(app)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, SilenceDialog))
        assert "a job has waited 6 min 52 s" in screen_text(app)
        await pilot.press("ctrl+u", *"40d", "enter", "enter", "enter")  # duration, level, reason
        await until(pilot, lambda: "found '40d', allowed 30m, 2h or 1d" in screen_text(app))
        await pilot.press("ctrl+u", *"30m", "enter", "enter", "enter")
        await until(pilot, lambda: "Enter a reason." in screen_text(app))
        await pilot.press(*"known", "enter")
        await until(
            pilot,
            lambda: executor.commands == [SilenceCheck("oldest-waiting", 1_800_000, "critical", "known")],
        )


async def test_a_silence_is_shown_and_ended() -> None:
    silence = Silence("disk", scenes.NOW_MS + 3_600_000, "critical", "ada@ops", "a large import")
    snapshot = replace(scenes.BUSY, silences=(silence,))
    (disk,) = (check for check in scenes.FULL_HEALTH.checks if check.name == "disk")
    executor = FakeExecutor()
    app = make_app(judged(snapshot=snapshot, verdict=Health((disk,))), executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "UTC (1 h 0 min left): a large import" in " ".join(checks(app).split()))
        assert "Unsilence" in keys(app)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        await pilot.press(*"over", "enter")
        await until(pilot, lambda: executor.commands == [EndSilence("disk", "over")])


async def test_a_result_about_the_connection_cannot_be_silenced() -> None:
    app = make_app(judged(verdict=unknown_health("no idea")))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "no idea" in checks(app))
        await pilot.press("s")
        assert isinstance(app.screen, HealthScreen)
        assert "Silence" not in keys(app)


async def test_no_result_yet() -> None:
    app = make_app(FakeSource(down=True))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await until(
            pilot,
            lambda: "connection lost" in verdict(app) and "no server listens at this" in verdict(app),
        )
        assert "no results yet" in checks(app)


async def test_a_lost_connection_keeps_the_last_result_and_marks_it() -> None:
    source = judged()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "CRITICAL" in verdict(app))
        source.down = True
        app.poller.poll_now()
        await until(pilot, lambda: "connection lost" in verdict(app))
        assert "from before that" in verdict(app)
        assert "CRITICAL" in verdict(app)
        assert "oldest-waiting" in checks(app)
        source.down = False
        app.poller.poll_now()
        await until(pilot, lambda: "connection lost" not in verdict(app))


async def test_lost_data_is_acknowledged_after_a_question_and_only_while_it_alarms() -> None:
    executor, source = FakeExecutor(), judged()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("a")
        assert isinstance(app.screen, HealthScreen)
        assert "Acknowledge" not in keys(app)
        await renew(pilot, app, source, scenes.LOST)
        await until(pilot, lambda: "Acknowledge" in keys(app))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("enter")  # on Cancel
        await until(pilot, lambda: isinstance(app.screen, HealthScreen))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        app.screen.query_one("#confirm", Button).press()
        await until(pilot, lambda: executor.commands == [AcknowledgeDataLoss()])


async def test_a_read_only_screen_neither_acknowledges_nor_silences() -> None:
    executor = FakeExecutor()
    app = make_app(judged(snapshot=scenes.LOST), executor, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("a", "s", "u")
        assert isinstance(app.screen, HealthScreen)
        assert "Acknowledge" not in keys(app)
        assert "Silence" not in keys(app)
        assert executor.commands == []


def with_webhooks(failed: int, waiting: int) -> FakeSource:
    def messages(count: int, error: str) -> WebhookList:
        listed = tuple(
            WebhookMessage(
                f"msg_{n}", 3, f"lesson-{n}", "p", "dead", "https://app.example/x?key=1", 0, error=error
            )
            for n in range(min(count, LISTED))
        )
        return WebhookList(count, listed)

    check = Check("webhooks", Status.WARNING, "webhooks failed", "some failed")
    return FakeSource(
        verdict=replace(scenes.FULL_HEALTH, checks=(*scenes.FULL_HEALTH.checks, check)),
        failed_webhooks=messages(failed, "app.example responded with 410 Gone"),
        waiting_webhooks=messages(waiting, ""),
    )


def lines(app: OperatorApp) -> str:
    return shown(app.screen.query_one("#lines"))


async def test_failed_webhooks_are_listed_and_resent_after_a_question() -> None:
    executor = FakeExecutor()
    app = make_app(with_webhooks(12, 1), executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "Webhooks" in keys(app))
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await until(pilot, lambda: "1 to be sent" in lines(app))
        assert "12 failed for good" in lines(app)
        assert "lesson-9 dead, attempt 3, to https://app.example" in lines(app)
        assert "410 Gone" in lines(app)
        assert "and 2 more" in lines(app)
        assert "key=1" not in lines(app)
        app.screen.query_one("#confirm", Button).press()
        await until(pilot, lambda: executor.commands == [ResendWebhooks(12)])


@pytest.mark.parametrize(("failed", "read_only"), [(0, False), (2, True)])
async def test_webhooks_are_only_listed_where_none_can_be_resent(failed: int, read_only: bool) -> None:
    executor = FakeExecutor()
    app = make_app(with_webhooks(failed, 3), executor, read_only=read_only)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, TextViewer))
        await until(pilot, lambda: "3 to be sent" in lines(app))
        assert f"{failed} failed for good" in lines(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, HealthScreen))
        assert executor.commands == []


async def test_the_key_for_webhooks_exists_only_where_there_are_some() -> None:
    app = make_app(judged())
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("w")
        assert isinstance(app.screen, HealthScreen)
        assert "Webhooks" not in keys(app)


class SlowHealthSource(FakeSource):
    """Returns its result when the test allows it."""

    def __init__(self) -> None:
        super().__init__(verdict=scenes.FULL_HEALTH)
        self.requests = 0
        self.known = asyncio.Event()

    async def health(self, snapshot: Snapshot, history: History) -> Health:
        self.requests += 1
        await self.known.wait()
        return await super().health(snapshot, history)


async def test_a_slow_health_reading_is_awaited() -> None:
    source, clock = SlowHealthSource(), ManualClock()
    app = make_app(source, clock=clock)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("7")
        await until(pilot, lambda: source.requests == 1)
        for _ in range(3):
            clock.seconds += 2 * BACKGROUND_INTERVAL_S
            await renew(pilot, app, source, scenes.BUSY)
        assert source.requests == 1
        source.known.set()
        await until(pilot, lambda: app.view.health is not None)
        clock.seconds += 2 * BACKGROUND_INTERVAL_S
        await renew(pilot, app, source, scenes.BUSY)
        await until(pilot, lambda: source.requests == 2)
