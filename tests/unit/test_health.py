"""What `/readyz` says of a worker that takes no jobs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bot.assembly.app import _health
from core.runner.worker.worker_runtime import WorkerRuntime

UNUSED: Any = None


def runtime(problem: str | None) -> WorkerRuntime:
    worker: Any = SimpleNamespace(is_ready=problem is None, problem=problem)
    return WorkerRuntime(
        identity=UNUSED,
        record=UNUSED,
        ledger=UNUSED,
        kills=UNUSED,
        workspaces=UNUSED,
        lease=UNUSED,
        inbox=UNUSED,
        worker=worker,
        installation_id="",
        caretaker=UNUSED,
        is_up=True,
    )


async def test_a_worker_that_takes_no_jobs_says_why() -> None:
    health = _health(UNUSED, None, runtime("its fetches of jobs fail"))

    assert not await health.checks["worker"]()
    assert health.warnings() == ["worker: takes no jobs, its fetches of jobs fail"]


async def test_a_worker_that_takes_jobs_has_no_warning() -> None:
    health = _health(UNUSED, None, runtime(None))

    assert await health.checks["worker"]()
    assert health.warnings() == []
