"""Carried work: what a session's repository lacks, stored to restore the workspace elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.domain.errors import Conflict


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A git bundle with commits of a workspace, and its work tree if that was saved.

    Attributes:
        data: The bundle; empty if the repository has all of its commits.
        branch: The branch checked out; `None` if HEAD is detached.
        base_commit: The repository has this commit and its ancestors; `None` if it has nothing.
        head_commit: The commit checked out; `None` if there is no commit yet.
        saved_commit: The work tree as a commit, if it differs from `head_commit`.
        references: Full reference name to commit, for every branch and the start of the run.
    """

    data: bytes = field(repr=False)
    branch: str | None
    base_commit: str | None
    head_commit: str | None
    saved_commit: str | None = None
    references: Mapping[str, str] = field(default_factory=dict)

    @property
    def newest_commit(self) -> str:
        """The commit with the files of the work tree.

        Raises:
            ValueError: If the bundle has neither a saved nor a checked-out commit.
        """
        commit = self.saved_commit or self.head_commit
        if commit is None:
            raise ValueError("a bundle without a commit")
        return commit


@dataclass(frozen=True, kw_only=True)
class CarriedWork:
    """One row of `carried_work`: the bundle that an attempt stored for its session.

    Attributes:
        run_id: The id of the run's row (not `run_…`).
    """

    id: UUID
    session_id: UUID
    run_id: UUID
    attempt: int
    bundle: Bundle
    created_at: datetime


class BundleTooLarge(Conflict):
    """The bundle is larger than the limit for the database."""

    code = "bundle_too_large"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"a bundle of {size} bytes, limit {limit}",
            user_message=f"The work is too large to be carried ({size / 1e6:,.1f} MB, limit "
            f"{limit / 1e6:,.1f} MB). It stays on its worker; push it to keep it safe.",
        )
        self.size = size
        self.limit = limit


class DamagedBundle(Conflict):
    """Stored work is not what was stored, by its digest."""

    code = "damaged_bundle"

    def __init__(self, session_id: UUID) -> None:
        super().__init__(
            f"the stored work of session {session_id} does not have its digest",
            user_message="The stored work of this session is damaged. Its workspace is kept.",
        )
        self.session_id = session_id
