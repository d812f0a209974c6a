"""What an attempt says to its agent first: nothing that was asked may stay unsaid."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from core.domain.runs.run import Run
from core.runner.execution.attempt import prompt_uuid_of
from core.runner.execution.history import SessionHistory
from core.runner.execution.outcome import RESUME_PROMPT, prompt_of
from tests.database import new_run

TASK = "Add rate limiting"
NOTHING = SessionHistory(first_task=TASK, has_transcript=False, plan=(), branch=None)
TALKED = replace(NOTHING, has_transcript=True)
HEARD = replace(TALKED, has_received_task=True)


def run(attempt: int, task: str = TASK, *, follows: bool = False) -> Run:
    parent = uuid4() if follows else None
    return new_run(uuid4(), attempt=attempt, task_input=task, parent_run_id=parent)


def test_a_first_attempt_asks_what_was_asked() -> None:
    assert prompt_of(run(1), NOTHING) == TASK


def test_a_later_attempt_goes_on_with_what_the_agent_has_heard() -> None:
    assert prompt_of(run(2), HEARD) == RESUME_PROMPT


def test_a_later_attempt_asks_again_what_was_never_heard() -> None:
    assert prompt_of(run(2), NOTHING) == TASK


def test_the_words_of_a_continue_reach_the_agent_though_its_first_worker_died_before() -> None:
    # The session has a transcript, of the leg before; of this one the agent knows nothing.
    assert prompt_of(run(2, "Use Redis", follows=True), TALKED) == "Use Redis"


def test_a_continue_of_what_was_never_heard_says_both() -> None:
    said = prompt_of(run(1, "Use Redis", follows=True), NOTHING)

    assert said == f"{TASK}\n\nUse Redis"


def test_each_attempt_begins_with_a_message_of_its_own() -> None:
    one = run(1)

    assert prompt_uuid_of(one, 1) == one.id
    assert len({prompt_uuid_of(one, attempt) for attempt in range(1, 5)}) == 4
