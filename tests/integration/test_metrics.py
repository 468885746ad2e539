"""Prometheus metrics of queues in every state, and without Redis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from previewops import __version__
from previewops.errors import EXIT_UNREACHABLE
from previewops.metrics import CONTENT_TYPE, collect, render_exposition, scrape
from previewops.queue.leases import CompletedJob
from previewops.queue.retry import DeadLetterCause, FailureCounter
from previewops.redis_server.connection import connect
from previewops.snapshot.reader import CHECKED_RECORDS
from previewops.states import Priority
from previewops.worker.engine.ended_jobs import EndedJobs
from tests.integration.cli_program import Program
from tests.queue_support import (
    QueueFixture,
    attempt_json,
    completed_job,
    dead_letter_reason,
    payload,
    queue_fixture,
)

pytestmark = pytest.mark.redis

Labels = Mapping[str, str]
AWAY = "unix:///nonexistent/redis.sock"


class Exposition:
    """An exposition, parsed by Prometheus' own parser."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.families = {family.name: family for family in families}
        assert len(self.families) == len(families), "a family occurs twice"
        self.samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def of(self, name: str, **labels: str) -> float:
        """Returns a sample of the test's queue."""
        return self.samples[name, tuple(sorted({"queue": "preview-jobs", **labels}.items()))]

    def nonzero(self, name: str) -> dict[str, float]:
        """Returns the non-zero samples of a metric by the labels after ``queue``."""
        return {
            " ".join(value for label, value in labels if label != "queue"): figure
            for (sample, labels), figure in self.samples.items()
            if sample == name and figure
        }


async def scrape_metrics(b: QueueFixture) -> Exposition:
    return Exposition((await scrape(b.redis, b.settings)).decode())


async def settle(b: QueueFixture, job_id: str, how: str, priority: str = "normal") -> None:
    """Submits a job, claims it, and ends it with an outcome."""
    await b.queue.submit(payload(job_id, priority=priority))
    claim = await b.claim_one()
    assert claim.job_id == job_id
    worker, attempt = b.worker(), {"attempt_json": attempt_json()}
    match how:
        case "completed":
            await worker.finish([completed_job(claim)], 0)
        case "dry":
            await worker.finish([CompletedJob(claim, "{}", 3.0, dry_run=True)], 0)
        case "retried":
            await worker.retry(
                claim, delay_ms=60_000, counter=FailureCounter.ATTEMPTS, message="x", **attempt
            )
        case "crashed":
            await worker.retry(claim, delay_ms=60_000, counter=FailureCounter.CRASHES, message="x", **attempt)
        case "invalid":
            await worker.move_to_dead_letters(
                claim,
                counter=FailureCounter.ATTEMPTS,
                reason=dead_letter_reason("invalid-payload", cause=DeadLetterCause.PERMANENT),
                **attempt,
            )
        case "worn out":
            await worker.move_to_dead_letters(
                claim,
                counter=FailureCounter.ATTEMPTS,
                reason=dead_letter_reason(cause=DeadLetterCause.ATTEMPTS),
                **attempt,
            )
        case "poison":
            await worker.move_to_dead_letters(
                claim,
                counter=FailureCounter.CRASHES,
                reason=dead_letter_reason(cause=DeadLetterCause.CRASHES),
                **attempt,
            )
        case "lost":
            await b.expire_leases(job_id)
            await b.worker().maintain()


