"""docs/health-checks.md has every check, and every threshold with its default."""

from __future__ import annotations

from previewops.health import (
    CHECKS,
    CONFINEMENT_VARIABLE,
    LEVELS,
    THRESHOLD_OPTIONS,
    Confinement,
    option_name,
)
from tests.docs.documents import ROOT, table

HEALTH = ROOT / "docs" / "health-checks.md"


def test_the_checks_are_those_of_the_program() -> None:
    assert tuple(name for name, _, _ in table(HEALTH, "## Checks")) == CHECKS


def test_the_thresholds_are_those_of_the_program() -> None:
    expected = [
        (
            ", ".join(option_name(bound.variable(kind)) for kind in LEVELS),
            bound.unit,
            *("fewer than " * bound.falling + bound.default(kind) for kind in LEVELS),
            ", ".join(bound.variable(kind) for kind in LEVELS),
        )
        for bound in THRESHOLD_OPTIONS
    ]
    assert table(HEALTH, "## Thresholds") == expected
    text = HEALTH.read_text("utf-8")
    assert all(f"`{word}`" in text for word in Confinement)
    assert option_name(CONFINEMENT_VARIABLE) in text
