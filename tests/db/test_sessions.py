"""Sessions as people know them: names that move, legs, messages in both directions, costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest

from core.agent.definitions.catalog import load_catalog
from core.domain.actor import Actor, Identity, Origin, Role
from core.domain.paging import PageKey
from core.domain.runs.request import ContinueRequest, KillRequest, StartRequest
from core.domain.runs.run import Run, StopReason, Usage
from core.domain.runs.session import (
    AmbiguousSession,
    Message,
    MessageRole,
    MessageType,
    SessionNotFound,
)
from core.domain.sessions.ledger import EntrySource, LedgerEntry, LedgerSum
from core.domain.sessions.names import BadSessionName, SessionNameTaken
from core.services.context import NotAllowed, ServiceContext
from core.services.people import PeopleService
from core.services.runs.runs import RunService
from core.services.sessions import SaidMessage, SessionService
from core.store import ledger
from core.store.database import migrate
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.sessions import messages
from tests.database import NOW, database, postgres_dsn, running_run, stored_run

__all__ = ["database", "postgres_dsn"]

LATER = NOW + timedelta(hours=1)


class Clock:
    """Advances at every call, so that what happens has an order."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class People:
    """A database with two runners and an operator, and the services that they use."""

    def __init__(self, database: Database) -> None:
        context = ServiceContext(database, Clock())
        self.database = database
        self.runs = RunService(context, load_catalog())
        self.sessions = SessionService(context)
        self.people = PeopleService(context)

    async def actor(self, name: str, role: Role = Role.RUNNER) -> Actor:
        identity = Identity(origin=Origin.SLACK, external_id=name, team_id="T1", name=name)
        return await self.people.ensure_actor(identity, role=role)

    async def start(
        self, by: Actor, task: str = "Count", *, session_name: str | None = "auth", **fields: object
    ) -> Run:
        request = StartRequest(
            workflow="fix",
            task=task,
            request_key=uuid4().hex,
            session_name=session_name,
            **fields,  # type: ignore[arg-type]
        )
        return (await self.runs.start(request, by=by)).run

    async def ended(self, by: Actor, task: str = "Count", **fields: object) -> Run:
        run = await self.start(by, task, **fields)  # type: ignore[arg-type]
        await self.runs.kill(KillRequest(target=run.run_id), by=by)
        return run

    async def go_on(self, target: str, by: Actor, message: str = "go on") -> Run:
        request = ContinueRequest(target=target, request_key=uuid4().hex, message=message)
        return (await self.runs.continue_run(request, by=by)).run


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


async def test_a_name_is_used_again_whatever_its_capitals(people: People) -> None:
    ada, bob = await people.actor("ada"), await people.actor("bob")
    first = await people.ended(ada, session_name="Rate  limits")

    same = await people.ended(ada, session_name="rate LIMITS")
    others = await people.ended(bob, session_name="rate limits")

    assert same.session_id == first.session_id
    assert same.parent_run_id == first.id
    assert others.session_id != first.session_id
    overview = await people.sessions.get("RATE limits", by=ada)
    assert (overview.session.id, overview.session.name) == (first.session_id, "Rate limits")


async def test_a_name_moves_when_its_session_is_closed_or_by_choice(people: People) -> None:
    ada = await people.actor("ada")
    first = await people.ended(ada)

    closed = await people.sessions.set_open("auth", False, by=ada)
    second = await people.ended(ada)
    third = await people.ended(ada, new_session=True)

    assert (closed.session.id, closed.session.is_open) == (first.session_id, False)
    assert len({first.session_id, second.session_id, third.session_id}) == 3
    assert (await people.sessions.get("auth", by=ada)).session.id == third.session_id
    still = await people.sessions.get(str(second.session_id)[:13], by=ada)
    assert (still.session.name, still.session.is_open) == ("auth", False)


async def test_a_closed_session_goes_on_and_holds_its_name_if_that_is_free(people: People) -> None:
    ada = await people.actor("ada")
    first = await people.ended(ada)
    await people.sessions.set_open("auth", False, by=ada)

    await people.runs.kill(
        KillRequest(target=(await people.go_on(str(first.session_id), ada)).run_id), by=ada
    )
    opened = await people.sessions.get("auth", by=ada)
    second = await people.ended(ada, new_session=True)
    await people.go_on(str(first.session_id), ada)

    assert (opened.session.id, opened.session.is_open) == (first.session_id, True)
    nameless = await people.sessions.get(str(first.session_id), by=ada)
    assert (nameless.session.name, nameless.session.is_open) == (None, True)
    assert (await people.sessions.get("auth", by=ada)).session.id == second.session_id


