"""Where a restarted run comes from, as its row stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from core.domain.runs.restarts.request import RestartMode
from core.domain.runs.run import Run

# The key of the metadata of a restarted run.
RESTART_KEY = "restart"
# The key of the metadata of any run with the digest of the definition that it followed.
DEFINITION_KEY = "definition"
# The key of the metadata of a run that follows a stored definition, with its digest.
FOLLOWS_KEY = "follows_definition"


@dataclass(frozen=True, kw_only=True)
class RestartOrigin:
    """The point from which a run was restarted.

    Attributes:
        run_id: The run that this point belongs to (`run_…`).
        checkpoint: The number of the checkpoint; `None` for the start.
        step: The name of the checkpoint's step, if it has one.
        session_id: The session whose conversation is taken, up to and including the entry
            `message_uuid`.  Both are `None` if none is.
        base_commit: The commit at which a restart from the start begins; `None` if the repository
            had none.
        message: What the person told the agent, if they did.
    """

    run_id: str
    mode: RestartMode = RestartMode.FORK
    checkpoint: int | None = None
    step: str | None = None
    session_id: str | None = None
    message_uuid: str | None = None
    base_commit: str | None = None
    message: str | None = None

    @property
    def is_fork(self) -> bool:
        """Whether the run has a session of its own."""
        return self.mode is RestartMode.FORK

    def to_metadata(self) -> Mapping[str, Any]:
        """The part of a run's metadata that stores it."""
        return MappingProxyType({RESTART_KEY: asdict(self)})

    @classmethod
    def of(cls, run: Run) -> RestartOrigin | None:
        """Where a run was restarted from; `None` if it was not."""
        stored = run.metadata.get(RESTART_KEY)
        if not isinstance(stored, Mapping) or not isinstance(stored.get("run_id"), str):
            return None
        known = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        return cls(**{**known, "mode": RestartMode(known.get("mode", RestartMode.FORK))})


def follows(run: Run) -> str | None:
    """The digest of the stored definition that a run follows; `None` follows the present one."""
    digest = run.metadata.get(FOLLOWS_KEY)
    return digest if isinstance(digest, str) else None


def following(digest: str | None) -> Mapping[str, str]:
    """The part of a run's metadata that says which stored definition it follows."""
    return {} if digest is None else {FOLLOWS_KEY: digest}
