"""Host patterns of PREVIEW_ASSET_HOSTS. Compares text only, without DNS lookups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_PORTS = {"http": 80, "https": 443}

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST_NAME = rf"(?:{_LABEL}\.)*{_LABEL}\.?"
_PATTERN = rf"(?P<host>(?:\*\.)?{HOST_NAME}|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?"


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host that assets may be fetched from, or with ``subdomains`` every name below it.

    ``port`` None means the scheme's default port.
    """

    name: str
    subdomains: bool = False
    port: int | None = None

    def allows(self, scheme: str, host: str, port: int) -> bool:
        """Whether the pattern allows ``host`` (lower case) and ``port``."""
        if port != (self.port or DEFAULT_PORTS[scheme]):
            return False
        host = host.rstrip(".")
        return host.endswith(f".{self.name}") if self.subdomains else host == self.name

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{'*.' if self.subdomains else ''}{name}{f':{self.port}' if self.port else ''}"


def parse_host_pattern(text: str) -> HostPattern | None:
    """Parses ``example.org`` or ``*.example.org``, each optionally with ``:port``; None for anything else."""
    match = re.fullmatch(_PATTERN, text.lower())
    if match is None or (match["port"] and not 1 <= int(match["port"]) <= 65_535):
        return None
    host = match["host"].strip("[]").rstrip(".")
    port = int(match["port"]) if match["port"] else None
    return HostPattern(host.removeprefix("*."), host.startswith("*."), port)


def format_hosts(hosts: Sequence[HostPattern], variable: str = "PREVIEW_ASSET_HOSTS") -> str:
    """Lists the hosts of a setting for a message."""
    return ", ".join(str(host) for host in hosts) or f"no host ({variable} is empty)"
