"""What can prevent a checkpoint, or going back to one."""

from __future__ import annotations

from core.workspace.errors import WorkspaceError


class CheckpointTooLarge(WorkspaceError):
    """The changed files are too large to be read again and again."""

    code = "checkpoint_too_large"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"{size} bytes of changed files, limit {limit}",
            user_message=f"The changed files are too large for a checkpoint "
            f"({size / 1e6:,.0f} MB, limit {limit / 1e6:,.0f} MB). Add what need not be kept to "
            "`.gitignore`.",
        )
        self.size = size
        self.limit = limit


class CheckpointGone(WorkspaceError):
    """The objects of a checkpoint are neither in the workspace nor in the database."""

    code = "checkpoint_gone"

    def __init__(self, commit: str, detail: str) -> None:
        super().__init__(
            f"checkpoint {commit[:12]} is gone: {detail}",
            user_message="The files of this checkpoint are gone from its workspace, and the "
            "database does not have them. Choose another checkpoint.",
        )
        self.commit = commit


class RestoreRefused(WorkspaceError):
    """Going back to a checkpoint would lose something; nothing was changed.

    Attributes:
        path: The file or folder in the workspace for which it was refused; `None` if it is
            another reason.
    """

    code = "restore_refused"

    def __init__(self, detail: str, *, user_message: str, path: str | None = None) -> None:
        super().__init__(f"not restored: {detail}", user_message=user_message)
        self.path = path


class RestoreFailed(WorkspaceError):
    """Going back to a checkpoint failed; the workspace is as it was before, as far as known.

    Attributes:
        is_undone: Whether everything is as it was before.
        safety_ref: The private reference with the files as they were before.
    """

    code = "restore_failed"

    def __init__(self, error: Exception, *, is_undone: bool, safety_ref: str) -> None:
        state = (
            "The workspace is as it was before."
            if is_undone
            else f"The workspace is partly changed; `{safety_ref}` has the files as they were."
        )
        advice = error.user_message if isinstance(error, WorkspaceError) else ""
        super().__init__(
            f"restore failed ({'undone' if is_undone else 'not undone'}): {error}",
            user_message=f"Going back to the checkpoint failed. {state} {advice}".strip(),
        )
        self.is_undone = is_undone
        self.safety_ref = safety_ref
