"""The start of the older API: every value of its body, and repeated requests."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from core.domain.actor import Role
from core.store.runs import run_queries
from tests.api import CONSOLE, ApiHarness
from tests.web.older_api import START_FIELDS, check_types


async def test_a_repeated_request_with_a_key_starts_one_run(api: ApiHarness) -> None:
    token = await api.token(role=Role.RUNNER)
    other = await api.token("other", Role.RUNNER)
    path = f"{CONSOLE}/run/builder"
    body = {"message": "Add rate limiting\nto the API", "user_id": 7, "persistent": True}
    key = {"Idempotency-Key": "build-1"}

    first = await api.post(path, token, body, headers=key)
    second = await api.post(path, token, body, headers=key)
    others = await api.post(path, other, body, headers=key)
    unkeyed = await api.post(path, token, body)
    wrong = await api.post(path, token, body, headers={"Idempotency-Key": "x" * 129})
    reused = await api.post(path, token, {"message": "Another task"}, headers=key)

    assert first.status == second.status == 200
    assert first.body["run_id"] == second.body["run_id"]
    assert (first.body["is_new"], second.body["is_new"]) == (True, False)
    assert len({one.body["run_id"] for one in (first, others, unkeyed)}) == 3
    assert (wrong.status, wrong.error) == (400, "invalid_request")
    assert (reused.status, reused.error) == (409, "idempotency_key_reused")
    assert reused.body["details"] == {"run_id": first.body["run_id"]}
    async with api.database.sessions() as session:
        run = await run_queries.get(session, first.body["run_id"])
    assert run.task_input == "Add rate limiting\nto the API"
    assert run.metadata == {"requested_for": "7"}
    assert run.slack_channel_id is None


async def test_every_value_of_a_start_reaches_the_run(api: ApiHarness) -> None:
    token = await api.token(role=Role.RUNNER)
    body = {
        "message": "Do it",
        "session_name": "auth",
        "repository_url": "/srv/git/api",
        "git_branch": "main",
        "max_turns": 12,
        "timeout": 600,
        "model": "sonnet",
        "budget_usd": 1.5,
    }

    reply = await api.post(f"{CONSOLE}/run/fix", token, body)
    session_id = reply.body["session_id"]
    busy = await api.post(
        f"{CONSOLE}/run/fix", token, {"message": "More", "session_id": session_id}
    )

    check_types(reply.body, START_FIELDS)
    async with api.database.sessions() as session:
        run = await run_queries.get(session, reply.body["run_id"])
    assert (run.session_name, run.git_repo, run.git_branch) == ("auth", "/srv/git/api", "main")
    assert (run.max_turns, run.timeout, run.ai_model) == (12, timedelta(minutes=10), "sonnet")
    assert run.budget_usd == Decimal("1.5")
    assert run.user_id is not None
    assert (busy.status, busy.error) == (409, "session_busy")
