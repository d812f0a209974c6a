"""The thread's texts about work that was carried to another machine, or could not be."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.slack.mrkdwn import MRKDWN
from bot.words.runs.work.carried_work import not_carried_lines, restored_lines
from core.domain.runs.event import EventKind, EventRecord

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def restored(**data: object) -> str:
    whole = {
        "commit": COMMIT,
        "uncommitted": False,
        "from_node": "host-a1-0",
        "workspace": "ws_1",
        "incomplete": False,
    }
    event = EventRecord(kind=EventKind.WORK_RESTORED, at=NOW, data=whole | data)
    (line,) = restored_lines([event], MRKDWN)
    return line


def not_carried(**data: object) -> list[str]:
    event = EventRecord(kind=EventKind.WORK_CARRIED, at=NOW, data={"workspace": "ws_1"} | data)
    return not_carried_lines([event], MRKDWN)


def test_complete_work_is_shown_as_restored() -> None:
    assert restored() == "📦 Continues here from commit `0123456`."
    assert restored(uncommitted=True) == (
        "📦 Continues here from commit `0123456`, with the uncommitted work."
    )
    assert "nothing was committed yet" in restored(commit=None, uncommitted=True)
    assert restored(checkpoint=3) == (
        "📦 Continues here with the files of checkpoint `@3`, at commit `0123456`."
    )
    assert restored(checkpoint=3, commit=None) == (
        "📦 Continues here with the files of checkpoint `@3`."
    )


def test_work_that_a_dead_worker_had_not_stored_is_shown_as_left_there() -> None:
    assert restored(incomplete=True) == (
        "📦 Continues here from commit `0123456`. What came after that, commits too, is not here: "
        "it stays on the machine of worker `host-a1-0`, in workspace `ws_1`."
    )
    assert restored(commit=None, incomplete=True) == (
        "📦 Nothing of its work was stored, so it begins again from the repository. What it had "
        "done, commits too, is not here: it stays on the machine of worker `host-a1-0`, in "
        "workspace `ws_1`."
    )
    assert "its earlier worker" in restored(commit=None, from_node=None)


def test_the_work_of_a_deleted_workspace_is_shown_as_lost() -> None:
    assert restored(gone=True) == "📦 Continues here from commit `0123456`."
    assert restored(gone=True, incomplete=True) == (
        "📦 Continues here from commit `0123456`. What came after that, commits too, is lost: "
        "workspace `ws_1` is no longer on this machine."
    )
    assert restored(gone=True, commit=None).endswith(
        "What it had done, commits too, is lost: workspace `ws_1` is no longer on this machine."
    )
    # Its earlier node is not recorded.
    assert "its earlier worker" in restored(gone=True, commit=None, from_node=None)


def test_kept_files_of_an_older_copy_and_empty_directories_are_named() -> None:
    assert "`refs/signalbox/superseded/1`" in restored(kept="refs/signalbox/superseded/1")
    assert restored(kept="refs/signalbox/before/1", checkpoint=3).endswith(
        "The older copy on this machine is kept in it on `refs/signalbox/before/1`."
    )
    assert "`a`, ```\nb`&lt;!channel&gt;\n```" in restored(left_empty=["a", "b`<!channel>"])
    assert "<!channel>" not in restored(left_empty=["b`<!channel>"])
    assert "and 2 more" in restored(left_empty=[str(number) for number in range(7)])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"too_large": True, "bytes": 31_400_000, "limit": 25_000_000, "commits": True},
            "The commits are too large to be carried to another machine (31.4 MB, limit 25.0 MB)",
        ),
        (
            {"too_large": True, "bytes": 31_400_000, "limit": 25_000_000, "commits": False},
            "The uncommitted work is too large",
        ),
        ({"failed": "it took longer than 60 s"}, "for other machines: it took longer than 60 s."),
    ],
)
def test_work_that_could_not_be_carried_is_named_with_its_place(
    data: dict[str, object], expected: str
) -> None:
    (line,) = not_carried(**data)

    assert expected in line
    assert "in workspace `ws_1`" in line
    assert "can be continued there" in line


def test_carried_work_causes_no_notice() -> None:
    assert not_carried(commit=COMMIT, uncommitted=False, bytes=12) == []
    assert not_carried_lines([], MRKDWN) == []


def test_a_rebuilt_repository_is_named_with_the_old_files() -> None:
    whole = restored(damaged=True, rebuilt="ws_1-2", workspace="ws_1")
    cut = restored(damaged=True, rebuilt="ws_1-2", workspace="ws_1", incomplete=True)

    assert whole == (
        "📦 The repository of workspace `ws_1` was deleted or damaged, so it was built again "
        "beside it, as `ws_1-2`. The old files are still in `ws_1`. Continues here from commit "
        "`0123456`."
    )
    assert cut.endswith("is not in it; look for it in workspace `ws_1`.")
