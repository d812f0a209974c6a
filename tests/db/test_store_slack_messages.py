from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.domain.drawables import (
    DrawableId,
    DrawableKind,
    SlackMessage,
    SlackMessageState,
    UncertainWrite,
    UncertainWriteKind,
)
from core.domain.runs.run import Run, StopReason
from core.store.database.engine import Database
from core.store.runs import runs, thread_read
from core.store.slack import drawables, slack_messages, uncertain_writes
from tests.database import NOW, running_run, stored_run


def message_of(run: Run, **fields: Any) -> SlackMessage:
    values: dict[str, Any] = {
        "id": uuid4(),
        "thread_key": run.thread_key,
        "slot": "card",
        "channel_id": "C1",
        "state": SlackMessageState.SHOWN,
        "updated_at": NOW,
        "version": run.version,
    }
    return SlackMessage(**{**values, **fields})


async def save_message(database: Database, run: Run, **fields: Any) -> SlackMessage:
    """Save a message; a card that is settled is the last of its thread, as the drawer has it."""
    drawn = message_of(run, **fields)
    await slack_messages.save(database.reads, drawn)
    if drawn.slot == "card" and drawn.state is not SlackMessageState.SENDING:
        await drawables.record_drawn(
            database.reads, drawn.drawable, version=drawn.version, is_live=run.is_live
        )
    return drawn


async def outdated_threads(
    database: Database, *, team_id: str = "T1", limit: int = 50
) -> list[str]:
    found = await drawables.outdated(
        database.reads, limit=limit, team_id=team_id, kinds=[DrawableKind.THREAD]
    )
    return [one.key for one in found]


def thread_of(run: Run) -> DrawableId:
    return DrawableId(DrawableKind.THREAD, str(run.thread_key))


async def finish_run(database: Database, run: Run) -> Run:
    async with database.sessions.begin() as session:
        return await runs.finish(
            session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW
        )


async def test_a_thread_is_outdated_until_its_newest_version_is_drawn(database: Database) -> None:
    run = await running_run(database)
    seen = [await outdated_threads(database)]
    await save_message(database, run)
    seen.append(await outdated_threads(database))
    ended = await finish_run(database, run)
    seen.append(await outdated_threads(database))
    await save_message(database, ended)
    seen.append(await outdated_threads(database))
    async with database.sessions.begin() as session:
        await runs.change(session, run.run_id, now=NOW, workspace_cleaned_up=True)
    seen.append(await outdated_threads(database))

    assert seen == [[run.run_id], [], [run.run_id], [], [run.run_id]]


async def test_drawing_an_old_version_leaves_the_thread_outdated(database: Database) -> None:
    run = await running_run(database)
    await finish_run(database, run)

    await save_message(database, run)

    assert await outdated_threads(database) == [run.run_id]


async def test_a_card_that_is_being_sent_counts_as_outdated(database: Database) -> None:
    run = await finish_run(database, await running_run(database))

    await save_message(database, run, state=SlackMessageState.SENDING)

    assert await outdated_threads(database) == [run.run_id]


@pytest.mark.parametrize("state", [SlackMessageState.SHOWN, SlackMessageState.GONE])
async def test_a_card_in_a_final_state_is_not_outdated(
    database: Database, state: SlackMessageState
) -> None:
    run = await finish_run(database, await running_run(database))

    await save_message(database, run, state=state)

    assert await outdated_threads(database) == []


async def test_other_slots_do_not_count_as_the_card(database: Database) -> None:
    run = await stored_run(database)

    await save_message(database, run, slot=f"result:{run.run_id}")

    assert await outdated_threads(database) == [run.run_id]


async def test_a_new_run_makes_its_thread_outdated(database: Database) -> None:
    first = await finish_run(database, await running_run(database))
    await save_message(database, first)

    second = await stored_run(database, session_id=first.session_id, thread_key=first.run_id)
    seen = [await outdated_threads(database)]
    await save_message(database, first, version=second.version)
    seen.append(await outdated_threads(database))

    assert seen == [[first.run_id], []]


async def test_only_a_teams_own_threads_with_a_place_are_outdated(database: Database) -> None:
    await stored_run(database, slack_team_id="T2")
    await stored_run(database, slack_channel_id=None)

    assert await outdated_threads(database) == []