async def test_a_name_belongs_to_one_open_session_of_an_owner(people: People) -> None:
    ada, bob = await people.actor("ada"), await people.actor("bob")
    await people.ended(ada)
    other = await people.ended(ada, session_name="other")

    with pytest.raises(SessionNameTaken):
        await people.sessions.rename("other", "AUTH", by=ada)
    with pytest.raises(NotAllowed):
        await people.sessions.rename(str(other.session_id), "mine", by=bob)
    with pytest.raises(BadSessionName):
        await people.sessions.rename("other", "--force", by=ada)
    await people.sessions.set_open("auth", False, by=ada)
    renamed = await people.sessions.rename("other", "auth", by=ada)
    page = await people.sessions.page(
        by=ada, is_mine=True, name="auth", after=None, limit=9, is_open=False
    )
    with pytest.raises(SessionNameTaken):
        await people.sessions.set_open(str(page.items[0].session.id), True, by=ada)

    assert (renamed.session.id, renamed.session.name) == (other.session_id, "auth")


async def test_concurrent_starts_with_one_new_name_make_one_session(people: People) -> None:
    ada = await people.actor("ada")

    results = await asyncio.gather(
        *(people.start(ada, f"Task {number}") for number in range(4)), return_exceptions=True
    )

    started = [one for one in results if isinstance(one, Run)]
    assert len(started) == 1
    assert {type(one).__name__ for one in results if not isinstance(one, Run)} == {"SessionBusy"}


async def test_a_session_is_found_by_name_and_by_the_beginning_of_its_id(people: People) -> None:
    ada, bob = await people.actor("ada"), await people.actor("bob")
    cleo = await people.actor("cleo", Role.OPERATOR)
    first, second = await people.ended(ada), await people.ended(bob)

    own = await people.sessions.get("auth", by=bob)
    by_id = await people.sessions.get(str(first.session_id)[:8], by=cleo)
    with pytest.raises(AmbiguousSession):
        await people.sessions.get("auth", by=cleo)
    with pytest.raises(SessionNotFound):
        await people.sessions.get("nothing", by=cleo)

    assert own.session.id == second.session_id
    assert by_id.session.id == first.session_id
    run = (await people.runs.snapshot("auth", by=ada)).run
    assert run.run_id == first.run_id


async def test_a_leg_is_called_by_the_task_of_the_first(people: People) -> None:
    ada, bob = await people.actor("ada"), await people.actor("bob")
    first = await people.ended(ada, "Count the pieces")
    second = await people.go_on("auth", ada)

    history = await people.sessions.history("auth", by=ada)
    seen = await people.runs.snapshot(second.run_id, by=ada)
    recent = await people.sessions.recent(by=bob, is_mine=False, limit=5)
    with pytest.raises(NotAllowed) as refusal:
        await people.runs.kill(KillRequest(target=second.run_id), by=bob)

    names = [
        (leg.snapshot.run.run_id, leg.snapshot.leg, leg.snapshot.about) for leg in history.legs
    ]
    assert names == [(first.run_id, 1, "Count the pieces"), (second.run_id, 2, "Count the pieces")]
    assert (seen.about, seen.leg) == ("Count the pieces", 2)
    assert [(one.about, one.leg) for one in recent] == [("Count the pieces", 2)]
    assert (refusal.value.about, refusal.value.leg) == ("Count the pieces", 2)


