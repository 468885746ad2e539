"""The job screen: preview, payload, attempts, artifacts, facts and commands."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Static

from previewops.contract.payload import Payload
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.records import JobRecord
from previewops.states import JobState, Priority
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import Cancel, Requeue, RequeueWithPayload, Reschedule
from previewops.tui.screens.dialogs.edit import EditPayloadDialog
from previewops.tui.screens.job.details import DetailPanels
from previewops.tui.screens.job.preview import PreviewPanel
from previewops.tui.screens.job.screen import JobScreen
from previewops.tui.screens.text_viewer import TextViewer
from previewops.tui.terminal.capabilities import ImageMode
from previewops.tui.widgets.blocks import Blocks
from tests.tui import scenes
from tests.tui.screen_support import FakeExecutor, FakeSource, make_app, screen_text, until

SIZE = (120, 40)
RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)
COLOURS = {
    "poster.png": RED,
    "frames/000-title.png": GREEN,
    "frames/001.png": BLUE,
    "frames/002.png": (200, 200, 30),
    "sheet.png": (30, 200, 200),
    "thumbs/board.png": (200, 30, 200),
}
PREVIEW_JSON = """{"poster": {"path": "poster.png"}, "sheet": {"path": "sheet.png"},
"frames": [{"path": "frames/000-title.png", "step": 0, "title": "Morris", "durationMs": 2500},
{"path": "frames/001.png", "step": 1, "title": "The [red]board[/]", "durationMs": 3000}],
"assets": [{"id": "board", "thumbnail": "thumbs/board.png"}]}"""

DONE = scenes.record("done-3", JobState.COMPLETED, payload=scenes.PAYLOAD, result=scenes.RESULT)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A DATA_DIR with the bundle of ``DONE``, each image in its own colour."""
    folder = tmp_path / "previews" / "morris" / "done-3"
    for path, colour in COLOURS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (320, 180), colour).save(folder / path)
    (folder / "preview.json").write_text(PREVIEW_JSON)
    return tmp_path


def source_of(*records: JobRecord, data_dir: Path | None = None) -> FakeSource:
    return FakeSource(jobs_by_id={record.job_id: record for record in records}, bundles=data_dir)


async def opened(pilot: Pilot[int], app: OperatorApp, job_id: str, text: str) -> None:
    await until(pilot, lambda: app.view.snapshot is not None)
    app.open_job(job_id)
    await until(pilot, lambda: isinstance(app.screen, JobScreen) and text in screen_text(app))


def colour_shown(app: OperatorApp) -> tuple[int, int, int] | None:
    """The colour in the middle of the preview."""
    blocks = app.screen.query_one(Blocks)
    strip = blocks.render_line(blocks.size.height // 2)
    place = blocks.size.width // 2
    cell = next(iter(strip.crop(place, place + 1)))
    colour = cell.style.color if cell.text == "▀" and cell.style else None
    return tuple(colour.get_truecolor()) if colour is not None else None  # type: ignore[return-value]


def preview(app: OperatorApp) -> tuple[str, str]:
    panel = app.screen.query_one(PreviewPanel)
    return panel._written_title, panel._written_subtitle


async def test_without_a_job_it_lists_the_keys_to_open_one() -> None:
    app = make_app(FakeSource())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("3")
        await until(pilot, lambda: "No job is open." in screen_text(app))
        assert "2 lists all jobs" in screen_text(app)
        await pilot.click("#nothing", offset=(4, 4))
        await until(pilot, lambda: app.current_mode == "jobs")


async def test_images_are_shown_in_viewing_order(data_dir: Path) -> None:
    app = make_app(source_of(DONE, data_dir=data_dir))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "done-3", "1 of 6 · poster.png · 320x180 · 20.8 KiB")
        await until(pilot, lambda: colour_shown(app) == RED)
        assert preview(app)[0] == "poster"
        await pilot.press("n")
        await until(pilot, lambda: colour_shown(app) == GREEN)
        assert preview(app)[0] == "title card · Morris · 2.5 s"
        await pilot.press("n")
        await until(pilot, lambda: colour_shown(app) == BLUE)
        assert "step 1 · The [red]board[/] · 3.0 s" in screen_text(app)
        await pilot.press("N", "N", "N")
        await until(pilot, lambda: colour_shown(app) == COLOURS["thumbs/board.png"])
        assert preview(app) == ("asset board", "6 of 6 · thumbs/board.png · 320x180 · 6.1 KiB")
        await pilot.click(PreviewPanel)
        await until(pilot, lambda: colour_shown(app) == RED)


