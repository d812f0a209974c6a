"""Subscriptions through the API: made, read, changed, muted, ended."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web.api.alerts.answers import mention_of, mentioned_id
from core.domain.actor import Role
from core.domain.alerts.kinds import USUAL_KINDS, AlertKind
from core.store import audit
from tests.alerts.world import RUNNER, AlertWorld
from tests.api import ApiHarness

CHANNEL = "C0123ABCD"
FULL: dict[str, Any] = {
    "kinds": ["failed", "stalled"],
    "workflow": "fix",
    "repository": "acme/api",
    "owner": "U024BE7LH",
    "least_severity": "critical",
    "least_cost_usd": 12.5,
    "pending_for_seconds": 900,
    "mention": "S0614TZR7",
    "broadcasts": True,
    "time_zone": "Europe/Berlin",
    "quiet_hours": "22:00-07:00",
    "digest": "weekly",
    "digest_hour": 8,
    "progress_every_seconds": 600,
}
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(FULL),
    "kinds": [],
    "broadcasts": False,
    "time_zone": "UTC",
    "digest_hour": 9,
}


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.RUNNER)


async def subscribe(api: ApiHarness, token: str, **wishes: Any) -> dict[str, Any]:
    reply = await api.post("/subscriptions", token, {"channel": CHANNEL, **wishes})
    assert reply.status == 200, reply.text
    found: dict[str, Any] = reply.body
    return found


async def test_what_is_sent_is_what_is_answered(api: ApiHarness, token: str) -> None:
    made = await subscribe(api, token, **FULL)
    read = (await api.get(f"/subscriptions/{made['subscription_id']}", token)).body

    assert made == read
    assert {name: read[name] for name in FULL} == FULL
    assert (read["channel"], read["source"], read["created_by"]) == (CHANNEL, "api", "ci")
    assert read["chosen_kinds"] == ["failed", "stalled"]


async def test_a_channel_without_wishes_gets_the_usual_kinds(api: ApiHarness, token: str) -> None:
    made = await subscribe(api, token)

    assert {name: made[name] for name in FULL} == DEFAULTS
    assert made["chosen_kinds"] == sorted(USUAL_KINDS)


async def test_the_same_again_is_the_one_that_there_is(api: ApiHarness, token: str) -> None:
    first = await subscribe(api, token, kinds=["failed"])
    again = await subscribe(api, token, kinds=["failed"])
    other = await subscribe(api, token, kinds=["killed"])

    listed = (await api.get("/subscriptions", token)).body["subscriptions"]

    assert first == again
    assert [one["subscription_id"] for one in listed] == [
        first["subscription_id"],
        other["subscription_id"],
    ]


async def test_a_list_is_of_all_channels_or_of_one(api: ApiHarness, token: str) -> None:
    own = await subscribe(api, token)
    await subscribe(api, token, channel="C9999ZZZZ")

    everything = (await api.get("/subscriptions", token)).body["subscriptions"]
    one = (await api.get(f"/subscriptions?channel={CHANNEL}", token)).body["subscriptions"]
    none = (await api.get("/subscriptions?channel=C7777AAAA", token)).body["subscriptions"]

    assert len(everything) == 2
    assert (one, none) == ([own], [])


async def test_a_change_replaces_all_wishes_and_keeps_the_channel(
    api: ApiHarness, token: str
) -> None:
    made = await subscribe(api, token, **FULL)
    path = f"/subscriptions/{made['subscription_id']}"

    changed = await api.call("PUT", path, token, json={"kinds": ["killed"], "digest": "daily"})

    assert changed.status == 200
    assert {name: changed.body[name] for name in FULL} == DEFAULTS | {
        "kinds": ["killed"],
        "digest": "daily",
    }
    assert changed.body["channel"] == CHANNEL
    assert changed.body["updated_at"] is not None
    assert (await api.get(path, token)).body == changed.body


async def test_an_ended_subscription_is_none(api: ApiHarness, token: str) -> None:
    made = await subscribe(api, token)
    path = f"/subscriptions/{made['subscription_id']}"

    ended = await api.call("DELETE", path, token)

    assert (ended.status, ended.body["channel"]) == (200, CHANNEL)
    for reply in (
        await api.get(path, token),
        await api.call("DELETE", path, token),
        await api.call("PUT", path, token, json={}),
    ):
        assert (reply.status, reply.error) == (404, "subscription_not_found")


async def test_a_channel_is_muted_and_told_again(api: ApiHarness, token: str) -> None:
    made = await subscribe(api, token)
    path = f"/subscriptions/{made['subscription_id']}"

    async def mute(duration: str | None) -> dict[str, Any]:
        body = {"channel": CHANNEL, "duration": duration}
        found: list[dict[str, Any]] = (await api.post("/subscriptions/mute", token, body)).body[
            "subscriptions"
        ]
        assert found == [(await api.get(path, token)).body]
        return found[0]

    muted = await mute("2h")
    heard = await mute(None)

    assert muted["muted_until"] is not None
    assert (muted["muted_by"], heard["muted_by"], heard["muted_until"]) == ("ci", None, None)
    async with api.database.sessions() as session:
        trail = [one for one in await audit.recent(session, 10) if one.action == "subscribe"]
    assert sorted(str(one.details["what"]) for one in trail) == ["muted", "subscribed", "unmuted"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"channel": CHANNEL}, 400, "invalid_request"),
        ({"channel": CHANNEL, "duration": "soon"}, 400, "invalid_request"),
        ({"channel": CHANNEL, "duration": "31d"}, 400, "bad_snooze"),
        ({"channel": CHANNEL, "duration": "2h"}, 404, "subscription_not_found"),
    ],
)
async def test_a_mute_needs_a_time_and_a_subscription(
    api: ApiHarness, token: str, body: dict[str, Any], status: int, error: str
) -> None:
    refused = await api.post("/subscriptions/mute", token, body)

    assert (refused.status, refused.error) == (status, error)


@pytest.mark.parametrize(
    ("wishes", "status", "error"),
    [
        ({"channel": "general"}, 400, "invalid_request"),
        ({"channel": "C0123ABCD\n"}, 400, "invalid_request"),
        ({"kinds": ["nonsense"]}, 400, "invalid_request"),
        ({"kinds": ["failed"] * 40}, 400, "invalid_request"),
        ({"owner": "<!channel>"}, 400, "invalid_request"),
        ({"owner": "U" * 65}, 400, "invalid_request"),
        ({"mention": "<!channel>"}, 400, "invalid_request"),
        ({"mention": "@here"}, 400, "invalid_request"),
        ({"repository": ""}, 400, "invalid_request"),
        ({"least_cost_usd": 0}, 400, "invalid_request"),
        ({"least_cost_usd": "NaN"}, 400, "invalid_request"),
        ({"least_severity": 2}, 400, "invalid_request"),
        ({"pending_for_seconds": -1}, 400, "invalid_request"),
        ({"pending_for_seconds": 86_401}, 400, "invalid_request"),
        ({"progress_every_seconds": 59}, 400, "invalid_request"),
        ({"digest_hour": 24}, 400, "invalid_request"),
        ({"digest": "hourly"}, 400, "invalid_request"),
        ({"muted_until": None}, 400, "invalid_request"),
        ({"quiet_hours": "22-7"}, 400, "bad_quiet_hours"),
        ({"quiet_hours": "07:00-07:00"}, 400, "bad_quiet_hours"),
        ({"quiet_hours": "22:00-07:00", "time_zone": "Moon/Base"}, 400, "bad_quiet_hours"),
        ({"digest": "daily", "time_zone": "Moon/Base"}, 400, "bad_quiet_hours"),
        ({"time_zone": "../../etc/passwd"}, 400, "bad_quiet_hours"),
        ({"workflow": "nonsense"}, 404, "unknown_workflow"),
    ],
    ids=str,
)
async def test_a_wrong_wish_is_refused_and_nothing_is_made(
    api: ApiHarness, token: str, wishes: dict[str, Any], status: int, error: str
) -> None:
    refused = await api.post("/subscriptions", token, {"channel": CHANNEL, **wishes})

    assert (refused.status, refused.error) == (status, error)
    assert (await api.get("/subscriptions", token)).body["subscriptions"] == []


async def test_a_member_acts_on_own_channels_only(api: ApiHarness, token: str) -> None:
    member = await api.token("ada", None, user="U1")
    api.members.roles["U1"] = Role.RUNNER
    api.channels.of_members["U1"] = {"C1111AAAA"}
    made = await subscribe(api, token)
    path = f"/subscriptions/{made['subscription_id']}"

    own = await api.post("/subscriptions", member, {"channel": "C1111AAAA"})
    refused = [
        await api.post("/subscriptions", member, {"channel": CHANNEL}),
        await api.post("/subscriptions/mute", member, {"channel": CHANNEL, "duration": "2h"}),
        await api.call("PUT", path, member, json={}),
        await api.call("DELETE", path, member),
    ]

    assert own.status == 200
    assert [(one.status, one.error) for one in refused] == [(403, "no_such_channel")] * 4
    assert (await api.get(path, member)).body == made


async def test_what_the_configuration_keeps_is_shown_and_not_changed(
    api: ApiHarness, token: str
) -> None:
    world = AlertWorld(api.database)
    wanted = await world.subscribe(CHANNEL, kinds=frozenset({AlertKind.FAILED}))
    await world.subscriptions.unsubscribe([wanted.id], by=RUNNER)
    await world.subscriptions.sync_configured([wanted])
    [kept] = (await api.get("/subscriptions", token)).body["subscriptions"]
    path = f"/subscriptions/{kept['subscription_id']}"

    changed = await api.call("PUT", path, token, json={})
    ended = await api.call("DELETE", path, token)

    assert kept["source"] == "config"
    assert (changed.status, changed.error) == (409, "subscription_fixed")
    assert (ended.status, ended.error) == (409, "subscription_fixed")


@given(prefix=st.sampled_from("SUW"), rest=st.from_regex(r"[A-Z0-9]{2,31}", fullmatch=True))
def test_a_mention_is_read_back_as_its_id(prefix: str, rest: str) -> None:
    assert mentioned_id(mention_of(prefix + rest)) == prefix + rest
