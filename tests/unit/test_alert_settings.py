"""`[alerts]` of signalbox.toml."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.assembly.config.alert_tables import AlertsTable
from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from core.domain.actor import Role
from core.domain.alerts.channels.subscription import DigestPeriod, Source
from core.domain.alerts.detectors.limits import AlertLimits, StallLimits
from core.domain.alerts.kinds import AlertKind, Severity

NOW = datetime(2026, 11, 30, tzinfo=UTC)
WHOLE = """
[alerts]
idle = "7m"
long_running = "3h"
cost = 25

[alerts.workflows.fix]
tool = "45m"

[[alerts.subscriptions]]
channel = "C0BUILDS02"
kinds = ["failed", "stalled"]
workflow = "fix"
repo = "acme/api"
owner = "U024BE7LH"
severity = "warning"
cost = 2.5
for = "15m"
mention = "S0614TZR7"
quiet_hours = "22:00-07:00"
time_zone = "Europe/Berlin"
digest = "weekly"
digest_hour = 8
progress = "10m"
broadcast = true

[[alerts.subscriptions]]
channel = "C0RANDOM01"
"""


def table(folder: Path, text: str) -> AlertsTable:
    (folder / "signalbox.toml").write_text(text)
    return load_settings(SIGNALBOX_HOME=folder).config.alerts


def test_without_a_table_the_limits_are_the_usual_ones(tmp_path: Path) -> None:
    found = table(tmp_path, "")

    assert found.limits({}) == AlertLimits()
    assert found.subscriptions == ()


def test_runners_subscribe_channels_unless_a_higher_role_is_asked_for(tmp_path: Path) -> None:
    assert table(tmp_path, "").subscribe is Role.RUNNER
    for role in (Role.RUNNER, Role.OPERATOR, Role.ADMIN):
        text = f'[alerts]\nsubscribe = "{role.name.lower()}"'
        assert table(tmp_path, text).subscribe is role


def test_limits_are_read_with_those_of_single_workflows(tmp_path: Path) -> None:
    limits = table(tmp_path, WHOLE).limits({"fix": "fix"})

    assert limits.stall == StallLimits(idle=timedelta(minutes=7))
    assert limits.stall_of("fix") == StallLimits(
        idle=timedelta(minutes=7), tool=timedelta(minutes=45)
    )
    assert limits.long_running == timedelta(hours=3)
    assert limits.cost_usd == Decimal(25)
    assert limits.queue == AlertLimits().queue


def test_a_subscription_has_all_that_one_made_in_slack_has(tmp_path: Path) -> None:
    first, second = table(tmp_path, WHOLE).subscriptions

    found = first.subscription(team_id="T1", now=NOW)

    assert (found.team_id, found.channel_id, found.source) == ("T1", "C0BUILDS02", Source.CONFIG)
    assert found.kinds == {AlertKind.FAILED, AlertKind.STALLED}
    assert found.filter.workflow == "fix"
    assert found.filter.repository == "acme/api"
    assert found.filter.owner == "U024BE7LH"
    assert found.filter.least_severity is Severity.WARNING
    assert found.filter.least_cost_usd == Decimal("2.5")
    assert found.pending_for == timedelta(minutes=15)
    assert found.mention == "<!subteam^S0614TZR7>"
    assert str(found.quiet_hours) == "22:00-07:00"
    assert found.quiet_hours is not None
    assert found.quiet_hours.time_zone == found.time_zone == "Europe/Berlin"
    assert (found.digest, found.digest_hour) == (DigestPeriod.WEEKLY, 8)
    assert found.progress_every == timedelta(minutes=10)
    assert found.broadcasts
    usual = second.subscription(team_id="T1", now=NOW)
    assert (usual.kinds, usual.digest, usual.broadcasts) == (frozenset(), None, False)


SUBSCRIPTION = '[[alerts.subscriptions]]\nchannel = "C0BUILDS02"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[alerts]\nidle = "5"', "alerts.idle: must be a time with its unit"),
        ("[alerts]\nidle = 5", 'alerts.idle: must be a time with its unit, from "10s" to "24h"'),
        ("[alerts]\nidl = 5", "alerts.idl: is not known; did you mean idle?"),
        ('[alerts]\ncost = "much"', "alerts.cost"),
        ("[alerts]\ncost = 0", "alerts.cost"),
        ('[alerts.workflows.fix]\nidle = "x"', "alerts.workflows.fix.idle: must be a time"),
        ('[[alerts.subscriptions]]\nchannel = "builds"', "alerts.subscriptions.0.channel: must be"),
        ("[[alerts.subscriptions]]\n", "alerts.subscriptions.0.channel"),
        ('[alerts]\nsubscribe = "viewer"', "alerts.subscribe: must be one of 'runner', 'oper"),
        ("[alerts]\nsubscribe = 3", "must be one of 'runner', 'operator', 'admin'"),
        (SUBSCRIPTION + 'kinds = ["broken"]', "alerts.subscriptions.0.kinds"),
        (SUBSCRIPTION + 'severity = "high"', "must be one of 'info', 'warning', 'critical'"),
        (SUBSCRIPTION + 'owner = "ada"', "alerts.subscriptions.0.owner: must be the id"),
        (SUBSCRIPTION + 'mention = "@ops"', "alerts.subscriptions.0.mention: must be the id"),
        (SUBSCRIPTION + 'time_zone = "Mars"', "alerts.subscriptions.0.time_zone: must be a time"),
        (SUBSCRIPTION + 'quiet_hours = "night"', "alerts.subscriptions.0.quiet_hours: must be two"),
        (SUBSCRIPTION + 'for = "soon"', "alerts.subscriptions.0.for: must be a time"),
        (SUBSCRIPTION + 'digest = "hourly"', "alerts.subscriptions.0.digest: must be one of"),
        (SUBSCRIPTION + "digest_hour = 24", "alerts.subscriptions.0.digest_hour"),
        (SUBSCRIPTION + 'progress = "30s"', "alerts.subscriptions.0.progress: must be a time with"),
        (SUBSCRIPTION * 2, "[[alerts.subscriptions]] 2 is the same as 1; remove one of them"),
        (
            '[channels]\nallow = ["C0OTHER"]\n' + SUBSCRIPTION,
            "channel C0BUILDS02 is not in [channels] allow; add it there",
        ),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadSetting) as refusal:
        table(tmp_path, text)

    assert said in refusal.value.user_message
    assert "\n" not in refusal.value.user_message
