"""Sessions of one workflow whose runs are alike, so that their ends can be foreseen.

Each has a task list and goes through it at a pace of its own, which no earlier run tells.
"""

from __future__ import annotations

import random
from itertools import count

from bot.sandbox.model.script import ToolCall, bash
from tests.truth.drawing import MODELS, Draft
from tests.truth.effects import COMPLETED, IN_PROGRESS, AddTask, CommitFiles, Effect, Fill, SetTask
from tests.truth.origin import MAIN
from tests.truth.plan import Answer, Disturbance, End, Leg, Plan, initial_state
from tests.truth.repository import Content

WORKFLOW = "fix"
# Their numbers follow those of all other plans.
_FIRST_NUMBER = 9_000
_TASKS = (4, 7)
# Seconds for a task, and how much faster or slower one is than the others of its run.
_SECONDS = (0.8, 2.0)
_VARIATION = 0.25


def steady_plans(seed: int, number: int) -> list[Plan]:
    """So many plans."""
    return [_steady_plan(seed, _FIRST_NUMBER + place) for place in range(number)]


def _steady_plan(seed: int, number: int) -> Plan:
    rng = random.Random(f"{seed}:{number}:steady")
    state = initial_state(MAIN)
    draft = Draft(number, rng, state, state.repository.copy())
    tasks = range(1, rng.randint(*_TASKS) + 1)
    pace, ids = rng.uniform(*_SECONDS), count(1)
    answers = [_answer(draft, [AddTask(task, f"Task {task}") for task in tasks])]
    for task in tasks:
        first = 1_000_000 * next(ids)
        fill = Fill(f"src/{task}.txt", Content(first, first + rng.randint(1, 20)))
        work = (fill, CommitFiles(f"Do task {task}", (fill.path,)))
        seconds = pace * rng.uniform(1 - _VARIATION, 1 + _VARIATION)
        command = " && ".join([f"sleep {seconds:.2f}", *(one.command for one in work)])
        answers.append(
            _answer(draft, [SetTask(task, IN_PROGRESS)], bash(command, "Work"), effects=work)
        )
        answers.append(_answer(draft, [SetTask(task, COMPLETED)]))
    answers.append(draft.answer(text="All is done."))
    return Plan(
        number=number,
        model=MODELS[0],
        disturbance=Disturbance.NONE,
        legs=(Leg(end=End.FINISHED, part=0, answers=len(answers)),),
        parts={0: tuple(answers)},
        helpers={},
        branch=MAIN,
        workflow=WORKFLOW,
    )


def _answer(
    draft: Draft,
    changes: list[AddTask] | list[SetTask],
    *calls: ToolCall,
    effects: tuple[Effect, ...] = (),
) -> Answer:
    answer = draft.answer()
    return Answer(
        text=answer.text,
        tokens=answer.tokens,
        is_report=answer.is_report,
        calls=(*(change.call for change in changes), *calls),
        effects=(*changes, *effects),
    )
