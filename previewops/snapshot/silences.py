"""Silences of health checks, which operators set for a time. They are fields of the meta hash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from previewops.clock import iso_from_ms
from previewops.queue.tolerant_values import StoredFields

FIELD_PREFIX = "silence:"
LEVELS = ("warning", "critical")
MAX_SILENCE_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class Silence:
    """Silence of ``check`` until ``until_ms`` (server time), up to the status ``level``: "warning" or "critical"."""

    check: str
    until_ms: int
    level: str
    who: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        """The silence as ``health --json`` prints it."""
        return {
            "until": iso_from_ms(self.until_ms),
            "level": self.level,
            "who": self.who,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        """For operators: "silenced by ana until 2026-11-28T23:00:00Z: a deploy"."""
        reason = f": {self.reason}" if self.reason else ""
        return f"silenced by {self.who or 'unknown'} until {iso_from_ms(self.until_ms)[:19]}Z{reason}"


def parse_silences(meta: StoredFields, now_ms: int) -> tuple[Silence, ...]:
    """Returns the silences that have not ended. A damaged one is none: an alarm is heard then."""
    silences = (
        _parse(name.removeprefix(FIELD_PREFIX), value)
        for name, value in sorted(meta.fields.items())
        if name.startswith(FIELD_PREFIX)
    )
    return tuple(silence for silence in silences if silence is not None and silence.until_ms > now_ms)


def _parse(check: str, text: str) -> Silence | None:
    try:
        value = json.loads(text)
        silence = Silence(check, int(value["until"]), value["level"], value["who"], value["reason"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = (silence.who, silence.reason)
    return silence if silence.level in LEVELS and all(isinstance(part, str) for part in texts) else None
