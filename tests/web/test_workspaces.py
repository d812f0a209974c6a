"""The routes of workspaces: roles, refusals, and what they answer."""

from __future__ import annotations

import pytest

from core.domain.actor import Role
from core.domain.workspaces.stay import Stay, StayReason
from core.store.fleet import workspaces
from tests.api import ApiHarness
from tests.database import NOW
from tests.workspace_rows import DISK, WORKSPACE, reported_workspace, worker_up


@pytest.fixture
async def operator(api: ApiHarness) -> str:
    return await api.token("boss", Role.OPERATOR)


async def test_a_workspace_is_listed_with_the_reason_why_it_stays(
    api: ApiHarness, operator: str
) -> None:
    await reported_workspace(api.database)
    stay = Stay.of(StayReason.STASHED, ["1 stash"])
    async with api.database.sessions.begin() as session:
        await workspaces.set_stay(session, DISK, WORKSPACE, stay, is_removable=False, now=NOW)

    listed = (await api.get("/workspaces", operator)).body
    one = (await api.get(f"/workspaces/{WORKSPACE}", operator)).body

    (found,) = listed["workspaces"]
    assert found["stays"] == "it has stashed changes (1 stash)"
    assert (found["stay_reason"], found["state"]) == ("stashed", "present")
    assert one["workspace_id"] == WORKSPACE


async def test_a_removal_is_asked_for_by_operators_only(api: ApiHarness, operator: str) -> None:
    await reported_workspace(api.database)
    runner = await api.token("ci", Role.RUNNER)

    refused = await api.post(f"/workspaces/{WORKSPACE}/clean", runner, {})
    asked = await api.post(f"/workspaces/{WORKSPACE}/clean", operator, {})

    assert (refused.status, refused.error) == (403, "role_too_low")
    assert asked.status == 200
    assert asked.body["requested_at"] is not None


async def test_a_removal_that_nobody_can_do_is_refused(api: ApiHarness, operator: str) -> None:
    unknown = await api.post("/workspaces/ws_none/clean", operator, {})
    await reported_workspace(api.database, has_worker=False)
    nobody = await api.post(f"/workspaces/{WORKSPACE}/clean", operator, {})
    await worker_up(api.database)
    await reported_workspace(api.database, disk="other-bb")
    ambiguous = await api.post(f"/workspaces/{WORKSPACE}/clean", operator, {})
    named = await api.post(f"/workspaces/{WORKSPACE}/clean?disk={DISK}", operator, {})

    assert (unknown.status, unknown.error) == (404, "workspace_not_found")
    assert (nobody.status, nobody.error) == (409, "nobody_cleans")
    assert (ambiguous.status, ambiguous.error) == (409, "ambiguous_workspace")
    assert named.status == 200
