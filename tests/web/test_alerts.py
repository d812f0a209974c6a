"""Alerts through the API: listed, read, acknowledged, snoozed."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from bot.web.api.alerts.answers import SEVERITIES
from core.domain.actor import Role
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.runs.run import StopReason
from core.store import audit
from tests.alerts.world import AlertWorld, fired_alert
from tests.api import ApiHarness
from tests.database import stored_run


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.RUNNER)


@pytest.fixture
def world(api: ApiHarness) -> AlertWorld:
    return AlertWorld(api.database)


def test_every_severity_has_a_name() -> None:
    assert sorted(SEVERITIES.values()) == list(Severity)


async def test_an_alert_has_its_sentence_its_numbers_and_its_channels(
    api: ApiHarness, token: str, world: AlertWorld
) -> None:
    subscribed = await world.subscribe("C0123ABCD")
    alert_id = await fired_alert(api.database, git_repo="https://github.com/acme/api")

    alert = (await api.get(f"/alerts/{alert_id}", token)).body

    assert (alert["alert_id"], alert["kind"], alert["severity"]) == (
        str(alert_id),
        "failed",
        "warning",
    )
    assert (alert["state"], alert["is_open"]) == ("firing", True)
    assert alert["sentence"].endswith(".")
    assert alert["evidence"]["stop_reason"] == "api_error"
    assert alert["run_id"] == alert["subject"]["id"]
    assert alert["repository"] == "https://github.com/acme/api"
    assert [one["what"] for one in alert["events"]] == ["fired"]
    [told] = alert["channels"]
    assert (told["channel"], told["handling"]) == ("C0123ABCD", "shown")
    assert told["subscription_id"] == str(subscribed.id)


async def test_alerts_are_paged_newest_first(
    api: ApiHarness, token: str, world: AlertWorld
) -> None:
    made = []
    for _ in range(5):
        made.append(await world.ended_run(StopReason.API_ERROR))
        await world.evaluate()
        world.wait(minutes=1)

    found: list[str] = []
    cursor = ""
    for _ in made:
        page = (await api.get(f"/alerts?limit=2{cursor}", token)).body
        assert (page["total_count"], page["total_count_is_exact"]) == (5, True)
        found += [one["run_id"] for one in page["alerts"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert found == [run.run_id for run in reversed(made)]


async def test_a_list_has_only_what_was_asked_for(
    api: ApiHarness, token: str, world: AlertWorld
) -> None:
    failed = await world.ended_run(StopReason.API_ERROR)
    stopped = await world.ended_run(StopReason.MAX_TURNS)
    done = await world.ended_run(StopReason.SUCCESS)
    await world.evaluate()

    async def runs_of(query: str) -> set[str]:
        found = (await api.get(f"/alerts?{query}", token)).body
        assert found["total_count"] == len(found["alerts"])
        return {one["run_id"] for one in found["alerts"]}

    assert await runs_of("kind=failed") == {failed.run_id}
    assert await runs_of("kind=failed&kind=completed") == {failed.run_id, done.run_id}
    assert await runs_of("open=true") == {failed.run_id, stopped.run_id}
    assert await runs_of("open=false") == {done.run_id}
    assert await runs_of(f"run={stopped.run_id}&open=true") == {stopped.run_id}
    unknown = await api.get("/alerts?run=run_000000000000", token)
    assert (unknown.status, unknown.error) == (404, "run_not_found")


async def test_a_list_that_has_not_changed_is_not_sent_again(
    api: ApiHarness, token: str, world: AlertWorld
) -> None:
    alert_id = await fired_alert(api.database)
    etag = (await api.get("/alerts", token)).headers["ETag"]

    same = await api.get("/alerts", token, headers={"If-None-Match": etag})
    await api.post(f"/alerts/{alert_id}/acknowledge", token)
    other = await api.get("/alerts", token, headers={"If-None-Match": etag})

    assert (same.status, same.text) == (304, "")
    assert (other.status, other.body["alerts"][0]["acknowledged_by"]) == (200, "ci")


async def test_an_acknowledgement_is_told_audited_and_done_once(
    api: ApiHarness, token: str, world: AlertWorld
) -> None:
    await world.subscribe()
    alert_id = await fired_alert(api.database)

    first = (await api.post(f"/alerts/{alert_id}/acknowledge", token)).body
    again = (await api.post(f"/alerts/{alert_id}/acknowledge", token)).body

    assert (first["acknowledged_by"], first["is_open"]) == ("ci", True)
    assert again == first | {"sentence": again["sentence"]}
    details = (await api.get(f"/alerts/{alert_id}", token)).body
    assert [(one["what"], one["by"]) for one in details["events"]] == [
        ("fired", None),
        ("acknowledged", "ci"),
    ]
    async with api.database.sessions() as session:
        trail = [one for one in await audit.recent(session, 10) if one.action == "acknowledge"]
    assert [one.details["alert"] for one in trail] == [str(alert_id)]


@pytest.mark.parametrize(
    ("body", "minutes"),
    [
        ({"minutes": 90}, 90),
        ({"duration": "90m"}, 90),
        ({"duration": "1d12h"}, 36 * 60),
        ({"duration": "7d"}, 7 * 24 * 60),
    ],
)
async def test_an_alert_is_snoozed_by_minutes_or_by_a_duration(
    api: ApiHarness, token: str, body: dict[str, object], minutes: int
) -> None:
    alert_id = await fired_alert(api.database)

    snoozed = (await api.post(f"/alerts/{alert_id}/snooze", token, body)).body

    until = datetime.fromisoformat(snoozed["snoozed_until"])
    # The API of the tests has the real clock.
    left = until - datetime.now(until.tzinfo)
    assert timedelta(minutes=minutes - 1) < left <= timedelta(minutes=minutes)
    assert snoozed["snoozed_by"] == "ci"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "invalid_request"),
        ({"minutes": 5, "duration": "5m"}, "invalid_request"),
        ({"minutes": 0}, "invalid_request"),
        ({"minutes": "5"}, "invalid_request"),
        ({"duration": "2"}, "invalid_request"),
        ({"duration": "h"}, "invalid_request"),
        ({"duration": ""}, "invalid_request"),
        ({"duration": "2h "}, "invalid_request"),
        ({"duration": "2h\n"}, "invalid_request"),
        ({"duration": "-2h"}, "invalid_request"),
        ({"duration": "\u0662h"}, "invalid_request"),
        ({"duration": 5}, "invalid_request"),
        ({"duration": "30s"}, "bad_snooze"),
        ({"duration": "8d"}, "bad_snooze"),
        ({"minutes": 20_000}, "bad_snooze"),
    ],
    ids=str,
)
async def test_a_snooze_needs_one_time_within_bounds(
    api: ApiHarness, token: str, body: dict[str, object], error: str
) -> None:
    alert_id = await fired_alert(api.database)

    refused = await api.post(f"/alerts/{alert_id}/snooze", token, body)

    assert (refused.status, refused.error) == (400, error)
    assert (await api.get(f"/alerts/{alert_id}", token)).body["snoozed_until"] is None


async def test_still_fine_leaves_half_an_hour(api: ApiHarness, token: str) -> None:
    alert_id = await fired_alert(api.database)

    fine = (await api.post(f"/alerts/{alert_id}/still-fine", token)).body

    until = datetime.fromisoformat(fine["snoozed_until"])
    assert timedelta(minutes=29) < until - datetime.now(until.tzinfo) <= timedelta(minutes=30)
    events = (await api.get(f"/alerts/{alert_id}", token)).body["events"]
    assert [one["what"] for one in events] == ["fired", "still_fine"]


async def test_an_ended_alert_stays_as_it_is(
    api: ApiHarness, token: str, world: AlertWorld
) -> None:
    await world.ended_run(StopReason.SUCCESS)
    await world.evaluate()
    notice = await world.only(AlertKind.COMPLETED)

    answer = await api.post(f"/alerts/{notice.id}/acknowledge", token)

    assert (answer.status, answer.body["acknowledged_by"]) == (200, None)
    assert (answer.body["resolution"], answer.body["version"]) == ("notice", notice.version)


async def test_an_alert_that_nobody_was_told_of_is_none(
    api: ApiHarness, token: str, world: AlertWorld
) -> None:
    await stored_run(api.database, created_at=world.now)
    await world.evaluate()
    [pending] = await world.pending()
    assert not pending.is_told

    for alert_id in (uuid4(), pending.id):
        read = await api.get(f"/alerts/{alert_id}", token)
        acted = await api.post(f"/alerts/{alert_id}/acknowledge", token)
        assert (read.status, read.error) == (404, "alert_not_found")
        assert (acted.status, acted.error) == (404, "alert_not_found")


async def test_a_viewer_reads_and_does_nothing(api: ApiHarness) -> None:
    viewer = await api.token("viewer", Role.VIEWER)
    alert_id: UUID = await fired_alert(api.database)

    read = await api.get(f"/alerts/{alert_id}", viewer)
    acted = await api.post(f"/alerts/{alert_id}/still-fine", viewer)

    assert read.status == 200
    assert (acted.status, acted.error) == (403, "role_too_low")
