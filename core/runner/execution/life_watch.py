"""Watches the programs of an attempt of which nothing is heard: do they do anything?

A long build is no stall.  Nothing here is in the agent's path: the programs are looked at from
outside, and only while one of them is waited for.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.agent.process.process_tree import ProcessTree
from core.agent.process.programs import look_at_commands, look_at_tools
from core.domain.runs.activity.awaited import Awaited, AwaitedKind
from core.domain.runs.activity.life import Look, is_output_known, signs_between
from core.runner.execution.attempt import Attempt
from core.runner.log_fields import log_fields
from core.services.context import Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LookTimes:
    """When the programs of an attempt are looked at.

    Attributes:
        every: The pause between two looks.
        silent_for: Nothing was heard of the attempt for so long.
    """

    every: timedelta = timedelta(seconds=20)
    silent_for: timedelta = timedelta(seconds=30)


USUAL_LOOKS = LookTimes()


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A look, and what was waited for; looks at different things are not compared."""

    kind: AwaitedKind
    since: datetime
    look: Look
    at: datetime


@dataclass
class LifeWatch:
    """Looks at the programs of one attempt, and adds what they do to its progress."""

    attempt: Attempt
    clock: Clock
    times: LookTimes = USUAL_LOOKS
    _seen: _Seen | None = None
    _tree: ProcessTree | None = None

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self.times.every.total_seconds())
            try:
                await self.look_if_silent()
            except Exception:
                # The agent works on; the next look follows.
                log.exception(
                    "%s: its programs could not be looked at",
                    self.attempt.run.run_id,
                    extra=log_fields("life.look_failed", self.attempt.run),
                )

    async def look_if_silent(self) -> None:
        """Look, if programs are waited for and nothing was heard for a while.

        Raises:
            OSError: If this process cannot read the process table.
        """
        awaiting = self.attempt.progress.awaiting
        awaited, began = awaiting.awaited, self.clock()
        if awaited is None or began - awaited.heard_at < self.times.silent_for:
            self._seen = None
            return
        look = await self._look(awaited, began)
        now = self.clock()
        if look is None or awaiting.awaited is None or awaiting.awaited.heard_at > began:
            # Something was heard meanwhile, and is newer.
            self._seen = None
            return
        before = self._seen
        self._seen = _Seen(kind=awaited.kind, since=awaited.since, look=look, at=began)
        has_changed = awaiting.watch(at=now, is_output_known=is_output_known(look))
        if before is not None and (before.kind, before.since) == (awaited.kind, awaited.since):
            signs = signs_between(before.look, look, began - before.at)
            has_changed = awaiting.add_signs(signs, at=now) or has_changed
        if has_changed:
            self.attempt.progress.has_new_signs = True
            self.attempt.has_changes.set()

    async def _look(self, awaited: Awaited, now: datetime) -> Look | None:
        """Look at what is waited for; `None` if that is no program."""
        opened, call = self.attempt.opened, self.attempt.progress.awaiting.open_call
        if opened.agent is None:
            if awaited.kind is not AwaitedKind.WORKSPACE:
                return None
            return await look_at_commands(opened.git.pids, opened.git.awaited_folder)
        if call is None:
            return None
        if self._tree is None:
            known = opened.agent.tree
            self._tree = ProcessTree(known.run_marker, known.root, known.attempt)
        self._tree.merge_known(opened.agent.tree)
        return await look_at_tools(
            self._tree,
            # An older daemon of the agent's says nothing about this call.
            begun_within=None if call.is_of_server else now - call.since,
        )


def hear_resumed(attempt: Attempt, *, at: datetime) -> None:
    """Let an attempt be heard of whose agent was paused; its silence counts from now."""
    attempt.progress.awaiting.resume(at=at)
    attempt.progress.has_new_signs = True
    attempt.has_changes.set()
