"""The alert rules and the dashboard under docs/ name only what exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from bot.slack.client.meter import CallOutcome
from bot.web.metrics.counted import CountedMetrics
from bot.web.metrics.families import (
    ProcessState,
    database_family,
    fleet_families,
    process_families,
)
from core.domain.fleet.gauges import FleetGauges
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus, StopReason
from core.store.database.pool_use import PoolUse
from tests.promtool import needs_promtool, promtool

DOCS = Path(__file__).parents[2] / "docs"
ALERTS = DOCS / "monitoring" / "alerts.yml"
DASHBOARD = DOCS / "monitoring" / "dashboard.json"
PAGE = DOCS / "monitoring.md"
METRIC = re.compile(r"\b(?:signalbox|process)_[a-z_]+\b")
# A selector with labels: the metric, and what is between the braces.
SELECTOR = re.compile(r"\b(signalbox_[a-z_]+)\{([^{}]*)\}")
MATCHER = re.compile(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"')
# Labels that Prometheus adds.
ADDED = {"job", "instance"}


def shown_metrics() -> dict[str, set[str]]:
    """Every series that a bot can show, with the names of its labels."""
    counted = CountedMetrics(version="1")
    counted.expect_workflows(["implement"])
    counted.slack_called("chat.update", CallOutcome.OK, 0.1)
    counted.alerts_evaluated(datetime(2026, 11, 30, tzinfo=UTC))
    state = ProcessState(
        pool=lambda: PoolUse(size=1, in_use=1, idle=1, waiting=1), drawing_lag=lambda: 1.0
    )
    gauges = FleetGauges(live_runs={(RunStatus.RUNNING, "implement"): 1})
    families = [
        *counted.registry.collect(),
        *process_families(state),
        database_family(is_up=True),
        *fleet_families(gauges, counted.workflow_label),
    ]
    shown = {
        sample.name: set(sample.labels)
        for family in families
        for sample in family.samples
        # The route leaves these out.
        if not sample.name.endswith("_created")
    }
    # Histograms with labels show nothing before the first observation.
    for name, labels in (
        ("signalbox_run_duration_seconds", {"status", "workflow"}),
        ("signalbox_kill_phase_duration_seconds", {"phase"}),
        ("signalbox_drawing_lag_seconds", {"kind"}),
    ):
        assert name in {family.name for family in families}
        shown[f"{name}_bucket"] = {*labels, "le"}
    return shown


def alert_expressions() -> Iterator[str]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def dashboard_expressions() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def expressions() -> list[str]:
    return [*alert_expressions(), *dashboard_expressions()]


def test_every_metric_in_alerts_and_dashboard_exists() -> None:
    shown = shown_metrics()

    named = {name for expression in expressions() for name in METRIC.findall(expression)}

    assert len(named) > 15
    assert named <= set(shown)


def test_every_label_in_a_selector_exists() -> None:
    shown = shown_metrics()

    wrong = [
        (name, label)
        for expression in expressions()
        for name, braces in SELECTOR.findall(expression)
        for label, _, _ in MATCHER.findall(braces)
        if label not in shown[name] | ADDED
    ]

    assert wrong == []


def test_every_value_in_an_alert_is_one_that_a_label_can_have() -> None:
    known = {
        "status": {status.value for status in RunStatus},
        "stop_reason": {reason.value for reason in StopReason},
        "phase": {phase.value for phase in Phase},
        "outcome": {outcome.value for outcome in CallOutcome},
    }

    given = [
        (label, value)
        for expression in alert_expressions()
        for _, braces in SELECTOR.findall(expression)
        for label, _, values in MATCHER.findall(braces)
        for value in values.split("|")
    ]

    assert len(given) > 5
    assert [(label, value) for label, value in given if value not in known[label]] == []


def test_the_page_explains_every_metric_and_names_no_other() -> None:
    page = PAGE.read_text()
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown_metrics()}

    named = {re.sub(r"_(bucket|sum|count)$", "", name) for name in METRIC.findall(page)}

    own = {name for name in shown if name.startswith("signalbox_")}
    assert own - named == set()
    assert named - shown == set()


def test_every_alert_is_on_the_page() -> None:
    page = PAGE.read_text()

    missing = [
        rule["alert"]
        for group in yaml.safe_load(ALERTS.read_text())["groups"]
        for rule in group["rules"]
        if f"`{rule['alert']}`" not in page
    ]

    assert missing == []


@needs_promtool
def test_prometheus_accepts_the_alert_rules() -> None:
    checked = promtool("check", "rules", str(ALERTS))

    assert checked.returncode == 0, checked.stderr


@needs_promtool
@pytest.mark.parametrize("expression", list(dashboard_expressions()))
def test_prometheus_accepts_each_expression_of_the_dashboard(
    expression: str, tmp_path: Path
) -> None:
    query = expression.replace("$job", "signalbox")
    rules = {"groups": [{"name": "panels", "rules": [{"record": "panel", "expr": query}]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))

    checked = promtool("check", "rules", str(tmp_path / "rules.yml"))

    assert checked.returncode == 0, checked.stderr
