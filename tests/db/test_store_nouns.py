from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.domain.actor import SYSTEM, Actor, Origin, Role
from core.domain.audit import AuditEntry
from core.domain.fleet.attempt import STALLED_AFTER, AttemptRecord
from core.domain.kills.termination import (
    IllegalPhase,
    Phase,
    ProcessIdentity,
    Termination,
    TerminationNotFound,
)
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run
from core.domain.runs.session import (
    Message,
    MessageNotFound,
    MessageRole,
    MessageType,
    SessionNotFound,
)
from core.domain.runs.step import Step, StepStatus
from core.store import audit, events, steps, terminations, users
from core.store.database.engine import Database
from core.store.fleet import attempts
from core.store.runs import run_queries, runs
from core.store.sessions import found_sessions, messages, sessions
from tests.database import NOW, new_session, running_run, stored_run

LATER = NOW + timedelta(seconds=60)


async def test_a_renamed_person_keeps_their_id(database: Database) -> None:
    async with database.sessions.begin() as session:
        before = await users.ensure(
            session, slack_team_id="T1", slack_user_id="U1", name="ana", now=NOW
        )
        after = await users.ensure(
            session, slack_team_id="T1", slack_user_id="U1", name="Ana B", now=NOW
        )
        other = await users.ensure(
            session, slack_team_id="T2", slack_user_id="U1", name="ana", now=NOW
        )

        assert (after.id, after.name) == (before.id, "Ana B")
        assert other.id != before.id
        assert await users.get(session, before.id) == after
        assert await users.get(session, uuid4()) is None


async def test_a_session_is_found_by_its_newest_name_and_owner(database: Database) -> None:
    async with database.sessions.begin() as session:
        ana = await users.ensure(
            session, slack_team_id="T1", slack_user_id="U1", name="ana", now=NOW
        )
        for made in (
            old := new_session(name="auth", user_id=ana.id, closed_at=LATER),
            new := replace(old, id=uuid4(), created_at=LATER, closed_at=None),
            nobodys := new_session(name="auth"),
        ):
            await sessions.add(session, made)

        assert await found_sessions.open_by_name(session, "Auth", user_id=ana.id) == new
        assert await found_sessions.by_name(session, "auth", user_id=None) == nobodys
        assert await found_sessions.by_name(session, "aut", user_id=ana.id) is None
        changed = await sessions.change(session, new.id, workspace_id="ws_2")
        assert changed == await sessions.get(session, new.id) == replace(new, workspace_id="ws_2")
        with pytest.raises(SessionNotFound):
            await sessions.get(session, uuid4())
        with pytest.raises(SessionNotFound):
            await sessions.change(session, uuid4(), name="x")


async def test_messages_keep_their_order_and_merge_their_metadata(database: Database) -> None:
    run = await stored_run(database)
    first = Message(
        id=uuid4(),
        session_id=run.session_id,
        run_id=run.id,
        role=MessageRole.USER,
        message_type=MessageType.WORKFLOW_START,
        text_content="line 1\nline 2\x00",
        created_at=NOW,
        metadata={"ts": "1.2"},
    )
    second = replace(
        first, id=uuid4(), message_type=MessageType.INTERVENTION, created_at=LATER, run_id=None
    )

    async with database.sessions.begin() as session:
        await messages.add(session, second)
        await messages.add(session, first)
        await messages.merge_metadata(session, first.id, {"state": "consumed"})
        with pytest.raises(MessageNotFound):
            await messages.merge_metadata(session, uuid4(), {})

        said = await messages.of_session(session, run.session_id)
        of_run = await messages.of_run(session, run.id)
    assert [message.id for message in said] == [first.id, second.id]
    assert said[0].text_content == "line 1\nline 2\ufffd"
    assert said[0].metadata == {"ts": "1.2", "state": "consumed"}
    assert of_run == said[:1]


def process_of(run: Run, *, heartbeat_at: datetime = NOW, **fields: Any) -> AttemptRecord:
    made = AttemptRecord(
        id=uuid4(),
        run_id=run.id,
        attempt=run.attempt,
        worker_id="w1",
        host="host-1",
        started_at=NOW,
        heartbeat_at=heartbeat_at,
    )
    return replace(made, **fields)


