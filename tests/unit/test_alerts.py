"""When each example alert fires, and when it does not, as Prometheus evaluates it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.promtool import needs_promtool, promtool

ALERTS = Path(__file__).parents[2] / "docs" / "monitoring" / "alerts.yml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
NAMES = {rule["alert"] for rule in RULES}
# One value a minute.
MINUTES = 90

MAX_TURNS = 'signalbox_runs_total{workflow="fix", status="failed", stop_reason="max_turns"}'

EVALUATED = 'signalbox_alerts_evaluated_timestamp_seconds{instance="a"}'

Series = dict[str, str]
WELL: Series = {
    'up{job="signalbox", instance="a"}': "1x90",
    'signalbox_database_up{instance="a"}': "1x90",
    'signalbox_open_kills{instance="a", phase="unconfirmed"}': "0x90",
    'signalbox_open_kills{instance="a", phase="interrupted"}': "1x90",
    'signalbox_worker_slots{instance="a"}': "4x90",
    'signalbox_queue_depth{instance="a", waiting_for="worker"}': "3x90",
    'signalbox_queue_oldest_age_seconds{instance="a"}': "60x90",
    'signalbox_runs_total{workflow="fix", status="completed", stop_reason="success"}': "0+2x90",
    # A limit of turns is no failure to wake somebody for.
    MAX_TURNS: "0+9x90",
    'signalbox_runs_total{workflow="fix", status="failed", stop_reason="worker_lost"}': "0x90",
    'signalbox_cost_usd_total{source="reported", workflow="fix"}': "0+0.2x90",
    'signalbox_slack_calls_total{method="chat.update", outcome="ok"}': "0+40x90",
    'signalbox_slack_calls_total{method="chat.update", outcome="rate_limited"}': "0x90",
    'signalbox_slack_calls_total{method="chat.update", outcome="unreachable"}': "0+1x90",
    'signalbox_drawing_oldest_outdated_seconds{instance="a"}': "2x90",
    'signalbox_outdated_drawables{instance="a", kind="thread"}': "3x90",
    EVALUATED: "0+60x90",
    'signalbox_database_pool_waiting{instance="a"}': "0x90",
    'signalbox_kill_duration_seconds_bucket{le="2"}': "0+1x90",
    'signalbox_kill_duration_seconds_bucket{le="10"}': "0+1x90",
    'signalbox_kill_duration_seconds_bucket{le="30"}': "0+1x90",
    'signalbox_kill_duration_seconds_bucket{le="+Inf"}': "0+1x90",
}
# What differs from `WELL`, and the alerts that fire then.
WRONG: list[tuple[Series, set[str]]] = [
    ({}, set()),
    ({'up{job="signalbox", instance="a"}': "0x90"}, {"SignalboxDown"}),
    ({'signalbox_database_up{instance="a"}': "0x90"}, {"SignalboxDatabaseUnreachable"}),
    (
        # Two bots show the same number.
        {
            'signalbox_open_kills{instance="a", phase="unconfirmed"}': "2x90",
            'signalbox_open_kills{instance="b", phase="unconfirmed"}': "2x90",
        },
        {"SignalboxKillUnconfirmed"},
    ),
    (
        {
            'signalbox_kill_duration_seconds_bucket{le="2"}': "0x90",
            'signalbox_kill_duration_seconds_bucket{le="10"}': "0x90",
        },
        {"SignalboxKillsSlow"},
    ),
    ({'signalbox_worker_slots{instance="a"}': "0x90"}, {"SignalboxNoWorker"}),
    (
        {
            'signalbox_worker_slots{instance="a"}': "0x90",
            'signalbox_queue_depth{instance="a", waiting_for="worker"}': "0x90",
        },
        set(),
    ),
    ({'signalbox_queue_oldest_age_seconds{instance="a"}': "1200x90"}, {"SignalboxQueueStuck"}),
    (
        {
            # Without these there are too many others.
            MAX_TURNS: "0x90",
            'signalbox_runs_total{workflow="fix", status="failed", stop_reason="agent_error"}': (
                "0+3x90"
            ),
        },
        {"SignalboxFailureRate"},
    ),
    (
        # The first one of all.
        {
            'signalbox_runs_total{workflow="fix", status="failed", stop_reason="worker_lost"}': (
                "0x80 1x9"
            )
        },
        {"SignalboxWorkersLost"},
    ),
    (
        {'signalbox_cost_usd_total{source="reported", workflow="fix"}': "0+10x90"},
        {"SignalboxCostHigh"},
    ),
    (
        {'signalbox_slack_calls_total{method="chat.update", outcome="rate_limited"}': "0x80 1x9"},
        {"SignalboxSlackRateLimited"},
    ),
    (
        {'signalbox_slack_calls_total{method="chat.update", outcome="unreachable"}': "0+40x90"},
        {"SignalboxSlackFailing"},
    ),
    (
        {'signalbox_drawing_oldest_outdated_seconds{instance="a"}': "120x90"},
        {"SignalboxDrawingLate"},
    ),
    (
        {'signalbox_drawing_oldest_outdated_seconds{instance="a"}': "0x90"},
        {"SignalboxDrawingStopped"},
    ),
    (
        {
            # The bot that does not draw has none.
            'signalbox_drawing_oldest_outdated_seconds{instance="b"}': "0x90",
        },
        set(),
    ),
    ({EVALUATED: "0+60x60 3600x30"}, {"SignalboxAlertsNotEvaluated"}),
    # No bot has ever looked.
    ({EVALUATED: "_x90"}, {"SignalboxAlertsNotEvaluated"}),
    (
        {
            EVALUATED: "0+60x60 3600x30",
            # The bot that took the clock over.
            EVALUATED.replace('"a"', '"b"'): "_x60 3660+60x29",
        },
        set(),
    ),
    ({'signalbox_database_pool_waiting{instance="a"}': "4x90"}, {"SignalboxPoolExhausted"}),
]


def check_file(series: Series, firing: Collection[str]) -> dict[str, Any]:
    """A file for `promtool test rules`, with rules that have no annotations to compare."""
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values} for name, values in series.items()
                ],
                # `ALERTS` has what fires, whatever its labels.
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": f"{MINUTES}m",
                        "exp_samples": [
                            {"labels": f'{{alertname="{name}"}}', "value": 1}
                            for name in sorted(firing)
                        ],
                    }
                ],
            }
        ],
    }


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    assert set().union(*(firing for _, firing in WRONG)) == NAMES


@needs_promtool
@pytest.mark.parametrize(("changes", "firing"), WRONG)
def test_an_alert_fires_alone(changes: Series, firing: set[str], tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(ALERTS.read_text())
    (tmp_path / "test.yml").write_text(yaml.safe_dump(check_file(WELL | changes, firing)))

    checked = promtool("test", "rules", str(tmp_path / "test.yml"))

    assert checked.returncode == 0, checked.stdout + checked.stderr
