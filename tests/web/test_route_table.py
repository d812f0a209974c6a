"""A walk over all routes: what each refuses, and that the document describes each."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from bot.web.authentication import ADMISSION_SECONDS
from bot.web.route import API_ROOT, AnyRoute, Method
from core.domain.actor import SYSTEM, Role
from core.store import audit
from tests.api import ApiHarness, Reply
from tests.limits import limit

PUBLIC = {"get_health"}


def address_of(route: AnyRoute) -> str:
    """The path of a route with values that are valid, but name nothing."""
    values = {
        "run_id": "run_000000000000",
        "workflow_name": "implement",
        "session_id": uuid4(),
        "alert_id": uuid4(),
        "subscription_id": uuid4(),
        "worker_id": "machine-0a1b2c3d-0:0a1b2c3d",
        "workspace_id": "ws_0a1b2c3d4e5f",
    }
    return re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), route.path)


BODIES: dict[str, object] = {
    "start_run": {"message": "Do it"},
    "continue_run": {"session_id": str(uuid4()), "additional_turns": 5, "message": "Go on"},
    "kill_run": {},
    "restart_run": {"checkpoint": 2, "preview": True},
    "rename_session": {"name": "auth"},
    "snooze_alert": {"minutes": 30},
    "subscribe": {"channel": "C0123ABCD"},
    "replace_subscription": {"kinds": ["failed"]},
    "mute_channel": {"channel": "C0000ABCD", "duration": "2h"},
}


async def send(api: ApiHarness, route: AnyRoute, token: str | None) -> Reply:
    body = {"json": BODIES[route.name]} if route.has_body else {}
    return await api.call(route.method, address_of(route), token, **body)


def test_names_and_addresses_are_unique(api_table: list[AnyRoute]) -> None:
    assert len({route.name for route in api_table}) == len(api_table)
    assert len({(route.method, route.path) for route in api_table}) == len(api_table)
    assert {route.name for route in api_table if route.is_public} == PUBLIC


@pytest.fixture
def api_table(api: ApiHarness) -> list[AnyRoute]:
    return api.table


async def test_every_route_refuses_a_missing_an_unknown_an_expired_and_a_revoked_token(
    api: ApiHarness,
) -> None:
    expired = await api.token("expired", Role.ADMIN, lifetime=timedelta(microseconds=1))
    revoked = await api.token("revoked", Role.ADMIN)
    await api.tokens.revoke("revoked", by=SYSTEM)
    tokens = {"missing": None, "unknown": "sbx_no", "expired": expired, "revoked": revoked}

    for route in api.table:
        for problem, token in tokens.items():
            reply = await send(api, route, token)
            if route.is_public:
                assert reply.status == 200
            else:
                assert (reply.status, reply.error) == (401, "unauthenticated"), route.name
                assert reply.body["details"] == {"problem": problem}
                assert reply.headers["WWW-Authenticate"].startswith("Bearer")
                # The head of a stream is not allowed to anybody.
                if route.method is Method.GET and not route.is_stream:
                    head = await api.call("HEAD", address_of(route), token)
                    assert head.status == 401, route.name


async def test_every_route_refuses_too_small_a_role_and_the_audit_has_it(api: ApiHarness) -> None:
    tokens = {role: await api.token(role.name.lower(), role) for role in Role if role}
    refused: list[tuple[str, str]] = []

    for route in api.table:
        for role, token in tokens.items():
            reply = await send(api, route, token)
            if role < route.role:
                assert (reply.status, reply.error) == (403, "role_too_low"), route.name
                assert reply.body["details"]["needed_role"] == route.role.name.lower()
                refused.append((route.action, role.name.lower()))
            else:
                # What the address names does not exist, or there is nothing to list.
                assert reply.status in (200, 404), (route.name, reply.text)

    assert refused
    async with api.database.sessions() as session:
        trail = [entry for entry in await audit.recent(session, 100) if not entry.allowed]
    assert sorted((one.action, one.details["token"]) for one in trail) == sorted(refused)


async def test_a_revoked_token_is_refused_within_seconds(api: ApiHarness) -> None:
    token = await api.token()
    assert (await api.get("/workers", token)).status == 200
    await api.tokens.revoke("ci", by=SYSTEM)

    async with limit(ADMISSION_SECONDS + 1):
        while (await api.get("/workers", token)).status == 200:
            pass

    assert (await api.get("/workers", token)).body["details"] == {"problem": "revoked"}
    async with api.database.sessions() as session:
        trail = [entry for entry in await audit.recent(session, 10) if not entry.allowed]
    assert [(one.actor.name, one.reason, one.details["token"]) for one in trail] == [
        ("ci", "revoked", "ci")
    ]


async def test_both_headers_carry_a_token(api: ApiHarness) -> None:
    token = await api.token()

    by_key = await api.get("/workers", headers={"x-api-key": token, "X-API-Version": "1"})
    by_bearer = await api.get("/workers", headers={"Authorization": f"bearer  {token}"})
    by_basic = await api.get("/workers", headers={"Authorization": f"Basic {token}"})

    assert [one.status for one in (by_key, by_bearer, by_basic)] == [200, 200, 401]
    assert by_key.headers["X-API-Version"] == "1"


async def test_a_members_token_acts_with_the_members_present_role(api: ApiHarness) -> None:
    token = await api.token("ada", None, user="U1")
    capped = await api.token("ada-ro", Role.VIEWER, user="U1")

    stranger = await api.get("/workers", token)
    api.members.roles["U1"] = Role.RUNNER
    body = {"message": "Do it"}
    started = await api.post("/workflows/claude-code/run/fix", token, body)
    too_high = await api.post("/workflows/claude-code/run/fix", capped, body)

    assert (stranger.status, stranger.error) == (403, "no_such_member")
    assert started.status == 200
    assert (too_high.status, too_high.error) == (403, "role_too_low")
    async with api.database.sessions() as session:
        trail = await audit.recent(session, 10)
    start = next(entry for entry in trail if entry.action == "start" and entry.allowed)
    assert (start.actor.name, start.actor.external_id, start.actor.origin) == ("Ada", "U1", "api")
    assert start.details["token"] == "ada"
    refusal = next(entry for entry in trail if entry.reason == "no_such_member")
    assert (refusal.actor.external_id, refusal.details["token"]) == ("U1", "ada")


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(one) for one in value.values()))
    if isinstance(value, list):
        return set().union(*(_references(one) for one in value))
    return set()


async def test_the_document_describes_every_route(api: ApiHarness) -> None:
    reply = await api.get("/openapi.json")

    document = reply.body
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "https://signalbox.example.com"}]
    described = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(described) == {(one.method, f"{API_ROOT}{one.path}") for one in api.table}
    for route in api.table:
        operation = described[route.method, f"{API_ROOT}{route.path}"]
        assert operation["operationId"] == route.name
        in_path = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", route.path))
        assert ("requestBody" in operation) == route.has_body
    schemas = document["components"]["schemas"]
    assert {ref.rpartition("/")[2] for ref in _references(document)} == set(schemas)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


async def test_the_page_shows_every_route_and_loads_nothing(api: ApiHarness) -> None:
    reply = await api.get("/docs")

    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert all(f'id="{route.name}"' in reply.text for route in api.table)
    assert not re.findall(r"<script|<link|<img|src=|url\(|@import|https?://", reply.text)
