"""The lease: which attempts are paused and resumed, and failures that must not end it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from core.agent.process.process_tree import ProcessTree
from core.domain.workflow import WorkflowDefinition
from core.runner.execution.attempt import Attempt, Opened
from core.runner.execution.progress import Progress
from core.runner.worker.lease import Lease, boottime_seconds
from tests.limits import limit

NO_FENCE = timedelta(seconds=-1)


def attempt() -> Attempt:
    """An attempt whose agent is at work."""
    run: Any = SimpleNamespace(id=uuid4(), attempt=1)
    agent: Any = SimpleNamespace(tree=ProcessTree(f"run_{run.id.hex[:12]}", None))
    return Attempt(
        run=run,
        definition=cast("WorkflowDefinition", None),
        progress=Progress(model=None),
        opened=Opened(agent=agent),
    )


async def test_an_attempt_that_ends_during_a_resume_is_harmless() -> None:
    holding, resumed = ExitStack(), []

    async def pause(_: ProcessTree) -> int:
        return 1

    async def resume(tree: ProcessTree) -> None:
        resumed.append(tree)
        holding.close()

    lease = Lease(fence_after=NO_FENCE, pause=pause, resume=resume)
    for _ in range(2):
        holding.enter_context(lease.holding(attempt()))
    await lease.pause_if_expired()
    both = lease.paused

    await lease.renew(both, queried_at=boottime_seconds())

    assert len(both) == 2
    assert len(resumed) == 1
    assert lease.paused == frozenset()


async def test_the_lease_is_watched_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    tries = 0

    async def pause(_: ProcessTree) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("never thought of")
        return 1

    lease: Any = Lease(fence_after=NO_FENCE, check_interval=timedelta(milliseconds=5), pause=pause)
    with lease.holding(attempt()):
        watching = asyncio.create_task(lease.watch())
        async with limit(10):
            while not lease.paused:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.005)
        watching.cancel()
        await asyncio.wait({watching})

    assert tries == 2
    assert "never thought of" in caplog.text


async def test_an_agent_that_could_not_be_resumed_is_resumed_by_the_next_renewal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries: list[str] = []

    async def pause(_: ProcessTree) -> int:
        return 1

    async def resume(tree: ProcessTree) -> None:
        tries.append(tree.run_marker)
        if tries.count(tree.run_marker) == 1:
            raise OSError("too many open files")

    lease = Lease(fence_after=NO_FENCE, pause=pause, resume=resume)
    with lease.holding(attempt()), lease.holding(attempt()):
        await lease.pause_if_expired()
        own = lease.paused

        await lease.renew(own, queried_at=boottime_seconds())
        still_paused = lease.paused
        await lease.renew(own, queried_at=boottime_seconds())

        assert still_paused == own
        assert lease.paused == frozenset()
    assert len(tries) == 4
    assert "too many open files" in caplog.text
