"""A recording in the screens: any position, in both directions, read-only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from previewops.clock import iso_from_ms
from previewops.health import Health, Status
from previewops.recording.errors import NotARecording, RecordingBroken
from previewops.recording.format import Frame, Gap
from previewops.snapshot.history import History, Period
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import Pause
from previewops.tui.data.replay.source import ReplaySource
from previewops.tui.key_action import action_name
from previewops.tui.keymap import GLOBAL, REPLAY
from previewops.tui.options import Options
from previewops.tui.protocols import JobQuery, NotRecorded
from previewops.tui.replay_app import ReplayApp
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.state.queue_view import QueueView, ReplayPosition
from previewops.tui.viewmodel.bars import format_clock_line, format_title_line
from previewops.tui.viewmodel.spans import plain_text
from previewops.tui.widgets.grid import Grid
from tests.recording_support import SimulatedQueue, each_second, write_recording
from tests.tui import scenes
from tests.tui.screen_support import ManualClock, make_app, screen_text, until

LENGTH_S = 400
KEY_NAMES = {" ": "space", "-": "minus", ":": "colon"}


class Night:
    """A recording, and the true snapshots every ten seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hours = SimulatedQueue(pace=4.0)
        self.begun = self.hours.now_ms
        self.truth: dict[int, Frame] = {}
        write_recording(path, self._frames())

    def _frames(self) -> Iterator[Frame]:
        for frame in each_second(self.hours, LENGTH_S):
            if (frame.at_ms - self.begun) % 10_000 == 0:
                self.truth[frame.at_ms] = self.hours.take_frame(full_history=True)
            yield frame


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return Night(tmp_path_factory.mktemp("night") / "night.rec")


@asynccontextmanager
async def replayed(
    path: Path, clock: ManualClock, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[ReplayApp, Pilot[int]]]:
    """The screen over a recording after its first snapshot."""
    app = ReplayApp(path, Options("preview-jobs", read_only=True, interval_s=0.25), clock=clock)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: where(app).opened == 1 and app.view.replay is not None)
        await until(pilot, lambda: app.view.snapshot is not None or app.view.connection_loss is not None)
        yield app, pilot


def passes(app: OperatorApp, clock: ManualClock, seconds: float) -> None:
    """Lets time pass, and shows the next snapshot at once."""
    clock.seconds += seconds
    app.poller.poll_now()


def where(app: OperatorApp) -> ReplayPosition:
    playhead = app.display_state.live.replay
    assert playhead is not None
    return playhead


def now_ms(app: OperatorApp) -> int:
    snapshot = app.view.snapshot
    return snapshot.now_ms if snapshot is not None else 0


def charts(history: History, at_ms: int) -> list[object]:
    return [history.columns(period, 50, at_ms) for period in Period]


async def test_seeking_is_right_in_either_direction(night: Night) -> None:
    clock = ManualClock()
    async with replayed(night.path, clock) as (app, pilot):
        assert now_ms(app) == night.begun
        for key, lands_s in (
            ("full_stop", 10), ("full_stop", 20), ("comma", 10), ("greater_than_sign", 310), ("full_stop", 320),
            ("less_than_sign", 20), ("right_curly_bracket", 400), ("comma", 390), ("left_curly_bracket", 0),
            ("ctrl+end", 400), ("ctrl+home", 0), ("comma", 0),
        ):  # fmt: skip
            await pilot.press(key)
            at_ms = night.begun + lands_s * 1_000
            await until(pilot, lambda at_ms=at_ms: now_ms(app) == at_ms)
            await until(pilot, lambda lands_s=lands_s: where(app).position_ms == lands_s * 1_000)
            truth = night.truth[at_ms].snapshot
            assert charts(app.view.history, at_ms) == charts(History().with_snapshot(truth), at_ms)
            assert app.view.events == truth.events
            assert app.view.health == scenes.HEALTH
            assert app.view.snapshot is not None
            assert app.view.snapshot.workers == truth.workers


