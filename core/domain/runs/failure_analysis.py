"""The analysis of a failed run, as its metadata keeps it: the cause, and the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.domain.errors import OpsError
from core.domain.failure_cause import FailureCause
from core.domain.redact import redact
from core.domain.runs.run import Run, RunStatus

# In a run's metadata: {"cause": "unknown_model", "subject": "sonet-5", "evidence": {…}}.
FAILURE_KEY = "failure"
_MAX_SUBJECT_CHARS = 160
_MAX_EVIDENCE_CHARS = 500


@dataclass(frozen=True, kw_only=True)
class FailureAnalysis:
    """Why a run failed.

    Attributes:
        subject: The name of what failed, for titles: a model, a repository, a branch.  `None` if
            the cause has none, or it is unknown.
        evidence: What the cause was told from, by name: the HTTP `status`, the program's own
            `error_type` and `terminal_reason`, its `text`, or the `code` of an error.
    """

    cause: FailureCause
    subject: str | None = None
    evidence: Mapping[str, str | int] = field(default_factory=dict)

    @classmethod
    def of_run(cls, run: Run) -> FailureAnalysis | None:
        """Read a run's metadata; `None` if it has not failed, or for no known cause."""
        stored = run.metadata.get(FAILURE_KEY)
        if run.status is not RunStatus.FAILED or not isinstance(stored, Mapping):
            return None
        try:
            cause = FailureCause(str(stored.get("cause")))
        except ValueError:  # Of a newer version.
            return None
        subject, evidence = stored.get("subject"), stored.get("evidence")
        return cls(
            cause=cause,
            subject=subject if isinstance(subject, str) else None,
            evidence={
                str(name): value
                for name, value in (evidence if isinstance(evidence, Mapping) else {}).items()
                if isinstance(value, str | int)
            },
        )

    @classmethod
    def of_error(cls, error: OpsError) -> FailureAnalysis | None:
        """The analysis of an error that ended a run; `None` if its cause is unknown."""
        if error.cause is None:
            return None
        return cls(
            cause=error.cause,
            subject=error.subject,
            evidence={"code": error.code, "text": error.user_message},
        )

    def to_json(self) -> dict[str, Any]:
        """The value in a run's metadata, redacted and clipped."""
        evidence = {
            name: redact(value)[:_MAX_EVIDENCE_CHARS] if isinstance(value, str) else value
            for name, value in self.evidence.items()
        }
        subject = None if self.subject is None else redact(self.subject)[:_MAX_SUBJECT_CHARS]
        return {"cause": self.cause.value, "subject": subject, "evidence": evidence}
