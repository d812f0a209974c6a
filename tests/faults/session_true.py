"""Whether a conversation is whole: its transcript, and the work itself."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from tests.faults.rows import Row
from tests.faults.verdict import Violation, Wrong

_COMMITTED = re.compile(r"committed ([0-9a-f]{7,40}): ")
# A worker stores a commit so soon; its heartbeat, through the same database, is no older.
_CARRIED_WITHIN = timedelta(seconds=5)


def check_transcript(legs: Sequence[Row], transcript: Sequence[Row]) -> Iterator[Violation]:
    """Continuous, nothing twice, and it holds what was asked and answered."""
    name = str(legs[0]["run_id"])
    if not transcript:
        if any(leg["turns"] for leg in legs):
            yield Violation(Wrong.TRANSCRIPT, name, "made turns and has no transcript")
        return
    entries = [line["entry"] for line in transcript]
    known: set[str] = set()
    for entry in entries:
        uuid = entry.get("uuid")
        if uuid is not None and uuid in known:
            yield Violation(Wrong.TRANSCRIPT, name, f"holds {uuid} twice")
        known.add(uuid)
    broken = {
        entry["parentUuid"]
        for entry in entries
        if entry.get("parentUuid") and entry["parentUuid"] not in known
    }
    if broken:
        yield Violation(
            Wrong.TRANSCRIPT, name, f"{len(broken)} lines go on from lines that are not there"
        )
    whole = "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    for leg in legs:
        mark = _mark(str(leg["task_input"]))
        if leg["status"] == "completed" and mark and mark not in whole:
            yield Violation(Wrong.TRANSCRIPT, str(leg["run_id"]), f"never heard of {mark}")


def commits_of(transcript: Sequence[Row]) -> list[str]:
    """The commits that the agent was told it had made."""
    found: list[str] = []
    for line in transcript:
        if line["entry"].get("type") == "user":
            found += _COMMITTED.findall(json.dumps(line["entry"].get("message")))
    return list(dict.fromkeys(found))


def check_commits(
    legs: Sequence[Row],
    commits: Sequence[str],
    homes: Sequence[Path],
    carried: Sequence[str],
    events: Sequence[Row],
) -> Iterator[Violation]:
    """Each commit is in the newest workspace, or was carried.

    One of the last moments of a worker that died may be missing, if the thread was told so.
    """
    newest = legs[-1]
    if not commits or newest["workspace_path"] is None:
        return
    path = Path(str(newest["workspace_path"]))
    cut = _cut_short(events)
    for commit in commits:
        if _has(path, commit) or any(sha.startswith(commit) for sha in carried):
            continue
        places = [home / "workspaces" / path.name for home in homes]
        elsewhere = [place for place in places if _has(place, commit)]
        if cut is not None and any(_made_at(place, commit) > cut for place in elsewhere):
            continue
        where = f"it is in {elsewhere[0]}" if elsewhere else "it is nowhere"
        yield Violation(
            Wrong.WORK, str(newest["run_id"]), f"commit {commit} is not in {path}; {where}"
        )


def _cut_short(events: Sequence[Row]) -> datetime | None:
    """Since when commits may be missing, if it was told that some may be."""
    if not any(one["kind"] == "work_restored" and one["data"]["cut_short"] for one in events):
        return None
    heard = [
        datetime.fromisoformat(one["data"]["last_heard_at"])
        for one in events
        if one["kind"] == "worker_lost"
    ]
    return max(heard) - _CARRIED_WITHIN if heard else None


def _made_at(path: Path, commit: str) -> datetime:
    told = _git(path, "show", "--no-patch", "--format=%cI", commit)
    return datetime.fromisoformat(told.stdout.strip())


def _has(path: Path, commit: str) -> bool:
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


def _mark(words: str) -> str | None:
    found = re.search(r"k\d+[ab]\.[rc]\d+", words)
    return found[0] if found else None
