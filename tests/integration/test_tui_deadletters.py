"""Dead letters from the screen to a real queue: reads, commands and events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from previewops.contract import validate
from previewops.errors import PayloadChanged
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.filter_query import parse_filter
from previewops.queue.retry import FailureCounter
from previewops.states import JobState, Priority
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import CommandOutcome, Discard, Export, Requeue, RequeueWithPayload
from previewops.tui.data.live.connection import QueueConnection
from previewops.tui.data.live.executor import LiveExecutor
from previewops.tui.data.live.source import LiveSource
from previewops.tui.options import Options
from previewops.tui.screens.dead.count_preview import count_selection
from previewops.tui.screens.dead.screen import DeadScreen
from previewops.tui.screens.dialogs.confirm import ConfirmWithReasonDialog
from previewops.tui.viewmodel.dead.selection import DeadListQuery, DeadSelection
from previewops.tui.widgets.grid import Grid
from previewops.tui.widgets.panel import Panel
from tests.queue_support import (
    QueueFixture,
    add_dead_letters,
    attempt_json,
    dead_letter_reason,
    payload,
    queue_fixture,
)
from tests.tui.screen_support import screen_text, until

pytestmark = pytest.mark.redis

MISSING = dead_letter_reason("asset-missing", "no file a.png")
TIMEOUT = dead_letter_reason("deadline-exceeded", "longer than 120 s")
CRASH = dead_letter_reason("render-crashed", "killed by SIGSEGV")


class RecordedProgress:
    """Records the progress of an executor."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []

    async def __call__(self, done: int, total: int) -> None:
        self.steps.append((done, total))


@asynccontextmanager
async def graves(url: str) -> AsyncIterator[tuple[QueueFixture, QueueConnection]]:
    """A queue with dead letters of three groups, and a connection to it."""
    async with queue_fixture(url) as b:
        for reason, count, name in ((MISSING, 130, "m"), (TIMEOUT, 70, "t"), (CRASH, 3, "c")):
            await add_dead_letters(b, [f"{name}-{number}" for number in range(count)], reason)
        link = QueueConnection(url, b.settings, who="ada@ops")
        try:
            yield b, link
        finally:
            await link.aclose()


async def events(b: QueueFixture, kind: str) -> list[dict[str, str]]:
    raw = await b.redis.xrange(b.keys.events)
    entries = [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in raw]
    return [entry for entry in entries if entry["kind"] == kind]


async def test_several_causes_are_requeued_as_one_command(redis_url: str) -> None:
    async with graves(redis_url) as (b, link):
        progress = RecordedProgress()
        command = Requeue(
            DeadLetterFilter(fingerprint=MISSING.fingerprint),
            200,
            Priority.LOW,
            "the disk is back",
            other_filters=(DeadLetterFilter(fingerprint=TIMEOUT.fingerprint),),
        )
        assert await LiveExecutor(link).execute(command, progress) == CommandOutcome(
            "requeued 200, skipped 0"
        )
        assert progress.steps == [(done, 200) for done in range(10, 201, 10)]
        assert await b.dead.count(DeadLetterFilter()) == 3
        assert (await b.queue.status("t-1")).priority is Priority.LOW
        assert [(event["who"], event["why"], event["done"]) for event in await events(b, "requeued")] == [
            ("ada@ops", "the disk is back", "130"),
            ("ada@ops", "the disk is back", "70"),
        ]


async def test_only_selected_jobs_are_discarded(redis_url: str) -> None:
    async with graves(redis_url) as (b, link):
        command = Discard(DeadLetterFilter(query=parse_filter("error:sigsegv")), 3, "sent twice")
        assert await LiveExecutor(link).execute(command, RecordedProgress()) == CommandOutcome(
            "discarded 3, skipped 0"
        )
        assert await b.dead.count(DeadLetterFilter()) == 200
        (event,) = await events(b, "discarded")
        assert (event["who"], event["why"], event["filter"]) == ("ada@ops", "sent twice", "error:sigsegv")
        again = Discard(DeadLetterFilter(job_ids=("c-0",)), 1)
        gone = CommandOutcome("discarded 0, skipped 1", complete=False)
        assert await LiveExecutor(link).execute(again, RecordedProgress()) == gone


async def test_a_later_death_of_the_same_job_is_left_alone(redis_url: str) -> None:
    async with graves(redis_url) as (b, link):
        seen = (await b.queue.status("c-0")).finished_ms
        assert seen is not None
        await b.dead.requeue(DeadLetterFilter(job_ids=("c-0",)), who="grace", reason="")
        await b.wait_for_next_ms()
        (claim,) = (await b.worker().claim(1)).claims
        await b.worker().move_to_dead_letters(
            claim, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=CRASH
        )
        command = Requeue(DeadLetterFilter(job_ids=("c-0",)), 1, cut_off_ms=seen)
        assert await LiveExecutor(link).execute(command, RecordedProgress()) == CommandOutcome(
            "requeued 0, skipped 1", complete=False
        )
        again = await b.queue.status("c-0")
        assert (again.state, again.requeues) == (JobState.DEAD, 1)
        command = Requeue(DeadLetterFilter(job_ids=("c-0",)), 1, cut_off_ms=again.finished_ms)
        assert await LiveExecutor(link).execute(command, RecordedProgress()) == CommandOutcome(
            "requeued 1, skipped 0"
        )


