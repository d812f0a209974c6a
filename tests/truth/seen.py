"""A run that has ended, with what it must show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot
from tests.truth.account import Figures
from tests.truth.pages import RunPage
from tests.truth.plan import Leg, Plan
from tests.truth.programs import Status
from tests.truth.repository import named


@dataclass(frozen=True, kw_only=True)
class SeenLeg:
    """A run that has ended, and what it must show.

    Attributes:
        run_branch: The name of the branch that Signalbox made for the session.
        earlier: The figures of the session's earlier runs.
        live: What was shown while a tool slept, if one did.
        answers: What programs are answered about the run, by the name of the surface.
        page: What the dashboard's page of the run says.
    """

    plan: Plan
    leg: Leg
    run_branch: str
    snapshot: RunSnapshot
    figures: Figures
    earlier: tuple[Figures, ...]
    now: datetime
    live: RunSnapshot | None = None
    answers: Mapping[str, Status] = field(default_factory=dict)
    page: RunPage | None = None

    @property
    def run(self) -> Run:
        """The row."""
        return self.snapshot.run

    def branch_name(self, branch: str | None) -> str | None:
        """The full name of a branch of the script's account."""
        return named(branch, self.run_branch)
