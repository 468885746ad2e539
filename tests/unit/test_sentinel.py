"""Which Sentinel is asked, and what a failure to find the primary says."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from redis.asyncio.connection import Connection
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError

from previewops.redis_server import switch_listener
from previewops.redis_server.failures import Recovery, classify
from previewops.redis_server.pool import PrimaryPool
from previewops.redis_server.sentinel import SentinelLocator
from previewops.redis_server.sentinel_address import split_sentinel_address

OLD, NEW = ("10.0.0.1", 6379), ("10.0.0.2", 6379)
CHANGES: list[str] = []
SUBSCRIPTIONS: asyncio.Queue[str] = asyncio.Queue()
ADDRESS = split_sentinel_address("redis+sentinel://a,b,c/service")


class FakeSentinels(Connection):
    """Connection to Sentinels of which each has one reply: an address, None, or an error."""

    replies: ClassVar[dict[str, Any]]
    asked: ClassVar[list[str]]

    async def connect(self) -> None:
        self.asked.append(self.host)
        if isinstance(self.replies[self.host], Exception):
            raise self.replies[self.host]

    async def send_command(self, *args: Any, **options: Any) -> None:
        assert args in (("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "service"), ("SUBSCRIBE", "+switch-master"))
        if args[0] == "SUBSCRIBE":
            SUBSCRIPTIONS.put_nowait(self.host)
            raise RedisConnectionError("away")

    async def read_response(self, *args: Any, **options: Any) -> Any:
        primary = self.replies[self.host]
        return primary and [primary[0].encode(), str(primary[1]).encode()]

    async def disconnect(self, nowait: bool = False) -> None:
        pass


def locator(a: Any, b: Any, c: Any) -> SentinelLocator:
    FakeSentinels.replies = {"a": a, "b": b, "c": c}
    FakeSentinels.asked = []
    CHANGES.clear()
    return SentinelLocator(ADDRESS, FakeSentinels, {}, note_change)


async def note_change() -> None:
    CHANGES.append("change")


def asked() -> str:
    hosts, FakeSentinels.asked = "".join(FakeSentinels.asked), []
    return hosts


async def test_the_sentinel_that_replied_is_asked_first() -> None:
    sentinels = locator(RedisConnectionError("away"), TimeoutError(), NEW)
    assert await sentinels.locate() == NEW
    assert asked() == "abc"
    assert await sentinels.locate() == NEW
    assert asked() == "c"


async def test_a_sentinel_without_the_service_is_skipped() -> None:
    assert await locator(None, NEW, None).locate() == NEW


async def test_the_sentinel_that_named_a_failed_server_is_asked_last() -> None:
    sentinels = locator(OLD, NEW, NEW)
    assert await sentinels.locate() == OLD
    sentinels.doubt(OLD)
    sentinels.doubt(OLD)
    asked()
    assert await sentinels.locate() == NEW
    assert asked() == "b"
    sentinels.doubt(OLD)
    await sentinels.locate()
    assert asked() == "b"


async def test_the_listener_leaves_a_sentinel_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("START_DELAY_S", "RETRY_PAUSE_S"):
        monkeypatch.setattr(switch_listener, name, 0)
    sentinels = locator(OLD, NEW, NEW)
    await sentinels.locate()
    assert await SUBSCRIPTIONS.get() == "a"
    FakeSentinels.replies["a"] = RedisConnectionError("away")
    while await SUBSCRIPTIONS.get() == "a":
        pass
    assert CHANGES == ["change"]
    await sentinels.close()


async def test_a_change_of_the_primary_is_reported_once() -> None:
    sentinels = locator(OLD, OLD, OLD)
    await sentinels.locate()
    await sentinels.locate()
    assert CHANGES == []
    FakeSentinels.replies = dict.fromkeys("abc", NEW)
    await sentinels.locate()
    await sentinels.locate()
    assert CHANGES == ["change"]


@pytest.mark.parametrize("permitted", [True, False])
async def test_the_listener_hears_of_a_promotion_if_its_user_may(
    monkeypatch: pytest.MonkeyPatch, permitted: bool
) -> None:
    monkeypatch.setattr(switch_listener, "START_DELAY_S", 0)
    channels: list[str] = []
    messages: asyncio.Queue[str] = asyncio.Queue()
    checks: asyncio.Queue[Connection | None] = asyncio.Queue()

    class Listening(FakeSentinels):
        async def send_command(self, *args: Any, **options: Any) -> None:
            channels.append(args[1])

        async def read_response(self, *args: Any, **options: Any) -> Any:
            if "timeout" in options:
                return await messages.get()
            if channels[-1] == "+promoted-slave" and not permitted:
                raise NoPermissionError("no permission for this channel")
            return ["subscribe"]

    async def check(reporter: Connection | None) -> None:
        checks.put_nowait(reporter)

    FakeSentinels.replies, FakeSentinels.asked = {"a": OLD}, []
    listener = switch_listener.SwitchListener(lambda: Listening(host="a"), check)
    listener.start()
    messages.put_nowait("a change")
    reporters = [await checks.get() for _ in range(3)]
    assert [reporter and reporter.host for reporter in reporters] == [None, None, "a"]
    assert channels == ["+switch-master", "+promoted-slave"]
    await listener.stop()


async def test_the_sentinel_that_reports_a_promotion_is_asked_first() -> None:
    sentinels = locator(OLD, OLD, NEW)
    await sentinels.locate()
    asked()
    await sentinels._check(FakeSentinels(host="c", port=26379))
    assert asked() == "c"
    assert CHANGES == ["change"]


async def test_a_wait_for_another_primary_ends_when_one_is_named() -> None:
    pool = PrimaryPool()
    waiting = asyncio.create_task(pool.wait_for_another_primary(600))
    assert not await pool.wait_for_another_primary(0)
    await pool._replace_connections()
    assert await waiting


@pytest.mark.parametrize(
    ("replies", "recovery", "words"),
    [
        ((None, RedisConnectionError("away"), None), Recovery.LOGIN, "do not know the service"),
        (
            (AuthenticationError("x"), RedisConnectionError("away"), TimeoutError()),
            Recovery.LOGIN,
            "sentinel_password",
        ),
        (
            (RedisConnectionError("away"), TimeoutError(), TimeoutError()),
            Recovery.RETRY,
            "no Sentinel can be reached: a:26379 (away), b:26379 (it did not reply in time), c:26379",
        ),
    ],
)
async def test_the_failure_says_what_to_correct(
    replies: tuple[Any, Any, Any], recovery: Recovery, words: str
) -> None:
    with pytest.raises(RedisConnectionError) as caught:
        await locator(*replies).locate()
    failure = classify(caught.value)
    assert failure.recovery is recovery
    assert failure.reason is not None
    assert words in failure.reason