async def test_it_plays_at_its_speed_and_stands_when_held(night: Night) -> None:
    clock = ManualClock()
    async with replayed(night.path, clock) as (app, pilot):
        passes(app, clock, 7)
        await until(pilot, lambda: now_ms(app) == night.begun + 7_000)
        await pilot.press("right_parenthesis", "right_parenthesis")
        await until(pilot, lambda: where(app).speed == 5.0)
        passes(app, clock, 4)
        await until(pilot, lambda: now_ms(app) == night.begun + 27_000)
        await pilot.press("left_parenthesis", "h")
        await until(pilot, lambda: where(app).paused)
        passes(app, clock, 1_000)
        await pilot.press("full_stop")
        await until(pilot, lambda: now_ms(app) == night.begun + 37_000)
        await until(pilot, lambda: "REPLAY HELD 2x 0:00:37 of 0:06:40" in screen_text(app))
        await pilot.press("h")
        await until(pilot, lambda: not where(app).paused)
        passes(app, clock, 10_000)
        await until(pilot, lambda: now_ms(app) == night.begun + LENGTH_S * 1_000)
        await until(pilot, lambda: "REPLAY END 2x 0:06:40 of 0:06:40" in screen_text(app))


async def test_the_title_shows_the_position(night: Night) -> None:
    for size in ((80, 24), (120, 40)):
        async with replayed(night.path, ManualClock(), size) as (app, pilot):
            await pilot.press("greater_than_sign")
            await until(pilot, lambda app=app: where(app).position_ms == 300_000)
            await until(pilot, lambda app=app: "0:05:00" in screen_text(app))
            first = screen_text(app).splitlines()[0]
            assert " REPLAY 1x 0:05:00 of 0:06:40 " in first
            assert "recorded 2026-11-24 06:08:07Z" in first


def test_a_narrow_title_keeps_the_position_in_a_gap_of_a_frozen_display() -> None:
    picture = QueueView(
        scenes.BUSY, frozen=True, queue_name="preview-jobs", replay=ReplayPosition(1.0, 5_000, 9_000, 0.5)
    )
    clock = plain_text(format_clock_line(picture))
    assert clock.endswith(" 2026-11-24 06:03:07Z ")
    assert "FROZEN" in clock
    assert plain_text(format_title_line(picture, 80 - len(clock))).startswith(" REPLAY 0.5x 0:00:05 of")
    assert plain_text(format_title_line(replace(picture, replay=ReplayPosition(0.4)), 40)).startswith(
        " REPLAY … "
    )


async def test_a_replay_hides_mutating_keys_and_executes_nothing(night: Night) -> None:
    async with replayed(night.path, ManualClock()) as (app, pilot):
        for number in range(1, 8):
            await pilot.press(str(number))
            await pilot.pause()
            front = app.front_screen
            assert front is not None
            assert not [key_action for key_action in front.available_actions() if key_action.mutates]
            assert set(REPLAY) <= set(front.available_actions())
            for key_action in front.KEY_ACTIONS:
                if key_action.mutates:
                    await pilot.press(key_action.keys.split(",")[0])
        await pilot.press("p")
        await pilot.pause()
        assert isinstance(app.screen, OperatorScreen), "no dialog has opened"
        app.start_command(Pause("by a fault of ours"))
        await until(pilot, lambda: "this is a recording: not executed" in screen_text(app))


async def test_jobs_and_dead_letters_are_not_recorded(night: Night) -> None:
    async with replayed(night.path, ManualClock(), (80, 24)) as (app, pilot):
        for key in ("2", "3", "4"):
            await pilot.press(key)
            await until(pilot, lambda: "a recording contains no jobs" in screen_text(app))
            front = app.front_screen
            assert front is not None
            assert not set(front.available_actions()) & set(front.KEY_ACTIONS)
            await pilot.press("slash", "full_stop")
        await until(pilot, lambda: where(app).position_ms == 30_000)
        app.open_job("lesson-10")
        await until(
            pilot, lambda: app.current_mode == "job" and "a recording contains no jobs" in screen_text(app)
        )


async def test_a_source_without_jobs_rejects_listing_them(night: Night) -> None:
    source = ReplaySource()
    for rejected in (source.jobs(JobQuery()), source.job("a"), source.dead_groups(3)):
        with pytest.raises(NotRecorded, match="a recording contains no jobs"):
            await rejected


