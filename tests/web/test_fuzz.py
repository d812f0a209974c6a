"""Random requests to every route: no failure of the server, and no answer against its schema."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from bot.web.route import API_ROOT, AnyRoute
from core.domain.actor import Role
from tests.alerts.world import fired_alert
from tests.api import ApiHarness, Reply
from tests.database import running_run
from tests.worker_rows import reported_worker
from tests.workspace_rows import reported_workspace

CASES_OF_A_ROUTE = 40
TEXTS = (
    "",
    "x",
    "x" * 3000,
    "\x00",
    "a\x00b",
    "\ud800",
    "\U0001f600",
    "\u202e\u0085\u2028",
    "%00%ff",
    "../..",
    "run_",
    "run_%",
    "\\",
    "'; --",
    "{}",
    "null",
    "-1",
    "9" * 40,
    "2026-01-01T00:00:00Z",
    "00000000-0000-0000-0000-000000000000",
)
NUMBERS = (0, 1, -1, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30, 0.5, 1e308, 5e-324)


def any_value(chance: random.Random, depth: int = 2) -> Any:
    """Any JSON value."""
    kind = chance.randrange(7 if depth else 5)
    if kind == 5:
        return [any_value(chance, depth - 1) for _ in range(chance.randrange(3))]
    if kind == 6:
        return {chance.choice(TEXTS): any_value(chance, depth - 1) for _ in range(2)}
    return (
        chance.choice((*TEXTS, None, True, False))
        if kind < 4
        else chance.choice((*NUMBERS, chance.getrandbits(64)))
    )


async def subscription(api: ApiHarness, token: str) -> UUID:
    """The id of a new subscription."""
    made = await api.post("/subscriptions", token, {"channel": "C0123ABCD"})
    return UUID(made.body["subscription_id"])


def path_of(route: AnyRoute, chance: random.Random, known: dict[str, list[str]]) -> str:
    """The address of a route, with values that are known or anything."""
    path = route.path
    for name in route.path_parameters.model_fields:
        pool = known[name] if chance.random() < 0.6 else [text for text in TEXTS if text]
        written = quote(chance.choice(pool).encode(errors="surrogatepass"), safe="")
        path = path.replace(f"{{{name}}}", written)
    return f"{API_ROOT}{path}"


def query_of(route: AnyRoute, chance: random.Random) -> str:
    """A query with any values of names that the route knows, and sometimes of others."""
    names = [*route.query.model_fields, "other"]
    chosen = [chance.choice(names) for _ in range(chance.randrange(3))]
    return "&".join(
        f"{name}={quote(str(any_value(chance, 0)).encode(errors='surrogatepass'), safe='')}"
        for name in chosen
    )


def body_of(route: AnyRoute, chance: random.Random, known: dict[str, list[str]]) -> dict[str, Any]:
    """A body with any values of fields that the route knows; sometimes valid ones."""
    valid = {
        "message": "x",
        "session_id": chance.choice(known["session_id"]),
        "reason": "x",
        "channel": "C0123ABCD",
        "duration": "2h",
    }
    valid = {name: value for name, value in valid.items() if name in route.body.model_fields}
    fields = {name: any_value(chance) for name in route.body.model_fields if chance.random() < 0.3}
    return {**valid, **fields} if chance.random() < 0.7 else fields


def check(reply: Reply, operation: dict[str, Any], document: dict[str, Any]) -> None:
    """The answer is one that the document describes."""
    described = operation["responses"].get(str(reply.status))
    assert described is not None, (reply.status, reply.text)
    if reply.headers["Content-Type"].startswith("text/event-stream"):
        assert set(described["content"]) == {"text/event-stream"}
        return
    schema = described["content"]["application/json"]["schema"]
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole).validate(reply.body)


@pytest.mark.sampled(5, group="campaigns")
@pytest.mark.parametrize("seed", range(2))
async def test_no_request_is_answered_with_a_failure_or_against_the_schema(
    api: ApiHarness, seed: int
) -> None:
    chance = random.Random(seed)
    token = await api.token(role=Role.ADMIN)
    run = await running_run(api.database)
    document = (await api.get("/openapi.json")).body
    known = {
        "run_id": [run.run_id, run.run_id[:8], str(run.session_id)],
        "session_id": [str(run.session_id)],
        "workflow_name": ["fix", "builder", "nonsense"],
        "alert_id": [str(await fired_alert(api.database))],
        "subscription_id": [str(await subscription(api, token))],
        "workspace_id": [await reported_workspace(api.database)],
        "worker_id": [await reported_worker(api.database)],
    }
    statuses: Counter[int] = Counter()

    for route in api.table:
        operation = document["paths"][f"{API_ROOT}{route.path}"][route.method.lower()]
        for _ in range(CASES_OF_A_ROUTE):
            address = f"http://{api.host}{path_of(route, chance, known)}?{query_of(route, chance)}"
            options: dict[str, Any] = {}
            if route.has_body:
                options["data"] = json.dumps(body_of(route, chance, known)).encode()
                options["headers"] = {"Content-Type": "application/json"}
            reply = await api.call(route.method, address, token, **options)
            statuses[reply.status] += 1
            if reply.status == 404 and reply.error == "no_such_route":
                # A value of the path was a part of another address.
                continue
            check(reply, operation, document)

    assert sum(statuses.values()) == CASES_OF_A_ROUTE * len(api.table)
    assert statuses[200] > 100
    assert statuses[400] > 100
