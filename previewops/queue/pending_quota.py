"""Quota of pending jobs: how many jobs of some projects may be pending at once. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PendingQuota:
    """At most ``limit`` jobs of ``projects`` (None: of all) may be pending. ``holder`` is named in errors."""

    holder: str
    limit: int
    projects: frozenset[str] | None = None

    def script_argument(self) -> str:
        """Returns the quota as an argument of the script ``submit``."""
        projects = {} if self.projects is None else {"projects": sorted(self.projects)}
        return json.dumps({"limit": self.limit, **projects}, separators=(",", ":"))
