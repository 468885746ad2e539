"""Ended jobs by project, format and priority, as the scripts count them and the reader finds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from previewops.queue.leases import Claim, EndedCount
from previewops.queue.output_formats import OUTPUT_FORMATS, RENDERED_FORMATS
from previewops.queue.retry import FailureCounter
from previewops.queue.scripts import ScriptName, script_text
from previewops.schemas import schema_text
from previewops.snapshot.breakdown import MAX_PROJECTS, Breakdown, Dimension
from previewops.snapshot.breakdown_reader import BreakdownReader
from previewops.snapshot.histogram import bin_number
from previewops.states import Priority
from previewops.worker.engine.ended_jobs import EndedJobs
from tests.integration.cli_program import Program
from tests.integration.worker_support import make_settings, make_worker, run_burst
from tests.queue_support import QueueFixture, attempt_json, payload, queue_fixture

pytestmark = pytest.mark.redis


async def read(b: QueueFixture, dimension: str = "project") -> Breakdown:
    return await BreakdownReader(b.redis, b.settings).read(Dimension(dimension))


def completions(project: str, amount: int, *, output_format: str = "webp") -> list[EndedCount]:
    """What a worker reports about completed jobs of 100 ms that waited for 10 ms."""
    name = (project, Priority.NORMAL, output_format)
    return [
        EndedCount(*name, f"w{bin_number(10)}", amount),
        EndedCount(*name, f"r{bin_number(100)}", amount),
    ]


async def retry(b: QueueFixture, claim: Claim) -> None:
    await b.worker().retry(
        claim,
        delay_ms=60_000,
        counter=FailureCounter.ATTEMPTS,
        attempt_json=attempt_json(),
        message="it broke",
    )


async def test_a_workers_report_is_counted_by_project_format_and_priority(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        ended = EndedJobs(b.worker())
        for run_ms in (100, 100, 900):
            ended.add("kids", Priority.HIGH, "mp4", wait_ms=10, run_ms=run_ms)
        ended.add("trial", Priority.LOW, "gif", wait_ms=5000, run_ms=70)
        await ended.report()
        projects, formats, priorities = [await read(b, one) for one in Dimension]
    assert [(row.value, row.figures.completed) for row in projects.rows] == [("kids", 3), ("trial", 1)]
    assert [(row.value, row.figures.completed) for row in formats.rows] == [("gif", 1), ("mp4", 3)]
    assert [row.value for row in priorities.rows] == ["high", "low"]
    assert projects.others is formats.others is priorities.others is None
    kids = projects.rows[0].figures
    assert kids.percentiles_ms("run") == {
        "p50": pytest.approx(100, rel=0.1),
        "p95": pytest.approx(900, rel=0.1),
    }
    assert kids.percentiles_ms("wait")["p95"] == pytest.approx(10, rel=0.1)
    assert kids.failure_rate == 0
    assert sum(bucket.completed for bucket in projects.rows[0].buckets[-2:]) == 3


async def test_failures_are_counted_with_the_format_of_the_payload(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.worker().maintain()  # the first maintenance after a pause recovers nothing
        await b.queue.submit(payload("again", project="kids"))
        await retry(b, await b.claim_one())
        await b.add_dead_letter("dies", project="kids")
        await b.queue.submit(payload("lost", project="kids"))
        await b.claim_one()
        await b.expire_leases("lost")
        await b.worker().maintain()
        projects, formats = await read(b), await read(b, "format")
    for breakdown, name in ((projects, "kids"), (formats, "webp")):
        (row,) = breakdown.rows
        assert (row.value, row.figures.dead, row.figures.retried) == (name, 1, 2)
        assert row.figures.failure_rate == 1
        assert row.figures.percentiles_ms("wait")["p50"] is not None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"previewRequest": {"options": {"format": "mp4"}}}, "mp4"),
        ({"previewRequest": {}}, "webp"),
        ({"previewRequest": {"options": {"format": ["mp4"]}}}, "other"),
        ({"previewRequest": {"options": [], "format": "gif"}}, "webp"),
        ([], "other"),
        (None, "other"),
    ],
)
async def test_any_payload_has_a_format(redis_url: str, body: Any, expected: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("job"))
        record = {"t": None, "f": "x", "a": [body], "k": {}, "et": 1}
        await b.redis.set("arq:job:job", "{" if body is None else json.dumps(record))
        await retry(b, await b.claim_one())
        (row,) = (await read(b, "format")).rows
    assert row.value == expected


async def test_a_repeated_report_is_counted_once(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        worker = b.worker()
        for number in (1, 1, 2):
            await worker.record_ended(number, completions("kids", 5))
        (row,) = (await read(b)).rows
    assert row.figures.completed == 10


async def test_a_report_that_failed_is_sent_again(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        ended = EndedJobs(b.worker())
        ended.add("kids", Priority.NORMAL, "webp", wait_ms=1, run_ms=1)
        await b.redis.hset(b.keys.meta, "layout", "99")
        with pytest.raises(ResponseError, match="NEWERLAYOUT"):
            await ended.report()
        await b.redis.hdel(b.keys.meta, "layout")
        await ended.report()
        await ended.report()
        assert (await read(b)).total.figures.completed == 1


async def test_strangers_cannot_push_a_busy_project_out(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        worker = b.worker()
        for number in range(1, 5 * MAX_PROJECTS + 1):
            counts = completions(f"stranger-{number}", 1)
            if number % 3 == 0:
                counts += completions("busy", 1)
            await worker.record_ended(number, counts)
        breakdown = await read(b)
        projects = await b.redis.keys(f"{b.keys.ended_project_prefix}*")
    total = 5 * MAX_PROJECTS + 5 * MAX_PROJECTS // 3
    busy = breakdown.find("busy")
    assert busy is not None
    assert busy.figures.completed == 5 * MAX_PROJECTS // 3
    assert len(projects) == len(breakdown.rows) == MAX_PROJECTS
    assert breakdown.others is not None
    assert sum(row.figures.completed for row in breakdown.rows) + breakdown.others.figures.completed == total
    assert breakdown.total.figures.completed == total


async def test_all_keys_of_the_breakdown_expire(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.worker().record_ended(1, completions("kids", 1))
        await b.worker().record_ended(2, completions("x" * 129, 1))
        keys = await b.redis.keys(f"{b.keys.queue}:ended*")
        assert len(keys) == 3, "a name that no payload may have gets no key"
        ttls = [await b.redis.ttl(key) for key in keys]
    assert all(0 < ttl_s <= 2 * 3600 for ttl_s in ttls)


async def test_closed_buckets_are_not_read_again(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.worker().record_ended(1, completions("kids", 1))
        reader = BreakdownReader(b.redis, b.settings)
        await reader.read(Dimension.PROJECT)
        before = await b.calls()
        await b.worker().record_ended(2, completions("kids", 1))
        assert (await reader.read(Dimension.PROJECT)).total.figures.completed == 2
        after = await b.calls()
    assert after["hgetall"] - before["hgetall"] <= 2 * 2


def test_the_formats_are_those_of_the_schema() -> None:
    options = json.loads(schema_text())["$defs"]["options"]["properties"]
    assert tuple(options["format"]["enum"]) == RENDERED_FORMATS
    assert options["format"]["default"] == RENDERED_FORMATS[0]


def test_every_format_counts_the_same_in_lua() -> None:
    line = next(line for line in script_text(ScriptName.RECORD_ENDED).splitlines() if "local FORMATS" in line)
    assert all(name in line for name in OUTPUT_FORMATS[:-1])
    assert line.count("= 1") == len(OUTPUT_FORMATS) - 1


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


async def test_stats_print_the_breakdown(program: Program, redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.worker().record_ended(1, completions("kids", 19))
        await b.add_dead_letter("dies", project="kids")
    lines = program.run("stats", "--by", "project").out.splitlines()
    row = next(line for line in lines if line.startswith("kids"))
    assert row.split()[1:3] == ["19", "1"]
    assert "5.0 %" in row
    result = program.run("stats", "--by", "priority", "--json").json
    (priority,) = result["breakdown"]["rows"]
    assert (priority["value"], priority["completed"], priority["failureRate"]) == ("normal", 19, 0.05)
    assert result["queue"]["dead"] == 1


async def test_a_worker_reports_what_it_has_completed(redis_url: str) -> None:
    async def render_preview(_ctx: dict[Any, Any], raw: dict[str, Any]) -> dict[str, Any]:
        return {"dryRun": raw["jobId"] == "dry"}

    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload("dry", project="kids"), payload("job", project="kids")])
        await run_burst(make_worker(redis_url, make_settings(b), render_preview, burst=True))
        (project,) = (await read(b)).rows
        formats = await read(b, "format")
    assert (project.value, project.figures.completed) == ("kids", 2)
    assert [(row.value, row.figures.completed) for row in formats.rows] == [("webp", 1), ("dry-run", 1)]
