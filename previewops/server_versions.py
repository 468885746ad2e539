"""Versions of Redis and Valkey, and which of them have known vulnerabilities. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TABLE_DATE = "2026-11-28"
"""When the table below was compared with its sources."""

FIXED_IN: dict[str, dict[tuple[int, int], int]] = {
    # First patch release of each series without the vulnerabilities that allow code execution: for Redis those that
    # the record of CVE-2026-81934 (2026-08-27) names as unaffected, for Valkey those of 2026-07-21 (its releases
    # 7.2.14, 8.0.10, 8.1.9 and 9.0.5) and, for a use-after-free in 9.1 without a login, 9.1.2 of 2026-08-31.
    "Redis": {(6, 2): 24, (7, 2): 16, (7, 4): 11, (8, 2): 9, (8, 4): 6, (8, 6): 6, (8, 8): 2, (8, 10): 1},
    "Valkey": {(7, 2): 14, (8, 0): 10, (8, 1): 9, (9, 0): 5, (9, 1): 2},
}
"""Patch numbers by product and series. Older series without an entry have no more upstream releases."""


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """Product ("Redis" or "Valkey") and version (major, minor, patch) of a server."""

    product: str
    numbers: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.numbers))}"

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> ServerVersion | None:
        """Reads the reply of INFO server; None if it has no version.

        Valkey reports the version of Redis that it is compatible with as ``redis_version``.
        """
        product = "Valkey" if "valkey_version" in info else "Redis"
        parts = str(info.get("valkey_version", info.get("redis_version", ""))).split(".")
        if len(parts) != 3 or not all(part.isdecimal() and len(part) < 6 for part in parts):
            return None
        return cls(product, (int(parts[0]), int(parts[1]), int(parts[2])))

    @property
    def fixed_in(self) -> str | None:
        """The release that fixes the known vulnerabilities of this version; None if this one has them fixed, or if
        its series has no more releases."""
        patch = FIXED_IN.get(self.product, {}).get(self.numbers[:2])
        if patch is None or self.numbers[2] >= patch:
            return None
        return f"{self.numbers[0]}.{self.numbers[1]}.{patch}"

    @property
    def unmaintained(self) -> bool:
        """Whether upstream has ended the series. A distribution may still patch it, which no version number shows."""
        known = FIXED_IN.get(self.product, {})
        series = self.numbers[:2]
        return series not in known and bool(known) and series < max(known)

    def describe(self) -> str:
        """Returns the version, with a warning if it has known vulnerabilities or no more releases."""
        if self.fixed_in is not None:
            return f"{self}, which has known vulnerabilities (fixed in {self.fixed_in})"
        if self.unmaintained:
            return f"{self}, whose series has no more releases; your distribution may still patch it"
        return str(self)
