"""Health checks of a queue: inputs, rules, results.

Exit codes, first line and performance data follow the Monitoring Plugins Development Guidelines
(https://www.monitoring-plugins.org/doc/guidelines.html). Pure, except for ``collect``.
"""

from previewops.health.inputs import (
    FATAL_PHASE,
    MIN_JOBS_FOR_RATE,
    RECENT_WINDOW_S,
    SILENT_HEARTBEATS,
    STUCK_AFTER_MS,
    Confinement,
    HealthInputs,
    RecentOutcomes,
    Thresholds,
)
from previewops.health.results import (
    Check,
    Health,
    PerfdataValue,
    Status,
    newer_layout_health,
    unknown_health,
    unreachable_health,
)
from previewops.health.rules import CHECKS, evaluate
from previewops.health.thresholds import (
    CONFINEMENT_VARIABLE,
    LEVELS,
    THRESHOLD_OPTIONS,
    option_name,
    parse_thresholds,
)

__all__ = [
    "CHECKS",
    "CONFINEMENT_VARIABLE",
    "FATAL_PHASE",
    "LEVELS",
    "MIN_JOBS_FOR_RATE",
    "RECENT_WINDOW_S",
    "SILENT_HEARTBEATS",
    "STUCK_AFTER_MS",
    "THRESHOLD_OPTIONS",
    "Check",
    "Confinement",
    "Health",
    "HealthInputs",
    "PerfdataValue",
    "RecentOutcomes",
    "Status",
    "Thresholds",
    "evaluate",
    "newer_layout_health",
    "option_name",
    "parse_thresholds",
    "unknown_health",
    "unreachable_health",
]
