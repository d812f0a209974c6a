"""The checkpoints of a run through the API."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from core.domain.actor import Role
from core.domain.runs.checkpoint import (
    PROBLEM_KEY,
    Checkpoint,
    CheckpointDiff,
    CheckpointReason,
    NotStored,
)
from core.domain.runs.run import Run
from core.store.runs import runs
from core.store.sessions.checkpoints import checkpoints
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, running_run


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.VIEWER)


def checkpoint_of(run: Run) -> Checkpoint:
    return Checkpoint(
        id=uuid4(),
        run_id=run.id,
        session_id=run.session_id,
        attempt=run.attempt,
        number=0,
        taken_at=NOW,
        reason=CheckpointReason.STEP_ENDED,
        commit="c" * 40,
        step_id=1,
        step_name="Write the module",
        branch="signalbox/implement/run_1",
        turns=3,
        cost_usd=Decimal("0.0138"),
        tool_calls=5,
        diff=CheckpointDiff(files=2, added=49, removed=1),
    )


async def test_checkpoints_are_listed_oldest_first_with_all_that_a_restart_needs(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    first = checkpoint_of(run)
    second = replace(
        first,
        id=uuid4(),
        taken_at=NOW + timedelta(seconds=9),
        diff=None,
        cost_usd=None,
        not_stored=NotStored.TOO_LARGE,
    )
    async with api.database.sessions.begin() as session:
        await checkpoints.add(session, first, b"a bundle")
        await checkpoints.add(session, second, None)

    reply = await api.get(f"{CONSOLE}/run/{run.run_id}/checkpoints", token)

    assert reply.status == 200
    assert (reply.body["run_id"], reply.body["problem"]) == (run.run_id, None)
    one, two = reply.body["checkpoints"]
    assert (one["number"], one["reason"], one["step_name"]) == (
        1,
        "step_ended",
        "Write the module",
    )
    assert (one["turns"], one["cost"], one["tool_calls"]) == (3, 0.0138, 5)
    assert (one["files_changed"], one["lines_added"], one["lines_removed"]) == (2, 49, 1)
    assert (one["size_bytes"], one["is_restorable_anywhere"]) == (8, True)
    assert (two["number"], two["cost"], two["files_changed"]) == (2, None, None)
    assert (two["is_restorable_anywhere"], two["not_stored"]) == (False, "too_large")


async def test_what_keeps_a_run_from_having_checkpoints_is_said(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    async with api.database.sessions.begin() as session:
        await runs.change(session, run.run_id, now=NOW, metadata={PROBLEM_KEY: "Too large."})

    reply = await api.get(f"{CONSOLE}/run/{run.run_id}/checkpoints", token)

    assert reply.body == {"run_id": run.run_id, "checkpoints": [], "problem": "Too large."}


async def test_checkpoints_of_an_unknown_run_are_not_found(api: ApiHarness, token: str) -> None:
    reply = await api.get(f"{CONSOLE}/run/run_000000000000/checkpoints", token)

    assert (reply.status, reply.error) == (404, "run_not_found")
