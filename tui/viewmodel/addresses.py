"""Addresses of Redis servers for the title: short, and without secrets."""

from __future__ import annotations

from urllib.parse import parse_qsl

from previewops.disclosure import redact_url
from previewops.formatting import clean
from previewops.tui.viewmodel.spans import Line, Span, Tone, clip_middle


def short_address(url: str) -> str:
    """An address without scheme, user, password and options: "db1:6379/0", "/run/redis.sock"."""
    shown, _, query = redact_url(url).partition("?")
    scheme, separator, rest = shown.partition("://")
    place = clean(rest.rpartition("@")[2]) if separator else clean(shown)
    database = dict(parse_qsl(query)).get("db")
    place += f" db {clean(database)}" if database else ""
    return f"sentinel {place}" if "sentinel" in scheme else place


def format_address(address: str, columns: int) -> Line:
    """An address in at most so many columns: the middle gives way, as host and database are at its ends."""
    return clip_middle((Span(address, Tone.DIM),), columns)
