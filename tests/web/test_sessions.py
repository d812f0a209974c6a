"""Sessions over the API: by name or id, their legs, their names, their messages both ways."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.domain.actor import Role
from core.domain.runs.run import StopReason, Usage
from core.domain.sessions.ledger import EntrySource, LedgerEntry
from core.store import ledger
from core.store.runs import run_queries, runs
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.RUNNER)


async def start(api: ApiHarness, token: str, name: str = "auth", **fields: object) -> str:
    body = {"message": "Count the pieces", "session_name": name, **fields}
    answer = await api.post(f"{CONSOLE}/run/fix", token, body)
    assert answer.status == 200, answer.text
    return str(answer.body["run_id"])


async def end(api: ApiHarness, run_id: str, source: EntrySource, cost: str | None) -> None:
    """End a run whose agent made three turns."""
    async with api.database.sessions.begin() as session:
        await runs.begin(session, run_id, attempt=1, worker_id="w1", now=NOW)
        usage = Usage(input_tokens=100, output_tokens=10)
        run = await runs.finish(
            session, run_id, attempt=1, stop_reason=StopReason.MAX_TURNS, now=NOW, turns=3
        )
        await ledger.put(
            session,
            LedgerEntry(
                run_id=run.id,
                session_id=run.session_id,
                attempt=1,
                source=source,
                cost_usd=None if cost is None else Decimal(cost),
                usage=None if cost is None else usage,
                turns=3,
                recorded_at=NOW,
            ),
        )


async def go_on(api: ApiHarness, token: str, run_id: str, **fields: object) -> dict[str, object]:
    async with api.database.sessions() as session:
        session_id = str((await run_queries.get(session, run_id)).session_id)
    body = {"session_id": session_id, "message": "go on", **fields}
    answer = await api.post(f"{CONSOLE}/run/fix/continue", token, body)
    return {"status": answer.status, **answer.body}


async def test_the_legs_of_a_session_have_what_each_cost_and_the_sum(
    api: ApiHarness, token: str
) -> None:
    first = await start(api, token)
    await end(api, first, EntrySource.REPORTED, "1.4468734")
    second = str((await go_on(api, token, first, budget_usd="2.50", model="opus"))["run_id"])
    await end(api, second, EntrySource.UNKNOWN, None)

    legs = (await api.get("/sessions/AUTH/legs", token)).body
    status = (await api.get(f"{CONSOLE}/run/{second}/status", token)).body
    by_id = (await api.get(f"/sessions/{legs['session_id'][:8]}", token)).body

    assert [(leg["number"], leg["task"], leg["message"]) for leg in legs["legs"]] == [
        (1, "Count the pieces", "Count the pieces"),
        (2, "Count the pieces", "go on"),
    ]
    assert legs["legs"][1]["model"] == "opus"
    assert [leg["spent"]["reported"] for leg in legs["legs"]] == [1.4468734, None]
    assert legs["legs"][1]["processes"] == [
        {
            "attempt": 1,
            "source": "unknown",
            "cost": None,
            "tokens": None,
            "turns": 3,
            "recorded_at": NOW.isoformat().replace("+00:00", "Z"),
        }
    ]
    assert legs["spent"] == legs["lineage"] == by_id["spent"]
    assert (legs["spent"]["reported"], legs["spent"]["unknown_processes"]) == (1.4468734, 1)
    assert (legs["spent"]["turns"], by_id["turns"], by_id["run_count"]) == (6, 6, 2)
    assert (status["task"], status["leg"], status["needs_recovery"]) == (
        "Count the pieces",
        2,
        False,
    )


async def test_a_name_is_given_freed_and_taken_back(api: ApiHarness, token: str) -> None:
    other = await api.token("other", Role.RUNNER)
    run_id = await start(api, token)

    renamed = (await api.post("/sessions/auth/rename", token, {"name": "Rate  limits"})).body
    wrong = await api.post("/sessions/rate%20limits/rename", token, {"name": "--force"})
    foreign = await api.post(f"/sessions/{renamed['session_id']}/close", other, {})
    closed = (await api.post("/sessions/rate%20limits/close", token, {})).body
    second = await start(api, token, "rate limits")
    taken = await api.post(f"/sessions/{renamed['session_id']}/reopen", token, {})
    moved = await start(api, token, "rate limits", new_session=True)
    unknown = await api.get("/sessions/nothing", token)

    assert renamed["name"] == "Rate limits"
    assert (wrong.status, wrong.error) == (400, "bad_session_name")
    assert (foreign.status, foreign.error) == (403, "not_allowed")
    assert (closed["is_open"], closed["name"]) == (False, "Rate limits")
    assert (taken.status, taken.error) == (409, "session_name_taken")
    assert len({run_id, second, moved}) == 3
    assert (unknown.status, unknown.error) == (404, "session_not_found")


async def test_a_conversation_that_is_whole_is_not_recovered(api: ApiHarness, token: str) -> None:
    first = await start(api, token)
    await end(api, first, EntrySource.REPORTED, "1")

    refused = await go_on(api, token, first, recovery=True)

    assert (refused["status"], refused["error"]) == (409, "recovery_not_needed")


async def test_messages_are_read_from_the_end_backwards_and_onwards(
    api: ApiHarness, token: str
) -> None:
    run_id = await start(api, token)
    for number in range(3):
        await end(api, run_id, EntrySource.REPORTED, "1")
        answer = await go_on(api, token, run_id, message=f"m{number}")
        run_id = str(answer["run_id"])
    path = "/sessions/auth/messages"

    newest = (await api.get(f"{path}?newest=true&limit=2", token)).body
    before = (await api.get(f"{path}?limit=2&before={newest['previous']}", token)).body
    after = (await api.get(f"{path}?cursor={newest['last']}", token)).body
    typed = (await api.get(f"{path}?type=workflow_start", token)).body

    assert [one["text"] for one in newest["messages"]] == ["m1", "m2"]
    assert [one["leg"] for one in newest["messages"]] == [3, 4]
    assert (newest["next"], newest["messages"][0]["author"]) == (None, "ci")
    assert [one["text"] for one in before["messages"]] == ["Count the pieces", "m0"]
    assert before["previous"] is None
    assert after["messages"] == []
    assert [one["text"] for one in typed["messages"]] == ["Count the pieces"]


async def test_a_kill_echoes_the_task(api: ApiHarness, token: str) -> None:
    first = await start(api, token)
    await end(api, first, EntrySource.REPORTED, "1")
    second = str((await go_on(api, token, first))["run_id"])

    short = await api.post(f"{CONSOLE}/run/{second[:7]}/kill", token, {})
    killed = (await api.post(f"{CONSOLE}/run/{second[:8]}/kill", token, {})).body

    assert (short.status, short.error) == (404, "run_id_too_short")
    assert (killed["run_id"], killed["task"], killed["leg"]) == (second, "Count the pieces", 2)