async def test_an_image_is_redrawn_after_resize_and_maximize(data_dir: Path) -> None:
    app = make_app(source_of(DONE, data_dir=data_dir))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "done-3", "1 of 6")
        await until(pilot, lambda: colour_shown(app) == RED)
        before = widest(app)
        app.screen.query_one(Blocks).focus()
        await pilot.press("m")
        await until(pilot, lambda: widest(app) > before)
        assert colour_shown(app) == RED
        await pilot.press("right")
        await until(pilot, lambda: colour_shown(app) == GREEN)
        await pilot.press("escape")
        await until(pilot, lambda: widest(app) == before and app.screen.maximized is None)


def widest(app: OperatorApp) -> int:
    """The image's width in cells."""
    blocks = app.screen.query_one(Blocks)
    return max(line.text.count("▀") for line in (blocks.render_line(y) for y in range(blocks.size.height)))


async def test_artifacts_have_size_and_pixels_and_open_their_image(data_dir: Path) -> None:
    app = make_app(source_of(DONE, data_dir=data_dir))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "done-3", "1 of 6")
        text = screen_text(app)
        assert "artifacts · 9, 226.8 KiB" in text
        assert "animation.webp" in text
        assert "320x180" in text
        assert "✓ done" in text
        assert "step 2: the text is longer" in text
        await until(pilot, lambda: app.focused is not None and app.focused.id == "artifacts")
        await pilot.press("j", "j", "j", "enter")
        await until(pilot, lambda: colour_shown(app) == BLUE)


async def test_a_bundle_elsewhere_is_reported_and_the_rest_shown() -> None:
    app = make_app(source_of(DONE))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "done-3", "the bundle of job done-3 is not on this machine")
        assert "set DATA_DIR" in screen_text(app)
        assert "poster.png" in screen_text(app)
        assert app.screen.check_action("picture", ()) is False
        await pilot.press("C")
        await until(pilot, lambda: app.clipboard == "/srv/previews/morris/done-3")


async def test_a_damaged_image_is_reported_and_the_next_shown(data_dir: Path) -> None:
    (data_dir / "previews/morris/done-3/poster.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    app = make_app(source_of(DONE, data_dir=data_dir))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "done-3", "poster.png cannot be shown")
        await pilot.press("n")
        await until(pilot, lambda: colour_shown(app) == GREEN)


@pytest.mark.parametrize("part", ["screen.read_bundle", "preview._make"])
async def test_an_unexpected_image_error_is_shown_in_its_place(
    part: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("out of ink")

    monkeypatch.setattr(f"previewops.tui.screens.job.{part}", broken)
    app = make_app(source_of(DONE, data_dir=data_dir))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "done-3", "unexpected RuntimeError: out of ink")
        assert "previewRequest" in screen_text(app), "the rest is shown"


async def test_images_can_be_disabled(data_dir: Path) -> None:
    app = make_app(source_of(DONE, data_dir=data_dir), images=ImageMode.OFF)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "done-3", "Images are disabled by PREVIEW_IMAGES.")
        assert app.screen.check_action("picture", ()) is False


async def test_ids_and_paths_are_copied(data_dir: Path) -> None:
    app = make_app(source_of(DONE, data_dir=data_dir))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "done-3", "1 of 6")
        await pilot.press("c")
        assert app.clipboard == "done-3"
        await pilot.press("C")
        await until(pilot, lambda: app.clipboard == str(data_dir / "previews/morris/done-3"))


