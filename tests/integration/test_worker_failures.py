"""Every failure of a job ends in a retry or a dead letter, and the worker survives."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import pytest
from arq.worker import Retry, func
from redis.exceptions import ResponseError

from previewops.job_errors import PermanentJobError, RenderCrashed
from previewops.queue.records import JobRecord
from previewops.states import JobState
from tests.integration.worker_support import (
    FailingRunner,
    JobLog,
    enqueue,
    make_settings,
    make_worker,
    run_burst,
    running_worker,
    wait_for_end,
)
from tests.queue_support import QueueFixture, queue_fixture, stock_pool

pytestmark = [pytest.mark.redis]


async def echo(_ctx: dict[Any, Any], argument: Any) -> Any:
    return argument


async def outcome(
    url: str, function: Any, *, name: str | None = None, argument: Any = None, **settings: Any
) -> JobRecord:
    """The record of one job of ``function`` in a burst worker, which has to survive it."""
    async with queue_fixture(url) as queue:
        await enqueue(
            queue.redis,
            name or getattr(function, "__name__", None) or function.name,
            "job",
            argument=argument,
        )
        await run_burst(make_worker(url, make_settings(queue, **settings), function, burst=True))
        assert (await queue.snapshots.read()).unaccounted == 0
        return await queue.queue.status("job")


# ------------------------------------------------------- arq's terminal paths that call no hook


async def test_an_unknown_function_is_a_dead_letter(redis_url: str) -> None:
    record = await outcome(redis_url, echo, name="no_such_function")
    assert (record.state, record.code, record.attempts) == (JobState.DEAD, "unknown-function", 1)
    assert record.error_class == "PermanentJobError"
    assert "no_such_function" in (record.reason or "")
    assert "echo" in (record.reason or "")


async def test_a_pickled_body_is_a_dead_letter_and_never_unpickled(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        async with stock_pool(redis_url, job_serializer=pickle.dumps, job_deserializer=pickle.loads) as stock:
            await stock.enqueue_job("echo", UnpickleBomb(), _job_id="job", _queue_name="preview-jobs")
        await run_burst(make_worker(redis_url, make_settings(queue), echo, burst=True))
        record = await queue.queue.status("job")
    assert (record.state, record.code, record.attempts) == (JobState.DEAD, "payload-unreadable", 1)
    assert "pickle is not read" in (record.reason or "")


class UnpickleBomb:
    """Fails the test when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a body was unpickled",)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"[" * 100_000, b"\xff", b'{"f":1,"a":[],"k":{},"t":1,"et":1}']
)
async def test_a_body_that_is_not_a_job_record_is_a_dead_letter(redis_url: str, body: bytes) -> None:
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "echo", "job")
        await queue.redis.set("arq:job:job", body)
        await run_burst(make_worker(redis_url, make_settings(queue), echo, burst=True))
        record = await queue.queue.status("job")
    assert (record.state, record.code) == (JobState.DEAD, "payload-unreadable")


async def test_a_missing_body_is_a_dead_letter(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "echo", "job")
        await queue.redis.delete("arq:job:job")
        await run_burst(make_worker(redis_url, make_settings(queue), echo, burst=True))
        record = await queue.queue.status("job")
    assert (record.state, record.code, record.attempts) == (JobState.DEAD, "payload-lost", 1)


