"""What a worker knows of its store of bundles, for its report of itself: the id, and whether the store works."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from previewops.clock import Clock
from previewops.disclosure import redact
from previewops.errors import StoreRejected, StoreUnavailable
from previewops.stores.port import BundleStore

log = structlog.get_logger()

CHECK_INTERVAL_S = 300.0
"""Interval of checks while the store works: one request each, so a thousand workers send three a second."""
RECHECK_INTERVAL_S = 30.0
"""Interval of checks while it does not work."""
CHECK_TIMEOUT_S = 30.0

_MAX_PROBLEM_CHARS = 300


class StoreMonitor:
    """Result of the last publication or check of ``store``, and its id. Use it in one event loop.

    A publication or check that fails makes the store failing; one that succeeds makes it work.
    """

    def __init__(self, store: BundleStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._id: str | None = None
        self._problem = ""
        self._since = self._checked = clock.monotonic()
        self._results = 0
        self._check: asyncio.Task[str | None] | None = None
        self._failed = asyncio.Event()

    async def start(self) -> None:
        """Checks the store before the worker takes a job. While it is away, each publication checks it again.

        Raises:
            StoreRejected: it does not keep the promises that bundles need.
        """
        try:
            self._id = await asyncio.to_thread(self._probe_and_identify)
        except StoreUnavailable as error:
            self.record_failure(error.reason)
        else:
            self.record_success()

    def record_success(self) -> None:
        """Records that the store has just accepted a bundle, or answered a check."""
        if self._problem:
            log.info("store.available")
            self._since = self._clock.monotonic()
        self._problem = ""
        self._note_result()

    def record_failure(self, problem: str) -> None:
        """Records why the store rejected a bundle, or failed a check. Logs the first failure in a row."""
        if not self._problem:
            log.warning("store.unavailable", reason=problem)
            self._since = self._clock.monotonic()
            self._failed.set()
        self._problem = problem
        self._note_result()

    def _note_result(self) -> None:
        self._checked = self._clock.monotonic()
        self._results += 1

    def report(self) -> dict[str, Any]:
        """The field of the heartbeat. Times are ages in ms, because the clocks of hosts differ."""
        now = self._clock.monotonic()
        return {
            "store": {
                "id": self._id or "",
                "location": self._store.location,
                "problem": redact(self._problem)[:_MAX_PROBLEM_CHARS],
                "forMs": round((now - self._since) * 1000),
                "checkedAgoMs": round((now - self._checked) * 1000),
            }
        }

    async def run(self) -> None:
        """Checks the store periodically: an idle worker would not notice that it fails, or that it works again."""
        while True:
            self._failed.clear()
            try:
                async with asyncio.timeout(RECHECK_INTERVAL_S if self._problem else CHECK_INTERVAL_S):
                    await self._failed.wait()
            except TimeoutError:
                await self.check()

    async def check(self) -> None:
        """Reads the store's id; a store that fails has to pass its probe, too. Records the result."""
        results = self._results
        if self._check is None:
            work = self._probe_and_identify if self._problem else self._identify
            self._check = asyncio.create_task(asyncio.to_thread(work))
        # A thread that hangs on a dead mount cannot be stopped: never start a second one.
        if not (await asyncio.wait({self._check}, timeout=CHECK_TIMEOUT_S))[0]:
            self.record_failure(f"no answer within {CHECK_TIMEOUT_S:g} s")
            return
        task, self._check = self._check, None
        try:
            self._note_id(task.result())
        except StoreUnavailable as error:
            self.record_failure(error.reason)
        except StoreRejected as error:
            self.record_failure(error.message)
        else:
            if self._results == results:  # a publication has failed meanwhile: its result counts
                self.record_success()

    def _note_id(self, store_id: str | None) -> None:
        if self._id and store_id and store_id != self._id:
            log.error("store.replaced", knew=self._id, found=store_id)
        self._id = store_id or self._id

    def _identify(self) -> str | None:
        return self._store.identify(create=True)

    def _probe_and_identify(self) -> str | None:
        self._store.probe()
        return self._identify()
