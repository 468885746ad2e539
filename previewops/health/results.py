"""What checks come to, one by one and together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Status(IntEnum):
    """What a check comes to; the number is the plugin's exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_BADNESS = (Status.OK, Status.WARNING, Status.UNKNOWN, Status.CRITICAL)


@dataclass(frozen=True, slots=True)
class Check:
    """One verdict: a kebab-case name, the status, and a sentence.

    ``figure`` is what it rests on in a word or two; ``advice`` what to do, in one line, "" when all is well.
    """

    name: str
    status: Status
    message: str
    figure: str = ""
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """The check as ``health --json`` shows it."""
        told = {"name": self.name, "status": self.status.name, "message": self.message}
        return {**told, "figure": self.figure, "advice": self.advice}


@dataclass(frozen=True, slots=True)
class PerfdataValue:
    """One value of the performance data with its unit and bounds ("" for none), after the guidelines."""

    label: str
    value: float
    unit: str = ""
    warning: str = ""
    critical: str = ""

    def __str__(self) -> str:
        return f"{self.label}={self.value}{self.unit};{self.warning};{self.critical};0;"


@dataclass(frozen=True, slots=True)
class Health:
    """All verdicts and figures, and the worst of the verdicts."""

    checks: tuple[Check, ...]
    figures: tuple[PerfdataValue, ...] = ()

    @property
    def status(self) -> Status:
        """The worst: critical over unknown over warning over OK."""
        return max((check.status for check in self.checks), key=_BADNESS.index, default=Status.UNKNOWN)

    def first_line(self) -> str:
        """``PREVIEWOPS OK - what is the matter, or that nothing is | performance data``."""
        bad = sorted(
            (check for check in self.checks if check.status is not Status.OK),
            key=lambda check: -_BADNESS.index(check.status),
        )
        said = "; ".join(check.message for check in (bad or self.checks[:1]))
        data = f" | {' '.join(map(str, self.figures))}" if self.figures else ""
        # A bar ends the text for whoever reads it by machine.
        return f"PREVIEWOPS {self.status.name} - {said.replace('|', '/')}{data}"

    def as_json(self) -> dict[str, Any]:
        """The health as ``health --json`` shows it."""
        return {
            "status": self.status.name,
            "exitCode": int(self.status),
            "checks": [check.as_json() for check in self.checks],
            "figures": {figure.label: figure.value for figure in self.figures},
        }


def unreachable_health(reason: str) -> Health:
    """The health of a queue whose Redis cannot be used."""
    advice = "see that the server runs, and that --redis-url or REDIS_URL names it"
    return Health((Check("redis", Status.CRITICAL, reason, "no answer", advice),))


def unknown_health(reason: str) -> Health:
    """The health when the check itself cannot be made."""
    advice = "`previewops health --help` tells the options"
    return Health((Check("check", Status.UNKNOWN, reason, "", advice),))


def make_check(name: str, status: Status, message: str, figure: str, advice: str) -> Check:
    """A check whose ``advice`` counts where something is wrong."""
    return Check(name, status, message, figure, "" if status is Status.OK else advice)


def classify(found: float, warning: float, critical: float) -> Status:
    """What a figure comes to that is the worse the higher it is."""
    if found >= critical:
        return Status.CRITICAL
    return Status.WARNING if found >= warning else Status.OK
