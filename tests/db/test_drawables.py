"""What should be drawn, kept by the database itself, and what it is drawn from."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event

from core.domain.drawables import (
    DrawableId,
    DrawableKind,
    DrawablePlace,
    DrawableRequest,
    SlackMessage,
    SlackMessageState,
)
from core.domain.feed import ChangeKind
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import StopReason
from core.services.context import ServiceContext
from core.services.drawables import DrawableService
from core.services.feed import FeedService
from core.services.runs import snapshots
from core.services.threads import ThreadService
from core.store import events, users
from core.store.database.engine import Database
from core.store.runs import run_queries, runs
from tests.database import NOW, running_run, stored_run
from tests.limits import limit

HOME = DrawableId(DrawableKind.HOME, "T1:U1")
REQUEST = DrawableRequest(drawable=HOME, place=DrawablePlace(team_id="T1", user_id="U1"))
KINDS = [DrawableKind.HOME]


def service_of(database: Database, *, later: timedelta = timedelta(0)) -> DrawableService:
    context = ServiceContext(database, lambda: NOW + later)
    return DrawableService(context, FeedService(context))


async def test_a_run_with_a_place_has_a_thread_to_draw(database: Database) -> None:
    run = await stored_run(database)
    await stored_run(database, slack_channel_id=None)
    service = service_of(database)

    found = await service.drawable(DrawableId(DrawableKind.THREAD, run.run_id))

    assert await service.outdated(team_id="T1", kinds=[DrawableKind.THREAD]) == [
        DrawableId(DrawableKind.THREAD, run.run_id)
    ]
    assert found is not None
    assert found.place == DrawablePlace(team_id="T1", channel_id="C1")
    assert (found.desired_version, found.drawn_version) == (run.version, 0)


async def test_a_run_that_gets_its_place_later_has_a_thread_from_then_on(
    database: Database,
) -> None:
    run = await stored_run(database, slack_channel_id=None)
    async with database.sessions.begin() as session:
        await runs.change(session, run.run_id, now=NOW, slack_channel_id="C9")

    found = await service_of(database).drawable(DrawableId(DrawableKind.THREAD, run.run_id))

    assert found is not None
    assert found.place.channel_id == "C9"


async def test_what_is_requested_twice_is_drawn_once(database: Database) -> None:
    service = service_of(database)
    for _ in range(2):
        await service.request(REQUEST)
        found = await service.outdated(team_id="T1", kinds=KINDS)
        assert found == [HOME]

    await service.record_drawn(HOME, version=1, is_live=False)
    await service.request(REQUEST)

    assert await service.outdated(team_id="T1", kinds=KINDS) == []


async def test_what_is_active_can_be_put_behind_until_its_time_is_over(
    database: Database,
) -> None:
    service = service_of(database)
    await service.activate(REQUEST, duration=timedelta(minutes=10))
    await service.record_drawn(HOME, version=1, is_live=False)

    await service.raise_active(team_id="T2", kinds=KINDS)
    await service.raise_active(team_id="T1", kinds=[DrawableKind.THREAD])
    assert await service.outdated(team_id="T1", kinds=KINDS) == []
    await service.raise_active(team_id="T1", kinds=KINDS)
    assert await service.outdated(team_id="T1", kinds=KINDS) == [HOME]
    await service.record_drawn(HOME, version=2, is_live=False)
    late = service_of(database, later=timedelta(minutes=11))
    await late.raise_active(team_id="T1", kinds=KINDS)

    assert await late.outdated(team_id="T1", kinds=KINDS) == []


async def test_what_is_activated_again_is_drawn_whatever_is_shown(database: Database) -> None:
    service = service_of(database)
    await service.activate(REQUEST, duration=timedelta(minutes=10))
    await service.save_message(
        SlackMessage(
            id=uuid4(),
            drawable_kind=HOME.kind,
            thread_key=HOME.key,
            slot="home",
            channel_id="U1",
            state=SlackMessageState.SHOWN,
            content_hash="x",
            version=1,
            updated_at=NOW,
        )
    )
    await service.record_drawn(HOME, version=1, is_live=False)

    await service.activate(REQUEST, duration=timedelta(minutes=10))

    found = await service.drawable(HOME)
    assert found is not None
    assert not found.messages
    assert await service.outdated(team_id="T1", kinds=KINDS) == [HOME]


async def test_kinds_share_neither_messages_nor_versions(database: Database) -> None:
    run = await running_run(database)
    service = service_of(database)
    notice = DrawableId(DrawableKind.OWNER_NOTICE, run.run_id)
    await service.request(replace(REQUEST, drawable=notice))
    for one in (notice, DrawableId(DrawableKind.THREAD, run.run_id)):
        await service.save_message(
            SlackMessage(
                id=uuid4(),
                drawable_kind=one.kind,
                thread_key=one.key,
                slot="card",
                channel_id="C1",
                state=SlackMessageState.SHOWN,
                updated_at=NOW,
                message_ts=one.kind,
            )
        )
    await service.record_drawn(notice, version=1, is_live=False)

    thread = await service.drawable(DrawableId(DrawableKind.THREAD, run.run_id))

    assert thread is not None
    assert thread.messages["card"].message_ts == DrawableKind.THREAD
    assert thread.drawn_version == 0


async def test_a_request_and_a_run_are_hints_to_look(database: Database) -> None:
    service = service_of(database)
    async with limit(20), service.changes() as hints:
        assert await anext(hints) is None
        await service.request(REQUEST)
        requested = await anext(hints)
        await stored_run(database)
        changed = await anext(hints)

    assert (requested, changed) == (ChangeKind.DRAWABLE, ChangeKind.RUN)


@pytest.mark.parametrize("legs", [1, 4])
async def test_a_thread_is_read_in_as_many_queries_however_many_legs_it_has(
    database: Database, legs: int
) -> None:
    async with database.sessions.begin() as session:
        owner = await users.ensure(
            session, slack_team_id="T1", slack_user_id="U1", name="Ada", now=NOW
        )
    first = await running_run(database, user_id=owner.id)
    newest = first
    for number in range(1, legs):
        async with database.sessions.begin() as session:
            await events.append(
                session, newest.id, 1, [EventRecord(kind=EventKind.API_RETRY, at=NOW)]
            )
            await runs.finish(
                session, newest.run_id, attempt=1, stop_reason=StopReason.MAX_TURNS, now=NOW
            )
        newest = await running_run(
            database,
            session_id=first.session_id,
            thread_key=first.run_id,
            user_id=owner.id,
            parent_run_id=newest.id,
            created_at=NOW + timedelta(minutes=number),
        )
    queries: list[str] = []

    def note(_: object, __: object, statement: str, *rest: object) -> None:
        queries.append(statement)

    service = ThreadService(ServiceContext(database, lambda: NOW))
    thread = await service.thread(first.run_id)
    begun = database.reads.begun_count
    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        again = await service.thread(first.run_id)
        assert queries == []
        assert database.reads.begun_count == begun + 1
        async with database.sessions.begin() as session:
            found = await run_queries.of_thread(session, first.run_id)
            by_parts = await snapshots.of_session_runs(session, found)
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)

    assert thread is not None
    assert thread == again
    assert list(thread.legs) == by_parts
    assert [leg.leg for leg in thread.legs] == list(range(1, legs + 1))
    assert [len(leg.notices) for leg in thread.legs] == [1] * (legs - 1) + [0]
    assert all(leg.owner == owner and leg.total is not None for leg in thread.legs)
    assert len(queries) <= 8, queries


async def test_a_notice_is_drawn_from_the_legs_up_to_its_own(database: Database) -> None:
    first = await running_run(database)
    async with database.sessions.begin() as session:
        await runs.finish(session, first.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)
    await stored_run(
        database,
        session_id=first.session_id,
        thread_key=first.run_id,
        parent_run_id=first.id,
        created_at=NOW + timedelta(minutes=1),
    )
    service = ThreadService(ServiceContext(database, lambda: NOW))

    thread = await service.thread_up_to(first.run_id)

    assert thread is not None
    assert [leg.run.run_id for leg in thread.legs] == [first.run_id]
    assert await service.thread_up_to("run_none") is None


async def test_a_person_sees_their_own_runs_and_what_is_live(database: Database) -> None:
    async with database.sessions.begin() as session:
        owner = await users.ensure(
            session, slack_team_id="T1", slack_user_id="U1", name="Ada", now=NOW
        )
    own = await running_run(database, user_id=owner.id)
    async with database.sessions.begin() as session:
        await runs.finish(session, own.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)
    live = await running_run(database)
    service = ThreadService(ServiceContext(database, lambda: NOW))

    found = await service.personal_runs("T1:U1")
    of_stranger = await service.personal_runs("T1:U2")

    assert [one.run.run_id for one in found.mine] == [own.run_id]
    assert [one.run.run_id for one in found.live] == [live.run_id]
    assert of_stranger.mine == ()
