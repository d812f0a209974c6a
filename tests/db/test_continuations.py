"""Continuations: from which run, with how many turns, and that a repeated request starts one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from core.agent.definitions.catalog import load_catalog
from core.domain.actor import Action, Actor, Origin, Role
from core.domain.runs.errors import RunIdTooShort, SessionBusy
from core.domain.runs.request import ContinueRequest, KillRequest, RunFilter, StartRequest
from core.domain.runs.run import Run, StopReason
from core.domain.runs.snapshot import CardPlace
from core.services.context import NotAllowed, ServiceContext
from core.services.runs.runs import RunService
from core.services.threads import ThreadService
from core.store import users
from core.store.database.engine import Database
from core.store.runs import runs
from tests.database import NOW, database, postgres_dsn, running_run
from tests.db.test_store_slack_messages import save_message

__all__ = ["database", "postgres_dsn"]

OPERATOR = Actor(role=Role.OPERATOR, origin=Origin.SLACK, name="op")


class TickingClock:
    """A clock that advances at every call, so that runs have an order."""

    def __init__(self) -> None:
        self.now = NOW + timedelta(seconds=1)

    def __call__(self) -> Any:
        self.now += timedelta(milliseconds=1)
        return self.now


CLOCK = TickingClock()


def service(database: Database) -> RunService:
    return RunService(ServiceContext(database, CLOCK), load_catalog())


async def ended(
    database: Database, reason: StopReason, *, turns: int = 3, limit: int | None = 60, **fields: Any
) -> Run:
    """A run that ended for this reason after some turns."""
    run = await running_run(database, max_turns=limit, turns=turns, **fields)
    return await end(database, run, reason)


async def end(database: Database, run: Run, reason: StopReason) -> Run:
    async with database.sessions.begin() as session:
        if run.started_at is None:
            await runs.begin(session, run.run_id, attempt=1, worker_id="w1", now=NOW)
        return await runs.finish(session, run.run_id, attempt=1, stop_reason=reason, now=NOW)


async def continued(
    service_of_runs: RunService, target: str, key: str, *, by: Actor = OPERATOR, **fields: Any
) -> Run:
    request = ContinueRequest(target=target, request_key=key, **fields)
    return (await service_of_runs.continue_run(request, by=by)).run


@pytest.mark.parametrize(
    ("reason", "asked", "expected"),
    [
        (StopReason.KILLED, None, 57),
        (StopReason.KILLED, 20, 77),
        (StopReason.AGENT_ERROR, None, 57),
        (StopReason.BUDGET, 10, 67),
        (StopReason.USAGE_LIMIT, None, 57),
        (StopReason.WORKER_LOST, None, 57),
        (StopReason.KILLED, 1000, 1000),
        (StopReason.MAX_TURNS, 20, 20),
        (StopReason.SUCCESS, 20, 20),
    ],
)
async def test_what_was_left_of_the_limit_is_never_taken_away(
    database: Database, reason: StopReason, asked: int | None, expected: int
) -> None:
    run = await ended(database, reason)

    leg = await continued(service(database), run.run_id, "k1", additional_turns=asked)

    assert leg.max_turns == expected


async def test_a_run_without_turns_left_gets_those_of_its_workflow(database: Database) -> None:
    definition = load_catalog().get("implement")
    legs = [
        await continued(service(database), run.run_id, f"k{run.run_id}")
        for run in (
            await ended(database, StopReason.MAX_TURNS),
            await ended(database, StopReason.KILLED, turns=60),
            await ended(database, StopReason.KILLED, limit=None),
        )
    ]

    assert {leg.max_turns for leg in legs} == {definition.max_turns}


async def test_another_request_for_a_continued_run_goes_on_from_its_newest_leg(
    database: Database,
) -> None:
    first = await ended(database, StopReason.KILLED)
    service_of_runs = service(database)
    second = await continued(service_of_runs, first.run_id, "k1")
    await end(database, second, StopReason.SUCCESS)

    outcome = await service_of_runs.continue_run(
        ContinueRequest(target=first.run_id, request_key="k2"), by=OPERATOR
    )

    assert outcome.is_new
    assert outcome.run.parent_run_id == second.id
    assert outcome.continued == second.run_id


async def test_a_request_that_is_delivered_again_starts_nothing_even_after_the_end(
    database: Database,
) -> None:
    first = await ended(database, StopReason.KILLED)
    second = await continued(service(database), first.run_id, "k1", message="and the docs")
    await end(database, second, StopReason.SUCCESS)

    again = await service(database).continue_run(
        ContinueRequest(target=first.run_id, request_key="k1", message="and the docs"), by=OPERATOR
    )

    assert not again.is_new
    assert again.run.run_id == second.run_id


async def test_a_second_click_starts_nothing_and_names_the_newest_leg(database: Database) -> None:
    first = await ended(database, StopReason.KILLED)
    second = await continued(service(database), first.run_id, "k1", is_click=True)
    await end(database, second, StopReason.KILLED)
    third = await continued(service(database), second.run_id, "k2", is_click=True)
    await end(database, third, StopReason.SUCCESS)

    late = await service(database).continue_run(
        ContinueRequest(target=first.run_id, request_key="k3", is_click=True), by=OPERATOR
    )

    assert not late.is_new
    assert late.run.run_id == third.run_id


async def test_a_message_for_a_session_that_goes_on_already_is_not_lost_silently(
    database: Database,
) -> None:
    first = await ended(database, StopReason.KILLED)
    second = await continued(service(database), first.run_id, "k1")

    again = await continued(service(database), first.run_id, "k2")
    with pytest.raises(SessionBusy):
        await continued(service(database), first.run_id, "k3", message="and the docs")

    assert again.run_id == second.run_id


async def test_an_id_needs_four_digits_to_act_on_a_run_but_not_to_see_it(
    database: Database,
) -> None:
    run = await ended(database, StopReason.KILLED)
    short, enough = run.run_id[:7], run.run_id[:8]

    with pytest.raises(RunIdTooShort):
        await continued(service(database), short, "k1")
    with pytest.raises(RunIdTooShort):
        await service(database).kill(KillRequest(target=short), by=OPERATOR)
    with pytest.raises(RunIdTooShort):
        await service(database).snapshot(short, by=OPERATOR, action=Action.KILL)
    seen = await service(database).snapshot(short, by=OPERATOR)

    assert seen.run.id == run.id
    assert (await continued(service(database), enough, "k2")).parent_run_id == run.id


async def test_a_short_name_of_a_session_is_no_short_id(database: Database) -> None:
    person = await runner(database, "ada")
    start = StartRequest(workflow="fix", task="x", request_key="s1", session_name="ab")
    started = await service(database).start(start, by=person)
    await end(database, started.run, StopReason.KILLED)

    outcome = await service(database).continue_run(
        ContinueRequest(target="ab", request_key="k1"), by=person
    )

    assert outcome.run.parent_run_id == started.run.id


async def test_a_refusal_names_the_owner(database: Database) -> None:
    ada, ben = await runner(database, "ada"), await runner(database, "ben")
    run = await ended(database, StopReason.KILLED, user_id=ada.user_id)

    with pytest.raises(NotAllowed) as caught:
        await service(database).snapshot(run.run_id, by=ben, action=Action.CONTINUE)

    assert caught.value.owner is not None
    assert caught.value.owner.slack_user_id == "Uada"
    assert caught.value.user_message == (
        f"Only @ada or an operator can continue this (`{run.run_id}`)."
    )


async def test_who_may_not_start_is_told_before_a_form_asks(database: Database) -> None:
    viewer = Actor(role=Role.VIEWER, origin=Origin.SLACK, name="eve")

    with pytest.raises(NotAllowed, match="may not start"):
        await service(database).require_start(by=viewer)
    await service(database).require_start(by=OPERATOR)


async def test_a_list_has_the_task_the_leg_and_the_thread_of_each_run(database: Database) -> None:
    person = await runner(database, "ada")
    service_of_runs = service(database)
    first_task = StartRequest(workflow="fix", task="First", request_key="s1", session_name="work")
    first = (await service_of_runs.start(first_task, by=person)).run
    await end(database, first, StopReason.KILLED)
    second = await continued(service_of_runs, first.run_id, "k1", by=person)
    await end(database, second, StopReason.SUCCESS)
    other_task = StartRequest(workflow="fix", task="Other", request_key="s2", session_name="work")
    third = (await service_of_runs.start(other_task, by=person)).run
    await save_message(database, third, message_ts="17.5", channel_id="C1")

    listed = await service_of_runs.list_runs(RunFilter(), by=person)

    assert [(one.about, one.leg) for one in listed] == [("Other", 1), ("First", 2), ("First", 1)]
    assert listed[0].card == CardPlace(channel_id="C1", message_ts="17.5")
    assert listed[1].card is None
    threads = ThreadService(ServiceContext(database, CLOCK))
    assert await threads.cards([third.run_id, first.run_id, f"run_{uuid4().hex[:12]}"]) == {
        third.run_id: CardPlace(channel_id="C1", message_ts="17.5")
    }
    assert await threads.cards([]) == {}


async def test_a_card_that_was_posted_again_is_found_by_its_thread(database: Database) -> None:
    run = await running_run(database)
    await save_message(database, run, message_ts="18.5", thread_ts="17.5")

    threads = ThreadService(ServiceContext(database, CLOCK))

    assert (await threads.cards([run.run_id]))[run.run_id].message_ts == "17.5"


async def runner(database: Database, name: str) -> Actor:
    async with database.sessions.begin() as session:
        user = await users.ensure(
            session, slack_team_id="T1", slack_user_id=f"U{name}", name=name, now=NOW
        )
    return Actor(role=Role.RUNNER, origin=Origin.SLACK, user_id=user.id, name=name)