async def test_an_active_job_is_live_until_it_has_ended(data_dir: Path) -> None:
    job = scenes.record("lesson-10", JobState.ACTIVE, payload=scenes.PAYLOAD, progress=0.1, phase="inspect")
    source = source_of(job, data_dir=data_dir)
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "lesson-10", "20% frames")
        assert "Rendering." in screen_text(app)
        assert "live" in screen_text(app)
        source.snapshot = replace(
            scenes.BUSY, running_jobs=(replace(scenes.RUNS[0], progress=0.9, phase="sheet"),)
        )
        app.poller.poll_now()
        await until(pilot, lambda: "90% sheet" in screen_text(app))

        source.snapshot = replace(scenes.BUSY, running_jobs=())
        source.jobs_by_id["lesson-10"] = replace(DONE, job_id="lesson-10")
        (data_dir / "previews/morris/done-3").rename(data_dir / "previews/morris/lesson-10")
        app.poller.poll_now()
        await until(pilot, lambda: "1 of 6" in screen_text(app))
        await until(pilot, lambda: colour_shown(app) == RED)
        fetches, polls = len(source.opened), len(source.snapshot_queries)
        app.poller.poll_now()
        await until(pilot, lambda: len(source.snapshot_queries) > polls)
        assert len(source.opened) == fetches, "a finished job is not fetched again"


async def test_the_payload_is_shown_without_the_queries_of_its_addresses() -> None:
    signed = {"previewRequest": {"assets": [{"id": "a", "uri": "https://cdn/a.png?X-Amz-Signature=hunter2"}]}}
    app = make_app(source_of(scenes.record("lesson-10", JobState.ACTIVE, payload=signed)))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "lesson-10", "https://cdn/a.png?***")
        assert "hunter2" not in screen_text(app)


async def test_no_automatic_fetch_while_frozen() -> None:
    source = source_of(scenes.record("lesson-10", JobState.ACTIVE, payload=scenes.PAYLOAD))
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "lesson-10", "20% frames")
        await pilot.press("z")
        await until(pilot, lambda: "DISPLAY FROZEN" in screen_text(app))
        fetches, polls = len(source.opened), len(source.snapshot_queries)
        app.poller.poll_now()
        await until(pilot, lambda: len(source.snapshot_queries) > polls)
        assert len(source.opened) == fetches


async def test_a_dead_job_shows_its_attempts_and_their_tracebacks() -> None:
    app = make_app(FakeSource())
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "lesson-500", "✖ dead letter")
        text = screen_text(app)
        assert "failed attempts · 3" in text
        assert "No preview: no attempt has succeeded." in text
        assert 'File "worker/assets/opener.py", line 120, in open' in text, "the latest failure whole"
        assert '"jobId": "lesson-10"' in text
        await until(pilot, lambda: app.focused is not None and app.focused.id == "attempts")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TextViewer))
        assert "attempt 1 of lesson-500" in screen_text(app)
        assert "TransientJobError / asset-incomplete" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))


async def test_a_dead_job_is_requeued_without_a_question() -> None:
    source, executor = FakeSource(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "lesson-500", "dead letter")
        assert app.screen.check_action("cancel", ()) is False
        source.jobs_by_id["lesson-500"] = replace(
            scenes.DEAD_JOB, state=JobState.WAITING, history=(), reason=None
        )
        await pilot.press("r")
        await until(pilot, lambda: "waiting for a worker" in screen_text(app))
    shown = scenes.DEAD_JOB.finished_ms
    assert shown is not None
    assert executor.commands == [Requeue(DeadLetterFilter(job_ids=("lesson-500",)), 1, cut_off_ms=shown)]


