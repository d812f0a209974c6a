"""Work carried from one node to another: what a session's repository does not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.domain.errors import Conflict


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Commits of a workspace, and its work tree if that was saved, as one git bundle.

    Attributes:
        data: The bundle; empty if all its commits are in the repository's own history.
        branch: The branch the work is on; `None` if HEAD is detached.
        base_commit: What is up to here comes from the repository; `None`: nothing does.
        head_commit: The commit checked out; `None` before the first.
        saved_commit: The work tree as a commit, if it differs from `head_commit`.
        references: Full name to commit of every branch, and of where the run began.
    """

    data: bytes = field(repr=False)
    branch: str | None
    base_commit: str | None
    head_commit: str | None
    saved_commit: str | None = None
    references: Mapping[str, str] = field(default_factory=dict)

    @property
    def newest_commit(self) -> str:
        """The commit whose files the work tree had."""
        commit = self.saved_commit or self.head_commit
        if commit is None:
            raise ValueError("a bundle without a commit")
        return commit


@dataclass(frozen=True, kw_only=True)
class CarriedWork:
    """One row of `carried_work`: the bundle an attempt left for its session.

    Attributes:
        run_id: The run's row.
    """

    id: UUID
    session_id: UUID
    run_id: UUID
    attempt: int
    bundle: Bundle
    created_at: datetime


class BundleTooLarge(Conflict):
    """Work is larger than what the database is to hold."""

    code = "bundle_too_large"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"a bundle of {size} bytes, limit {limit}",
            user_message=f"The work is too large to be carried ({size / 1e6:,.1f} MB, limit "
            f"{limit / 1e6:,.1f} MB). It stays on its worker; push it to keep it safe.",
        )
        self.size = size
        self.limit = limit