async def test_a_worker_sends_heartbeats_for_its_runs(database: Database) -> None:
    mine, ended, others = [await running_run(database) for _ in range(3)]
    agent = ProcessIdentity(pid=77, started_ticks=2**40, name="claude")
    async with database.sessions.begin() as session:
        await attempts.add(session, process_of(mine))
        await attempts.add(session, process_of(ended))
        await attempts.add(session, process_of(others, worker_id="w2", host="host-2"))
        await attempts.mark_ended(session, ended.id, 1, now=NOW)
        await attempts.mark_ended(session, ended.id, 1, now=LATER)
        await attempts.set_agent(session, mine.id, 1, agent)

        beaten = await attempts.renew_heartbeats(session, "w1", now=LATER)

        (alive,) = await attempts.of_run(session, mine.id)
        (over,) = await attempts.of_run(session, ended.id)
        (elsewhere,) = await attempts.of_run(session, others.id)
        stalled = await run_queries.stalled(session, before=LATER)
    assert beaten == {(mine.id, 1)}
    assert (alive.heartbeat_at, alive.agent) == (LATER, agent)
    assert (over.heartbeat_at, over.ended_at) == (NOW, NOW)
    assert (elsewhere.host, elsewhere.heartbeat_at) == ("host-2", NOW)
    # The ended process's run is still running: nothing finishes it, so it counts as stalled.
    assert {run.id for run, _ in stalled} == {ended.id, others.id}


async def test_an_attempt_unknown_to_its_worker_becomes_stalled(database: Database) -> None:
    held, unknown, fresh = [await running_run(database) for _ in range(3)]
    now = NOW + 2 * STALLED_AFTER
    async with database.sessions.begin() as session:
        await attempts.add(session, process_of(held))
        await attempts.add(session, process_of(unknown))
        await attempts.add(session, replace(process_of(fresh), started_at=now))

        beaten = await attempts.renew_heartbeats(session, "w1", now=now, executing={(held.id, 1)})

        stalled = await run_queries.stalled(session, before=now)
    assert beaten == {(held.id, 1), (fresh.id, 1)}
    assert {run.id for run, _ in stalled} == {unknown.id}


async def test_a_former_attempt_does_not_stall_the_present_one(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        await attempts.add(session, process_of(run))
        await runs.requeue(session, run.run_id, attempt=1, now=NOW)
        again = await runs.begin(session, run.run_id, attempt=2, worker_id="w2", now=NOW)
        await attempts.add(session, process_of(again, heartbeat_at=LATER, worker_id="w2"))

        assert await run_queries.stalled(session, before=LATER) == []
        assert [one.attempt for one in await attempts.of_run(session, run.id)] == [1, 2]
        assert await run_queries.running(session) == [again]


async def test_steps_match_the_last_report(database: Database) -> None:
    run = await running_run(database)
    full = Step(
        step_id=1,
        name="Write tests",
        status=StepStatus.COMPLETED,
        source_id="1",
        active_name="Writing tests",
        started_at=NOW,
        completed_at=LATER,
        result="ok",
        tools_used=("Bash",),
        tool_calls=3,
        cost_usd=Decimal("0.0100000"),
        error="none",
    )
    async with database.sessions.begin() as session:
        await steps.replace(session, run.id, [Step(step_id=n, name=f"s{n}") for n in (3, 1, 2)])
        await steps.replace(session, run.id, [full, Step(step_id=2, name="s2")])

        assert await steps.of_run(session, run.id) == [full, Step(step_id=2, name="s2")]
        assert await steps.of_runs(session, [run.id, uuid4()]) == {
            run.id: [full, Step(step_id=2, name="s2")]
        }
        await steps.replace(session, run.id, [])
        assert await steps.of_run(session, run.id) == []


async def test_only_the_steps_that_differ_from_the_stored_ones_are_written(
    database: Database,
) -> None:
    run = await running_run(database)
    first = [Step(step_id=n, name=f"s{n}") for n in (1, 2, 3)]
    changed = [replace(first[0], tool_calls=2), first[1]]
    async with database.sessions.begin() as session:
        await steps.replace(session, run.id, first)
        await session.execute(
            text("UPDATE workflow_steps SET name = 'untouched' WHERE step_id = 2")
        )
        await steps.replace(session, run.id, changed, stored=first)

        assert await steps.of_run(session, run.id) == [
            changed[0],
            Step(step_id=2, name="untouched"),
        ]
        await steps.replace(session, run.id, changed, stored=[])
        assert await steps.of_run(session, run.id) == changed


async def test_events_are_read_from_a_given_position(database: Database) -> None:
    run = await running_run(database)
    kinds = [EventKind.RUN_STARTED, EventKind.AGENT_TEXT, EventKind.API_RETRY]
    async with database.sessions.begin() as session:
        await events.append(session, run.id, 1, [])
        await events.append(
            session,
            run.id,
            1,
            [
                EventRecord(kind=kind, at=NOW, data={"text": "a\x00\ud800", "n": float("nan")})
                for kind in kinds
            ],
        )

        found = await events.of_run(session, run.id)
        assert [event.kind for event in found] == kinds
        assert found[0].data == {"text": "a\ufffd\ufffd\ufffd\ufffd", "n": "nan"}
        assert await events.of_run(session, run.id, after_id=found[0].id) == found[1:]
        assert await events.of_run(session, run.id, limit=1) == found[:1]
        retries = await events.of_run(session, run.id, kinds=[EventKind.API_RETRY])
        assert retries == found[2:]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE run_events SET kind = 'agent_text'",
        "DELETE FROM run_events",
        "TRUNCATE run_events",
        "UPDATE audit_log SET allowed = true",
        "DELETE FROM audit_log",
    ],
)
async def test_events_and_audit_entries_cannot_be_changed(
    database: Database, statement: str
) -> None:
    async with database.sessions() as session:
        with pytest.raises(DBAPIError, match="only ever added"):
            await session.execute(text(statement))


