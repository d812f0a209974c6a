"""Conditions: what is observed at one moment that an alert may have to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.alerts.kinds import KIND_RULES, AlertKind, Severity, Subject, SubjectType

# (Kind, subject): there is at most one open episode of each.
AlertKey = tuple[AlertKind, Subject]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What the filters of subscriptions look at; `None` where it does not apply.

    Attributes:
        repository: The repository's address.
        owner_id: The Slack id of the run's owner, if known, else the id of the `users` row.
        cost_usd: The run's cost so far, in US dollars.
    """

    workflow: str | None = None
    repository: str | None = None
    owner_id: str | None = None
    owner_name: str | None = None
    cost_usd: Decimal | None = None


NO_SCOPE = Scope()


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Something observed that an alert of this kind tells, now.

    Attributes:
        since: When it began, as far as that is known; else when it was observed.
        evidence: The numbers behind it, as JSON; `bot.words` makes the sentence.  Its keys depend
            on the kind, and are listed in `core.domain.alerts.evidence`.
        run_id: The id of the run's row, if it is about one.
        node: The worker's node that executes the run, for inhibition.
    """

    kind: AlertKind
    subject: Subject
    since: datetime
    severity: Severity
    evidence: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    scope: Scope = NO_SCOPE
    run_id: UUID | None = None
    node: str | None = None

    @property
    def key(self) -> AlertKey:
        """The kind and the subject."""
        return self.kind, self.subject


def usual_severity(kind: AlertKind) -> Severity:
    """The severity of a kind if nothing raises it."""
    return KIND_RULES[kind].severity


def run_subject(run_id: str) -> Subject:
    """A run as a subject."""
    return Subject(type=SubjectType.RUN, id=run_id)
