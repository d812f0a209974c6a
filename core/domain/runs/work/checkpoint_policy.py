"""When checkpoints are taken, on which they stand, and which are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core.domain.runs.checkpoint import LEG_REASONS, Checkpoint, CheckpointReason


@dataclass(frozen=True, kw_only=True)
class CheckpointPolicy:
    """The settings of checkpoints.

    Attributes:
        is_enabled: Whether any are taken.
        every: How long a workspace may change without one; steps and legs have theirs besides.
        keep_all: For so long every checkpoint is kept.
        keep_steps: For so long one checkpoint of each step is kept; then one of each leg.
        max_stored_bytes: The most that the database stores of one.
        max_changed_bytes: The most that changed files may have together; if they have more, no
            checkpoint is taken.
    """

    is_enabled: bool = True
    every: timedelta = timedelta(minutes=5)
    keep_all: timedelta = timedelta(hours=1)
    keep_steps: timedelta = timedelta(days=7)
    max_stored_bytes: int = 25_000_000
    max_changed_bytes: int = 1_000_000_000

    def find_expired(
        self,
        checkpoints: Sequence[Checkpoint],
        *,
        now: datetime,
        protected: Collection[UUID] = (),
    ) -> list[Checkpoint]:
        """The checkpoints of one session that need not be kept, newest first.

        Of the last hour all stay, of the last week one of each step, and of older ones one of each
        leg (with the usual settings).  The newest one stays, and so does each on which another one
        stands that stays.

        Args:
            checkpoints: All checkpoints of the session.
            now: The present time.
            protected: Checkpoints that stay: a run was restarted from them.
        """
        ordered = sorted(checkpoints, key=lambda one: one.number)
        old = [one for one in ordered if now - one.taken_at > self.keep_all]
        kept = {one.id for one in ordered if now - one.taken_at <= self.keep_all}
        kept |= {*protected, *(one.id for one in ordered[-1:])}
        kept |= _last_of_legs(old)
        kept |= _last_of_steps(one for one in old if now - one.taken_at <= self.keep_steps)
        for one in reversed(ordered):
            if one.id in kept and one.previous_id is not None:
                kept.add(one.previous_id)
        return [one for one in reversed(ordered) if one.id not in kept]


DEFAULT_POLICY = CheckpointPolicy()


def find_basis(reason: CheckpointReason, checkpoints: Iterable[Checkpoint]) -> Checkpoint | None:
    """The checkpoint on whose objects a new one stands; `None` if it needs its own.

    It is one that is kept at least as long, so that old ones can be deleted without repacking: the
    end of a leg stands on the end of an earlier one, the end of a step on one of either kind.

    Args:
        reason: Why the new one is taken.
        checkpoints: The earlier ones of its lineage.
    """
    level = _level(reason)
    found = [one for one in checkpoints if one.not_stored is None and _level(one.reason) >= level]
    return max(found, key=lambda one: one.number, default=None)


def _level(reason: CheckpointReason) -> int:
    if reason in LEG_REASONS:
        return 2
    return 1 if reason is CheckpointReason.STEP_ENDED else 0


def _last_of_legs(checkpoints: Iterable[Checkpoint]) -> set[UUID]:
    """The last checkpoint of each run, its end if it has one."""
    last: dict[UUID, Checkpoint] = {}
    for one in checkpoints:
        known = last.get(one.run_id)
        if known is None or one.reason in LEG_REASONS or known.reason not in LEG_REASONS:
            last[one.run_id] = one
    return {one.id for one in last.values()}


def _last_of_steps(checkpoints: Iterable[Checkpoint]) -> set[UUID]:
    """The last checkpoint of each step, its end if it has one; and the ends of legs."""
    last: dict[tuple[UUID, int | None, bool], Checkpoint] = {}
    for one in checkpoints:
        is_leg = one.reason in LEG_REASONS
        key = (one.run_id, one.step_id, is_leg)
        known = last.get(key)
        is_end = one.reason is CheckpointReason.STEP_ENDED
        if known is None or is_end or known.reason is not CheckpointReason.STEP_ENDED or is_leg:
            last[key] = one
    return {one.id for one in last.values()}
