from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from bot.assembly.web.tables import StatusTable
from core.domain.progress.estimate import PastRun
from core.domain.runs.run import Run, RunStatus
from core.services.runs.recent_runs import AnswerForm, CacheLimits, KeptAnswer, RecentRuns
from core.store.runs.status_read import RowMark
from tests.database import NOW, new_run

FORM = AnswerForm("1010")


def answer(length: int = 10) -> KeptAnswer:
    return KeptAnswer(mark=RowMark(3, 700), written=b"x" * length, etag="a")


FOUND = answer()
PAST = (PastRun(duration=timedelta(seconds=60)),)


def ended(**fields: Any) -> Run:
    return new_run(uuid4(), status=RunStatus.COMPLETED, **fields)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_about_an_ended_run_is_found_again_in_its_form() -> None:
    cache, run = RecentRuns(), ended()

    cache.put(run, FORM, FOUND)

    assert cache.get(run.run_id, FORM) is FOUND
    assert cache.get(run.run_id, AnswerForm("1000")) is None
    assert cache.get(ended().run_id, FORM) is None


@pytest.mark.parametrize(
    "run", [new_run(uuid4(), status=RunStatus.RUNNING), ended(work_due_at=NOW)]
)
def test_what_still_changes_is_not_kept(run: Run) -> None:
    cache = RecentRuns()

    cache.put(run, FORM, FOUND)

    assert cache.get(run.run_id, FORM) is None


def test_nothing_is_kept_when_it_is_off() -> None:
    cache, run = RecentRuns(CacheLimits(is_on=False)), ended()

    cache.put(run, FORM, FOUND)
    cache.put_past("implement", PAST)

    assert cache.get(run.run_id, FORM) is None
    assert cache.past("implement") is None
    assert cache.used_bytes == 0


def test_entries_are_forgotten_after_their_time() -> None:
    timer, run = Time(), ended()
    limits = CacheLimits(ttl=timedelta(seconds=10), past_ttl=timedelta(seconds=5))
    cache = RecentRuns(limits, timer)
    cache.put(run, FORM, FOUND)
    cache.put_past("implement", PAST)

    timer.now = 6

    assert cache.past("implement") is None
    assert cache.get(run.run_id, FORM) is FOUND
    timer.now = 11
    assert cache.get(run.run_id, FORM) is None


def test_the_runs_not_asked_for_are_forgotten_first() -> None:
    cache = RecentRuns(CacheLimits(max_bytes=25_000))
    runs = [ended() for _ in range(3)]
    for run in runs[:2]:
        cache.put(run, FORM, answer(10_000))
    cache.get(runs[0].run_id, FORM)

    cache.put(runs[2], FORM, answer(10_000))

    assert cache.get(runs[0].run_id, FORM) is not None
    assert cache.get(runs[1].run_id, FORM) is None
    assert cache.get(runs[2].run_id, FORM) is not None


def test_the_memory_is_bounded() -> None:
    cache = RecentRuns(CacheLimits(max_bytes=100_000))
    for _ in range(200):
        cache.put(ended(), FORM, answer(5_000))
        cache.put_past(str(uuid4()), PAST * 20)

    assert 50_000 < cache.used_bytes <= 100_000 * 9 / 8


def test_an_answer_that_is_too_large_is_not_kept() -> None:
    cache, run = RecentRuns(CacheLimits(max_bytes=10_000)), ended()

    cache.put(run, FORM, answer(50_000))

    assert cache.get(run.run_id, FORM) is None


def test_the_configuration_switches_the_cache_off_and_bounds_it() -> None:
    assert StatusTable().limits == CacheLimits()
    assert StatusTable(cache=False).limits.is_on is False
    assert StatusTable(cache_mb=2).limits.max_bytes == 2_000_000