async def test_workers_events_and_health_show_the_moment(night: Night) -> None:
    async with replayed(night.path, ManualClock()) as (app, pilot):
        await pilot.press("h", "5")
        await until(pilot, lambda: "render-2" in screen_text(app))
        await pilot.press("6", "right_curly_bracket")
        newest = night.hours.events[-1].fields["job"]
        await until(pilot, lambda: newest in screen_text(app))
        await pilot.press("left_curly_bracket")
        await until(pilot, lambda: newest not in screen_text(app))
        await pilot.press("7")
        await until(pilot, lambda: "a job has waited 6 min 52 s" in screen_text(app))


async def test_help_and_palette_know_the_keys_of_a_recording_and_only_there(night: Night) -> None:
    async with replayed(night.path, ManualClock()) as (app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: "Replay" in screen_text(app))
        assert "Go back 5 min in the recording." in screen_text(app)
        await pilot.press("escape", "colon")
        await pilot.pause()
        await pilot.press(*"end of the rec")
        await until(pilot, lambda: "Go to the end of the recording." in screen_text(app))
        await pilot.press("enter", "enter")
        await until(pilot, lambda: where(app).ended)
    live = make_app()
    async with live.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: live.view.snapshot is not None)
        front = live.front_screen
        assert front is not None
        assert not set(front.available_actions()) & set(REPLAY)
        await pilot.press("question_mark")
        await pilot.pause()
        assert "Replay" not in screen_text(live)


async def test_a_gap_shows_the_queue_before_it_and_why(tmp_path: Path) -> None:
    hours = SimulatedQueue()
    begun = hours.now_ms
    reason = "Redis at x cannot be used"
    gaps = [Gap(begun + 20_000 + 1_000 * number, reason) for number in range(1, 41)]
    write_recording(
        tmp_path / "gap.rec",
        [*each_second(hours, 20), *gaps, SimulatedQueue(begun + 61_000).take_frame(full_history=True)],
    )
    clock = ManualClock()
    async with replayed(tmp_path / "gap.rec", clock) as (app, pilot):
        passes(app, clock, 40)
        await until(pilot, lambda: app.view.connection_loss is not None)
        assert now_ms(app) == begun + 20_000
        await until(pilot, lambda: "STALE 20 s " in screen_text(app))
        assert reason in screen_text(app)
        assert "try" not in screen_text(app).splitlines()[0]
        await pilot.press("comma", "comma", "comma")
        await until(pilot, lambda: now_ms(app) == begun + 10_000)
        assert app.view.connection_loss is None
        passes(app, clock, 100)
        await until(pilot, lambda: now_ms(app) == begun + 61_000)
        assert app.view.connection_loss is None


async def test_a_recording_that_begins_with_a_gap(tmp_path: Path) -> None:
    hours = SimulatedQueue()
    begun = hours.now_ms
    gaps = [Gap(begun - 20_000 + 1_000 * number, "no server") for number in range(20)]
    write_recording(tmp_path / "gap.rec", [*gaps, *each_second(hours, 5)])
    async with replayed(tmp_path / "gap.rec", ManualClock()) as (app, pilot):
        await until(pilot, lambda: "cannot reach the queue" in screen_text(app))
        assert "no server" in screen_text(app)
        await pilot.press("right_curly_bracket")
        await until(pilot, lambda: now_ms(app) == begun + 5_000)
        assert app.view.connection_loss is None
        await pilot.press("left_curly_bracket")
        await until(pilot, lambda: app.view.snapshot is None)
        await until(pilot, lambda: "cannot reach the queue" in screen_text(app))


