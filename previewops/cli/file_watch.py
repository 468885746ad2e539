"""Waits for changes of files by comparing their size and time of modification.

A watch by the kernel would need one more dependency and misses network folders; a render takes longer than a poll.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.25
MAX_UNSETTLED_POLLS = 40
"""A file that changes at every poll does not hold a change back for longer."""

Stamp = tuple[int, int, int] | None


def read_stamp(path: Path) -> Stamp:
    """Time of modification (ns), size and inode of a file; None if it is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


@dataclass(frozen=True, slots=True)
class FileWatch:
    """Compares files; ``sleep`` gets seconds."""

    sleep: Callable[[float], None] = time.sleep
    stamp: Callable[[Path], Stamp] = read_stamp

    def read(self, paths: Iterable[Path]) -> dict[Path, Stamp]:
        """The state of ``paths``, to wait for a change of it. Read it before the files are used."""
        return {path: self.stamp(path) for path in paths}

    def wait(self, before: Mapping[Path, Stamp]) -> list[Path]:
        """Waits until files differ from ``before`` and have not changed for one poll more; returns those files.

        Editors write a file in several steps, and copies take their time.
        """
        while (now := self.read(before)) == before:
            self.sleep(POLL_S)
        for _ in range(MAX_UNSETTLED_POLLS):
            self.sleep(POLL_S)
            later, now = now, self.read(before)
            if later == now:
                break
        changed = [path for path, stamp in now.items() if stamp != before[path]]
        return changed or self.wait(before)