async def test_every_outcome_is_counted_by_priority_and_cause(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        # The first maintenance after a pause recovers nothing.
        await b.worker().maintain()
        for number, how in enumerate(
            ("completed", "dry", "retried", "crashed", "invalid", "worn out", "poison")
        ):
            await settle(b, f"n-{number}", how)
        await settle(b, "high", "completed", "high")
        await settle(b, "low", "lost", "low")
        metrics = await scrape_metrics(b)
    assert metrics.nonzero("preview_job_started_total") == {"high": 1, "normal": 7, "low": 1}
    assert metrics.nonzero("preview_job_completed_total") == {"high": 1, "normal": 2}
    assert metrics.nonzero("preview_job_dryrun_total") == {"normal": 1}
    assert metrics.nonzero("preview_job_invalid_total") == {"normal": 1}
    assert metrics.nonzero("preview_job_failed_total") == {
        "permanent normal": 1,
        "error normal": 2,
        "crash normal": 2,
        "worker-lost low": 1,
    }
    assert metrics.nonzero("preview_job_retried_total") == {
        "error normal": 1,
        "crash normal": 1,
        "worker-lost low": 1,
    }
    assert metrics.nonzero("preview_job_dead_total") == {
        "permanent normal": 1,
        "attempts normal": 1,
        "crashes normal": 1,
    }
    assert metrics.of("preview_render_crashes_total") == 2
    assert metrics.nonzero("preview_format_job_outcomes_total") == {"webp dead": 3, "webp retried": 3}
    assert metrics.of("preview_job_accepted_total") == 9
    assert metrics.of("preview_queue_dead") == 3
    assert metrics.of("preview_queue_delayed") == 2
    assert metrics.of("preview_queue_waiting", priority="low") == 1
    assert metrics.of("preview_queue_unaccounted") == 0


async def test_last_worker_loss_counts_a_dead_letter(redis_url: str) -> None:
    async with queue_fixture(redis_url, max_crashes=1) as b:
        await b.queue.submit(payload("a"))
        await b.claim_one("w1")
        await b.worker(max_crashes=1).deregister_worker("w1", "it was killed", lost=True)
        metrics = await scrape_metrics(b)
    assert metrics.nonzero("preview_job_failed_total") == {"worker-lost normal": 1}
    assert metrics.nonzero("preview_job_dead_total") == {"crashes normal": 1}
    assert not metrics.nonzero("preview_job_retried_total")


async def test_histogram_bounds_are_bin_bounds(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload(f"j-{n}", priority="high") for n in range(4)])
        claims = (await b.worker().claim(4)).claims
        times = (3.0, 10.0, 600.0, 2_000_000.0)
        await b.worker().finish(
            [completed_job(claim, run_ms=ms) for claim, ms in zip(claims, times, strict=True)], 0
        )
        metrics = await scrape_metrics(b)

    def below(bound: str) -> float:
        return metrics.of("preview_job_duration_seconds_bucket", priority="high", le=bound)

    assert [below(bound) for bound in ("0.008", "0.016", "0.512", "1.024", "1048.576", "+Inf")] == [
        1, 2, 2, 3, 3, 4,
    ]  # fmt: skip
    assert metrics.of("preview_job_duration_seconds_count", priority="high") == 4
    assert metrics.of("preview_job_duration_seconds_sum", priority="high") == pytest.approx(
        2000.613, rel=0.09
    )
    assert metrics.of("preview_job_wait_seconds_count", priority="high") == 4
    assert metrics.of("preview_job_wait_seconds_count", priority="low") == 0


async def test_fleet_metrics_by_host_and_state(redis_url: str) -> None:
    def info(host: str, state: str, **more: Any) -> str:
        return json.dumps({"host": host, "state": state, "slots": 2, "version": "0.1.0", **more})

    async with queue_fixture(redis_url) as b:
        first, clock_ms = {"id": "1"}, await b.now_ms() + 50_000
        await b.worker("w1").heartbeat(info("one", "working", busy=1, rssBytes=1_000, store=first), [])
        await b.worker("w2").heartbeat(
            info("one", "draining", busy=2, rssBytes=500, store={"id": "1", "problem": "full"}), []
        )
        await b.worker("w3").heartbeat(
            info("two", "some day", rssBytes=7, store={"id": "2"}, clockMs=clock_ms), []
        )
        await b.worker("w4").heartbeat(info("three", "working", rssBytes=9), [])
        await b.redis.zadd(b.keys.workers, {"w4": await b.now_ms() - 3_600_000})
        metrics = await scrape_metrics(b)
    assert metrics.nonzero("preview_workers") == {"working": 1, "draining": 1, "unknown": 1, "silent": 1}
    assert metrics.nonzero("preview_worker_slots") == {"one": 4, "two": 2}
    assert metrics.nonzero("preview_worker_busy") == {"one": 3}
    assert metrics.nonzero("preview_worker_rss_bytes") == {"one": 1_500, "two": 7}
    assert metrics.nonzero("preview_worker_versions") == {"0.1.0": 4}
    assert metrics.of("preview_stores") == 2
    assert metrics.nonzero("preview_worker_stores_failing") == {"one": 1}
    ahead = metrics.nonzero("preview_worker_clock_ahead_seconds")
    assert set(ahead) == {"two"}
    assert 0 < ahead["two"] <= 50


