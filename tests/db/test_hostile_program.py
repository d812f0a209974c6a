"""What a hostile program reports can be stored, and never keeps a run from its end."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from claude_agent_sdk._internal.message_parser import parse_message

from core.agent.results.attempt_result import AttemptResult
from core.agent.translate import Translator
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus, StopReason, Usage
from core.domain.workflow import OnWorkerLost, WorkflowDefinition
from core.runner.execution.attempt import Attempt
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.progress import Progress
from tests.database import NOW
from tests.db.test_recount import answer, transcribe
from tests.rescue_harness import RescueHarness, rescue_harness

__all__ = ["rescue_harness"]

LONG = "9" * 5_000
HOSTILE_TEXT = f"\x00\ud800 {LONG}"
DEFINITION = WorkflowDefinition(name="test", description="", prompt="", allowed_tools=())


def said(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    message = {"content": list(blocks), "model": HOSTILE_TEXT, "id": "m\x00"} | fields
    return {"type": "assistant", "message": message}


def reported(**fields: Any) -> dict[str, Any]:
    given = {"subtype": "success", "is_error": False, "session_id": "s", "result": "ok"}
    times = {"duration_ms": 1, "duration_api_ms": 1, "num_turns": 1, "total_cost_usd": 0.5}
    return {"type": "result", **given, **times} | fields


HOSTILE_LINES: tuple[dict[str, Any], ...] = (
    {"type": "system", "subtype": "init", "model": HOSTILE_TEXT, "claude_code_version": LONG},
    {"type": "system", "subtype": "api_retry", "attempt": 2**70, "error": HOSTILE_TEXT},
    said({"type": "text", "text": HOSTILE_TEXT}, usage={"output_tokens": 10**30}),
    said({"type": "tool_use", "id": "t", "name": HOSTILE_TEXT, "input": {"\x00": "\ud800"}}),
    said({"type": "tool_use", "id": "p", "name": "TaskCreate", "input": {"subject": "\x00"}}),
    {
        "type": "user",
        "message": {
            "content": [
                {"type": "tool_result", "tool_use_id": "p", "content": "Task #1 created \ud800"},
                {"type": "tool_result", "tool_use_id": "t", "content": f"{LONG} passed in 1s"},
            ]
        },
    },
    {
        "type": "rate_limit_event",
        "rate_limit_info": {"status": HOSTILE_TEXT, "resetsAt": 1e300},
        "uuid": "u",
        "session_id": "s",
    },
    reported(num_turns=2**40, total_cost_usd=float("nan"), usage={"input_tokens": -1}),
    reported(
        subtype=HOSTILE_TEXT, total_cost_usd=-5, errors=[HOSTILE_TEXT], terminal_reason="\x00"
    ),
)


def attempt_of(run: Run, *lines: dict[str, Any]) -> Attempt:
    """An attempt whose program wrote these lines."""
    attempt = Attempt(run=run, definition=DEFINITION, progress=Progress(model=None))
    translator = Translator()
    for line in lines:
        # As they come through the pipe.
        message = parse_message(json.loads(json.dumps(line)))
        assert message is not None
        for event in translator.translate(message):
            attempt.progress.add_event(event, at=NOW)
    return attempt


def ledger_of(rescue_harness: RescueHarness) -> Ledger:
    return Ledger(rescue_harness.ledger.context, "here-1:deadbeef", "here")


async def test_all_that_a_hostile_program_reports_can_be_stored(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()
    attempt, ledger = attempt_of(run, *HOSTILE_LINES), ledger_of(rescue_harness)

    await ledger.write_progress(attempt)
    ended = await ledger.finish(
        attempt,
        AttemptResult(stop_reason=StopReason.AGENT_ERROR, result=HOSTILE_TEXT, error=HOSTILE_TEXT),
    )

    assert (ended.status, ended.stop_reason) == (RunStatus.FAILED, StopReason.AGENT_ERROR)
    assert ended.cost_usd is None
    assert (ended.turns, ended.usage.input_tokens) == (1, 0)
    assert len(ended.ai_model or "") == 100
    assert len(await rescue_harness.event_data(run, EventKind.TOOL_STARTED)) == 2


async def test_forged_answers_do_not_keep_a_run_from_its_end(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()
    usage = {"output_tokens": 10**9}
    model = "claude-opus-4-1"
    forged = [said(id=f"m{number}", usage=usage, model=model) for number in range(200)]

    ended = await ledger_of(rescue_harness).finish(
        attempt_of(run, *forged),
        AttemptResult(stop_reason=StopReason.TIMEOUT, result=None, error="The time was over."),
    )

    assert (ended.status, ended.cost_usd) == (RunStatus.FAILED, None)
    assert ended.usage == Usage(output_tokens=200 * 10**9)


@pytest.mark.parametrize("on_worker_lost", list(OnWorkerLost))
async def test_forged_entries_do_not_keep_a_run_from_its_end(
    rescue_harness: RescueHarness, on_worker_lost: OnWorkerLost
) -> None:
    run = await rescue_harness.start_run(on_worker_lost=on_worker_lost)
    forged = [answer(number) for number in range(200)]
    for entry in forged:
        usage = {"output_tokens": 10**9, "input_tokens": -(10**30)}
        entry["message"] = {"id": entry["uuid"], "model": "claude-opus-4-1", "usage": usage}
        entry["text"] = HOSTILE_TEXT
    await transcribe(rescue_harness, run, *forged)

    (lost,) = await rescue_harness.check_twice()

    assert lost.status in (RunStatus.PENDING, RunStatus.FAILED)
    assert (lost.cost_usd, lost.turns) == (None, 200)


async def test_a_conversation_with_a_nul_is_counted_when_the_run_is_killed(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()
    spoken = answer(1)
    output: dict[str, object] = {
        "type": "user",
        "uuid": "output",
        "message": {"content": "\x00 \ud800"},
    }
    await transcribe(rescue_harness, run, output, spoken)

    await rescue_harness.ledger.kills.finish_killed(run)

    ended = await rescue_harness.ledger.read_run(run.run_id)
    assert (ended.stop_reason, ended.cost_usd) == (StopReason.KILLED, Decimal("0.00153"))
