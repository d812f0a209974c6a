"""What is started, killed, listed and read through the API."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from core.domain.actor import Role
from core.domain.kills.termination import Phase
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import CostSource, RunStatus, StopReason
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange
from core.store import audit, events, terminations
from core.store.runs import run_queries, runs
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, running_run, stored_run


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.ADMIN)


async def test_a_pending_run_is_killed_and_the_answer_is_the_record(
    api: ApiHarness, token: str
) -> None:
    started = await api.post(f"{CONSOLE}/run/fix", token, {"message": "x"})
    run_id = started.body["run_id"]

    reply = await api.post(f"{CONSOLE}/run/{run_id}/kill", token, {"reason": "wrong branch"})
    listed = await api.get(f"{CONSOLE}/run/{run_id}/terminations", token)
    again = await api.post(f"{CONSOLE}/run/{run_id}/kill", token)

    kill = reply.body
    assert reply.status == 200
    assert (kill["run_id"], kill["phase"], kill["is_confirmed"]) == (run_id, "confirmed", True)
    assert (kill["reason"], kill["requested_by"], kill["requested_from"]) == (
        "wrong branch",
        "ci",
        "api",
    )
    assert list(kill["phases"]) == ["requested", "confirmed"]
    assert listed.body["terminations"] == [kill]
    assert again.body["termination_id"] == kill["termination_id"]
    async with api.database.sessions() as session:
        run = await run_queries.get(session, run_id)
        (entry, *_) = await audit.recent(session, 1)
    assert run.status is RunStatus.KILLED
    assert (entry.action, entry.actor.name, entry.details["token"]) == ("kill", "ci", "ci")


async def test_the_kill_of_a_running_run_is_requested_and_can_be_forced(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    path = f"{CONSOLE}/run/{run.run_id}/kill"

    asked = await api.post(path, token)
    forced = await api.post(path, token, {"force": True})
    status = await api.get(f"{CONSOLE}/run/{run.run_id}/status", token)

    assert (asked.body["phase"], asked.body["force"]) == ("requested", False)
    assert forced.body["termination_id"] == asked.body["termination_id"]
    assert forced.body["force"] is True
    assert (status.body["status"], status.body["is_killing"]) == ("running", True)


async def test_a_runner_kills_only_runs_of_its_own(api: ApiHarness) -> None:
    own = await api.token("own", Role.RUNNER)
    other = await api.token("other", Role.RUNNER)
    run_id = (await api.post(f"{CONSOLE}/run/fix", own, {"message": "x"})).body["run_id"]

    refused = await api.post(f"{CONSOLE}/run/{run_id}/kill", other)
    too_short = await api.post(f"{CONSOLE}/run/{run_id[:6]}/kill", own)
    killed = await api.post(f"{CONSOLE}/run/{run_id[:12]}/kill", own)
    ended = await api.post(f"{CONSOLE}/run/{run_id}/continue", own, {"session_id": str(uuid4())})

    assert (refused.status, refused.error) == (403, "not_allowed")
    assert "@own" in refused.body["message"]
    assert (too_short.status, too_short.error) == (404, "run_id_too_short")
    assert killed.body["is_confirmed"] is True
    assert ended.status == 404


async def test_a_run_that_ended_by_itself_is_not_killed(api: ApiHarness, token: str) -> None:
    run = await running_run(api.database)
    async with api.database.sessions.begin() as session:
        await runs.finish(session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)

    reply = await api.post(f"{CONSOLE}/run/{run.run_id}/kill", token)

    assert (reply.status, reply.error) == (409, "already_ended")


async def test_all_kills_of_a_run_are_listed_with_their_phases(api: ApiHarness, token: str) -> None:
    run = await running_run(api.database)
    killed = await api.post(f"{CONSOLE}/run/{run.run_id}/kill", token)
    async with api.database.sessions.begin() as session:
        (found,) = await terminations.all_of_run(session, run.id)
        await terminations.advance(
            session,
            found.id,
            Phase.ACKNOWLEDGED,
            now=found.requested_at + timedelta(milliseconds=7),
        )

    reply = await api.get(f"{CONSOLE}/run/{run.run_id}/terminations", token)

    (kill,) = reply.body["terminations"]
    assert kill["termination_id"] == killed.body["termination_id"]
    assert kill["phases"] == {"requested": 0, "acknowledged": 7}


async def test_events_and_log_lines_are_read_page_by_page(api: ApiHarness, token: str) -> None:
    run = await running_run(api.database)
    async with api.database.sessions.begin() as session:
        await events.append(
            session,
            run.id,
            1,
            [
                EventRecord(kind=EventKind.AGENT_TEXT, at=NOW, data={"text": f"line\n{number}"})
                for number in range(5)
            ],
        )
        record = EventRecord(kind=EventKind.TOOL_STARTED, at=NOW, data={"name": "Bash"})
        await events.append(session, run.id, 1, [record])
    path = f"{CONSOLE}/run/{run.run_id}"

    first = (await api.get(f"{path}/events?limit=4", token)).body
    second = (await api.get(f"{path}/events?limit=4&after={first['next']}", token)).body
    third = (await api.get(f"{path}/events?after={second['next']}", token)).body
    tools = (await api.get(f"{path}/events?kind=tool_started", token)).body
    log = (await api.get(f"{path}/logs", token)).body

    assert [len(page["events"]) for page in (first, second, third)] == [4, 2, 0]
    assert [page["has_more"] for page in (first, second, third)] == [True, False, False]
    assert third["next"] == second["next"]
    assert [one["data"] for one in tools["events"]] == [{"name": "Bash"}]
    assert [one["text"] for one in log["lines"]][-2:] == ["agent: line 4", "tool Bash"]
    whole = (await api.get(f"{path}/status?include_logs=true", token)).body["logs"]
    assert whole.splitlines()[-1] == "2026-11-21T12:00:00Z tool Bash"


async def test_a_diff_says_whether_it_is_known(api: ApiHarness, token: str) -> None:
    live = await running_run(api.database)
    ended = await running_run(api.database)
    broken = await running_run(api.database)
    diff = DiffStat(
        files=(
            FileChange(path="a.py", added=3, removed=1),
            FileChange(path="b.png", added=None, removed=None, committed=False),
        ),
        commits=(CommitInfo(sha="a" * 40, subject="Add a", branch="main"),),
        branch="main",
    )
    async with api.database.sessions.begin() as session:
        for run, changes in (
            (ended, {"diff": diff, "initial_commit_hash": "1" * 40}),
            (broken, {"changes_unknown": "The repository is gone."}),
        ):
            values: dict[str, Any] = changes
            await runs.finish(
                session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW, **values
            )

    found = [
        (await api.get(f"{CONSOLE}/run/{run.run_id}/diff", token)).body
        for run in (live, ended, broken)
    ]

    assert [one["state"] for one in found] == ["pending", "measured", "unknown"]
    assert [one["file_count"] for one in found] == [None, 2, None]
    assert (found[1]["added_lines"], found[1]["removed_lines"]) == (3, 1)
    assert found[1]["files"][1] == {
        "path": "b.png",
        "added": None,
        "removed": None,
        "committed": False,
        "branch": None,
    }
    assert found[1]["commits"][0]["subject"] == "Add a"
    assert found[2]["why"] == "The repository is gone."


async def all_pages(api: ApiHarness, token: str, query: str) -> list[str]:
    """The ids of all runs that match, through all pages."""
    found: list[str] = []
    cursor = ""
    while True:
        page = (await api.get(f"{CONSOLE}/runs?{query}{cursor}", token)).body
        found += [run["run_id"] for run in page["runs"]]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


async def test_the_list_of_runs_has_every_run_once_on_some_page(
    api: ApiHarness, token: str
) -> None:
    # Several of the same moment, which no page may lose or repeat.
    made = [
        await stored_run(api.database, created_at=NOW + timedelta(seconds=number // 3))
        for number in range(10)
    ]
    newest_first = sorted(made, key=lambda run: (-run.created_at.timestamp(), run.id))

    found = await all_pages(api, token, "limit=3")
    first = (await api.get(f"{CONSOLE}/runs?limit=3", token)).body

    assert found == [run.run_id for run in newest_first]
    assert (first["total_count"], first["total_count_is_exact"]) == (10, True)


async def test_filters_restrict_the_list_and_its_count(api: ApiHarness, token: str) -> None:
    mine = (await api.post(f"{CONSOLE}/run/fix", token, {"message": "x"})).body["run_id"]
    old = await stored_run(
        api.database, workflow_name="review", git_repo="https://e.org/a", git_branch="main"
    )
    ended = await running_run(api.database, created_at=NOW + timedelta(hours=1))
    async with api.database.sessions.begin() as session:
        await runs.finish(
            session,
            ended.run_id,
            attempt=1,
            stop_reason=StopReason.MAX_TURNS,
            now=NOW,
            cost_usd=Decimal("0.0990000"),
            cost_source=CostSource.REPORTED,
        )
    queries = {
        "mine=true": [mine],
        "workflow=review": [old.run_id],
        "status=failed": [ended.run_id],
        "stop_reason=max_turns": [ended.run_id],
        "repository=https://e.org/a&branch=main": [old.run_id],
        f"session_id={old.session_id}": [old.run_id],
        "until=2026-11-21T12:30:00Z&since=2026-11-21T12:00:00Z": [old.run_id],
        "outcome=clean": [],
        "status=failed&status=pending&workflow=implement": [ended.run_id],
    }

    for query, expected in queries.items():
        page = (await api.get(f"{CONSOLE}/runs?{query}", token)).body
        assert [run["run_id"] for run in page["runs"]] == expected, query
        assert page["total_count"] == len(expected), query

    unknown = await api.get(f"{CONSOLE}/runs?workflow=nonsense", token)
    (listed,) = (await api.get(f"{CONSOLE}/runs?status=failed", token)).body["runs"]
    assert (unknown.status, unknown.error) == (404, "unknown_workflow")
    assert (listed["cost"], listed["cost_source"], listed["can_continue"]) == (
        0.099,
        "reported",
        True,
    )
