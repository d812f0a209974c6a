"""Reports of written changes to the process's meter, once they are committed.

The store's functions note a change in their session.  A rollback forgets it; the commit of the
whole transaction reports it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from core.domain.kills.termination import Termination
from core.domain.meter import NO_METER, Meter
from core.domain.runs.run import Run

log = logging.getLogger(__name__)

_METER = "meter"
_NOTED = "noted"


@dataclass
class _Noted:
    """The changes of one transaction; runs by their id."""

    began: dict[str, Run] = field(default_factory=dict)
    ended: dict[str, Run] = field(default_factory=dict)
    kills: list[Termination] = field(default_factory=list)

    def report(self, meter: Meter) -> None:
        for run in self.began.values():
            meter.run_began(run)
        for run in self.ended.values():
            meter.run_ended(run)
        for kill in self.kills:
            meter.kill_advanced(kill)


class MeasuredSession(Session):
    """A session that reports to a meter; see `session_info`."""


def session_info(meter: Meter) -> dict[str, object]:
    """The `info` of sessions that report to a meter."""
    return {_METER: meter}


def note_began(session: AsyncSession, run: Run) -> None:
    """Note that an attempt of a run begins."""
    _noted(session).began[run.run_id] = run


def note_ended(session: AsyncSession, run: Run) -> None:
    """Note that a run ends."""
    _noted(session).ended[run.run_id] = run


def note_changed(session: AsyncSession, run: Run) -> None:
    """Note the last values of a run that ends in this transaction, such as its recounted cost."""
    ended = _noted(session).ended
    if run.run_id in ended:
        ended[run.run_id] = run


def note_kill(session: AsyncSession, kill: Termination) -> None:
    """Note that a kill reaches a phase."""
    _noted(session).kills.append(kill)


def _noted(session: AsyncSession) -> _Noted:
    noted: _Noted = session.info.setdefault(_NOTED, _Noted())
    return noted


@event.listens_for(MeasuredSession, "after_commit")
def _report(session: Session) -> None:
    if session.get_nested_transaction() is not None:
        # Only a savepoint was released.
        return
    noted: _Noted | None = session.info.pop(_NOTED, None)
    if noted is None:
        return
    meter: Meter = session.info.get(_METER, NO_METER)
    try:
        noted.report(meter)
    except Exception:
        # The transaction is committed: a defect of the count must not look like its failure.
        log.exception("a change could not be counted", extra={"event": "measurement.failed"})


@event.listens_for(MeasuredSession, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(_NOTED, None)