async def test_damaged_parts_are_reported_and_the_rest_shown(night: Night, tmp_path: Path) -> None:
    data = bytearray(night.path.read_bytes())
    place = data.find(b"\x28\xb5\x2f\xfd", len(data) // 2)
    data[place + 200 : place + 210] = bytes(10)
    (tmp_path / "damaged.rec").write_bytes(data)
    async with replayed(tmp_path / "damaged.rec", ManualClock()) as (app, pilot):
        await until(pilot, lambda: "1 part cannot be read" in screen_text(app))
        await pilot.press("right_curly_bracket")
        await until(pilot, lambda: now_ms(app) == night.begun + LENGTH_S * 1_000)


async def test_a_file_that_is_not_a_recording_ends_the_screen(tmp_path: Path) -> None:
    (tmp_path / "x.rec").write_text("dear diary")
    app = ReplayApp(tmp_path / "x.rec", Options("q", read_only=True), clock=ManualClock())
    async with app.run_test():
        await app.workers.wait_for_complete()
    assert isinstance(app.failure, NotARecording | RecordingBroken)
    assert app.return_value == 1


async def test_no_key_of_a_recording_is_a_key_of_anything_else() -> None:
    taken = {key for key_action in GLOBAL for key in key_action.keys.split(",")}
    taken |= {key for binding in Grid.BINDINGS for key in binding.key.split(",")}  # type: ignore[union-attr]
    async with make_app().run_test():
        for make in OperatorApp.MODES.values():
            assert callable(make)
            screen = make()
            assert isinstance(screen, OperatorScreen)
            taken |= {key for key_action in screen.KEY_ACTIONS for key in key_action.keys.split(",")}
    ours = [key for key_action in REPLAY for key in key_action.keys.split(",")]
    assert not taken & set(ours)
    assert len(set(ours)) == len(ours)
    assert not {action_name(key_action) for key_action in REPLAY} & {
        action_name(key_action) for key_action in GLOBAL
    }


async def test_keys_go_to_alarms_and_to_a_typed_time(tmp_path: Path) -> None:
    hours = SimulatedQueue()
    begun = hours.now_ms
    calm = Health(tuple(replace(check, status=Status.OK) for check in scenes.HEALTH.checks))
    failing = scenes.HEALTH
    name = next(check.name for check in failing.checks if check.effective_status is not Status.OK)
    frames = [
        replace(frame, health=failing if 100 <= (frame.at_ms - begun) / 1_000 < 200 else calm)
        for frame in each_second(hours, 300)
    ]
    write_recording(tmp_path / "alarm.rec", frames)
    clock = ManualClock()
    async with replayed(tmp_path / "alarm.rec", clock) as (app, pilot):
        await pilot.press("h", "number_sign")
        await until(pilot, lambda: "no earlier change" in screen_text(app))
        await pilot.press("asterisk")
        await until(pilot, lambda: now_ms(app) == begun + 100_000)
        await until(pilot, lambda: "alarm 1 of 2" in screen_text(app))
        assert f": {name}" in screen_text(app)
        await pilot.press("asterisk")
        await until(pilot, lambda: now_ms(app) == begun + 200_000)
        await pilot.press("asterisk")
        await until(pilot, lambda: "no later change" in screen_text(app))
        assert now_ms(app) == begun + 200_000
        await pilot.press("number_sign")
        await until(pilot, lambda: now_ms(app) == begun + 100_000)
        # An alarm that was just played past is not the one before.
        await pilot.press("asterisk", "h")
        await until(pilot, lambda: now_ms(app) == begun + 200_000 and not where(app).paused)
        passes(app, clock, 1)
        await until(pilot, lambda: now_ms(app) == begun + 201_000)
        await pilot.press("number_sign")
        await until(pilot, lambda: now_ms(app) == begun + 100_000)
        await pilot.press("h", "T")
        await until(pilot, lambda: "Go to a time" in screen_text(app))
        await pilot.press(*"99:99", "enter")
        await until(pilot, lambda: "Found '99:99'" in screen_text(app))
        for _ in range(5):
            await pilot.press("backspace")
        await pilot.press(*"+1m", "enter")
        await until(pilot, lambda: now_ms(app) == begun + 160_000)
        await pilot.press("T")
        await until(pilot, lambda: "Go to a time" in screen_text(app))
        moment = iso_from_ms(begun + 250_000)[:19].replace("T", " ")
        await pilot.press(*(KEY_NAMES.get(character, character) for character in moment), "enter")
        await until(pilot, lambda: 249_000 <= now_ms(app) - begun <= 250_000)
