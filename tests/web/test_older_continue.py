"""The case of the older API: a session that stopped at its turn limit with work left."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from core.domain.actor import Role
from core.domain.runs.request import Place
from core.domain.runs.run import CostSource, Run, StopReason
from core.domain.runs.session import MessageType
from core.store import audit
from core.store.runs import run_queries, runs
from core.store.sessions import messages, sessions
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, new_session, running_run
from tests.web.older_api import START_FIELDS, check_base, check_types
from tests.web.older_examples import CONTINUE_EXAMPLE

SESSION = UUID(CONTINUE_EXAMPLE["session_id"])


async def limited_run(api: ApiHarness, owner: UUID | None) -> Run:
    """The session of the case: $1.4468734, 30 of 30 turns, `error_max_turns`, work left."""
    conversation = new_session(id=SESSION, user_id=owner)
    async with api.database.sessions.begin() as session:
        await sessions.add(session, conversation)
    run = await running_run(
        api.database,
        session_id=SESSION,
        user_id=owner,
        workflow_name="implement",
        task_input="Clean up",
        max_turns=30,
        slack_team_id=None,
        slack_channel_id=None,
    )
    async with api.database.sessions.begin() as session:
        return await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=StopReason.MAX_TURNS,
            now=NOW + timedelta(minutes=9),
            turns=30,
            cost_usd=Decimal("1.4468734"),
            cost_source=CostSource.REPORTED,
        )


async def test_the_case_of_the_session_at_its_turn_limit(api: ApiHarness) -> None:
    token = await api.token(role=Role.OPERATOR)
    before = await limited_run(api, None)
    api.place.append(Place(team_id="T1", channel_id="C1"))
    status = (await api.get(f"{CONSOLE}/run/{before.run_id}/status", token)).body

    reply = await api.post(f"{CONSOLE}/run/implement/continue", token, CONTINUE_EXAMPLE)

    check_base(status)
    assert (status["cost"], status["turns"], status["max_turns"]) == (1.4468734, 30, 30)
    assert (status["status"], status["stop_reason"]) == ("failed", "max_turns")
    assert status["can_continue"] is True
    assert status["exit_code"] == 1
    assert reply.status == 200, reply.text
    answer = reply.body
    check_types(answer, START_FIELDS)
    assert (answer["session_id"], answer["status"]) == (str(SESSION), "pending")
    assert answer["continued_run_id"] == before.run_id
    assert "20 turns" in answer["message"]
    async with api.database.sessions() as session:
        run = await run_queries.get(session, answer["run_id"])
        said = await messages.of_run(session, run.id)
        trail = await audit.recent(session, 1)
    assert (run.parent_run_id, run.max_turns, run.session_id) == (before.id, 20, SESSION)
    assert (run.slack_team_id, run.slack_channel_id) == ("T1", "C1")
    assert [(one.message_type, one.text_content) for one in said] == [
        (MessageType.INTERVENTION, "Continue the cleanup task from where you left off")
    ]
    assert (trail[0].action, trail[0].actor.origin, trail[0].actor.name) == (
        "continue",
        "api",
        "ci",
    )


async def test_a_live_session_is_not_continued_and_the_answer_names_its_run(
    api: ApiHarness,
) -> None:
    token = await api.token(role=Role.OPERATOR)
    await limited_run(api, None)
    body = {"session_id": str(SESSION), "additional_turns": 20, "message": "Go on"}
    first = await api.post(f"{CONSOLE}/run/implement/continue", token, body)

    again = await api.post(f"{CONSOLE}/run/implement/continue", token, body)
    other = await api.post(f"{CONSOLE}/run/fix/continue", token, body)
    unknown = await api.post(f"{CONSOLE}/run/nonsense/continue", token, body)

    assert (again.status, again.error) == (409, "session_busy")
    assert again.body["details"] == {"live_run_id": first.body["run_id"]}
    assert other.status == 409
    assert unknown.status == 409