async def test_the_thread_with_the_oldest_try_comes_first(database: Database) -> None:
    tried, old, new = [
        await stored_run(database, created_at=NOW + timedelta(seconds=n)) for n in range(3)
    ]
    await save_message(database, tried, version=0, error="channel_not_found")

    assert await outdated_threads(database) == [old.run_id, new.run_id, tried.run_id]
    assert await outdated_threads(database, limit=1) == [old.run_id]


async def test_a_slot_shows_its_newest_message(database: Database) -> None:
    run = await stored_run(database)
    sent = await save_message(database, run, state=SlackMessageState.SENDING, version=1)
    drawn = await save_message(
        database,
        run,
        message_ts="1.5",
        thread_ts="1.5",
        content_hash="abc",
        attempts=2,
        error="late",
    )

    async with database.sessions() as session:
        found = await slack_messages.of_drawable(session, thread_of(run))
        assert await slack_messages.find_thread_key(session, "C1", "1.5") == run.run_id
        assert await slack_messages.find_thread_key(session, "C1", "1.6") is None
    assert found["card"].id == sent.id
    assert {**vars(found["card"]), "id": drawn.id} == vars(drawn)


async def test_a_reposted_card_is_found_under_its_old_root(
    database: Database,
) -> None:
    run = await stored_run(database)
    await save_message(database, run, message_ts="2.7", thread_ts="1.5")

    async with database.sessions() as session:
        assert await slack_messages.find_thread_key(session, "C1", "1.5") == run.run_id


async def test_a_thread_has_ended_when_none_of_its_runs_is_live(database: Database) -> None:
    over = await finish_run(database, await running_run(database))
    live = await running_run(database)
    mixed = await finish_run(database, await running_run(database))
    await stored_run(database, session_id=mixed.session_id, thread_key=mixed.run_id)

    found = await thread_read.undisturbed(
        database.reads, [run.run_id for run in (over, live, mixed)]
    )

    assert found == {live.run_id, mixed.run_id}


async def test_a_thread_with_a_kill_is_not_undisturbed(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        await runs.request_kill(session, run.run_id, now=NOW)

    assert await thread_read.undisturbed(database.reads, [run.run_id]) == frozenset()


@pytest.mark.parametrize("slot", ["card", "notices:1"])
async def test_a_message_that_a_former_leader_sent_is_drawn_over(
    database: Database, slot: str
) -> None:
    run = await running_run(database)
    ended = await finish_run(database, run)
    await save_message(database, ended)
    assert await outdated_threads(database) == []

    await slack_messages.save(database.reads, message_of(run, slot=slot))

    assert await outdated_threads(database) == [run.run_id]


async def test_a_version_that_a_former_leader_recorded_is_drawn_over(database: Database) -> None:
    run = await running_run(database)
    ended = await finish_run(database, run)
    await save_message(database, ended)

    await drawables.record_drawn(database.reads, thread_of(run), version=run.version, is_live=True)

    assert await outdated_threads(database) == [run.run_id]


@pytest.mark.parametrize(
    ("state", "error"),
    [(SlackMessageState.SENDING, None), (SlackMessageState.GONE, slack_messages.UNSENT)],
)
async def test_a_reply_on_its_way_leaves_a_drawn_thread_behind(
    database: Database, state: SlackMessageState, error: str | None
) -> None:
    run = await finish_run(database, await running_run(database))
    await save_message(database, run)

    await save_message(database, run, slot="result:1", state=state, error=error)

    assert await outdated_threads(database) == [run.run_id]


async def test_what_is_behind_is_found_without_reading_the_history(database: Database) -> None:
    async with database.sessions.begin() as session:
        await session.execute(
            text(
                "INSERT INTO drawables (kind, key, team_id, desired_version, drawn_version,"
                " is_live) SELECT 'thread', n::text, 'T1', 5, 5, false"
                " FROM generate_series(1, 20000) n"
            )
        )
    live = await running_run(database)
    async with database.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).exec_driver_sql(
            "ANALYZE drawables"
        )
        raw: Any = (await connection.get_raw_connection()).driver_connection
        plan = str(
            await raw.fetchval(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {drawables.OUTDATED}", "T1", ["thread"], 50
            )
        )

    assert await outdated_threads(database) == [live.run_id]
    assert "idx_drawables_open" in plan
    assert "Seq Scan on drawables" not in plan


async def test_a_versions_rise_does_not_touch_the_index_of_what_is_open(
    database: Database,
) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        for _ in range(20):
            await runs.change(session, run.run_id, now=NOW, turns=1)
        updated, hot = (
            await session.execute(
                text(
                    "SELECT pg_stat_get_xact_tuples_updated('drawables'::regclass),"
                    " pg_stat_get_xact_tuples_hot_updated('drawables'::regclass)"
                )
            )
        ).one()

    assert updated >= 20
    assert hot == updated