async def test_retention_may_delete(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        await events.append(session, run.id, 1, [EventRecord(kind=EventKind.RUN_STARTED, at=NOW)])
        await session.execute(text("SET LOCAL signalbox.retention = 'on'"))
        await session.execute(text("DELETE FROM run_events"))

    async with database.sessions() as session:
        assert await events.of_run(session, run.id) == []


async def test_a_termination_records_all_phases(database: Database) -> None:
    run = await running_run(database)
    survivor = ProcessIdentity(pid=9, started_ticks=1, name="sleep")
    termination = Termination(
        id=uuid4(),
        run_id=run.id,
        phase=Phase.REQUESTED,
        requested_at=NOW,
        requested_by_name="ana",
        requested_from="slack",
        reason="wrong branch",
    )

    async with database.sessions.begin() as session:
        opened = await terminations.open_or_join(session, termination)
        for number, phase in enumerate((Phase.ACKNOWLEDGED, Phase.TERMINATED, Phase.KILLED), 1):
            await terminations.advance(
                session,
                termination.id,
                phase,
                now=NOW + timedelta(milliseconds=250 * number),
                processes_seen=4 - number,
                work_saved={phase.value: True},
            )
        unproven = await terminations.advance(
            session, termination.id, Phase.UNCONFIRMED, now=LATER, survivors=[survivor]
        )
        open_ones = await terminations.unfinished(session)
        confirmed = await terminations.advance(
            session, termination.id, Phase.CONFIRMED, now=LATER, survivors=[]
        )
        after = await run_queries.get(session, run.run_id)
        none_open = await terminations.unfinished(session)
        again = await terminations.open_or_join(
            session, replace(termination, id=uuid4(), requested_at=LATER)
        )
        latest = await terminations.latest_of_run(session, run.id)

    assert opened == replace(termination, phases={Phase.REQUESTED: 0})
    assert open_ones == [unproven]
    assert (unproven.survivors, unproven.completed_at) == ((survivor,), None)
    assert confirmed.phases == {
        Phase.REQUESTED: 0,
        Phase.ACKNOWLEDGED: 250,
        Phase.TERMINATED: 500,
        Phase.KILLED: 750,
        Phase.UNCONFIRMED: 60_000,
        Phase.CONFIRMED: 60_000,
    }
    assert list(confirmed.phases)[-1] is Phase.CONFIRMED
    assert (confirmed.processes_seen, confirmed.elapsed) == (3, timedelta(seconds=60))
    assert confirmed.work_saved == {"acknowledged": True, "terminated": True, "killed": True}
    assert none_open == []
    assert after.version > run.version
    assert latest == again != confirmed


async def test_a_phase_never_goes_back(database: Database) -> None:
    run = await running_run(database)
    termination = Termination(id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=NOW)
    async with database.sessions.begin() as session:
        await terminations.open_or_join(session, termination)
        await terminations.advance(session, termination.id, Phase.CONFIRMED, now=NOW)

    async with database.sessions() as session:
        with pytest.raises(IllegalPhase) as refused:
            await terminations.advance(session, termination.id, Phase.KILLED, now=NOW)
        with pytest.raises(TerminationNotFound):
            await terminations.advance(session, uuid4(), Phase.KILLED, now=NOW)
    assert refused.value.present is Phase.CONFIRMED


async def test_the_audit_log_records_the_actor_and_the_action(database: Database) -> None:
    async with database.sessions.begin() as session:
        ana = await users.ensure(
            session, slack_team_id="T1", slack_user_id="U1", name="ana", now=NOW
        )
        actor = Actor(
            role=Role.RUNNER,
            origin=Origin.SLACK,
            user_id=ana.id,
            external_id="U1",
            team_id="T1",
            name="ana",
        )
        refused = AuditEntry(
            at=NOW,
            actor=actor,
            action="kill",
            allowed=False,
            run_id=uuid4(),
            reason="role",
            details={"force": True},
        )
        await audit.record(session, refused)
        await audit.record(session, AuditEntry(at=LATER, actor=SYSTEM, action="x", allowed=True))

        newest, oldest = await audit.recent(session, 10)
    assert (newest.actor, newest.allowed) == (SYSTEM, True)
    assert oldest == refused
