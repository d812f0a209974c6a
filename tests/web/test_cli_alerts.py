"""The commands about alerts and subscriptions, on a real API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from bot.cli.client.acts.alerts import AlertActs, only_one
from bot.cli.client.api import ApiClient, open_client
from bot.cli.client.connection import Connection
from bot.cli.client.errors import ApiRefusal, BadArgument
from bot.cli.client.exit_codes import ExitCode, code_of_error
from core.domain.actor import Role
from core.domain.alerts.kinds import AlertKind
from core.domain.runs.run import StopReason
from tests.alerts.world import AlertWorld, fired_alert
from tests.api import ApiHarness


@pytest.fixture
async def client(api: ApiHarness) -> AsyncIterator[ApiClient]:
    connection = Connection(
        url=f"http://{api.host}", token=await api.token(role=Role.RUNNER), token_source="a test"
    )
    async with open_client(connection) as opened:
        yield opened


@pytest.fixture
def acts(client: ApiClient) -> AlertActs:
    return AlertActs(client=client, as_json=False)


async def test_open_alerts_are_listed_with_their_sentences(
    api: ApiHarness, acts: AlertActs, capsys: pytest.CaptureFixture[str]
) -> None:
    alert_id = await fired_alert(api.database)
    world = AlertWorld(api.database)
    await world.ended_run(StopReason.SUCCESS)
    await world.evaluate()

    code = await acts.alerts(is_open=True, kinds=[], limit=20, cursor=None)
    head, sentence = capsys.readouterr().out.splitlines()
    await acts.alerts(is_open=False, kinds=["completed"], limit=20, cursor=None)
    completed = capsys.readouterr().out

    assert code is ExitCode.DONE
    assert head.startswith(f"{str(alert_id)[:8]}  warning  failed  open for ")
    assert sentence.startswith("  ")
    assert sentence.endswith(".")
    assert "  completed  ended\n" in completed


async def test_no_open_alert_is_said(acts: AlertActs, capsys: pytest.CaptureFixture[str]) -> None:
    await acts.alerts(is_open=True, kinds=[], limit=20, cursor=None)

    assert capsys.readouterr().out == "No alert is open.\n"


async def test_an_alert_is_acknowledged_and_snoozed_by_the_beginning_of_its_id(
    api: ApiHarness, acts: AlertActs, capsys: pytest.CaptureFixture[str]
) -> None:
    alert_id = str(await fired_alert(api.database))

    await acts.acknowledge(alert_id[:8].upper())
    acknowledged = capsys.readouterr().out
    await acts.snooze(alert_id, " 2h ")

    assert "acknowledged by ci" in acknowledged
    assert "snoozed until " in capsys.readouterr().out
    found = await acts.client.get(f"/alerts/{alert_id}")
    until = datetime.fromisoformat(found.body["snoozed_until"])
    assert timedelta(hours=1) < until - datetime.now(until.tzinfo) <= timedelta(hours=2)


async def test_an_alert_that_has_ended_is_left_as_it_is(
    api: ApiHarness, acts: AlertActs, capsys: pytest.CaptureFixture[str]
) -> None:
    world = AlertWorld(api.database)
    await world.ended_run(StopReason.SUCCESS)
    await world.evaluate()
    notice = await world.only(AlertKind.COMPLETED)

    code = await acts.acknowledge(str(notice.id))

    said = capsys.readouterr()
    assert code is ExitCode.DONE
    assert "acknowledged" not in said.out
    assert said.err == "It had ended already, so nothing was changed.\n"


async def test_programs_get_the_json_of_the_api(
    client: ApiClient, api: ApiHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    acts = AlertActs(client=client, as_json=True)
    await AlertWorld(api.database).subscribe("C0123ABCD")
    alert_id = str(await fired_alert(api.database))

    await acts.alerts(is_open=True, kinds=["failed"], limit=1, cursor=None)
    await acts.acknowledge(alert_id)
    await acts.subscriptions(None)

    listed, after, subscribed = map(json.loads, capsys.readouterr().out.splitlines())
    assert [one["alert_id"] for one in listed["alerts"]] == [alert_id]
    assert (after["alert_id"], after["acknowledged_by"]) == (alert_id, "ci")
    assert [one["channel"] for one in subscribed["subscriptions"]] == ["C0123ABCD"]


async def test_subscriptions_are_listed_of_all_channels_or_of_one(
    api: ApiHarness, acts: AlertActs, capsys: pytest.CaptureFixture[str]
) -> None:
    world = AlertWorld(api.database)
    await world.subscribe("C0123ABCD")
    await world.subscribe("C9999ZZZZ", kinds=frozenset({AlertKind.KILLED}))

    await acts.subscriptions("C9999ZZZZ")

    head, wishes = capsys.readouterr().out.splitlines()
    assert head.startswith("C9999ZZZZ  ")
    assert wishes == "  killed"


@pytest.mark.parametrize(
    ("target", "error", "code"),
    [
        ("", BadArgument, ExitCode.USAGE),
        ("abc", BadArgument, ExitCode.USAGE),
        ("../../x", BadArgument, ExitCode.USAGE),
        ("ffff0000", ApiRefusal, ExitCode.NOT_FOUND),
        ("00000000-0000-4000-8000-000000000000", ApiRefusal, ExitCode.NOT_FOUND),
    ],
)
async def test_a_name_of_no_alert_is_refused(
    acts: AlertActs, target: str, error: type[ApiRefusal], code: ExitCode
) -> None:
    with pytest.raises(error) as refused:
        await acts.acknowledge(target)

    assert code_of_error(refused.value) is code


def test_a_beginning_of_two_ids_names_both() -> None:
    ids = [f"abcd000{number}-0000-4000-8000-000000000000" for number in range(2)]

    with pytest.raises(BadArgument) as refused:
        only_one("abcd", ids)

    assert all(one in refused.value.user_message for one in ids)


async def test_a_snooze_needs_a_time_with_its_unit(acts: AlertActs) -> None:
    with pytest.raises(BadArgument, match="DURATION"):
        await acts.snooze("00000000-0000-4000-8000-000000000000", "soon")