async def test_worker_reports_cannot_break_the_exposition(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.worker().heartbeat(r'{"host": "\ud800\"} 1\n#", "slots": 3}', [])
        metrics = await scrape_metrics(b)
    assert metrics.nonzero("preview_worker_slots") == {'\\ud800"} 1\n#': 3}
    assert metrics.nonzero("preview_worker_versions") == {"unknown": 1}


async def test_unused_queue_has_every_family_at_zero(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        empty = await scrape_metrics(b)
        await b.queue.submit(payload("a"))
        used = await scrape_metrics(b)
    assert empty.families.keys() == used.families.keys()
    assert {name for name, _ in empty.samples} == {name for name, _ in used.samples}
    assert empty.of("preview_job_failed_total", priority="low", cause="crash") == 0
    assert empty.of("preview_queue_limit") == 1_000_000
    assert used.of("preview_queue_oldest_waiting_seconds", priority="normal") >= 0


async def test_rejected_submits_are_counted_by_reason(redis_url: str) -> None:
    async with queue_fixture(redis_url, queue_max=2) as b:
        await b.queue.submit_many([payload("a"), payload("a"), payload("a", title="other"), payload("b")])
        assert (await scrape_metrics(b)).nonzero("preview_submit_refused_total") == {"conflict": 1}
        await b.queue.submit_many([payload("c"), payload("d")], invalid=3)
        await b.queue.submit_many([], invalid=2)
        metrics = await scrape_metrics(b)
        assert metrics.nonzero("preview_submit_refused_total") == {"conflict": 1, "full": 2, "invalid": 5}
        assert metrics.of("preview_job_accepted_total") == 2


async def test_collecting_costs_the_same_commands_at_any_depth(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:

        async def cost() -> dict[str, int]:
            await scrape_metrics(b)
            before = await b.calls()
            await scrape_metrics(b)
            after = await b.calls()
            calls = {name: count - before.get(name, 0) for name, count in after.items()}
            return {name: count for name, count in calls.items() if count and name != "info"}

        await b.queue.submit(payload("a"))
        shallow = await cost()
        await b.queue.submit_many([payload(f"j-{n}") for n in range(500)])
        deep = await cost()
        assert deep.pop("hmget") - shallow.pop("hmget") < CHECKED_RECORDS, "the newest jobs are checked"
        assert deep == shallow


async def test_all_processes_serve_the_same_metrics(redis_url: str) -> None:
    async with queue_fixture(redis_url) as one, queue_fixture(redis_url) as other:
        await settle(one, "a", "completed")
        first, second = await scrape_metrics(one), await scrape_metrics(other)
    volatile = {"preview_redis_latency_seconds"}
    assert {k: v for k, v in first.samples.items() if k[0] not in volatile} == {
        k: v for k, v in second.samples.items() if k[0] not in volatile
    }


async def test_unavailable_redis_is_a_metric(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        assert (await scrape_metrics(b)).of("preview_redis_up") == 1
        redis = connect(AWAY, role="test")
        metrics = Exposition((await scrape(redis, b.settings)).decode())
        await redis.aclose()
    assert metrics.of("preview_redis_up") == 0
    assert metrics.families.keys() == {"previewops_build_info", "preview_redis_up"}
    assert any(
        name == "previewops_build_info" and ("version", __version__) in labels
        for name, labels in metrics.samples
    )


async def test_the_predecessors_metrics_have_the_values_of_ours(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await settle(b, "a", "completed", "high")
        await settle(b, "b", "worn out")
        await b.queue.submit(payload("c"))
        result = await collect(b.redis, b.settings)
    lines = render_exposition(result, b.settings, legacy_names=True).decode().splitlines()
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}
    queue = 'queue="preview-jobs"'
    for name, value in (
        ("preview_job_started", 2),
        ("preview_job_completed", 1),
        ("preview_job_failed", 1),
        ("preview_requests_total", 3),
        ("preview_failures_total", 1),
        ("preview_queue_length", 1),
    ):
        assert values[f"{name}{{{queue}}}"] == value, name
    assert values[f'preview_worker_job_outcomes_total{{outcome="failed",{queue}}}'] == 1
    for unit, last in (("worker_job_duration_seconds", "1048.576"), ("duration_ms", "1048576.0")):
        bucket = f'preview_{unit}_bucket{{le="{last}",priority="high",{queue}}}'
        assert values[bucket] == values[f'preview_{unit}_count{{priority="high",{queue}}}'] == 1
    seconds = values[f'preview_job_duration_seconds_sum{{priority="high",{queue}}}']
    assert values[f'preview_duration_ms_sum{{priority="high",{queue}}}'] == pytest.approx(seconds * 1000)


def test_the_media_type_is_that_of_the_format() -> None:
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"


def test_command_prints_or_writes_atomically(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    printed = program.run("metrics")
    assert printed.code == 0, printed.err
    assert Exposition(printed.out).of("preview_redis_up") == 1
    written = program.run("metrics", "--textfile", "figures.prom")
    assert (written.code, written.out) == (0, "")
    file = tmp_path / "figures.prom"
    assert Exposition(file.read_text("utf-8")).of("preview_redis_up") == 1
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["figures.prom"]


def test_command_reports_unavailable_redis_in_both_modes(tmp_path: Path) -> None:
    program = Program(tmp_path, AWAY)
    done = program.run("metrics", "--textfile", "figures.prom")
    assert done.code == EXIT_UNREACHABLE
    assert "the socket does not exist" in done.err
    assert Exposition((tmp_path / "figures.prom").read_text("utf-8")).of("preview_redis_up") == 0


def test_unwritable_file_is_reported(redis_url: str, tmp_path: Path) -> None:
    done = Program(tmp_path, redis_url).run("metrics", "--textfile", "nowhere/figures.prom")
    assert done.code == 1
    assert done.err == "previewops: nowhere/figures.prom cannot be written: No such file or directory\n"


async def test_run_times_by_format(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        ended = EndedJobs(b.worker())
        for output_format, run_ms in (("mp4", 5.0), ("mp4", 3000.0), ("webp", 20.0)):
            ended.add("p", Priority.HIGH, output_format, wait_ms=1, run_ms=run_ms)
        await ended.report()
        metrics = await scrape_metrics(b)
    assert metrics.nonzero("preview_format_job_outcomes_total") == {"mp4 completed": 2, "webp completed": 1}
    name = "preview_format_job_duration_seconds"
    assert metrics.of(f"{name}_count", format="mp4") == 2
    assert metrics.of(f"{name}_bucket", format="mp4", le="2.048") == 1
