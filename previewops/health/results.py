"""Results of health checks: one check, performance data, and the overall status."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from previewops.errors import LayoutUnsupported
from previewops.message_formatting import escape_unprintable
from previewops.snapshot.silences import Silence


class Status(IntEnum):
    """Result of a check; the number is the plugin's exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_BY_SEVERITY = (Status.OK, Status.WARNING, Status.UNKNOWN, Status.CRITICAL)


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check: a kebab-case name, the status, and a sentence.

    ``figure`` is the measured value in a word or two; ``advice`` what to do, in one line, "" if the status is OK.
    """

    name: str
    status: Status
    message: str
    figure: str = ""
    advice: str = ""
    silence: Silence | None = None

    @property
    def effective_status(self) -> Status:
        """The status that counts: OK while an operator has silenced this one."""
        if self.silence is None or self.status is Status.OK:
            return self.status
        loudest = Status[self.silence.level.upper()]
        return Status.OK if _BY_SEVERITY.index(self.status) <= _BY_SEVERITY.index(loudest) else self.status

    @property
    def silenced(self) -> bool:
        """Whether the check fails and does not count."""
        return self.effective_status is not self.status

    def as_json(self) -> dict[str, Any]:
        """Returns the check as ``health --json`` prints it."""
        return {
            "name": self.name,
            "status": self.status.name,
            "message": self.message,
            "figure": self.figure,
            "advice": self.advice,
            "silence": self.silence.as_json() if self.silence else None,
        }


@dataclass(frozen=True, slots=True)
class PerfdataValue:
    """One value of the performance data with unit and thresholds ("" for none), as in the guidelines."""

    label: str
    value: float
    unit: str = ""
    warning: str = ""
    critical: str = ""

    def __str__(self) -> str:
        return f"{self.label}={self.value}{self.unit};{self.warning};{self.critical};0;"


@dataclass(frozen=True, slots=True)
class Health:
    """All checks and performance data of a queue."""

    checks: tuple[Check, ...]
    figures: tuple[PerfdataValue, ...] = ()

    @property
    def status(self) -> Status:
        """The worst status that no operator has silenced: critical over unknown over warning over OK."""
        statuses = (check.effective_status for check in self.checks)
        return max(statuses, key=_BY_SEVERITY.index, default=Status.UNKNOWN)

    def first_line(self) -> str:
        """Returns ``PREVIEWOPS OK - messages of the failed checks | performance data``."""
        failed = sorted(
            (check for check in self.checks if check.effective_status is not Status.OK),
            key=lambda check: -_BY_SEVERITY.index(check.status),
        )
        messages = [check.message for check in (failed or self.checks[:1])]
        silenced = [check.name for check in self.checks if check.silenced]
        if silenced:
            messages.append(f"silenced: {', '.join(silenced)}")
        message = "; ".join(messages)
        data = f" | {' '.join(map(str, self.figures))}" if self.figures else ""
        # A bar or a line break ends the message for programs that parse it.
        shown = escape_unprintable(message).replace("|", "/")
        return f"PREVIEWOPS {self.status.name} - {shown}{data}"

    def as_json(self) -> dict[str, Any]:
        """Returns the health as ``health --json`` prints it."""
        return {
            "status": self.status.name,
            "exitCode": int(self.status),
            "checks": [check.as_json() for check in self.checks],
            "figures": {figure.label: figure.value for figure in self.figures},
        }


def unreachable_health(reason: str) -> Health:
    """Returns the health of a queue whose Redis cannot be used."""
    advice = "check that the server runs, and that --redis-url or REDIS_URL names it"
    return Health((Check("redis", Status.CRITICAL, reason, "no reply", advice),))


def newer_layout_health(error: LayoutUnsupported) -> Health:
    """Returns the health of a queue whose data this build does not know: workers of this build cannot start."""
    figure = f"layout {error.found}, supported {error.supported}"
    return Health((Check("versions", Status.CRITICAL, error.message, figure, error.hint or ""),))


def unknown_health(reason: str) -> Health:
    """Returns the health if the checks cannot be run."""
    advice = "`previewops health --help` lists the options"
    return Health((Check("check", Status.UNKNOWN, reason, "", advice),))


def make_check(name: str, status: Status, message: str, figure: str, advice: str) -> Check:
    """Creates a check that has ``advice`` only if it is not OK."""
    return Check(name, status, message, figure, "" if status is Status.OK else advice)


def classify(value: float, warning: float, critical: float) -> Status:
    """Returns the status of a value for which higher is worse."""
    if value >= critical:
        return Status.CRITICAL
    return Status.WARNING if value >= warning else Status.OK


def format_seconds(ms: float) -> str:
    """Formats a time in whole seconds."""
    return f"{ms / 1000:.0f} s"
