"""The outcome of completed runs, by the real agent program's evidence, worded alike everywhere."""

from __future__ import annotations

from bot.sandbox.model.script import Script, Turn, bash, play_in_order
from bot.slack.views.home import home_view
from bot.slack.views.lists import Reader, run_list_message, status_message
from bot.slack.views.stats import stats_message
from bot.slack.views.thread.card import run_card
from core.domain.actor import SYSTEM
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.request import RunFilter
from core.domain.runs.run import RunStatus
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.stats import Period
from tests.core_harness import CoreHarness, core_harness
from tests.unit.view_helpers import NOW, text_of

__all__ = ["core_harness"]

FAILING_TEST = (
    "printf 'import unittest\\nclass T(unittest.TestCase):\\n"
    " def test_a(self): pass\\n def test_b(self): self.fail()\\n' > test_it.py;"
    " python3 -B -m unittest test_it"
)
WORDS = "Finished, 1 test fails, nothing committed"


async def ended(core_harness: CoreHarness, command: str) -> RunSnapshot:
    """A run whose agent runs one command and then says that all is well."""
    core_harness.model.script = Script(
        name="one-command",
        description="",
        play=play_in_order(Turn(calls=(bash(command, "Work"),)), Turn(text="All is well.")),
    )
    async with core_harness.worker():
        return await core_harness.wait_until_ended(await core_harness.start("Do it"))


async def test_failing_tests_and_no_commit_are_told_on_every_surface(
    core_harness: CoreHarness,
) -> None:
    seen = await ended(core_harness, FAILING_TEST)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.outcome is Outcome.ATTENTION
    assert seen.run.outcome_reasons == (
        OutcomeReason.TESTS_FAILED,
        OutcomeReason.NOTHING_COMMITTED,
        OutcomeReason.UNCOMMITTED_CHANGES,
    )
    listed = await core_harness.backend.runs.list_runs(RunFilter(), by=SYSTEM)
    stats = await core_harness.backend.stats.stats(Period.DAY, by=SYSTEM)
    surfaces = {
        "card": text_of(run_card(seen, now=NOW)),
        "list": text_of(
            run_list_message(listed, run_filter=RunFilter(), reader=Reader(actor=SYSTEM), now=NOW)
        ),
        "status": text_of(status_message(seen, now=NOW)),
        "home": text_of(home_view(mine=listed, live=(), now=NOW)),
    }
    for name, shown in surfaces.items():
        assert WORDS in shown, name
        assert "Completed" not in shown, name
    totals = text_of(stats_message(stats))
    assert "⚠️ 1 finished, with something left to do" in totals
    assert "completed" not in totals


async def test_a_commit_makes_a_clean_outcome(core_harness: CoreHarness) -> None:
    seen = await ended(core_harness, "echo 1 > a; git add a; git commit -qm 'Add a'")

    assert seen.run.outcome is Outcome.CLEAN
    assert seen.run.outcome_reasons == ()


async def test_work_beside_a_commit_needs_a_look(core_harness: CoreHarness) -> None:
    seen = await ended(core_harness, "echo 1 > a; git add a; git commit -qm 'Add a'; echo 2 > b")

    assert seen.run.outcome_reasons == (OutcomeReason.UNCOMMITTED_CHANGES,)
    assert "Finished, 1 file not committed" in text_of(run_card(seen, now=NOW))


async def test_a_run_that_did_not_end_by_itself_has_no_outcome(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await core_harness.start("[scenario: crash] [times: forever] work")
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.status is RunStatus.FAILED
    assert (seen.run.outcome, seen.run.outcome_reasons) == (None, ())