async def say(database: Database, run: Run, number: int, kind: MessageType) -> Message:
    message = Message(
        id=uuid4(),
        session_id=run.session_id,
        role=MessageRole.USER,
        message_type=kind,
        text_content=f"m{number}",
        # Some of them at the same moment.
        created_at=LATER + timedelta(seconds=number // 3),
        run_id=run.id,
        user_id=run.user_id,
    )
    async with database.sessions.begin() as session:
        await messages.add(session, message)
    return message


async def test_a_chat_is_read_from_its_end_in_both_directions(people: People) -> None:
    ada = await people.actor("ada")
    run = await people.ended(ada, "m")
    for number in range(10):
        kind = MessageType.ANSWER if number % 2 else MessageType.INTERVENTION
        await say(people.database, run, number, kind)

    _, newest = await people.sessions.messages("auth", by=ada, from_end=True, limit=4)
    read = list(newest.items)
    place = newest.previous
    while place is not None:
        _, earlier = await people.sessions.messages("auth", by=ada, before=place, limit=4)
        assert earlier.next is not None
        read = [*earlier.items, *read]
        place = earlier.previous
    forward: list[SaidMessage] = []
    after: PageKey | None = None
    while True:
        _, page = await people.sessions.messages("auth", by=ada, after=after, limit=3)
        forward += page.items
        if page.next is None:
            break
        after = page.next
    _, answers = await people.sessions.messages(
        "auth", by=ada, types=[MessageType.ANSWER], limit=50
    )
    _, none_yet = await people.sessions.messages("auth", by=ada, after=newest.last, limit=4)
    late = await say(people.database, run, 99, MessageType.RESULT)
    _, arrived = await people.sessions.messages("auth", by=ada, after=newest.last, limit=4)

    assert newest.next is None
    assert [one.message.id for one in read] == [one.message.id for one in forward]
    assert len({one.message.id for one in read}) == 11
    assert {(one.author.name if one.author else "", one.run_id, one.leg) for one in read} == {
        ("ada", run.run_id, 1)
    }
    said = [one.message.text_content for one in answers.items]
    assert sorted(said) == ["m1", "m3", "m5", "m7", "m9"]
    assert not none_yet.items
    assert [one.message.id for one in arrived.items] == [late.id]


def entry(run: Run, attempt: int, source: EntrySource, cost: str | None) -> LedgerEntry:
    return LedgerEntry(
        run_id=run.id,
        session_id=run.session_id,
        attempt=attempt,
        source=source,
        cost_usd=None if cost is None else Decimal(cost),
        usage=None if cost is None else Usage(input_tokens=100, output_tokens=10),
        turns=3,
        recorded_at=NOW,
    )


async def test_the_ledger_keeps_reported_estimated_and_unknown_apart(database: Database) -> None:
    first = await running_run(database)
    async with database.sessions.begin() as session:
        await runs.finish(session, first.run_id, attempt=1, stop_reason=StopReason.KILLED, now=NOW)
    second = await stored_run(database, session_id=first.session_id, parent_run_id=first.id)
    fork = await stored_run(database, parent_run_id=first.id)
    other = await stored_run(database)
    async with database.sessions.begin() as session:
        for one in (
            entry(first, 1, EntrySource.UNKNOWN, None),
            entry(second, 1, EntrySource.ESTIMATED, "0.5"),
            entry(second, 2, EntrySource.REPORTED, "1.4468734"),
            entry(fork, 1, EntrySource.REPORTED, "2"),
            entry(other, 1, EntrySource.REPORTED, "100"),
            # Written again, as at every write of an attempt's progress.
            replace(entry(second, 1, EntrySource.ESTIMATED, "0.25"), turns=4),
        ):
            await ledger.put(session, one)
        sums = await ledger.sums_of_sessions(session, [first.session_id, fork.session_id])
        lineages = [await ledger.sum_of_lineage(session, run.id) for run in (second, fork)]
        of_runs = await ledger.of_runs(session, [second.id])

    assert sums[first.session_id] == LedgerSum(
        turns=10,
        reported_usd=Decimal("1.4468734"),
        reported=1,
        estimated_usd=Decimal("0.25"),
        estimated=1,
        unknown=1,
        usage=Usage(input_tokens=200, output_tokens=20),
        unknown_usage=1,
    )
    assert lineages[0] == lineages[1]
    assert lineages[0].reported_usd == Decimal("3.4468734")
    assert [one.attempt for one in of_runs[second.id]] == [1, 2]


_BEFORE = """
    INSERT INTO users (id, name, created_at, updated_at) VALUES ({user}, 'Ada', now(), now());
    INSERT INTO sessions (id, agent_name, name, user_id, created_at)
        SELECT md5(n::text)::uuid, 'fix', CASE n WHEN 4 THEN ' ' WHEN 3 THEN 'AUTH' ELSE 'auth' END,
            CASE n WHEN 2 THEN NULL ELSE {user}::uuid END, now() + n * interval '1 second'
        FROM generate_series(1, 4) n;
    INSERT INTO workflow_runs (id, run_id, workflow_name, task_input, session_id, status,
            started_at, turns, cost_estimate, cost_source, input_tokens, output_tokens)
        VALUES
        (gen_random_uuid(), 'run_1', 'fix', 'x', md5('1')::uuid, 'completed', now(), 3, 1.5,
            'reported', 10, 5),
        (gen_random_uuid(), 'run_2', 'fix', 'x', md5('2')::uuid, 'killed', now(), 1, NULL, NULL,
            0, 0),
        (gen_random_uuid(), 'run_3', 'fix', 'x', md5('3')::uuid, 'failed', now(), 0, NULL, NULL,
            0, 0),
        (gen_random_uuid(), 'run_4', 'fix', 'x', md5('4')::uuid, 'completed', now(), 2, 0.5, NULL,
            10, 5)
"""


async def test_sessions_and_costs_of_before_have_names_and_entries_after_the_revision(
    empty_dsn: str,
) -> None:
    await asyncio.to_thread(migrate.upgrade, empty_dsn, "0015")
    connection = await asyncpg.connect(empty_dsn, timeout=10)
    try:
        await connection.execute(_BEFORE.format(user=f"'{UUID(int=7)}'"))
        await asyncio.to_thread(migrate.upgrade, empty_dsn, "0019")
        named = await connection.fetch(
            "SELECT name, name_key, closed_at IS NULL AS open FROM sessions ORDER BY created_at"
        )
        costs = await connection.fetch(
            "SELECT r.run_id, e.source, e.cost_usd, e.input_tokens, e.turns FROM ledger_entries e"
            " JOIN workflow_runs r ON r.id = e.run_id ORDER BY 1"
        )
        await asyncio.to_thread(migrate.downgrade, empty_dsn, "0015")
        left = await connection.fetchval("SELECT count(*) FROM sessions")
    finally:
        await connection.close(timeout=5)

    assert [tuple(row) for row in named] == [
        ("auth", "auth", False),
        ("auth", "auth", True),
        ("AUTH", "auth", True),
        (None, None, True),
    ]
    assert [tuple(row) for row in costs] == [
        ("run_1", "reported", Decimal("1.5"), 10, 3),
        ("run_2", "unknown", None, None, 1),
        ("run_4", "estimated", Decimal("0.5"), 10, 2),
    ]
    assert left == 4
