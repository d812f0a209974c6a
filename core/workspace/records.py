"""The record of a workspace: what its git repository cannot tell about its origin."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WorkspaceRecord:
    """What is recorded when a workspace is created.

    Attributes:
        base_commit: The commit checked out at creation; `None` for a repository without commits.
        repo: The repository from which it was cloned, as shown to people; `None` for an empty one.
    """

    base_commit: str | None = None
    repo: str | None = None


def record_path(root: Path, workspace_id: str) -> Path:
    """Return the path of a workspace's record."""
    return root / "records" / f"{workspace_id}.json"


def write_record(path: Path, record: WorkspaceRecord) -> None:
    """Write a record.  Blocking."""
    path.write_text(json.dumps(asdict(record)))


def read_record(path: Path) -> WorkspaceRecord:
    """Read a record; an empty one if the file is missing or damaged.  Blocking."""
    try:
        values = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        log.warning(
            "workspace %s has no record",
            path.stem,
            extra={"event": "workspace_record.missing", "workspace_id": path.stem},
        )
        return WorkspaceRecord()
    return WorkspaceRecord(base_commit=values.get("base_commit"), repo=values.get("repo"))
