"""`/workflow alerts …` as people type it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.commands.alerts.command_text import subscribe_command_text
from bot.slack.commands.alerts.kinds import KIND_SYNONYMS
from bot.slack.commands.alerts.settings import SETTING_SYNONYMS, SETTINGS
from bot.slack.commands.alerts.values import (
    ME,
    AlertWishes,
    EditAlerts,
    ListAlerts,
    MuteAlerts,
    OpenAlertForm,
    ShowExampleAlert,
    SubscribeAlerts,
    UnsubscribeAlerts,
)
from bot.slack.commands.command import Command, CommandContext, ShowHelp, Subcommand
from bot.slack.commands.flags import BadCommand
from bot.slack.commands.parser import parse_mention, parse_slash
from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.channels.subscription import AlertFilter, DigestPeriod, Source, Subscription
from core.domain.alerts.kinds import USUAL_KINDS, AlertKind, Severity
from core.domain.runs.request import Place

PLACE = Place(team_id="T0ACME", channel_id="C0BUILDS")
CHANNEL = CommandContext(request_key="k1", place=PLACE, workflow_names=("implement",))
THREAD = CommandContext(request_key="k1", place=PLACE, has_forms=False)
NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)


def parse(text: str, context: CommandContext = CHANNEL) -> Command:
    return parse_slash(f"alerts {text}", context)


def wishes(text: str) -> AlertWishes:
    command = parse(f"subscribe {text}")
    assert isinstance(command, SubscribeAlerts)
    return command.wishes


def refused(text: str, context: CommandContext = CHANNEL) -> str:
    with pytest.raises(BadCommand) as caught:
        parse(text, context)
    return caught.value.user_message


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("failed", {AlertKind.FAILED}),
        ("failed stalled", {AlertKind.FAILED, AlertKind.STALLED}),
        ("failed,stalled", {AlertKind.FAILED, AlertKind.STALLED}),
        ("failed, stalled and killed.", {AlertKind.FAILED, AlertKind.STALLED, AlertKind.KILLED}),
        ("to failed alerts", {AlertKind.FAILED}),
        ("kinds=failed,stalled", {AlertKind.FAILED, AlertKind.STALLED}),
        ("max_turns", {AlertKind.MAX_TURNS}),
        ("max-turns", {AlertKind.MAX_TURNS}),
        ("max turns", {AlertKind.MAX_TURNS}),
        ("Long Running", {AlertKind.LONG_RUNNING}),
        ('"long running"', {AlertKind.LONG_RUNNING}),
        ("“worker lost”", {AlertKind.WORKER_LOST}),
        ("no worker failed", {AlertKind.NO_WORKER, AlertKind.FAILED}),
        ("kill unconfirmed", {AlertKind.KILL_UNCONFIRMED}),
        ("queue backlog", {AlertKind.QUEUE_BACKLOG}),
        ("failure rate", {AlertKind.FAILURE_RATE}),
        ("cost", {AlertKind.COST}),
        ("cost stalled", {AlertKind.COST, AlertKind.STALLED}),
        ("cost spike", {AlertKind.COST_SPIKE}),
        ("stuck", {AlertKind.STALLED}),
        ("usual", USUAL_KINDS),
        ("usual killed", USUAL_KINDS | {AlertKind.KILLED}),
        ("all", set(AlertKind)),
        ("severity=warning", set()),
    ],
)
def test_kinds_are_read_as_people_type_them(text: str, kinds: set[AlertKind]) -> None:
    assert wishes(text).kinds == kinds


@pytest.mark.parametrize("kind", AlertKind)
@pytest.mark.parametrize("separator", ["_", "-", " "])
def test_every_kind_is_known_with_any_separator(kind: AlertKind, separator: str) -> None:
    assert wishes(kind.replace("_", separator)).kinds == {kind}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workflow=Implement", {"workflow": "implement"}),
        ("workflow implement", {"workflow": "implement"}),
        ("repo=acme/api", {"repository": "acme/api"}),
        ("repo=<https://github.com/acme/api>", {"repository": "https://github.com/acme/api"}),
        ("owner=<@U024BE7LH|ada>", {"owner": "U024BE7LH"}),
        ("owner=<@U024BE7LH>", {"owner": "U024BE7LH"}),
        ("owner <@W024BE7LH|ada>", {"owner": "W024BE7LH"}),
        ("owner=me", {"owner": ME}),
        ("severity=warning", {"least_severity": Severity.WARNING}),
        ("severity&gt;=warning", {"least_severity": Severity.WARNING}),
        ("severity>=warning", {"least_severity": Severity.WARNING}),
        ("severity&gt;info", {"least_severity": Severity.WARNING}),
        ("severity >= critical", {"least_severity": Severity.CRITICAL}),
        ("severity: critical", {"least_severity": Severity.CRITICAL}),
        ("cost&gt;5", {"least_cost_usd": Decimal(5)}),
        ("cost>=2.50", {"least_cost_usd": Decimal("2.50")}),
        ("cost=$5", {"least_cost_usd": Decimal(5)}),
        ("cost=5$", {"least_cost_usd": Decimal(5)}),
        ("cost &gt; $5", {"least_cost_usd": Decimal(5)}),
        ("cost 5", {"least_cost_usd": Decimal(5)}),
    ],
)
def test_filters_are_read(text: str, expected: Mapping[str, Any]) -> None:
    assert wishes(text).filter == AlertFilter(**expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for=15m", {"pending_for": timedelta(minutes=15)}),
        ("for 15m", {"pending_for": timedelta(minutes=15)}),
        ("after=1h30m", {"pending_for": timedelta(minutes=90)}),
        ("for=15m,", {"pending_for": timedelta(minutes=15)}),
        ("--for 15m", {"pending_for": timedelta(minutes=15)}),
        ("—for=15m", {"pending_for": timedelta(minutes=15)}),
        ("mention=<!subteam^S0614TZR7|@oncall>", {"mention": "<!subteam^S0614TZR7>"}),
        ("mention <!subteam^S0614TZR7>", {"mention": "<!subteam^S0614TZR7>"}),
        ("mention=S0614TZR7", {"mention": "<!subteam^S0614TZR7>"}),
        ("mention=<@U024BE7LH|ada>", {"mention": "<@U024BE7LH>"}),
        ("mention=@Oncall", {"mention": "@oncall"}),
        ("mention=oncall", {"mention": "@oncall"}),
        ("quiet=22:00-07:00", {"quiet_hours": "22:00-07:00"}),
        ("quiet=22:00–07:00", {"quiet_hours": "22:00-07:00"}),
        ("quiet=22-7", {"quiet_hours": "22:00-07:00"}),
        ("quiet=10pm-7am", {"quiet_hours": "22:00-07:00"}),
        ("quiet 22:00 - 07:00", {"quiet_hours": "22:00-07:00"}),
        ("quiet 22:00 to 07:00", {"quiet_hours": "22:00-07:00"}),
        ("quiet=22:00- 07:00", {"quiet_hours": "22:00-07:00"}),
        ("quiet: 22:00-07:00", {"quiet_hours": "22:00-07:00"}),
        ("tz=Europe/Berlin", {"time_zone": "Europe/Berlin"}),
        ("tz=europe/berlin", {"time_zone": "Europe/Berlin"}),
        ("timezone=UTC", {"time_zone": "UTC"}),
        ("digest=daily", {"digest": DigestPeriod.DAILY}),
        ("digest weekly at 7", {"digest": DigestPeriod.WEEKLY, "digest_hour": 7}),
        ("digest=daily at=9:00", {"digest": DigestPeriod.DAILY, "digest_hour": 9}),
        ("digest=daily at=6pm", {"digest": DigestPeriod.DAILY, "digest_hour": 18}),
        ("progress=10m", {"progress_every": timedelta(minutes=10)}),
        ("--progress 10m", {"progress_every": timedelta(minutes=10)}),
        ("broadcast=on", {"broadcasts": True}),
        ("broadcast", {"broadcasts": True}),
        ("broadcast=off", {"broadcasts": False}),
    ],
)
def test_settings_are_read(text: str, expected: Mapping[str, Any]) -> None:
    assert wishes(text) == replace(AlertWishes(), **expected)


def test_kinds_and_settings_come_in_any_order() -> None:
    found = wishes("for=15m failed workflow=implement stalled severity&gt;=warning broadcast")

    assert found == AlertWishes(
        kinds=frozenset({AlertKind.FAILED, AlertKind.STALLED}),
        filter=AlertFilter(workflow="implement", least_severity=Severity.WARNING),
        pending_for=timedelta(minutes=15),
        broadcasts=True,
    )


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", ListAlerts(opens_form=True)),
        ("list", ListAlerts()),
        ("ls", ListAlerts()),
        ("subscribe", OpenAlertForm()),
        ("add", OpenAlertForm()),
        ("edit", EditAlerts()),
        ("edit 2", EditAlerts(number=2)),
        ("edit #2", EditAlerts(number=2)),
        ("mute 2h", MuteAlerts(duration=timedelta(hours=2))),
        ("mute 2 hours", MuteAlerts(duration=timedelta(hours=2))),
        ("mute for 90 min", MuteAlerts(duration=timedelta(minutes=90))),
        ("mute 3d", MuteAlerts(duration=timedelta(days=3))),
        ("mute off", MuteAlerts()),
        ("unmute", MuteAlerts()),
        ("unsubscribe", UnsubscribeAlerts()),
        ("unsubscribe 3", UnsubscribeAlerts(number=3)),
        ("remove all", UnsubscribeAlerts(is_all=True)),
        ("test", ShowExampleAlert()),
        ("test max turns", ShowExampleAlert(kind=AlertKind.MAX_TURNS)),
        ("help", ShowHelp(topic=Subcommand.ALERTS)),
        ("--help", ShowHelp(topic=Subcommand.ALERTS)),
    ],
)
def test_every_subcommand_is_read(text: str, command: Command) -> None:
    assert parse(text) == command


@pytest.mark.parametrize("first", ["alerts", "alert", "notifications", "subscriptions"])
def test_the_command_has_synonyms(first: str) -> None:
    assert parse_slash(first, CHANNEL) == ListAlerts(opens_form=True)


def test_a_mention_reads_the_same() -> None:
    command = parse_mention("<@UBOT> alerts mute 2h", THREAD, bot_user_id="UBOT")

    assert command == MuteAlerts(duration=timedelta(hours=2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subscrbe failed", "Did you mean `subscribe`?"),
        ("failed", "`/workflow alerts subscribe failed`"),
        ("subscribe staled", "Did you mean `stalled`?"),
        ("subscribe faild", "Did you mean `failed`?"),
        ("subscribe max_turn", "Did you mean `max_turns`?"),
        ("subscribe bogus", "Kinds are `failed`"),
        ("subscribe serverity=warning", "Did you mean `severity`?"),
        ("subscribe foo=1", "There is no setting `foo`"),
        ("subscribe --verbose", "There is no setting `verbose`"),
        ("subscribe for=", "`for` needs a time"),
        ("subscribe for=soon", "not `soon`. For example `for=15m`"),
        ("subscribe for=25h", "at most 24 hours"),
        ("subscribe for=15m after=20m", "`for` is there twice"),
        ("subscribe severity=high", "`info`, `warning` or `critical`"),
        ("subscribe severity&gt;critical", "not `&gt;critical`".replace("&gt;", ">")),
        ("subscribe severity&lt;warning", "can't be compared like that"),
        ("subscribe workflow&gt;implement", "can't be compared like that"),
        ("subscribe cost=lots", "US dollars"),
        ("subscribe cost=0", "US dollars"),
        ("subscribe mention=<!here>", "`@here` and `@channel` are not possible"),
        ("subscribe mention=@channel", "`@here` and `@channel` are not possible"),
        ("subscribe quiet=22:00", "two different times"),
        ("subscribe quiet=22:00-22:00", "two different times"),
        ("subscribe quiet=25:00-07:00", "two different times"),
        ("subscribe tz=Berlin/Europe", "time zone"),
        ("subscribe digest=hourly", "`daily` or `weekly`"),
        ("subscribe digest=daily at=9:30", "full hour"),
        ("subscribe at=9", "add `digest=daily`"),
        ("subscribe progress=10s", "1 minute to 24 hours"),
        ("subscribe broadcast=maybe", "`on` or `off`"),
        ("subscribe owner=@nobody", "a member of this workspace"),
        ("mute", "`/workflow alerts mute 2h`"),
        ("mute until tomorrow", "not `until tomorrow`"),
        ("edit first", "not `first`"),
        ("unsubscribe everyone", "or `all`, not `everyone`"),
        ("test staled", "Did you mean `stalled`?"),
    ],
)
def test_what_is_wrong_is_said_with_an_example(text: str, words: str) -> None:
    assert words in refused(text)


def test_where_no_form_can_open_it_is_said_what_to_type() -> None:
    assert "`@signalbox alerts subscribe usual`" in refused("subscribe", THREAD)


def test_synonyms_lead_to_what_there_is() -> None:
    assert set(SETTING_SYNONYMS.values()) <= set(SETTINGS)
    assert not set(SETTING_SYNONYMS) & set(SETTINGS)
    assert not set(KIND_SYNONYMS) & {kind.value for kind in AlertKind}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda one: one.name)
def test_every_example_is_valid(setting: Any) -> None:
    example = setting.example.replace("@ada", "<@U024BE7LH>")

    assert wishes(f"{example} digest=daily" if setting.name == "at" else example) != AlertWishes()


@settings(deadline=None)
@given(st.text())
def test_any_text_is_parsed_or_refused_with_a_message(text: str) -> None:
    answers: list[str] = []

    for verb in ("", "subscribe", "edit", "mute", "unsubscribe", "test"):
        try:
            parse(f"{verb} {text}")
        except BadCommand as refusal:
            answers.append(refusal.user_message)

    assert all(0 < len(answer) < 600 for answer in answers)


_PIECES = st.sampled_from(
    [
        *AlertKind,
        *SETTINGS,
        *(one.example for one in SETTINGS.values()),
        *("=", "&gt;", "&gt;=", "&lt;", ":", ",", "-", "—", '"', "“", " ", "all", "usual"),
        *("<@U024BE7LH|a>", "<!subteam^S0614TZR7|@x>", "<https://a.b|a.b>", "15m", "22:00", "to"),
    ]
)


@settings(deadline=None)
@given(st.lists(_PIECES, max_size=8), st.sampled_from(["", " "]))
def test_any_mixture_of_known_pieces_is_parsed_or_refused(pieces: list[str], glue: str) -> None:
    found: AlertWishes | str
    try:
        # Without words the command opens the form.
        found = wishes(glue.join(pieces).strip() or "all")
    except BadCommand as refusal:
        found = refusal.user_message

    assert 0 < len(found) < 600 if isinstance(found, str) else found.kinds <= set(AlertKind)


_WORDS = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
_MINUTES = st.integers(1, 1440).map(lambda minutes: timedelta(minutes=minutes))
_HOURS = st.integers(0, 23)
_ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])


@st.composite
def subscriptions(draw: st.DrawFn) -> Subscription:
    zone = draw(_ZONES)
    start, end = draw(st.tuples(_HOURS, _HOURS).filter(lambda both: both[0] != both[1]))
    hours = QuietHours(start=time(start), end=time(end, 30), time_zone=zone)
    quiet = draw(st.sampled_from([None, hours]))
    digest = draw(st.sampled_from([None, *DigestPeriod]))
    return Subscription(
        id=UUID(int=0),
        team_id=PLACE.team_id,
        channel_id=PLACE.channel_id,
        source=Source.SLACK,
        created_at=NOW,
        kinds=draw(st.frozensets(st.sampled_from(AlertKind)).filter(lambda k: k != USUAL_KINDS)),
        filter=AlertFilter(
            workflow=draw(st.none() | _WORDS),
            repository=draw(st.none() | st.just("https://github.com/acme/api") | _WORDS),
            owner=draw(st.none() | st.just("U024BE7LH")),
            least_severity=draw(st.none() | st.sampled_from(Severity)),
            least_cost_usd=draw(st.none() | st.decimals("0.01", 5000, places=2)),
        ),
        pending_for=draw(st.none() | _MINUTES),
        mention=draw(st.sampled_from([None, "<!subteam^S0614TZR7>", "<@U024BE7LH>"])),
        broadcasts=draw(st.booleans()),
        time_zone=zone if quiet or digest else "UTC",
        quiet_hours=quiet,
        digest=digest,
        digest_hour=draw(_HOURS) if digest else 9,
        progress_every=draw(st.none() | _MINUTES),
    )


@settings(deadline=None)
@given(subscriptions())
def test_a_subscription_written_as_a_command_reads_as_itself(subscription: Subscription) -> None:
    command = parse_slash(subscribe_command_text(subscription), CHANNEL)

    assert isinstance(command, SubscribeAlerts)
    completed = command.wishes.for_person(
        user_id="U0ADA", mention=command.wishes.mention, time_zone="UTC"
    )
    assert completed.subscription(PLACE, now=NOW) == subscription


def test_what_depends_on_the_person_is_filled_in() -> None:
    found = wishes("owner=me quiet=22-7").for_person(
        user_id="U0ADA", mention=None, time_zone="Europe/Berlin"
    )

    subscription = found.subscription(PLACE, now=NOW)
    assert subscription.filter.owner == "U0ADA"
    assert subscription.time_zone == "Europe/Berlin"
    assert subscription.quiet_hours == QuietHours(
        start=time(22), end=time(7), time_zone="Europe/Berlin"
    )


def test_the_usual_kinds_written_out_are_the_usual_kinds() -> None:
    named = wishes(" ".join(USUAL_KINDS)).subscription(PLACE, now=NOW)

    assert named.kinds == frozenset()
