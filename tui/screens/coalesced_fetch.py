"""Fetches that never overlap: requests during a fetch are merged into one more fetch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.dom import DOMNode


class CoalescedFetch:
    """Runs ``fetch`` in a worker of ``node`` called ``name``, never twice at the same time."""

    def __init__(self, node: DOMNode, name: str, fetch: Callable[[], Awaitable[None]]) -> None:
        self._node = node
        self._name = name
        self._fetch = fetch
        self._running = False
        self._again = False

    def request(self) -> None:
        """Fetches now, or once more after the running fetch."""
        if self._running:
            self._again = True
            return
        self._running = True
        self._node.run_worker(self._run(), name=self._name, group=self._name)

    async def _run(self) -> None:
        try:
            while True:
                self._again = False
                await self._fetch()
                if not self._again:
                    return
        finally:
            self._running = False
