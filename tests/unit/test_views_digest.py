"""The message of a digest: its words, its charts, and what Slack accepts of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.slack.blocks.block_check import check_message
from bot.slack.views import blocks
from bot.slack.views.alerts.digest import ShownDigest, digest_contents, digest_message
from bot.slack.views.message import Message, PictureFile
from bot.slack.views.replacement import without_charts
from bot.slack.views.runs.links import ThreadLinks
from core.domain.alerts.channels.subscription import DigestPeriod
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.posts.digest import Digest
from core.domain.alerts.posts.digest_figures import (
    DayFigures,
    DigestFigures,
    KillFigures,
    SlowRun,
    WorkflowFailures,
)
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.snapshot import CardPlace
from core.domain.runs.stats import RunStats, Spend

UNTIL = datetime(2026, 11, 30, 8, tzinfo=UTC)
LINKS = ThreadLinks(archive_url="https://acme.slack.com/archives")
FULL = DigestFigures(
    runs=RunStats(
        by_status={RunStatus.COMPLETED: 8, RunStatus.FAILED: 3, RunStatus.KILLED: 1},
        by_stop_reason={
            StopReason.SUCCESS: 8,
            StopReason.AGENT_ERROR: 2,
            StopReason.MAX_TURNS: 1,
            StopReason.KILLED: 1,
        },
        attention=2,
        spend=Spend(
            reported_usd=Decimal("12.4"),
            reported_runs=10,
            estimated_usd=Decimal("0.3"),
            estimated_runs=1,
            unknown_runs=1,
        ),
    ),
    before=RunStats(
        by_status={RunStatus.COMPLETED: 4},
        by_stop_reason={StopReason.SUCCESS: 4},
        spend=Spend(reported_usd=Decimal(3), reported_runs=4),
    ),
    kills=KillFigures(count=1, confirmed=1, p95_ms=1204.0),
    slowest=(
        SlowRun(
            run_id="run_1",
            about="Add <rate> limiting",
            workflow="implement",
            seconds=4500,
            status=RunStatus.COMPLETED,
        ),
    ),
    failures=(WorkflowFailures(workflow="implement", failures=2, ended=9),),
    alerts_fired={AlertKind.FAILED: 2, AlertKind.STALLED: 1},
    alerts_open=1,
)


def shown(figures: DigestFigures, period: DigestPeriod = DigestPeriod.DAILY) -> ShownDigest:
    digest = Digest(
        id=UUID(int=1),
        subscription_id=UUID(int=2),
        team_id="T1",
        channel_id="C1",
        period=period,
        since=UNTIL - timedelta(days=1),
        until=UNTIL,
        figures=figures.to_json(),
    )
    return ShownDigest(
        digest=digest,
        figures=figures,
        cards={"run_1": CardPlace(channel_id="C1", message_ts="1.000001")},
    )


def words(message: Message) -> str:
    return "\n".join(
        block["text"]["text"] for block in message.blocks if block["type"] in {"section", "header"}
    )


def charts(message: Message) -> list[dict[str, Any]]:
    return [block for block in message.blocks if block["type"] == blocks.CHART]


def test_a_digest_says_what_happened_with_its_numbers() -> None:
    message = digest_message(shown(FULL), LINKS)

    text = words(message)
    assert "*12 runs ended* (8 more than the day before)" in text
    assert "✅ 6 completed · ⚠️ 2 finished, with something left to do" in text
    assert "❌ 3 stopped unfinished · 🛑 1 killed" in text
    assert "$12.40 reported by 10 runs; $0.30 estimated for 1 run; not known for 1 run" in text
    assert "$3.00 reported by 4 runs" in text
    assert "*Failures by workflow:* implement 2 of 9" in text
    assert "*1 kill:* 1 proven · 95 % within 1.2 s" in text
    assert "*Alerts:* 3 fired (failed 2, stalled 1), 1 open now" in text
    assert (
        "✅ 1 h 15 min · <https://acme.slack.com/archives/C1/p1000001|Add &lt;rate&gt; limiting>"
        in text
    )
    assert message.text == (
        "Daily digest: 12 runs ended, 3 stopped unfinished, "
        "2 finished, with something left to do; 3 alerts"
    )
    assert check_message(list(message.blocks), message.text) == []


def test_the_outcomes_are_compared_with_those_before() -> None:
    (chart,) = charts(digest_message(shown(FULL), LINKS))

    series = {
        one["name"]: [point["value"] for point in one["data"]] for one in chart["chart"]["series"]
    }
    assert chart["chart"]["axis_config"]["categories"] == [
        "Completed", "To look at", "Unfinished", "Killed"
    ]  # fmt: skip
    assert series == {"This day": [6, 2, 3, 1], "The day before": [4, 0, 0, 0]}


def test_a_week_shows_its_days_too() -> None:
    days = tuple(
        DayFigures(day=date(2026, 11, 23) + timedelta(days=n), completed=n) for n in range(8)
    )

    message = digest_message(shown(replace(FULL, days=days), DigestPeriod.WEEKLY), LINKS)

    by_day = charts(message)[1]["chart"]
    assert by_day["axis_config"]["categories"][0] == "Mon 23 Nov"
    assert [one["name"] for one in by_day["series"]] == ["Completed", "Unfinished", "Killed"]
    assert check_message(list(message.blocks), message.text) == []


def test_a_quiet_day_is_told_in_few_words_and_without_a_chart() -> None:
    message = digest_message(shown(DigestFigures()))

    assert "*No run ended* (as many as the day before)" in words(message)
    assert charts(message) == []
    assert message.text == "Daily digest: no run ended; 0 alerts"


def test_missing_digests_are_admitted() -> None:
    message = digest_message(shown(replace(FULL, skipped=2)))

    assert "2 digests before this one are missing" in str(message.blocks[-1])


def test_without_its_charts_a_digest_has_their_numbers_in_words() -> None:
    message = digest_message(shown(FULL), LINKS)

    plain = without_charts(message)

    assert not blocks.has_charts(plain.blocks)
    assert words(plain) == words(message)
    assert plain.text == message.text
    [drawn] = [block for block in plain.blocks if block["type"] == "rich_text"]
    title, numbers = drawn["elements"][0]["elements"]
    assert title["text"] == "Ended runs by outcome"
    assert numbers["text"].splitlines()[1:] == [
        "Completed: this day 6, the day before 4",
        "To look at: this day 2, the day before 0",
        "Unfinished: this day 3, the day before 0",
        "Killed: this day 1, the day before 0",
    ]
    assert check_message(list(plain.blocks), plain.text) == []


def test_a_picture_has_the_figures_and_the_words_of_its_chart() -> None:
    days = tuple(
        DayFigures(day=date(2026, 11, 23) + timedelta(days=n), completed=n) for n in range(7)
    )
    contents = digest_contents(shown(replace(FULL, days=days), DigestPeriod.WEEKLY), LINKS)

    assert list(contents) == ["digest", "picture:1", "picture:2"]
    outcomes, by_day = (contents[slot] for slot in ("picture:1", "picture:2"))
    assert isinstance(outcomes, PictureFile)
    assert isinstance(by_day, PictureFile)
    assert outcomes.title == outcomes.spec["title"]["text"] == "Ended runs by outcome"
    assert outcomes.name != by_day.name
    rows = {(row["series"], row["x"]): row["y"] for row in outcomes.spec["data"]["values"]}
    assert rows["This week", "Completed"] == 6
    assert rows["The week before", "Completed"] == 4
    assert "Mon 23 Nov" in by_day.alt
    assert charts(digest_message(shown(DigestFigures()))) == []
    assert list(digest_contents(shown(DigestFigures()))) == ["digest"]


def test_a_restricted_digest_says_to_what() -> None:
    figures = replace(FULL, workflow="fix", repository="acme/<api>", owner="U024BE7LH")

    context = str(digest_message(shown(figures)).blocks[1])

    assert "only workflow fix, repository acme/&lt;api&gt;, owner <@U024BE7LH>" in context


TEXT = st.text(max_size=120)
NUMBER = st.integers(0, 10**9)


@given(
    statuses=st.dictionaries(st.sampled_from([s for s in RunStatus if s.is_final]), NUMBER),
    names=st.lists(TEXT, max_size=10),
    kinds=st.dictionaries(st.sampled_from(AlertKind), NUMBER),
    days=st.lists(st.dates(), max_size=9, unique=True),
    period=st.sampled_from(DigestPeriod),
)
def test_slack_accepts_every_digest_and_its_figures_survive_their_json(
    statuses: dict[RunStatus, int],
    names: list[str],
    kinds: dict[AlertKind, int],
    days: list[date],
    period: DigestPeriod,
) -> None:
    figures = DigestFigures(
        runs=RunStats(by_status={s: statuses[s] for s in RunStatus if s in statuses}),
        slowest=tuple(
            SlowRun(
                run_id=f"run_{n}", about=name, workflow=name, seconds=n, status=RunStatus.FAILED
            )
            for n, name in enumerate(names[:5])
        ),
        failures=tuple(WorkflowFailures(workflow=name, failures=1, ended=2) for name in names),
        days=tuple(DayFigures(day=one) for one in sorted(days)[:8]),
        alerts_fired=kinds,
        workflow=names[0] if names else None,
    )

    message = digest_message(shown(figures, period))

    assert DigestFigures.of_json(figures.to_json()) == figures
    plain = without_charts(message)
    for one in (message, plain):
        problems = check_message(list(one.blocks), one.text)
        assert [each for each in problems if "categories must differ" not in each] == []