REASONS = ("is_archived", "not_in_channel")


async def lost_channels(database: Database, *, team_id: str = "T1") -> list[str]:
    async with database.sessions() as session:
        return await drawables.lost_channels(
            session, team_id=team_id, reasons=REASONS, since=NOW - timedelta(days=1)
        )


async def test_threads_of_a_regained_channel_are_redrawn(database: Database) -> None:
    run = await finish_run(database, await running_run(database))
    result = f"result:{run.run_id}"
    gone = {
        "state": SlackMessageState.GONE,
        "error": "is_archived",
        "channel_id": run.slack_channel_id,
    }
    await save_message(database, run, slot=result, version=0, **gone)
    await save_message(database, run, message_ts="1.1", **gone)
    before = (
        await outdated_threads(database),
        await lost_channels(database),
        await lost_channels(database, team_id="T2"),
    )

    async with database.sessions.begin() as session:
        count = await slack_messages.retry_lost(session, str(run.slack_channel_id), reasons=REASONS)

    async with database.sessions() as session:
        rows = await slack_messages.of_drawable(session, thread_of(run))
    assert before == ([], [run.slack_channel_id], [])
    assert count == 1
    assert await outdated_threads(database) == [run.run_id]
    assert await lost_channels(database) == []
    assert (rows["card"].state, rows["card"].error) == (SlackMessageState.SHOWN, None)
    assert (rows[result].state, rows[result].error) == (
        SlackMessageState.GONE,
        slack_messages.UNSENT,
    )


async def test_a_deleted_card_is_not_retried(database: Database) -> None:
    run = await finish_run(database, await running_run(database))
    channel_id = str(run.slack_channel_id)
    await save_message(
        database, run, state=SlackMessageState.GONE, error="deleted", channel_id=channel_id
    )

    async with database.sessions.begin() as session:
        count = await slack_messages.retry_lost(session, channel_id, reasons=REASONS)

    assert (count, await lost_channels(database), await outdated_threads(database)) == (0, [], [])


async def test_uncertain_writes_are_stored_for_the_next_drawer(database: Database) -> None:
    run, other = await stored_run(database), await stored_run(database, slack_team_id="T2")
    first = UncertainWrite(
        thread_key=run.run_id, slot="card", kind=UncertainWriteKind.OVERWRITTEN, due_at=NOW
    )
    async with database.sessions.begin() as session:
        await uncertain_writes.add(session, first)
        await uncertain_writes.add(session, replace(first, due_at=NOW + timedelta(minutes=1)))
        await uncertain_writes.add(session, replace(first, kind=UncertainWriteKind.POSTED_TWICE))
        await uncertain_writes.add(session, replace(first, thread_key=other.run_id))

        before = await uncertain_writes.of_team(session, "T1")
        await uncertain_writes.resolve(
            session, thread_of(run), "card", UncertainWriteKind.POSTED_TWICE
        )
        after = await uncertain_writes.of_team(session, "T1")

    assert before == [
        replace(first, kind=UncertainWriteKind.POSTED_TWICE),
        replace(first, due_at=NOW + timedelta(minutes=1)),
    ]
    assert after == [replace(first, due_at=NOW + timedelta(minutes=1))]


async def test_possible_writes_of_a_dead_bot_become_uncertain(database: Database) -> None:
    live, other = await running_run(database), await running_run(database, slack_team_id="T2")
    over = await finish_run(database, await running_run(database))
    for run in (live, other, over):
        await save_message(database, run)
    long_ago = NOW - timedelta(hours=1)
    await save_message(database, live, slot="notices:1")
    await save_message(database, live, slot="notices:2", updated_at=long_ago)
    await save_message(database, live, slot="file:1")
    await save_message(database, live, slot="result:1", state=SlackMessageState.SENDING)
    async with database.sessions.begin() as session:
        for _ in range(2):
            await uncertain_writes.add_for_open(
                session, team_id="T1", heads=["card"], changed_since=NOW, due_at=NOW, now=NOW
            )
        found = await uncertain_writes.of_team(session, "T1")

    assert {(one.thread_key, one.slot) for one in found} == {
        (live.run_id, "card"),
        (live.run_id, "notices:1"),
    }
    assert {(one.kind, one.due_at) for one in found} == {(UncertainWriteKind.OVERWRITTEN, NOW)}