async def test_a_dead_job_is_edited_and_requeued(monkeypatch: pytest.MonkeyPatch) -> None:
    edited = Payload({**scenes.PAYLOAD, "jobId": "lesson-500"}, b"")
    seen: list[tuple[str, object]] = []

    class FakeEditor(ModalScreen[Payload | None]):
        """Replaces the editor: enter accepts, escape cancels."""

        BINDINGS = [("enter", "done"), ("escape", "leave")]  # noqa: RUF012

        def __init__(self, job_id: str, payload: dict[str, object]) -> None:
            super().__init__()
            seen.append((job_id, payload))

        def compose(self) -> ComposeResult:
            yield Static("the editor")

        def action_done(self) -> None:
            self.dismiss(edited)

        def action_leave(self) -> None:
            self.dismiss(None)

    module = ModuleType("edit")
    module.EditPayloadDialog = FakeEditor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "previewops.tui.screens.dialogs.edit", module)
    executor = FakeExecutor()
    app = make_app(FakeSource(), executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "lesson-500", "dead letter")
        for key in ("escape", "enter"):
            await pilot.press("e")
            await until(pilot, lambda: "the editor" in screen_text(app))
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, JobScreen))
        await until(
            pilot,
            lambda: executor.commands == [RequeueWithPayload("lesson-500", edited, scenes.DEAD_JOB.digest)],
        )
    assert seen[0] == ("lesson-500", scenes.PAYLOAD)


async def test_a_pending_job_is_cancelled_for_a_reason() -> None:
    executor = FakeExecutor()
    app = make_app(FakeSource(), executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "lesson-200", "waiting for a worker")
        assert app.screen.check_action("requeue", ()) is False
        assert app.screen.check_action("edit", ()) is False
        await pilot.press("x")
        await until(pilot, lambda: "Cancel job lesson-200" in screen_text(app))
        await pilot.press(*"twice", "enter")
        await until(pilot, lambda: executor.commands == [Cancel(("lesson-200",), "twice")])


async def test_a_delayed_job_runs_now_and_gets_another_priority() -> None:
    executor = FakeExecutor()
    app = make_app(source_of(scenes.record("later-1", JobState.DELAYED)), executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "later-1", "R Run now")
        await pilot.press("R")
        await until(pilot, lambda: "Run later-1 now" in screen_text(app))
        await pilot.press(*"due", "enter")
        await until(pilot, lambda: executor.commands == [Reschedule(("later-1",), now=True, reason="due")])
        await pilot.press("P")
        await until(pilot, lambda: "Which priority for later-1?" in screen_text(app))
        await pilot.press("h")
        await until(pilot, lambda: executor.commands[1:] == [Reschedule(("later-1",), Priority.HIGH)])


async def test_a_job_that_runs_or_has_ended_is_not_rescheduled() -> None:
    app = make_app(source_of(scenes.record("runs", JobState.ACTIVE), scenes.DEAD_JOB))
    async with app.run_test(size=SIZE) as pilot:
        for job_id, text in (("runs", "runs"), ("lesson-500", "dead letter")):
            await opened(pilot, app, job_id, text)
            assert app.screen.check_action("run_now", ()) is False
            assert app.screen.check_action("priority", ()) is False


async def test_a_read_only_screen_shows_everything_and_changes_nothing(data_dir: Path) -> None:
    app = make_app(source_of(scenes.DEAD_JOB, data_dir=data_dir), read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "lesson-500", "dead letter")
        assert {"requeue", "edit", "cancel"}.isdisjoint(
            key_action.action for key_action in app.screen.available_actions()
        )
        await pilot.press("r", "e", "x")
        assert isinstance(app.screen, JobScreen)
        assert "Requeue" not in screen_text(app)


async def test_eighty_by_twenty_four_shows_one_panel_at_a_time(data_dir: Path) -> None:
    app = make_app(source_of(DONE, data_dir=data_dir))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app, "done-3", "v switches the panel")
        await until(pilot, lambda: "1 of 6" in screen_text(app) and colour_shown(app) == RED)
        assert "artifacts · 9" in screen_text(app)
        assert "animation.webp" in screen_text(app)
        await pilot.press("v")
        await until(pilot, lambda: '"projectId": "morris"' in screen_text(app))
        assert "animation.webp" not in screen_text(app)
        assert app.focused is not None
        assert app.focused.id == "payload"
        await pilot.press("v")
        await until(pilot, lambda: "No attempt has failed." in screen_text(app))
        await pilot.press("v")
        await until(pilot, lambda: "animation.webp" in screen_text(app))
        await pilot.press("tab")
        assert app.focused is not None
        assert app.focused.id != "artifacts"
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: '"projectId": "morris"' in screen_text(app))
        assert "animation.webp" in screen_text(app)
        assert app.screen.check_action("switch", ()) is False


