"""Recount of a run whose worker died: everything in its transcript counts, once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.domain.runs.run import CostSource, Run, StopReason, Usage
from core.domain.sessions.ledger import EntrySource, LedgerSum
from core.domain.workflow import OnWorkerLost
from core.runner.execution.attempt import prompt_uuid_of
from core.store import ledger
from core.store.sessions.transcripts import Transcripts
from tests.rescue_harness import RescueHarness, rescue_harness

__all__ = ["rescue_harness"]


def answer(number: int) -> dict[str, object]:
    """A transcript line with an answer of the model."""
    usage = {"input_tokens": 10, "output_tokens": 100}
    message = {"id": f"msg_{number}", "model": "claude-sonnet-4-6", "usage": usage}
    return {"type": "assistant", "uuid": f"answer-{number}", "message": message}


async def transcribe(rescue_harness: RescueHarness, run: Run, *lines: dict[str, object]) -> None:
    """Add lines to the transcript of a run's present attempt."""
    key = {"project_key": "p", "session_id": str(run.session_id)}
    prompt = {"type": "user", "uuid": str(prompt_uuid_of(run, run.attempt))}
    store = Transcripts(rescue_harness.database).for_attempt(run.run_id, run.attempt)
    await store.append(key, [prompt, *lines])


@pytest.mark.parametrize("on_worker_lost", list(OnWorkerLost))
async def test_usage_that_a_lost_worker_had_not_counted_is_counted(
    rescue_harness: RescueHarness, on_worker_lost: OnWorkerLost
) -> None:
    run = await rescue_harness.start_run(on_worker_lost=on_worker_lost)
    await transcribe(rescue_harness, run, answer(1), answer(2))

    (lost,) = await rescue_harness.check_twice()

    assert lost.usage == Usage(input_tokens=20, output_tokens=200)
    assert (lost.turns, lost.cost_source) == (2, CostSource.ESTIMATED)
    assert lost.cost_usd == Decimal("0.00306")


async def test_each_lost_attempt_is_counted_once(rescue_harness: RescueHarness) -> None:
    run = await rescue_harness.start_run()
    await transcribe(rescue_harness, run, answer(1))
    (lost,) = await rescue_harness.check_twice()
    again = await rescue_harness.begin(lost)
    await transcribe(rescue_harness, again, answer(2), answer(3))

    (lost,) = await rescue_harness.check_twice()

    assert lost.usage == Usage(input_tokens=30, output_tokens=300)
    assert lost.cost_usd == Decimal("0.00459")


async def test_an_earlier_run_of_the_session_is_not_counted_again(
    rescue_harness: RescueHarness,
) -> None:
    first = await rescue_harness.start_run()
    await transcribe(rescue_harness, first, answer(1), answer(2))
    await rescue_harness.ledger.fail(first, StopReason.AGENT_ERROR, "It crashed.")
    second = await rescue_harness.start_run(session_id=first.session_id, parent_run_id=first.id)
    await transcribe(rescue_harness, second, answer(3))

    (lost,) = await rescue_harness.check_twice()

    assert lost.run_id == second.run_id
    assert lost.usage == Usage(input_tokens=10, output_tokens=100)


async def test_a_killed_agents_last_answers_are_counted_after_its_worker_died(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()
    await transcribe(rescue_harness, run, answer(1))

    await rescue_harness.ledger.kills.finish_killed(run)

    ended = await rescue_harness.ledger.read_run(run.run_id)
    assert (ended.stop_reason, ended.usage.output_tokens) == (StopReason.KILLED, 100)


async def test_each_lost_attempt_has_an_entry_of_its_own(rescue_harness: RescueHarness) -> None:
    run = await rescue_harness.start_run()
    await transcribe(rescue_harness, run, answer(1))
    (lost,) = await rescue_harness.check_twice()
    again = await rescue_harness.begin(lost)
    await transcribe(rescue_harness, again, answer(2), answer(3))
    (lost,) = await rescue_harness.check_twice()

    async with rescue_harness.database.sessions.begin() as session:
        entries = (await ledger.of_runs(session, [run.id]))[run.id]

    assert [(one.attempt, one.turns, one.source) for one in entries] == [
        (1, 1, EntrySource.ESTIMATED),
        (2, 2, EntrySource.ESTIMATED),
    ]
    spent = LedgerSum.of_entries(entries)
    assert (spent.turns, spent.usage, spent.known_usd) == (lost.turns, lost.usage, lost.cost_usd)
