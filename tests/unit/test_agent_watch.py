"""The watch over the agent program notices its death, also after scans that failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from core.agent.process.process_table import identify
from core.agent.process.process_tree import ProcessTree, find_run_processes
from core.agent.process.program import watch_program
from tests.limits import limit
from tests.unit.process_trees import (
    ORPHANED,
    StartedTree,
    linux_only,
    no_descriptors,
    start_tree,
)

pytestmark = linux_only

INTERVAL = timedelta(milliseconds=20)


@asynccontextmanager
async def watched(tree: StartedTree) -> AsyncIterator[asyncio.Task[None]]:
    """The task that watches a program whose stream is open."""
    seen = ProcessTree(tree.run_marker, tree.root, attempt=1)
    watch = asyncio.create_task(
        watch_program(seen, tree.root, is_stream_over=lambda: False, interval=INTERVAL)
    )
    try:
        yield watch
    finally:
        watch.cancel()
        await asyncio.wait({watch})


async def wait_until(holds: Callable[[], bool]) -> None:
    async with limit(10):
        while not holds():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.005)


async def test_what_a_dead_program_left_is_ended() -> None:
    with start_tree("bash", "-c", ORPHANED) as tree:
        async with watched(tree) as watch:
            tree.process.kill()
            async with limit(10):
                await watch

        assert find_run_processes(tree.run_marker, None) == ()


async def test_a_death_is_noticed_after_scans_that_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with start_tree("bash", "-c", ORPHANED) as tree:
        async with watched(tree) as watch:
            with no_descriptors():
                await wait_until(lambda: caplog.text.count("cannot be watched") >= 2)
            tree.process.kill()
            async with limit(10):
                await watch

        assert find_run_processes(tree.run_marker, None) == ()


async def test_a_program_that_cannot_be_seen_is_not_dead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with start_tree("bash", "-c", ORPHANED) as tree:
        async with watched(tree) as watch:
            with no_descriptors():
                await wait_until(lambda: caplog.text.count("cannot be watched") >= 3)

            assert not watch.done()
        assert identify(tree.root.pid) == tree.root
