"""The lease: who is paused, who goes on, and what must not end the watch over it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from core.agent.process.ladder import ProcessTree
from core.runner.execution.attempt import Attempt
from core.runner.worker.lease import Lease, boottime_seconds

NO_FENCE = timedelta(seconds=-1)


def attempt() -> Attempt:
    """A leg whose agent is at work."""
    run = SimpleNamespace(id=uuid4(), attempt=1)
    agent = SimpleNamespace(tree=ProcessTree(f"run_{run.id.hex[:12]}", None))
    return cast(
        "Attempt", SimpleNamespace(run=run, agent=agent, cause=None, changed=asyncio.Event())
    )


async def test_a_leg_that_ends_while_another_goes_on_does_no_harm() -> None:
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


async def test_the_watch_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
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
        async with asyncio.timeout(10):
            while not lease.paused:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
        watching.cancel()
        await asyncio.wait({watching})

    assert tries == 2
    assert "never thought of" in caplog.text
