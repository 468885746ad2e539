"""Submits across a short outage of Redis, and at the default address."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from previewops.cli.context import Context
from previewops.cli.payload_files import ParsedPayload
from previewops.cli.program import cli
from previewops.cli.submit import _check_default_server
from previewops.cli.submitter import SubmitReport, Submitter
from previewops.contract import AssetPolicy, Payload
from previewops.errors import UsageError
from previewops.queue.queue import Queue
from tests.integration.cli_program import payload
from tests.queue_support import queue_fixture

pytestmark = pytest.mark.redis


class InterruptedQueue(Queue):
    """Loses the connection at the given calls of ``submit_many``; at odd ones after the server has accepted."""

    lost_calls: frozenset[int] = frozenset()
    calls = 0

    async def submit_many(self, payloads: Sequence[Payload], **options: Any) -> Any:
        self.calls += 1
        if self.calls not in self.lost_calls:
            return await super().submit_many(payloads, **options)
        if self.calls % 2:
            await super().submit_many(payloads, **options)
        raise RedisConnectionError("lost")


def parsed(count: int) -> list[ParsedPayload]:
    return [ParsedPayload(f"lines:{n}", Path(), payload(f"j{n}"), None) for n in range(count)]


async def test_a_long_submit_continues_after_a_short_outage(
    redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with queue_fixture(redis_url) as b:
        queue = InterruptedQueue(b.redis, b.settings)
        queue.lost_calls = frozenset({2, 3})
        report = SubmitReport(as_json=False, wait=False)
        submitter = Submitter(b.settings, report, False, AssetPolicy((), ()))
        await submitter.submit(queue, redis_url, iter(parsed(250)))
        assert (len(report.accepted), report.exit_code, submitter.redis_failed) == (250, 0, False)
        assert (
            capsys.readouterr().err.count("Redis is unavailable (lost); the rest is not submitted yet") == 1
        )


async def test_a_submit_without_a_server_fails_at_once(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        queue = InterruptedQueue(b.redis, b.settings)
        queue.lost_calls = frozenset(range(10))
        report = SubmitReport(as_json=False, wait=False)
        submitter = Submitter(b.settings, report, False, AssetPolicy((), ()))
        await submitter.submit(queue, redis_url, iter(parsed(2)))
        assert (queue.calls, report.exit_code) == (1, 69)


async def test_the_default_server_must_have_the_queue(
    redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with queue_fixture(redis_url) as b:
        with pytest.raises(
            UsageError, match=r"found no queue preview-jobs at redis://127.0.0.1:6379"
        ) as caught:
            await _check_default_server(b.queue, new_queue=False)
        assert "--new-queue" in str(caught.value.hint)
        await _check_default_server(b.queue, new_queue=True)
        await b.worker().heartbeat("{}", [])
        await _check_default_server(b.queue, new_queue=False)
        assert capsys.readouterr().err.count("note: using queue preview-jobs at redis://127.0.0.1:6379") == 2


def test_only_an_address_that_nothing_sets_is_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert Context().uses_default_address()
    assert not Context(redis_option="redis://127.0.0.1:6379").uses_default_address()
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379")
    assert not Context().uses_default_address()


CHANGES = [
    ["pause"],
    ["resume"],
    ["cancel", "job"],
    ["scale", "2"],
    ["drain", "--host", "render-1"],
    ["restart", "--host", "render-1"],
    ["reset", "--host", "render-1"],
    ["dlq", "requeue", "--all", "--yes"],
    ["dlq", "discard", "--all", "--yes"],
    ["doctor", "--repair"],
    ["health", "--acknowledge-loss"],
]


@pytest.mark.parametrize("arguments", CHANGES, ids=" ".join)
def test_no_command_changes_a_server_without_the_queue(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(Context, "uses_default_address", lambda self: True)
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
        result = CliRunner().invoke(cli, ["--redis-url", redis_url, *arguments], obj=Context())
        text = result.output + str(result.exception)
        assert "found no queue preview-jobs at redis://127.0.0.1:6379, the default address" in text
        assert redis.dbsize() == 0


async def test_the_screen_changes_no_server_without_the_queue(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "uses_default_address", lambda self: True)
    context = Context(redis_option=redis_url)
    async with queue_fixture(redis_url) as b:
        assert "found no queue preview-jobs" in await asyncio.to_thread(context.missing_default_queue)
        await b.worker().heartbeat("{}", [])
        assert await asyncio.to_thread(context.missing_default_queue) == ""
