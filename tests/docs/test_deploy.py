"""Alerts and the dashboard query existing metrics, and the alerts fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from previewops.metrics import collect, render_exposition
from tests.docs.documents import DOCUMENTS, ROOT, anchors, spans
from tests.docs.manifests import scaling_queries
from tests.docs.rules import (
    DASHBOARD,
    RULE_TESTS,
    RULES,
    alerts,
    dashboard_expressions,
    metrics_of,
    rules,
)
from tests.queue_support import queue_fixture

with_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool, of Debian's prometheus, is not installed"
)


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@with_promtool
def test_the_rules_are_rules() -> None:
    promtool("check", "rules", str(RULES))


@with_promtool
def test_every_alert_fires_and_does_not_fire_as_its_tests_say() -> None:
    promtool("test", "rules", str(RULE_TESTS))


@with_promtool
def test_queries_of_the_dashboard_and_of_keda_are_valid(tmp_path: Path) -> None:
    expressions = [*dashboard_expressions(), *scaling_queries()]
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(expressions)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    promtool("check", "rules", str(file))


@with_promtool
def test_the_scrape_configuration_is_one() -> None:
    promtool("check", "config", "--syntax-only", str(RULES.parent / "scrape.yml"))


def test_every_alert_is_tested_both_ways() -> None:
    cases = [
        case
        for test in yaml.safe_load(RULE_TESTS.read_text("utf-8"))["tests"]
        for case in test["alert_rule_test"]
    ]
    for name in alerts():
        outcomes = {bool(case["exp_alerts"]) for case in cases if case["alertname"] == name}
        assert outcomes == {True, False}, name


def test_every_alert_has_summary_description_and_runbook() -> None:
    document = ROOT / "docs" / "runbook.md"
    for name, rule in alerts().items():
        annotations = rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert annotations["summary"], name
        assert annotations["description"].endswith("."), name
        path, _, anchor = annotations["runbook_url"].partition("#")
        assert (ROOT / path) == document, name
        assert anchor == name.lower(), name
        assert anchor in anchors(document), name


def exported_names(exposition: bytes) -> tuple[set[str], set[str]]:
    """Returns the names of the samples, and of the families."""
    families = list(text_string_to_metric_families(exposition.decode()))
    return {sample.name for family in families for sample in family.samples}, {f.name for f in families}


@pytest.mark.redis
async def test_every_queried_metric_is_exported(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.worker().heartbeat(json.dumps({"host": "one", "version": "0.1.0", "store": {}}), [])
        result = await collect(b.redis, b.settings)
    exported, _ = exported_names(render_exposition(result, b.settings))
    documented = set[str]().union(*exported_names(render_exposition(result, b.settings, legacy_names=True)))
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        assert metrics_of(rule["expr"])
        assert metrics_of(rule["expr"]) <= exported | recorded, rule
    for expression in (*dashboard_expressions(), *scaling_queries()):
        assert metrics_of(expression), expression
        assert metrics_of(expression) <= exported, expression
    for document in DOCUMENTS:
        named = {span for span in spans(document) if metrics_of(span) == {span}}
        assert named <= documented | recorded, document.name
    tested = RULE_TESTS.read_text("utf-8")
    assert set(re.findall(r"preview_[a-z_]+(?=\{)", tested)) <= exported


@pytest.mark.parametrize("name", ["runbook.md", "migrate.md"])
def test_the_documents_name_alerts_that_there_are(name: str) -> None:
    named = set(re.findall(r"\bPreviewops[A-Z]\w+", (ROOT / "docs" / name).read_text("utf-8")))
    assert named
    assert named <= {*alerts()}


def test_the_dashboard_is_one() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    for n, one in enumerate(places):
        assert one["x"] + one["w"] <= 24
        for other in places[:n]:
            beside = one["x"] >= other["x"] + other["w"] or other["x"] >= one["x"] + one["w"]
            below = one["y"] >= other["y"] + other["h"] or other["y"] >= one["y"] + one["h"]
            assert beside or below, (one, other)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)\b", DASHBOARD.read_text("utf-8")))
    assert used == variables
