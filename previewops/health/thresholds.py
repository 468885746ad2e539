"""The thresholds that can be moved: each by a variable of the environment, and by an option of that name."""

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
    """A pair of thresholds as people write them.

    ``name`` is "dead" for --dead-warning, PREVIEW_HEALTH_DEAD_WARNING and the fields ``dead_warning`` and
    ``dead_critical``, with ``suffix`` behind them. A written value times ``scale`` is the field's; ``unit`` is
    N, S, MS or PERCENT; ``falling`` means that low figures are bad.
    """

    name: str
    unit: str
    help_text: str
    suffix: str = ""
    scale: float = 1
    lowest: float = 0
    falling: bool = False

    def field(self, kind: str) -> str:
        """The field of ``Thresholds`` for ``kind``, "warning" or "critical"."""
        return f"{self.name}_{kind}{self.suffix}"

    def variable(self, kind: str) -> str:
        """The variable of the environment."""
        return f"{_PREFIX}{self.name.upper()}_{kind.upper()}"

    def default(self, kind: str) -> str:
        """The default as people write it."""
        return f"{getattr(Thresholds(), self.field(kind)) / self.scale:g}"

    def parse(self, kind: str, raw: str) -> float:
        """The field's value.

        Raises:
            ValueError: with what is allowed.
        """
        try:
            value = float(raw)
        except ValueError:
            value = math.nan
        highest = 100 if self.unit == "PERCENT" else math.inf
        whole = self.unit == "N"
        if not self.lowest <= value <= highest or math.isinf(value) or (whole and value != int(value)):
            kind_of = "a whole number" if whole else "a number"
            raise ValueError(f"{kind_of} of {self.lowest:g} or more" + (", 100 at most" * (highest == 100)))
        return int(value) if whole else value * self.scale


LEVELS = ("warning", "critical")

THRESHOLD_OPTIONS = (
    ThresholdOption("workers", "N", "Workers that are heard of: fewer than N", falling=True),
    ThresholdOption("depth", "PERCENT", "Jobs pending, of PREVIEW_QUEUE_MAX", scale=0.01, lowest=0.1),
    ThresholdOption("oldest", "S", "Wait of the oldest job", suffix="_ms", scale=1000, lowest=0.001),
    ThresholdOption("dead", "N", "Dead letters", lowest=1),
    ThresholdOption(
        "failure", "PERCENT", "Of the jobs that ended in the last 5 min: died", scale=0.01, lowest=0.01
    ),
    ThresholdOption("growth", "N", "Dead letters that came in the last 5 min", lowest=1),
    ThresholdOption("stuck", "N", "Jobs past their deadline", lowest=1),
    ThresholdOption("latency", "MS", "Time that Redis takes to answer", suffix="_ms", lowest=1),
    ThresholdOption("disk", "PERCENT", "Free under DATA_DIR: less than", scale=0.01, falling=True),
    ThresholdOption(
        "skew", "S", "A host's clock off the one of Redis by", suffix="_ms", scale=1000, lowest=0.001
    ),
)


def option_name(variable: str) -> str:
    """ "--dead-warning" of PREVIEW_HEALTH_DEAD_WARNING."""
    return "--" + variable.removeprefix(_PREFIX).lower().replace("_", "-")


def parse_thresholds(environ: Mapping[str, str]) -> Thresholds:
    """The thresholds as the environment has them; an empty variable counts as unset.

    Raises:
        UsageError: naming every variable, and option, that is off, what was found and what is allowed.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for bound in THRESHOLD_OPTIONS:
        for kind in LEVELS:
            raw = environ.get(bound.variable(kind), "")
            try:
                if raw:
                    values[bound.field(kind)] = bound.parse(kind, raw)
            except ValueError as allowed:
                problems.append(f"{_named(bound.variable(kind))} is {raw!r}; allowed is {allowed}")
    wanted = environ.get(CONFINEMENT_VARIABLE, "")
    if wanted and wanted not in tuple(Confinement):
        problems.append(
            f"{_named(CONFINEMENT_VARIABLE)} is {wanted!r}; allowed is one of {', '.join(Confinement)}"
        )
    elif wanted:
        values["confinement"] = Confinement(wanted)
    found = Thresholds(**values)
    problems = problems or list(_crossed(found))
    if problems:
        raise UsageError("; ".join(problems), hint="`previewops health --help` tells the options")
    return found


def _named(variable: str) -> str:
    return f"{variable} (or {option_name(variable)})"


def _crossed(found: Thresholds) -> Iterable[str]:
    for bound in THRESHOLD_OPTIONS:
        warning, critical = (getattr(found, bound.field(kind)) for kind in LEVELS)
        if critical > warning if bound.falling else critical < warning:
            side = "above" if bound.falling else "below"
            yield f"--{bound.name}-critical is {side} --{bound.name}-warning"
