"""Whether a queue is well. Pure: plain values in, verdicts out.

Codes, first line and performance data follow the Monitoring Plugins Development Guidelines
(https://www.monitoring-plugins.org/doc/guidelines.html).
"""

from previewops.health.bounds import BOUNDS, CONFINEMENT, KINDS, option_of, thresholds_of
from previewops.health.facts import (
    ENOUGH_JOBS,
    FATAL,
    RECENT_S,
    SILENT_HEARTBEATS,
    STUCK_AFTER_MS,
    Confinement,
    Facts,
    Recent,
    Thresholds,
)
from previewops.health.rules import CHECKS, judge
from previewops.health.verdict import Check, Figure, Health, Status, unknown, unreachable

__all__ = [
    "BOUNDS",
    "CHECKS",
    "CONFINEMENT",
    "ENOUGH_JOBS",
    "FATAL",
    "KINDS",
    "RECENT_S",
    "SILENT_HEARTBEATS",
    "STUCK_AFTER_MS",
    "Check",
    "Confinement",
    "Facts",
    "Figure",
    "Health",
    "Recent",
    "Status",
    "Thresholds",
    "judge",
    "option_of",
    "thresholds_of",
    "unknown",
    "unreachable",
]
