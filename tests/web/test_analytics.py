"""The history of runs over HTTP."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from core.domain.actor import Role
from core.domain.runs.run import StopReason
from core.store import users
from core.store.runs import runs
from tests.api import ApiHarness
from tests.database import NOW, running_run
from tests.ledger_rows import spent

TODAY = NOW.date()
PERIOD = f"from={TODAY}&to={TODAY}"


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.VIEWER)


async def finished(
    api: ApiHarness, reason: StopReason = StopReason.SUCCESS, **fields: object
) -> None:
    run = await running_run(api.database, **fields)
    await spent(api.database, run, "1.5")
    async with api.database.sessions.begin() as session:
        await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=reason,
            now=NOW + timedelta(seconds=90),
        )


async def test_runs_are_answered_by_day(api: ApiHarness, token: str) -> None:
    await finished(api)
    await finished(api, StopReason.MAX_TURNS)

    body = (await api.get(f"/analytics?{PERIOD}", token)).body

    (day,) = body["groups"]
    assert (body["by"], body["first"], body["last"]) == ("day", str(TODAY), str(TODAY))
    assert (day["day"], day["workflow"], day["runs"]) == (str(TODAY), None, 2)
    assert day["by_status"] == {"completed": 1, "failed": 1}
    assert day["by_stop_reason"] == {"success": 1, "max_turns": 1}
    assert day["spend"] == {
        "reported": 3.0,
        "reported_runs": 2,
        "estimated": 0.0,
        "estimated_runs": 0,
        "unknown_runs": 0,
    }
    assert day["seconds"]["mean"] == 90
    assert day["seconds"]["p50"] == pytest.approx(90, rel=0.05)
    assert {name: day[name] for name in body["total"]} == body["total"]


async def test_groups_have_names_and_filters_hold_together(api: ApiHarness, token: str) -> None:
    async with api.database.sessions.begin() as session:
        ann = await users.add(session, "ann", now=NOW)
    await finished(api, user_id=ann.id, git_repo="https://github.com/acme/api")
    await finished(api, user_id=ann.id, workflow_name="fix")
    await finished(api, workflow_name="fix")

    async def groups(query: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = (
            await api.get(f"/analytics?{PERIOD}&{query}", token)
        ).body["groups"]
        return found

    by_workflow = {one["workflow"]: one["runs"] for one in await groups("by=workflow")}
    by_person = {one["person"]: one["runs"] for one in await groups("by=person")}
    by_repository = {one["repository"]: one["runs"] for one in await groups("by=repository")}
    filtered = await groups(f"by=workflow&person={ann.id}&repository=")

    assert by_workflow == {"fix": 2, "implement": 1}
    assert by_person == {"ann": 2, None: 1}
    assert by_repository == {None: 2, "https://github.com/acme/api": 1}
    assert [(one["workflow"], one["runs"]) for one in filtered] == [("fix", 1)]


async def test_groups_beyond_the_limit_are_counted(api: ApiHarness, token: str) -> None:
    for name in ("fix", "fix", "implement", "review"):
        await finished(api, workflow_name=name)

    body = (await api.get(f"/analytics?{PERIOD}&by=workflow&limit=1", token)).body

    assert [one["workflow"] for one in body["groups"]] == ["fix"]
    assert (body["omitted"], body["total"]["runs"]) == (2, 4)


async def test_without_days_it_is_the_last_30(api: ApiHarness, token: str) -> None:
    body = (await api.get("/analytics", token)).body

    first, last = (date.fromisoformat(body[name]) for name in ("first", "last"))
    assert (last - first).days == 29


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("from=2026-11-02&to=2026-11-01", "bad_days"),
        ("from=2020-01-01&to=2026-11-01", "bad_days"),
        ("from=0001-01-01", "invalid_request"),
        ("by=colour", "invalid_request"),
    ],
)
async def test_bad_questions_are_refused(
    api: ApiHarness, token: str, query: str, code: str
) -> None:
    refused = await api.get(f"/analytics?{query}", token)

    assert (refused.status, refused.error) == (400, code)
