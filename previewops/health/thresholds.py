"""Configurable thresholds: each has an environment variable and a command-line option."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from previewops.errors import UsageError
from previewops.health.inputs import Confinement, Thresholds

_PREFIX = "PREVIEW_HEALTH_"
CONFINEMENT_VARIABLE = f"{_PREFIX}CONFINEMENT"


@dataclass(frozen=True, slots=True)
class ThresholdOption:
    """A pair of thresholds (warning and critical) that users can set.

    ``name`` is "dead" for --dead-warning, PREVIEW_HEALTH_DEAD_WARNING and the fields ``dead_warning`` and
    ``dead_critical``, which ``suffix`` is appended to. The field is the user's value times ``scale``; ``unit`` is
    N, S, MS or PERCENT; ``falling`` means that low values are bad.
    """

    name: str
    unit: str
    help_text: str
    suffix: str = ""
    scale: float = 1
    lowest: float = 0
    falling: bool = False

    def field(self, level: str) -> str:
        """Returns the field of ``Thresholds`` for ``level``, "warning" or "critical"."""
        return f"{self.name}_{level}{self.suffix}"

    def variable(self, level: str) -> str:
        """Returns the environment variable."""
        return f"{_PREFIX}{self.name.upper()}_{level.upper()}"

    def default(self, level: str) -> str:
        """Returns the default in the user's unit."""
        return f"{getattr(Thresholds(), self.field(level)) / self.scale:g}"

    def parse(self, level: str, raw: str) -> float:
        """Parses a user's value to the field's value.

        Raises:
            ValueError: its text is what is allowed.
        """
        try:
            value = float(raw)
        except ValueError:
            value = math.nan
        highest = 100 if self.unit == "PERCENT" else math.inf
        integer = self.unit == "N"
        if not self.lowest <= value <= highest or math.isinf(value) or (integer and value != int(value)):
            number = "a whole number" if integer else "a number"
            raise ValueError(f"{number} of {self.lowest:g} or more" + (", at most 100" * (highest == 100)))
        return int(value) if integer else value * self.scale


LEVELS = ("warning", "critical")

THRESHOLD_OPTIONS = (
    ThresholdOption("workers", "N", "Live workers: fewer than N", falling=True),
    ThresholdOption(
        "depth", "PERCENT", "Waiting and delayed jobs, of PREVIEW_QUEUE_MAX", scale=0.01, lowest=0.1
    ),
    ThresholdOption("oldest", "S", "Wait of the oldest job", suffix="_ms", scale=1000, lowest=0.001),
    ThresholdOption("dead", "N", "Dead letters", lowest=1),
    ThresholdOption("failure", "PERCENT", "Failure rate of jobs in the last 5 min", scale=0.01, lowest=0.01),
    ThresholdOption("growth", "N", "New dead letters in the last 5 min", lowest=1),
    ThresholdOption("stuck", "N", "Jobs past their deadline", lowest=1),
    ThresholdOption("latency", "MS", "Latency of Redis", suffix="_ms", lowest=1),
    ThresholdOption("disk", "PERCENT", "Free disk space under DATA_DIR: less than", scale=0.01, falling=True),
    ThresholdOption(
        "skew", "S", "Clock difference between a host and Redis", suffix="_ms", scale=1000, lowest=0.001
    ),
    ThresholdOption("webhooks", "N", "Webhooks that failed for good", lowest=1),
    ThresholdOption("delivery", "S", "Age of the oldest unsent webhook", suffix="_ms", scale=1000, lowest=1),
)


def option_name(variable: str) -> str:
    """Returns "--dead-warning" for PREVIEW_HEALTH_DEAD_WARNING."""
    return "--" + variable.removeprefix(_PREFIX).lower().replace("_", "-")


def parse_thresholds(environ: Mapping[str, str]) -> Thresholds:
    """Parses the thresholds in ``environ``; an empty variable counts as unset.

    Raises:
        UsageError: names every invalid variable and option with the found and the allowed value.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for option in THRESHOLD_OPTIONS:
        for level in LEVELS:
            raw = environ.get(option.variable(level), "")
            try:
                if raw:
                    values[option.field(level)] = option.parse(level, raw)
            except ValueError as allowed:
                problems.append(f"{_named(option.variable(level))}: found {raw!r}, allowed {allowed}")
    confinement = environ.get(CONFINEMENT_VARIABLE, "")
    if confinement and confinement not in tuple(Confinement):
        name, names = _named(CONFINEMENT_VARIABLE), ", ".join(Confinement)
        problems.append(f"{name}: found {confinement!r}, allowed one of {names}")
    elif confinement:
        values["confinement"] = Confinement(confinement)
    thresholds = Thresholds(**values)
    problems = problems or list(_crossed(thresholds))
    if problems:
        raise UsageError("; ".join(problems), hint="`previewops health --help` lists the options")
    return thresholds


def _named(variable: str) -> str:
    return f"{variable} (or {option_name(variable)})"


def _crossed(thresholds: Thresholds) -> Iterable[str]:
    for option in THRESHOLD_OPTIONS:
        warning, critical = (getattr(thresholds, option.field(level)) for level in LEVELS)
        if critical > warning if option.falling else critical < warning:
            side = "above" if option.falling else "below"
            yield f"--{option.name}-critical is {side} --{option.name}-warning"
