"""Reads the rules in deploy/prometheus and the dashboard in deploy/grafana."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.docs.documents import ROOT

RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
RULE_TESTS = ROOT / "deploy" / "prometheus" / "alerts_test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "previewops.json"

_METRIC = re.compile(r"\b(?:queue:)?preview(?:ops)?_[a-z0-9_]+(?::[a-z0-9_]+)?")


def rules() -> list[dict[str, Any]]:
    """Returns all rules, recording rules included."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Returns the alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def dashboard_expressions() -> Iterator[str]:
    """Returns the queries of the panels, with the dashboard's variables filled in."""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$queue", "preview-jobs").replace("$__rate_interval", "5m")


def metrics_of(expression: str) -> set[str]:
    """Returns the metric names in an expression."""
    return set(_METRIC.findall(expression))