async def test_tries_exceeded_is_a_dead_letter_with_every_attempt(redis_url: str) -> None:
    async def raises(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise RuntimeError("it broke")

    record = await outcome(redis_url, raises, max_attempts=3)
    assert (record.state, record.cause, record.attempts, record.crashes) == (JobState.DEAD, "attempts", 3, 0)
    assert (record.error_class, record.code, record.reason) == ("RuntimeError", "unexpected", "it broke")
    assert [attempt.message for attempt in record.history] == ["it broke"] * 3
    assert all("raise RuntimeError" in (attempt.traceback or "") for attempt in record.history)
    assert {attempt.worker for attempt in record.history} == {"w1"}


async def test_the_function_s_own_max_tries_counts(redis_url: str) -> None:
    async def raises(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise RuntimeError

    record = await outcome(redis_url, func(raises, name="raises", max_tries=2), max_attempts=5)
    assert (record.state, record.attempts, record.reason) == (JobState.DEAD, 2, "RuntimeError")


# ------------------------------------------------------- what a job may raise


async def test_an_exception_is_retried_and_can_succeed(redis_url: str) -> None:
    tries: list[int] = []

    async def heals(ctx: dict[Any, Any], _argument: Any) -> str:
        tries.append(ctx["job_try"])
        if len(tries) < 3:
            raise OSError("not yet")
        return "healed"

    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "heals", "job")
        worker = make_worker(redis_url, make_settings(queue), heals, burst=True)
        await run_burst(worker)
        record = await queue.queue.status("job")
        assert (record.state, record.attempts, tries) == (JobState.COMPLETED, 2, [1, 2, 3])
        assert (worker.jobs_complete, worker.jobs_retried, worker.jobs_failed) == (1, 2, 0)


async def test_a_retry_backs_off(redis_url: str) -> None:
    journal = JobLog()

    async def raises(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise RuntimeError

    async with queue_fixture(redis_url) as queue:
        settings = make_settings(queue, backoff_base_ms=600_000, backoff_max_ms=3_600_000)
        async with running_worker(make_worker(redis_url, settings, raises, after_job_end=journal.record)):
            await enqueue(queue.redis, "raises", "job")
            await journal.wait_for(1)
            assert await queue.state("job") == "delayed"
            due_ms = await queue.redis.zscore(queue.keys.schedule, "job")
            assert due_ms is not None
            assert 500_000 < due_ms - await queue.now_ms() <= 600_000
            await queue.make_due("job")
            await journal.wait_for(2)
            due_ms = await queue.redis.zscore(queue.keys.schedule, "job")
            assert due_ms is not None
            assert 1_100_000 < due_ms - await queue.now_ms() <= 1_200_000


async def test_arq_s_retry_keeps_its_delay(redis_url: str) -> None:
    journal = JobLog()

    async def later(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise Retry(defer=1234)

    async with (
        queue_fixture(redis_url) as queue,
        running_worker(make_worker(redis_url, make_settings(queue), later, after_job_end=journal.record)),
    ):
        await enqueue(queue.redis, "later", "job")
        await journal.wait_for(1)
        record = await queue.queue.status("job")
        due_ms = await queue.redis.zscore(queue.keys.schedule, "job")
        assert due_ms is not None
        assert 1_100_000 < due_ms - await queue.now_ms() <= 1_234_000
        assert record.history[0].code == "retry-asked"


async def test_arq_s_retry_is_limited_by_the_attempts(redis_url: str) -> None:
    async def later(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise Retry(defer=0)

    record = await outcome(redis_url, later, max_attempts=3)
    assert (record.state, record.attempts, record.code) == (JobState.DEAD, 3, "retry-asked")


async def test_wrong_arguments_are_permanent(redis_url: str) -> None:
    async def takes_none(_ctx: dict[Any, Any]) -> None:
        return None

    record = await outcome(redis_url, takes_none)
    assert (record.state, record.attempts, record.code) == (JobState.DEAD, 1, "bad-arguments")


async def test_a_type_error_within_the_job_is_retried(redis_url: str) -> None:
    async def raises(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise TypeError("a bug of ours")

    record = await outcome(redis_url, raises, max_attempts=2)
    assert (record.state, record.attempts, record.code) == (JobState.DEAD, 2, "unexpected")
    assert record.error_class == "TypeError"


@pytest.mark.parametrize("result", [object(), {1, 2}, float("nan"), b"bytes"])
async def test_a_result_that_is_not_json_is_permanent(redis_url: str, result: Any) -> None:
    async def gives(_ctx: dict[Any, Any], _argument: Any) -> Any:
        return result

    record = await outcome(redis_url, gives)
    assert (record.state, record.attempts, record.code) == (JobState.DEAD, 1, "result-not-json")


async def test_the_function_s_own_timeout_ends_it(redis_url: str) -> None:
    stopped: list[str] = []

    async def hangs(_ctx: dict[Any, Any], _argument: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append("cancelled")
            raise

    record = await outcome(redis_url, func(hangs, name="hangs", timeout=0.01), max_attempts=2)
    assert (record.state, record.attempts, record.code) == (JobState.DEAD, 2, "deadline-exceeded")
    assert stopped == ["cancelled"] * 2


async def test_a_timeout_inside_the_job_is_not_its_deadline(redis_url: str) -> None:
    async def raises(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise TimeoutError("a server of the job's own is slow")

    record = await outcome(redis_url, func(raises, name="raises", timeout=60), max_attempts=1)
    assert (record.code, record.error_class) == ("unexpected", "TimeoutError")


async def test_a_crash_of_the_render_process_counts_as_a_crash(redis_url: str) -> None:
    async def crashes(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise RenderCrashed("was killed by SIGSEGV", signal_name="SIGSEGV")

    record = await outcome(redis_url, crashes, max_crashes=2, max_attempts=9)
    assert (record.state, record.cause, record.attempts, record.crashes) == (JobState.DEAD, "crashes", 0, 2)


async def test_a_cancellation_inside_the_job_is_a_failure(redis_url: str) -> None:
    async def lets_through(_ctx: dict[Any, Any], _argument: Any) -> None:
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()
        await inner

    record = await outcome(redis_url, lets_through, max_attempts=2)
    assert (record.state, record.attempts, record.code) == (JobState.DEAD, 2, "cancelled-within")


async def test_sys_exit_within_a_job_does_not_end_the_worker(redis_url: str) -> None:
    async def exits(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise SystemExit(3)

    record = await outcome(redis_url, exits, max_attempts=1)
    assert (record.state, record.error_class, record.reason) == (JobState.DEAD, "SystemExit", "3")


class ErrorWithoutText(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError("caf\udce9.png"), "caf\\udce9.png"),
        (PermanentJobError("bad-name", "\ud800", hint="\udfff"), "\\ud800 (\\udfff)"),
        (ErrorWithoutText(), "its text raises ValueError"),
    ],
)
async def test_a_message_that_is_not_utf_8_is_escaped(redis_url: str, error: Exception, reason: str) -> None:
    async def raises(ctx: dict[Any, Any], _argument: Any) -> None:
        ctx["run"].report_progress(0.5, "caf\udce9")
        raise error

    record = await outcome(redis_url, raises, max_attempts=1)
    assert (record.state, record.reason) == (JobState.DEAD, reason)
    json.dumps(record.as_json(), ensure_ascii=False).encode()


async def test_a_job_that_breaks_the_finish_is_a_failure_of_that_job_alone(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        settings = make_settings(queue, worker_concurrency=4, max_attempts=2)
        worker = make_worker(redis_url, settings, echo)
        worker.leases.fast_runner = FailingRunner(worker.leases.fast_runner, "bad")
        await enqueue(queue.redis, "echo", "a", "bad", "b", "c")
        async with running_worker(worker) as main_task:
            for job_id in ("a", "b", "c"):
                record = await wait_for_end(queue, job_id)
                assert (record.state, record.attempts, record.crashes) == (JobState.COMPLETED, 0, 0)
            bad = await wait_for_end(queue, "bad")
            assert (bad.state, bad.cause, bad.error_class) == (JobState.DEAD, "attempts", "ResponseError")
            assert not main_task.done()
            assert worker.runs == {}


async def test_an_outcome_that_cannot_be_recorded_counts_as_a_crash(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def raises(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise RuntimeError

    async def breaks(*_args: Any, **_kwargs: Any) -> None:
        raise ResponseError("user_script:1: attempt to concatenate a nil value")

    async with queue_fixture(redis_url) as queue:
        settings = make_settings(queue, lease_ms=300, heartbeat_ms=50, max_crashes=2)
        worker = make_worker(redis_url, settings, raises, echo)
        monkeypatch.setattr(worker.leases, "retry", breaks)
        await enqueue(queue.redis, "raises", "bad")
        async with running_worker(worker) as main_task:
            bad = await wait_for_end(queue, "bad")
            assert (bad.state, bad.cause, bad.crashes) == (JobState.DEAD, "crashes", 2)
            await enqueue(queue.redis, "echo", "next")
            assert (await wait_for_end(queue, "next")).state is JobState.COMPLETED
            assert not main_task.done()
            assert worker.runs == {}


# ------------------------------------------------------- hooks


class RecordingHooks:
    """Hooks that record their calls, and raise where requested."""

    def __init__(self, raising: str = "") -> None:
        self.calls: list[str] = []
        self._raising = raising

    def hook(self, name: str) -> Any:
        async def call(ctx: dict[Any, Any]) -> None:
            assert ctx["shared"] == "value"
            self.calls.append(name)
            if name == self._raising:
                raise RuntimeError(f"{name} raised")

        return call

    def options(self, *names: str) -> dict[str, Any]:
        return {"ctx": {"shared": "value"}, **{name: self.hook(name) for name in names}}


ALL_HOOKS = ("on_startup", "on_job_start", "on_job_end", "after_job_end", "on_shutdown")


async def hooked(queue: QueueFixture, url: str, function: Any, hooks: RecordingHooks) -> JobRecord:
    await enqueue(queue.redis, function.__name__, "job")
    worker = make_worker(
        url, make_settings(queue, max_attempts=1), function, burst=True, **hooks.options(*ALL_HOOKS)
    )
    await run_burst(worker)
    return await queue.queue.status("job")


async def test_hooks_are_called_in_order(redis_url: str) -> None:
    hooks = RecordingHooks()
    async with queue_fixture(redis_url) as queue:
        record = await hooked(queue, redis_url, echo, hooks)
    assert record.state is JobState.COMPLETED
    assert hooks.calls == list(ALL_HOOKS)


async def test_hooks_are_called_around_a_job_that_fails(redis_url: str) -> None:
    async def raises(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise RuntimeError("the job's own")

    hooks = RecordingHooks()
    async with queue_fixture(redis_url) as queue:
        record = await hooked(queue, redis_url, raises, hooks)
    assert (record.state, record.reason) == (JobState.DEAD, "the job's own")
    assert hooks.calls == list(ALL_HOOKS)


@pytest.mark.parametrize("raising", ["on_job_start", "on_job_end"])
async def test_a_hook_that_raises_fails_the_job_and_not_the_worker(redis_url: str, raising: str) -> None:
    hooks = RecordingHooks(raising)
    async with queue_fixture(redis_url) as queue:
        record = await hooked(queue, redis_url, echo, hooks)
    assert (record.state, record.reason) == (JobState.DEAD, f"{raising} raised")
    assert hooks.calls[-2:] == ["after_job_end", "on_shutdown"]


async def test_on_job_end_that_raises_does_not_hide_the_job_s_failure(redis_url: str) -> None:
    async def raises(_ctx: dict[Any, Any], _argument: Any) -> None:
        raise RuntimeError("the job's own")

    async with queue_fixture(redis_url) as queue:
        record = await hooked(queue, redis_url, raises, RecordingHooks("on_job_end"))
    assert record.reason == "the job's own"


async def test_after_job_end_that_raises_changes_nothing(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        record = await hooked(queue, redis_url, echo, RecordingHooks("after_job_end"))
    assert record.state is JobState.COMPLETED


async def test_on_startup_that_raises_ends_the_worker(redis_url: str) -> None:
    hooks = RecordingHooks("on_startup")
    async with queue_fixture(redis_url) as queue:
        with pytest.raises(RuntimeError, match="on_startup raised"):
            await hooked(queue, redis_url, echo, hooks)
        assert hooks.calls == ["on_startup", "on_shutdown"]
        assert (await queue.snapshots.read()).workers == ()
