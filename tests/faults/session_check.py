"""Checks that a session is complete: its transcript and its work."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from tests.faults.results import Violation, ViolationKind
from tests.faults.rows import Row

_COMMITTED = re.compile(r"committed ([0-9a-f]{7,40}): ")
# A worker stores a commit within this time; its heartbeat, over the same database, is as fresh.
_CARRIED_WITHIN = timedelta(seconds=5)


def check_transcript(runs: Sequence[Row], transcript: Sequence[Row]) -> Iterator[Violation]:
    """Check that it is continuous, has no duplicates, and contains all questions and answers."""
    name = str(runs[0]["run_id"])
    if not transcript:
        if any(run["turns"] for run in runs):
            yield Violation(ViolationKind.TRANSCRIPT, name, "made turns and has no transcript")
        return
    entries = [line["entry"] for line in transcript]
    known: set[str] = set()
    for entry in entries:
        uuid = entry.get("uuid")
        if uuid is not None and uuid in known:
            yield Violation(ViolationKind.TRANSCRIPT, name, f"holds {uuid} twice")
        known.add(uuid)
    broken = {
        entry["parentUuid"]
        for entry in entries
        if entry.get("parentUuid") and entry["parentUuid"] not in known
    }
    if broken:
        yield Violation(
            ViolationKind.TRANSCRIPT,
            name,
            f"{len(broken)} lines refer to missing lines",
        )
    all_text = "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    for run in runs:
        marker = _find_marker(str(run["task_input"]))
        if run["status"] == "completed" and marker and marker not in all_text:
            yield Violation(
                ViolationKind.TRANSCRIPT, str(run["run_id"]), f"does not contain {marker}"
            )


def commits_of(transcript: Sequence[Row]) -> list[str]:
    """The commits that the agent made, from the tools' results."""
    found: list[str] = []
    for line in transcript:
        if line["entry"].get("type") == "user":
            found += _COMMITTED.findall(json.dumps(line["entry"].get("message")))
    return list(dict.fromkeys(found))


def check_commits(
    runs: Sequence[Row],
    commits: Sequence[str],
    homes: Sequence[Path],
    carried: Sequence[str],
    events: Sequence[Row],
) -> Iterator[Violation]:
    """Check that each commit is in the newest workspace, or was carried.

    A commit from the last moments of a dead worker may be missing if the thread reported that.
    """
    newest = runs[-1]
    if not commits or newest["workspace_path"] is None:
        return
    path = Path(str(newest["workspace_path"]))
    missing_since = _missing_since(events)
    for commit in commits:
        if _has_commit(path, commit) or any(sha.startswith(commit) for sha in carried):
            continue
        workspaces = [home / "workspaces" / path.name for home in homes]
        elsewhere = [path for path in workspaces if _has_commit(path, commit)]
        if missing_since is not None and any(
            _committed_at(path, commit) > missing_since for path in elsewhere
        ):
            continue
        where = f"it is in {elsewhere[0]}" if elsewhere else "it is nowhere"
        yield Violation(
            ViolationKind.WORK, str(newest["run_id"]), f"commit {commit} is not in {path}; {where}"
        )


def _missing_since(events: Sequence[Row]) -> datetime | None:
    """The time since which commits may be missing, if the thread reported that."""
    if not any(one["kind"] == "work_restored" and one["data"]["cut_short"] for one in events):
        return None
    last_heard = [
        datetime.fromisoformat(one["data"]["last_heard_at"])
        for one in events
        if one["kind"] == "worker_lost"
    ]
    return max(last_heard) - _CARRIED_WITHIN if last_heard else None


def _committed_at(path: Path, commit: str) -> datetime:
    shown_commit = _git(path, "show", "--no-patch", "--format=%cI", commit)
    return datetime.fromisoformat(shown_commit.stdout.strip())


def _has_commit(path: Path, commit: str) -> bool:
    if not path.exists():
        return False
    return _git(path, "merge-base", "--is-ancestor", commit, "HEAD").returncode == 0


def _git(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(path), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )


def _find_marker(words: str) -> str | None:
    found = re.search(r"k\d+[ab]\.[rc]\d+", words)
    return found[0] if found else None
