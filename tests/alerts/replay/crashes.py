"""Cuts an evaluation short at a chosen statement, as the end of its process does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from tests.alerts.world import AlertWorld


class Cut(Exception):
    """The evaluation ended here."""


@dataclass(frozen=True)
class Crash:
    """Where an evaluation ends.

    Attributes:
        statement: The number of the statement that is not executed any more, from 1; if there
            are fewer, it is the commit that does not happen.
        is_cancelled: Whether the task is cancelled at the statement; else the statement raises.
    """

    statement: int
    is_cancelled: bool


async def crashing(world: AlertWorld, crash: Crash) -> None:
    """Evaluate once, until the statement or the commit."""
    engine = world.database.engine.sync_engine
    task = asyncio.create_task(world.evaluate(), name="evaluation")
    count = 0

    def cut(*_: Any) -> None:
        nonlocal count
        count += 1
        if count != crash.statement:
            return
        if not crash.is_cancelled:
            raise Cut
        task.cancel()

    def cut_commit(*_: Any) -> None:
        raise Cut

    event.listen(engine, "before_cursor_execute", cut)
    event.listen(engine, "commit", cut_commit)
    try:
        await task
    except (Cut, asyncio.CancelledError):
        return
    finally:
        event.remove(engine, "before_cursor_execute", cut)
        event.remove(engine, "commit", cut_commit)
    raise AssertionError("the evaluation was not cut short")
