"""Each class of failure with the real program: its evidence, its strategy, and what people see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.sandbox.model.script import (
    Conversation,
    Failure,
    FailureKind,
    Script,
    Turn,
    bash,
    play_in_order,
)
from bot.words.failures.classes import failed_title
from core.domain.failures.advice import Advice
from core.domain.failures.failed_attempt import FailedAttempt, failed_attempts_of, last_failure_of
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import RetryAction, RetryReason
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus, StopReason
from core.store import failures
from core.store.database.engine import Database
from tests.core_harness import CoreHarness, assert_counted_once, open_core_harness
from tests.database import missing_table
from tests.lasting import LASTING, LastingWork

pytestmark = pytest.mark.sampled(5)

# Everything that a policy can have tried again is, and soon.
_SOON = 'attempts = 1, backoff = "1s..1s"'
RETRY = "{" + ", ".join(
    f"{name} = {{{_SOON}}}"
    for name in (
        "transient", "overloaded", "agent_crash", "no_result", "workspace", "disk_full", "setup",
        "unknown",
    )
) + ', usage_limit = "wait"}'  # fmt: skip


@pytest.fixture
async def eager(database: Database, tmp_path: Path) -> AsyncIterator[CoreHarness]:
    """A core that tries again whatever it may."""
    async with open_core_harness(tmp_path / "home", database.dsn, retry=RETRY) as opened:
        yield opened


async def stored(
    harness: CoreHarness, run: Run, failure_class: FailureClass
) -> list[FailedAttempt]:
    """The rows of a run's attempts that failed with a class; the run itself has them, too.

    On a busy machine an attempt may fail for other reasons before, as at the start of its agent.
    """
    async with harness.backend.database.sessions() as session:
        rows = await failures.of_run(session, run.id)
    assert tuple(rows) == failed_attempts_of(run)
    attempts = len(rows) + (run.status is RunStatus.COMPLETED)
    assert attempts == run.attempt
    return [one for one in rows if one.failure_class is failure_class]


@pytest.mark.parametrize(
    ("scenario", "failure_class", "evidence"),
    [
        ("401", FailureClass.AUTHENTICATION, {"status": 401}),
        ("no-credit", FailureClass.AUTHENTICATION, {"error_type": "billing_error"}),
        ("bad-request", FailureClass.REJECTED, {"status": 400}),
        ("too-long", FailureClass.CONTEXT_TOO_LONG, {"terminal_reason": "prompt_too_long"}),
        ("refusal", FailureClass.REFUSAL, {"stop_reason": "refusal"}),
    ],
)
async def test_what_does_not_pass_is_not_tried_again(
    eager: CoreHarness, scenario: str, failure_class: FailureClass, evidence: dict[str, object]
) -> None:
    async with eager.worker():
        run = await eager.start(f"[scenario: {scenario}] [times: forever] work")
        ended = (await eager.wait_until_ended(run)).run

    [failed] = await stored(eager, ended, failure_class)
    assert ended.status is RunStatus.FAILED
    assert evidence.items() <= failed.evidence.items()
    assert failed.decision.reason is RetryReason.DETERMINISTIC
    assert last_failure_of(ended) == failed


@pytest.mark.parametrize(
    ("failure", "failure_class", "evidence"),
    [
        (Failure(status=500), FailureClass.TRANSIENT, {"status": 500, "api_retries": 1}),
        (Failure(status=429, body="Too Many Requests"), FailureClass.TRANSIENT, {"status": 429}),
        (
            Failure(status=529, error_type="overloaded_error"),
            FailureClass.OVERLOADED,
            {"status": 529},
        ),
        (Failure(kind=FailureKind.GARBAGE), FailureClass.SETUP, {}),
    ],
    ids=["500", "429", "529", "garbage"],
)
async def test_what_may_pass_is_tried_again_and_then_told(
    eager: CoreHarness,
    failure: Failure,
    failure_class: FailureClass,
    evidence: dict[str, object],
) -> None:
    command = Turn(calls=(bash("echo first", "Begin"),))
    forever = Turn(failure=replace(failure, times=None))
    eager.model.script = Script(
        name="failing", description="", play=play_in_order(command, forever)
    )
    async with eager.worker():
        run = await eager.start("work")
        ended = (await eager.wait_until_ended(run)).run

    first, second = await stored(eager, ended, failure_class)
    assert (ended.status, ended.stop_reason) == (RunStatus.FAILED, StopReason.API_ERROR)
    assert evidence.items() <= first.evidence.items()
    assert (first.decision.action, first.decision.reason) == (RetryAction.RETRY, RetryReason.RULE)
    assert second.decision.reason is RetryReason.ATTEMPTS_USED
    assert failed_title(second)


def until_told_to_go_on(failure: Failure) -> Script:
    """One command, then failures until the agent is resumed."""

    def play(conversation: Conversation) -> Turn:
        if conversation.position == 0:
            return Turn(text="A first command.", calls=(bash("echo first", "Begin"),))
        if not conversation.follow_ups:
            return Turn(failure=failure)
        return Turn(text="## Summary\n\nThe work went on after the failure of the model.")

    return Script(name="passing", description="", play=play)


@pytest.mark.parametrize(
    ("failure", "failure_class"),
    [
        (Failure(status=500, times=None), FailureClass.TRANSIENT),
        (Failure(kind=FailureKind.CUT, times=None), FailureClass.TRANSIENT),
        (
            Failure(status=529, error_type="overloaded_error", times=None),
            FailureClass.OVERLOADED,
        ),
    ],
    ids=["500", "cut", "529"],
)
async def test_what_has_passed_goes_on_where_it_stopped(
    eager: CoreHarness, failure: Failure, failure_class: FailureClass
) -> None:
    eager.model.script = until_told_to_go_on(failure)
    async with eager.worker():
        run = await eager.start("work")
        ended = (await eager.wait_until_ended(run)).run

    [failed] = await stored(eager, ended, failure_class)
    assert failed.decision.action is RetryAction.RETRY
    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert ended.session_id == run.session_id
    assert "The work went on" in (ended.result or "")
    # The first command was run once: the conversation was resumed, not begun anew.
    assert ended.tool_calls == 1
    assert last_failure_of(ended) is None
    await assert_counted_once(eager.backend.database, ended)


@pytest.mark.parametrize(
    ("scenario", "failure_class"),
    [("crash", FailureClass.AGENT_CRASH), ("no-result", FailureClass.NO_RESULT)],
)
async def test_an_agent_program_that_ended_too_early_is_started_again(
    eager: CoreHarness, scenario: str, failure_class: FailureClass
) -> None:
    async with eager.worker():
        run = await eager.start(f"[scenario: {scenario}] work")
        ended = (await eager.wait_until_ended(run)).run

    [failed] = await stored(eager, ended, failure_class)
    assert failed.decision.action is RetryAction.RETRY
    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert "The program came back" in (ended.result or "")


async def test_the_turn_limit_ends_a_run(eager: CoreHarness) -> None:
    async with eager.worker():
        run = await eager.start("[scenario: work] work", max_turns=1)
        ended = (await eager.wait_until_ended(run)).run

    [failed] = await stored(eager, ended, FailureClass.MAX_TURNS)
    assert ended.stop_reason is StopReason.MAX_TURNS
    assert (failed.evidence["turns"], failed.evidence["max_turns"]) == (1, 1)
    assert failed.decision.reason is RetryReason.DETERMINISTIC
    assert failed.advice is Advice.ADD_TURNS


async def test_the_budget_ends_a_run(eager: CoreHarness) -> None:
    async with eager.worker():
        run = await eager.start("[scenario: work] work", budget_usd=Decimal("0.0001"))
        ended = (await eager.wait_until_ended(run)).run

    [failed] = await stored(eager, ended, FailureClass.BUDGET)
    assert ended.stop_reason is StopReason.BUDGET
    assert failed.evidence["subtype"] == "error_max_budget_usd"
    assert Decimal(str(failed.evidence["cost_usd"])) > Decimal(str(failed.evidence["budget_usd"]))
    assert failed.decision.reason is RetryReason.DETERMINISTIC


@pytest.mark.slow
async def test_a_time_limit_ends_a_run(eager: CoreHarness) -> None:
    async with eager.worker():
        run = await eager.start("[scenario: hang] work", timeout=timedelta(seconds=10))
        ended = (await eager.wait_until_ended(run)).run

    [failed] = await stored(eager, ended, FailureClass.TIMEOUT)
    assert failed.evidence["timeout_seconds"] == 10
    assert failed.advice is Advice.ADD_TIME


async def test_a_workspace_that_cannot_be_prepared_is_tried_again(
    eager: CoreHarness, tmp_path: Path
) -> None:
    repository = tmp_path / "repositories" / "gone"
    async with eager.worker():
        run = await eager.start("work", repo=str(repository))
        ended = (await eager.wait_until_ended(run)).run

    first, second = await stored(eager, ended, FailureClass.WORKSPACE)
    assert ended.stop_reason is StopReason.WORKSPACE_ERROR
    assert first.decision.action is RetryAction.RETRY
    assert second.decision.reason is RetryReason.ATTEMPTS_USED


async def test_an_end_that_says_nothing_is_unknown(eager: CoreHarness) -> None:
    # The tool writes to the pipe on which the program itself reports its end.
    report = (
        '{"type":"result","subtype":"error_during_execution","is_error":true,"duration_ms":1,'
        '"duration_api_ms":1,"num_turns":1,"session_id":"s","total_cost_usd":0,"usage":{},'
        '"uuid":"u","errors":[]}'
    )
    forged = bash(f"echo '{report}' > /proc/$PPID/fd/1; sleep 76", "Report")
    eager.model.script = Script(
        name="forged",
        description="",
        play=play_in_order(Turn(calls=(forged,)), Turn(text="## Summary\n\nIt went on.")),
    )
    async with eager.worker():
        run = await eager.start("work")
        ended = (await eager.wait_until_ended(run)).run

    found = await stored(eager, ended, FailureClass.UNKNOWN)
    assert found[0].evidence["subtype"] == "error_during_execution"


async def test_a_conversation_that_could_not_be_stored_is_not_resumed(
    eager: CoreHarness, database: Database
) -> None:
    lasting = LastingWork(eager.model)
    async with eager.worker():
        run = await eager.start(LASTING)
        await eager.wait_until(run, lambda seen: seen.run.tool_calls >= 2)
        async with missing_table(database, "transcript_entries"):
            eager.model.failures.extend([Failure(status=500)] * 20)
            ended = (await eager.wait_until_ended(run, within=120)).run
    lasting.finish()

    [failed] = await stored(eager, ended, FailureClass.MIRROR_FAILED)
    assert int(failed.evidence["lost_transcript_entries"]) > 0
    assert failed.decision.reason is RetryReason.DETERMINISTIC
    assert failed.advice is Advice.RECOVER


async def test_a_kill_during_the_wait_is_the_end(database: Database, tmp_path: Path) -> None:
    later = '{overloaded = {attempts = 3, backoff = "1h..6h"}}'
    async with (
        open_core_harness(tmp_path / "home", database.dsn, retry=later) as harness,
        harness.worker(),
    ):
        run = await harness.start("[scenario: overloaded] [times: forever] work")
        waiting = (await harness.wait_until(run, lambda seen: seen.run.retry_at)).run
        await harness.backend.runs.kill(KillRequest(target=run.run_id), by=harness.operator)
        ended = (await harness.read_run(run)).run

    assert waiting.status is RunStatus.PENDING
    assert (ended.status, ended.attempt, ended.retry_at) == (RunStatus.KILLED, 2, None)


async def test_money_ends_the_attempts(database: Database, tmp_path: Path) -> None:
    def play(conversation: Conversation) -> Turn:
        if conversation.position < 2:
            return Turn(calls=(bash("echo one", "Work"),))
        return Turn(failure=Failure(status=529, error_type="overloaded_error", times=None))

    retry = '{overloaded = {attempts = 5, backoff = "1s..1s"}, budget_usd = 0.0001}'
    async with (
        open_core_harness(tmp_path / "home", database.dsn, retry=retry) as harness,
        harness.worker(),
    ):
        harness.model.script = Script(name="dear", description="", play=play)
        run = await harness.start("work")
        ended = (await harness.wait_until_ended(run)).run
        [failed] = await stored(harness, ended, FailureClass.OVERLOADED)

    assert failed.decision.reason is RetryReason.BUDGET_USED
    assert failed.decision.cost_usd is not None
    assert failed.decision.cost_usd > 0
