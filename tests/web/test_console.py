"""Sessions and messages, workers, statistics, audit log, workflows and health."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from core.domain.actor import SYSTEM, Role
from core.domain.audit import AuditEntry
from core.store import audit
from core.store.runs import run_queries
from core.store.sessions import messages, sessions
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, new_session, stored_run


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.ADMIN)


async def test_a_session_has_its_totals_and_its_newest_run(api: ApiHarness, token: str) -> None:
    body = {"message": "Do it", "session_name": "auth"}
    started = (await api.post(f"{CONSOLE}/run/fix", token, body)).body
    other = await stored_run(api.database)

    listed = (await api.get("/sessions", token)).body
    mine = (await api.get("/sessions?mine=true&name=AUTH", token)).body
    closed = (await api.get("/sessions?open=false", token)).body
    one = (await api.get(f"/sessions/{started['session_id']}", token)).body
    unknown = await api.get("/sessions/00000000-0000-0000-0000-000000000000", token)

    assert {row["session_id"] for row in listed["sessions"]} == {
        started["session_id"],
        str(other.session_id),
    }
    assert listed["total_count"] == 2
    assert mine["sessions"] == [one]
    assert (one["name"], one["owner"], one["run_count"]) == ("auth", "ci", 1)
    assert (one["newest_run_id"], one["newest_run_status"]) == (started["run_id"], "pending")
    assert (one["spent"]["reported"], one["can_continue"]) == (None, False)
    assert (one["task"], one["is_open"]) == ("Do it", True)
    assert closed["sessions"] == []
    assert (unknown.status, unknown.error) == (404, "session_not_found")


async def test_sessions_without_runs_and_of_the_same_moment_are_paged(
    api: ApiHarness, token: str
) -> None:
    made = [new_session() for _ in range(5)]
    async with api.database.sessions.begin() as session:
        for conversation in made:
            await sessions.add(session, conversation)

    found: list[str] = []
    cursor = ""
    while len(found) <= len(made):
        page = (await api.get(f"/sessions?limit=2{cursor}", token)).body
        found += [one["session_id"] for one in page["sessions"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert sorted(found) == sorted(str(one.id) for one in made)


async def test_messages_are_paged_oldest_first(api: ApiHarness, token: str) -> None:
    started = (await api.post(f"{CONSOLE}/run/fix", token, {"message": "first"})).body
    async with api.database.sessions.begin() as session:
        (first,) = await messages.of_run(
            session, (await run_queries.get(session, started["run_id"])).id
        )
        for number in range(4):
            await session.execute(
                text(
                    "INSERT INTO messages (id, session_id, role, message_type, text_content,"
                    " created_at) VALUES (gen_random_uuid(), :session, 'user', 'intervention',"
                    " :text, :at)"
                ),
                {
                    "session": first.session_id,
                    "text": f"more {number}",
                    "at": first.created_at + timedelta(seconds=number // 2),
                },
            )
    path = f"/sessions/{started['session_id']}/messages"

    page = (await api.get(f"{path}?limit=3", token)).body
    rest = (await api.get(f"{path}?limit=3&cursor={page['next']}", token)).body

    said = [one["text"] for one in [*page["messages"], *rest["messages"]]]
    assert len(said) == 5
    assert set(said) == {"first", *(f"more {number}" for number in range(4))}
    assert rest["next"] is None
    times = [one["created_at"] for one in [*page["messages"], *rest["messages"]]]
    assert times == sorted(times)


async def test_the_audit_log_is_for_admins_and_paged(api: ApiHarness, token: str) -> None:
    operator = await api.token("op", Role.OPERATOR)
    run_id = (await api.post(f"{CONSOLE}/run/fix", token, {"message": "x"})).body["run_id"]
    async with api.database.sessions.begin() as session:
        for _ in range(3):
            await audit.record(
                session, AuditEntry(at=NOW, actor=SYSTEM, action="x", allowed=False, reason="no")
            )

    refused = await api.get("/audit", operator)
    page = (await api.get("/audit?limit=2", token)).body
    rest = (await api.get(f"/audit?before={page['next']}", token)).body
    about = (await api.get(f"/audit?run_id={run_id}", token)).body

    assert refused.status == 403
    found = [*page["entries"], *rest["entries"]]
    assert [one["id"] for one in found] == sorted((one["id"] for one in found), reverse=True)
    assert rest["next"] is None
    (start,) = about["entries"]
    assert (start["action"], start["actor"], start["origin"], start["token"]) == (
        "start",
        "ci",
        "api",
        "ci",
    )


async def test_workers_statistics_and_workflows_are_answered(api: ApiHarness, token: str) -> None:
    await api.post(f"{CONSOLE}/run/fix", token, {"message": "x"})

    workers = (await api.get("/workers", token)).body
    stats = (await api.get("/stats?period=24h", token)).body
    workflows = (await api.get(f"{CONSOLE}/workflows", token)).body["workflows"]

    assert (workers["workers"], workers["pending_runs"]) == ([], 1)
    assert stats["runs"]["by_status"] == {"pending": 1}
    assert stats["kills"]["overall"] is None
    assert {"architect", "implement", "test", "review", "fix", "refactor", "document", "pr"} <= {
        one["name"] for one in workflows
    }
    assert all(one["description"] and one["max_turns"] > 0 for one in workflows)


async def test_health_names_what_does_not_work(api: ApiHarness) -> None:
    healthy = (await api.get(f"{CONSOLE}/health")).body

    async def fails() -> bool:
        return False

    api.health.checks["database"] = fails
    broken = (await api.get(f"{CONSOLE}/health")).body

    assert healthy == {"status": "ready", "checks": {}, "warnings": []}
    assert (broken["status"], broken["checks"]) == ("not ready", {"database": False})