async def test_a_missing_job_and_one_that_reappears() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "lesson-9999", "no job lesson-9999 in queue preview-jobs")
        assert "2 lists all jobs" in screen_text(app)
        source.jobs_by_id["lesson-9999"] = replace(scenes.DEAD_JOB, job_id="lesson-9999")
        app.poller.poll_now()
        await until(pilot, lambda: "dead letter" in screen_text(app))


async def test_a_lost_connection_keeps_the_job_and_is_shown() -> None:
    source = source_of(scenes.record("lesson-10", JobState.ACTIVE, payload=scenes.PAYLOAD))
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "lesson-10", "20% frames")
        source.down = True
        app.screen.query_one(DetailPanels)
        app.poller.poll_now()
        await until(pilot, lambda: "STALE" in screen_text(app))
        await until(pilot, lambda: "not updated" in screen_text(app))
        assert "20% frames" in screen_text(app)


async def test_escape_goes_back_to_where_the_job_was_opened_and_another_one_takes_its_place(
    data_dir: Path,
) -> None:
    app = make_app(source_of(DONE, scenes.DEAD_JOB, data_dir=data_dir))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("2")
        await until(pilot, lambda: "jobs 1-200" in screen_text(app))
        app.open_job("done-3")
        await until(pilot, lambda: "1 of 6" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "jobs")
        app.open_job("lesson-500")
        await until(pilot, lambda: "✖ dead letter" in screen_text(app))
        assert "1 of 6" not in screen_text(app)
        assert colour_shown(app) is None or not app.screen.query_one(Blocks).display


async def test_a_dry_run_shows_its_plan() -> None:
    plan = {"width": 640, "estimate": {"bytes": 48_000, "ms": 700}}
    job = replace(DONE, result={"dryRun": True, "plan": plan})
    app = make_app(source_of(job))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "done-3", "The plan of a dry run  about 46.9 KiB in about 700 ms")
        assert '"width": 640' in screen_text(app)
        assert "done: a dry run, nothing was rendered" in screen_text(app)


async def test_job_text_has_no_control_sequences() -> None:
    evil = "\x1b[2J\u202egnp"
    job = replace(
        scenes.DEAD_JOB,
        job_id="evil",
        reason=evil,
        payload={"title": evil, evil: 1},
        history=(replace(scenes.ATTEMPTS[0], message=evil, traceback=evil),),
    )
    app = make_app(source_of(job))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "evil", "dead letter")
        assert "\x1b" not in screen_text(app)
        assert "\u202e" not in screen_text(app)


@pytest.mark.parametrize("odd", ["evil[/red]", "[/x]", "[red]evil", "evil\\"])
async def test_an_id_with_markup_is_shown_verbatim(odd: str) -> None:
    dead = replace(scenes.DEAD_JOB, job_id=odd)
    app = make_app(source_of(dead))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, odd, "dead letter")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "attempts")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TextViewer))
        assert f"attempt 1 of {odd} " in screen_text(app)
        await pilot.press("escape")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, EditPayloadDialog))
        assert f"Payload of {odd} " in screen_text(app)


async def test_images_are_read_off_the_event_loop(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[bool] = set()
    real: Callable[..., object] = Image.open

    def noted(*args: object, **named: object) -> object:
        try:
            asyncio.get_running_loop()
            threads.add(True)
        except RuntimeError:
            threads.add(False)
        return real(*args, **named)

    monkeypatch.setattr(Image, "open", noted)
    app = make_app(source_of(DONE, data_dir=data_dir))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "done-3", "1 of 6")
        await until(pilot, lambda: colour_shown(app) == RED)
    assert threads == {False}
