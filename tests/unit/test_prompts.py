"""The first prompt of an attempt: it contains everything the agent has not received yet."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from core.domain.runs.run import Run
from core.runner.execution.attempt import prompt_uuid_of
from core.runner.execution.history import RESUME_PROMPT, SessionHistory, prompt_of
from tests.database import new_run

TASK = "Add rate limiting"
NOTHING = SessionHistory(first_task=TASK, has_transcript=False, plan=(), branch=None)
STARTED = replace(NOTHING, has_transcript=True)
RECEIVED = replace(STARTED, has_received_task=True)


def run(attempt: int, task: str = TASK, *, follows: bool = False) -> Run:
    parent = uuid4() if follows else None
    return new_run(uuid4(), attempt=attempt, task_input=task, parent_run_id=parent)


def test_a_first_attempt_sends_the_task() -> None:
    assert prompt_of(run(1), NOTHING) == TASK


def test_a_later_attempt_resumes_if_the_agent_received_the_task() -> None:
    assert prompt_of(run(2), RECEIVED) == RESUME_PROMPT


def test_a_later_attempt_repeats_a_task_that_was_never_received() -> None:
    assert prompt_of(run(2), NOTHING) == TASK


def test_the_text_of_a_continue_is_sent_after_its_first_worker_died() -> None:
    # The session has a transcript of the run before; the agent knows nothing about this run.
    assert prompt_of(run(2, "Use Redis", follows=True), STARTED) == "Use Redis"


def test_a_continue_of_a_run_that_never_began_sends_both_texts() -> None:
    said = prompt_of(run(1, "Use Redis", follows=True), NOTHING)

    assert said == f"{TASK}\n\nUse Redis"


def test_each_attempt_begins_with_its_own_message() -> None:
    one = run(1)

    assert prompt_uuid_of(one, 1) == one.id
    assert len({prompt_uuid_of(one, attempt) for attempt in range(1, 5)}) == 4
