"""A worker's monitor of its store, over a store that fails on command."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

import pytest
import structlog

from previewops.errors import StoreRejected, StoreUnavailable
from previewops.queue.keys import Keys
from previewops.queue.tolerant_values import UnreadableCollector
from previewops.snapshot.worker_report import parse_worker
from previewops.stores.port import BundleStore
from previewops.worker import store_monitor
from previewops.worker.store_monitor import StoreMonitor

WAIT_S = 20


class FakeStore:
    """A store with the id ``store_id``. ``probe_error`` and ``error`` are raised by its two calls."""

    location = "s3://bucket/prefix"

    def __init__(self) -> None:
        self.store_id = "1"
        self.error: Exception | None = None
        self.probe_error: Exception | None = None
        self.calls: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def probe(self) -> None:
        self.calls.append("probe")
        if self.probe_error is not None:
            raise self.probe_error

    def identify(self, *, create: bool) -> str:
        self.calls.append("identify")
        assert self.gate.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        return self.store_id


class ManualClock:
    """A clock that moves by hand."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def monotonic(self) -> float:
        return self.at_s

    def now_ms(self) -> int:
        return 0


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def monitor(store: FakeStore, clock: ManualClock) -> StoreMonitor:
    return StoreMonitor(cast("BundleStore", store), clock)


def report(monitor: StoreMonitor) -> dict[str, Any]:
    fields: dict[str, Any] = monitor.report()["store"]
    return fields


async def test_a_report_has_the_id_and_the_age_of_its_result(
    store: FakeStore, clock: ManualClock, monitor: StoreMonitor
) -> None:
    await monitor.start()
    assert store.calls == ["probe", "identify"]
    clock.at_s += 7
    assert report(monitor) == {
        "id": "1",
        "location": "s3://bucket/prefix",
        "problem": "",
        "forMs": 7_000,
        "checkedAgoMs": 7_000,
    }
    monitor.record_failure("403 for https://x:secret@host/?signature=abc")
    clock.at_s += 2
    monitor.record_failure("403")
    clock.at_s += 1
    assert report(monitor) == {**report(monitor), "problem": "403", "forMs": 3_000, "checkedAgoMs": 1_000}
    monitor.record_success()
    assert (report(monitor)["problem"], report(monitor)["forMs"]) == ("", 0)


async def test_a_report_shows_no_secret(monitor: StoreMonitor) -> None:
    monitor.record_failure("403 for https://ann:secret@host/?signature=abc")
    assert "secret" not in report(monitor)["problem"]
    assert "abc" not in report(monitor)["problem"]


async def test_a_store_that_is_away_at_the_start_is_reported_and_one_that_is_rejected_ends_the_worker(
    store: FakeStore, monitor: StoreMonitor
) -> None:
    store.probe_error = StoreUnavailable(store.location, "no route")
    await monitor.start()
    assert (report(monitor)["problem"], report(monitor)["id"]) == ("no route", "")
    store.probe_error = StoreRejected("it ignores conditions")
    with pytest.raises(StoreRejected):
        await monitor.start()


async def test_a_store_that_failed_has_to_pass_its_probe(store: FakeStore, monitor: StoreMonitor) -> None:
    await monitor.start()
    store.error = StoreUnavailable(store.location, "gone")
    await monitor.check()
    assert report(monitor)["problem"] == "gone"
    store.error, store.probe_error = None, StoreUnavailable(store.location, "read only")
    await monitor.check()
    assert report(monitor)["problem"] == "read only"
    store.probe_error = StoreRejected("it ignores conditions")
    await monitor.check()
    assert report(monitor)["problem"] == "it ignores conditions"
    store.probe_error = None
    await monitor.check()
    assert report(monitor)["problem"] == ""


async def test_a_publication_that_fails_during_a_check_counts(
    store: FakeStore, monitor: StoreMonitor
) -> None:
    await monitor.start()
    store.gate.clear()
    check = asyncio.create_task(monitor.check())
    await asyncio.sleep(0)
    monitor.record_failure("access denied")
    store.gate.set()
    await check
    assert report(monitor)["problem"] == "access denied"


async def test_a_check_that_hangs_is_a_failure_and_no_second_one_begins(
    store: FakeStore, monitor: StoreMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await monitor.start()
    monkeypatch.setattr(store_monitor, "CHECK_TIMEOUT_S", 0.0)
    store.gate.clear()
    store.calls.clear()
    await monitor.check()
    await monitor.check()
    assert report(monitor)["problem"] == "no answer within 0 s"
    store.gate.set()
    monkeypatch.setattr(store_monitor, "CHECK_TIMEOUT_S", WAIT_S)
    await monitor.check()
    assert report(monitor)["problem"] == ""
    assert store.calls == ["identify"]


async def test_another_store_in_its_place_is_logged(store: FakeStore, monitor: StoreMonitor) -> None:
    await monitor.start()
    store.store_id = "2"
    with structlog.testing.capture_logs() as logs:
        await monitor.check()
    assert [(line["event"], line["knew"], line["found"]) for line in logs] == [("store.replaced", "1", "2")]
    assert report(monitor)["id"] == "2"


async def test_it_checks_periodically_and_sooner_after_a_failure(
    store: FakeStore, monitor: StoreMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await monitor.start()
    monkeypatch.setattr(store_monitor, "RECHECK_INTERVAL_S", 0.0)
    recovered = asyncio.Event()
    record_success = monitor.record_success

    def record_and_notify() -> None:
        record_success()
        recovered.set()

    monkeypatch.setattr(monitor, "record_success", record_and_notify)
    running = asyncio.create_task(monitor.run())
    await asyncio.sleep(0)
    store.calls.clear()
    monitor.record_failure("gone")
    async with asyncio.timeout(WAIT_S):  # CHECK_INTERVAL_S is far away
        await recovered.wait()
    running.cancel()
    assert store.calls == ["probe", "identify"]


@pytest.mark.parametrize(
    ("reported", "unreadable"),
    [("", 0), (', "store": null', 0), (', "store": 5', 1), (', "store": {"id": [], "forMs": "x"}', 1)],
)
def test_reports_of_other_versions_and_damaged_ones_are_read(reported: str, unreadable: int) -> None:
    collector = UnreadableCollector()
    raw = f'{{"host": "h"{reported}}}'.encode()
    worker = parse_worker(Keys("q"), collector, b"w1", b"5000", raw)
    assert worker.host == "h"
    assert collector.result().count == unreadable
    if worker.store is not None:
        assert (worker.store.store_id, worker.store.since_ms) == ("", 5_000)
