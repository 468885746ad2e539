"""What a worker knows of its themes, for its report of itself: how many, whether they are valid, and their digest."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import structlog

from previewops.worker.themes.folder import ThemeFolder

log = structlog.get_logger()

CHECK_INTERVAL_S = 300.0

_MAX_PROBLEMS = 3
_MAX_PROBLEM_CHARS = 300


class ThemeMonitor:
    """State of the folder of themes at its last check. Logs each problem once, while it lasts."""

    def __init__(self, themes: ThemeFolder) -> None:
        self._themes = themes
        self._count = 0
        self._digest = ""
        self._problems: tuple[str, ...] = ()

    async def check(self) -> None:
        """Reads all themes. An invalid one does not stop the worker: the jobs that choose it fail."""
        count, digest, problems = await asyncio.to_thread(self._read)
        for problem in problems:
            if problem not in self._problems:
                log.warning("theme.invalid", reason=problem)
        self._count, self._digest, self._problems = count, digest, problems

    def _read(self) -> tuple[int, str, tuple[str, ...]]:
        try:
            files = self._themes.read_all()
        except OSError:
            return 0, "", self._themes.problems()
        digest = hashlib.sha256()
        for file in files:
            digest.update(
                f"{file.name} {file.theme.digest if file.theme else ''}\n".encode("utf-8", "replace")
            )
        problems = tuple(problem for file in files for problem in file.problems)
        return len(files), digest.hexdigest()[:16] if files else "", problems

    def report(self) -> dict[str, Any]:
        """The field of the heartbeat."""
        return {
            "themes": {
                "count": self._count,
                "digest": self._digest,
                "invalid": len(self._problems),
                "problems": [problem[:_MAX_PROBLEM_CHARS] for problem in self._problems[:_MAX_PROBLEMS]],
            }
        }

    async def run(self) -> None:
        """Checks the folder periodically."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            await self.check()