async def test_deaths_after_the_count_are_left_alone(redis_url: str) -> None:
    async with graves(redis_url) as (b, link):
        source, group = LiveSource(link), DeadLetterFilter(fingerprint=CRASH.fingerprint)
        marked, terms = ("c-0", "c-1", "c-2"), parse_filter("id:c-")
        choices = [
            (DeadSelection((group,), "this group", (CRASH.fingerprint,)), DeadListQuery()),
            (
                DeadSelection((DeadLetterFilter(job_ids=marked),), "the 3 marked", marked),
                DeadListQuery(flat=True),
            ),
            (
                DeadSelection((DeadLetterFilter(query=terms),), "all that match"),
                DeadListQuery(flat=True, terms=terms),
            ),
        ]
        tallies = [await count_selection(source, choice, view, ()) for choice, view in choices]
        await b.wait_for_next_ms()
        await add_dead_letters(b, [f"c-late-{number}" for number in range(50)], CRASH)
        for (choice, _), tally in zip(choices, tallies, strict=True):
            assert tally.count == 3
            assert tally.cut_off_ms is not None
            chosen = choice.filters[0]
            assert await source.dead_count(chosen, tally.cut_off_ms) == 3
        command = Discard(group, tallies[0].count, cut_off_ms=tallies[0].cut_off_ms)
        assert await LiveExecutor(link).execute(command, RecordedProgress()) == CommandOutcome(
            "discarded 3, skipped 0"
        )
        assert await b.dead.count(group) == 50


async def test_several_causes_go_into_one_file(redis_url: str, tmp_path: Path) -> None:
    async with graves(redis_url) as (_, link):
        progress, path = RecordedProgress(), tmp_path / "dead.jsonl"
        command = Export(
            DeadLetterFilter(fingerprint=MISSING.fingerprint),
            133,
            path,
            other_filters=(DeadLetterFilter(fingerprint=CRASH.fingerprint),),
        )
        outcome = await LiveExecutor(link).execute(command, progress)
        assert outcome == CommandOutcome(f"exported 133 dead letters to {path}")
        records = [json.loads(line) for line in path.read_text().splitlines()]
        assert {record["errorCode"] for record in records} == {"asset-missing", "render-crashed"}
        assert records[0]["payload"]["jobId"] == records[0]["jobId"]
        assert progress.steps == [(100, 133)]


async def test_an_edited_payload_runs(redis_url: str) -> None:
    async with graves(redis_url) as (b, link):
        edited = validate({**payload("m-1").raw, "requestId": "mended"})
        shown = await LiveSource(link).job("m-1")
        outcome = await LiveExecutor(link).execute(
            RequeueWithPayload("m-1", edited, shown.digest), RecordedProgress()
        )
        assert outcome.message == "m-1 is requeued with its new payload."
        record = await b.queue.status("m-1")
        assert record.state is JobState.WAITING
        assert record.payload is not None
        assert record.payload["requestId"] == "mended"


async def test_an_edit_of_a_concurrently_changed_job_is_rejected(redis_url: str) -> None:
    async with graves(redis_url) as (b, link):
        executor, before = LiveExecutor(link), await LiveSource(link).job("m-1")
        bobs, adas = (validate({**payload("m-1").raw, "requestId": name}) for name in ("bob", "ada"))
        await executor.execute(RequeueWithPayload("m-1", bobs, before.digest), RecordedProgress())
        claim = await b.claim_one()
        await b.worker().move_to_dead_letters(
            claim, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=MISSING
        )
        dumped = await b.dump()
        with pytest.raises(PayloadChanged, match="was edited after"):
            await executor.execute(RequeueWithPayload("m-1", adas, before.digest), RecordedProgress())
        assert await b.dump() == dumped
        again = await LiveSource(link).job("m-1")
        assert again.payload == bobs.raw
        await executor.execute(RequeueWithPayload("m-1", adas, again.digest), RecordedProgress())
        assert (await b.queue.status("m-1")).payload == adas.raw


async def test_the_screen_filters_counts_and_requeues_matches(redis_url: str) -> None:
    async with graves(redis_url) as (b, link):
        app = OperatorApp(
            LiveSource(link), LiveExecutor(link), Options(queue_name="previews", interval_s=0.05)
        )
        async with app.run_test(size=(120, 40), notifications=True) as pilot:

            def title() -> str:
                return str(app.screen.query_one("#list-panel", Panel).border_title)

            await until(pilot, lambda: app.view.snapshot is not None)
            await pilot.press("4")
            await until(pilot, lambda: isinstance(app.screen, DeadScreen) and "203 dead" in title())
            assert "3 groups" in title()
            await pilot.press("f")
            await until(pilot, lambda: title() == "dead letters 1-200 of 203")
            await pilot.press("right_square_bracket")
            await until(pilot, lambda: title() == "dead letters 201-203 of 203")
            await pilot.press("slash", *"missing", "enter")
            await until(pilot, lambda: title() == "dead letters 1-130 of 130")
            await until(pilot, lambda: "Traceback: …" in screen_text(app))
            await pilot.press("A")
            await until(pilot, lambda: title().endswith("all 130 that match selected"))
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, ConfirmWithReasonDialog))
            assert "130 dead letters of 1 group" in screen_text(app)
            await pilot.press(*"requeue", "enter")
            await until(pilot, lambda: "requeued 130, skipped 0" in screen_text(app))
            await pilot.press("escape")
            await until(pilot, lambda: title() == "dead letters 1-73 of 73")
            assert len(app.screen.query_one("#by-job Grid", Grid).keys) == 73
            assert await b.dead.count(DeadLetterFilter()) == 73
