"""`kill --all` and `stats` as typed: they mean exactly what is typed."""

from __future__ import annotations

import pytest

from bot.slack.commands.command import ShowStats
from bot.slack.commands.parser import parse_slash
from core.domain.kills.bulk_kill import KillSelection
from core.domain.runs.request import KillRequest, RunFilter
from core.domain.runs.stats import Period
from tests.unit.command_helpers import CHANNEL, THREAD, refused


def kill_many_request(
    *,
    mine: bool = False,
    workflow: str | None = None,
    force: bool = False,
    reason: str | None = None,
) -> KillSelection:
    wanted = RunFilter(live=True, mine=mine, workflow=workflow)
    return KillSelection(run_filter=wanted, force=force, reason=reason)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("kill --all mine", kill_many_request(mine=True)),
        ("kill —all mine", kill_many_request(mine=True)),
        ("stop --all live", kill_many_request()),
        ("kill --all workflow=Fix", kill_many_request(workflow="fix")),
        ("kill --all mine workflow=fix", kill_many_request(mine=True, workflow="fix")),
        ("kill --all workflow=fix mine", kill_many_request(mine=True, workflow="fix")),
        ("kill --force --all mine", kill_many_request(mine=True, force=True)),
        ("kill --all --force mine", kill_many_request(mine=True, force=True)),
        (
            "kill --all mine —force it is late",
            kill_many_request(mine=True, force=True, reason="it is late"),
        ),
        ("kill --all live the &lt;sun&gt; is down", kill_many_request(reason="the <sun> is down")),
    ],
)
def test_kill_all_selects_runs_and_has_a_reason(text: str, command: KillSelection) -> None:
    assert parse_slash(text, CHANNEL) == command
    assert parse_slash(text, THREAD) == command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kill --all", "needs to know which runs: `--all mine`"),
        ("kill --all yours", "which runs, not `yours`"),
        ("kill --all run_0a1b2c", "which runs, not `run_0a1b2c`"),
        ("kill --all workflow=", "which runs, not `workflow=`"),
        ("kill --all mine --now", "no flag `--now`"),
        ("kill all", "two dashes before `all`"),
        ("kill mine", "two dashes before `all`"),
    ],
)
def test_an_incomplete_kill_all_is_refused(text: str, words: str) -> None:
    assert words in refused(text)


def test_all_can_begin_a_reason_in_a_thread() -> None:
    command = parse_slash("kill all is lost", THREAD)

    assert command == KillRequest(target="run_aaaaaaaaaaaa", reason="all is lost")


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("stats", Period.WEEK),
        ("stats 24h", Period.DAY),
        ("stats 7D", Period.WEEK),
        ("stats 30d", Period.MONTH),
    ],
)
def test_stats_cover_a_period(text: str, period: Period) -> None:
    assert parse_slash(text, CHANNEL) == ShowStats(period=period)


@pytest.mark.parametrize("given", ["5d", "7 d", "7d now", "yesterday", "0", "-1d", "`x`"])
def test_an_unknown_period_is_refused_with_the_known_ones(given: str) -> None:
    assert "`24h`, `7d`, `30d`, not" in refused(f"stats {given}")
