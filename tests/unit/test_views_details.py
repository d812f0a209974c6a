from dataclasses import replace
from decimal import Decimal

import pytest

from bot.slack.views.details import detail_blocks, details_view
from bot.slack.views.lists import status_message
from core.domain.runs.checkpoint import CheckpointReason
from core.domain.runs.snapshot import SessionTotal
from core.domain.runs.step import StepStatus
from core.domain.sessions.ledger import LedgerSum
from tests.pictures.cards import CARDS
from tests.unit.test_checkpoint_policy import checkpoint
from tests.unit.view_helpers import (
    AWKWARD_TEXTS,
    NOW,
    RUN_ID,
    assert_fits,
    assert_matches_snapshot,
    assert_view_fits,
    make_run,
    make_snapshot,
    make_steps,
    text_of,
)


@pytest.mark.parametrize("name", ["tests-fail", "killed", "live"])
def test_details_match_their_snapshots(name: str) -> None:
    view = details_view(CARDS[name], now=NOW)

    assert_view_fits(view)
    assert_matches_snapshot(f"details_{name.replace('-', '_')}", view)


@pytest.mark.parametrize("name", CARDS)
def test_every_card_has_details_and_a_status(name: str) -> None:
    assert_view_fits(details_view(CARDS[name], now=NOW))
    assert_fits(status_message(CARDS[name], now=NOW))


def test_details_say_what_is_unknown_and_where_a_figure_comes_from() -> None:
    unknown = text_of(details_view(make_snapshot(make_run(cost_usd=None)), now=NOW))
    estimated = text_of(details_view(make_snapshot(), now=NOW))

    assert "*Cost*\nnot reported yet" in unknown
    assert "$0.12 estimated" in estimated
    assert RUN_ID in estimated


def test_details_have_the_totals_of_the_session() -> None:
    spent = LedgerSum(reported_usd=Decimal("0.5"), reported=1, unknown=1)
    total = SessionTotal(legs=2, turns=38, spent=spent)

    shown = text_of(details_view(make_snapshot(leg=2, total=total), now=NOW))

    assert "leg 2 of 2, together 38 turns, cost $0.50 reported, unknown for 1 agent" in shown


def test_a_run_of_several_agent_processes_has_its_costs_apart() -> None:
    spent = LedgerSum(
        reported_usd=Decimal("0.5"),
        reported=1,
        estimated_usd=Decimal("0.25"),
        estimated=1,
    )

    shown = text_of(details_view(make_snapshot(spent=spent), now=NOW))

    assert "*Cost*\n$0.50 reported, $0.25 estimated" in shown


def test_the_details_of_a_later_leg_begin_with_the_task_of_the_first() -> None:
    run = make_run(task_input="go on")

    shown = text_of(details_view(make_snapshot(run, leg=2, about="Count the pieces"), now=NOW))

    assert "*Count the pieces* · leg 2" in shown
    assert "go on" in shown


def test_a_long_plan_shows_the_part_in_progress() -> None:
    done, doing, todo = StepStatus.COMPLETED, StepStatus.IN_PROGRESS, StepStatus.PENDING
    plan = make_steps(*[done] * 19, doing, *[todo] * 20)

    shown = text_of(details_view(make_snapshot(steps=plan), now=NOW))

    assert "19 of 40 done" in shown
    assert "_17 before_" in shown
    assert "▶️ Step number 20" in shown
    assert "_+3 more_" in shown


def test_an_interrupted_step_is_paused_and_a_dropped_one_is_not_done() -> None:
    dropped = replace(make_steps(StepStatus.SKIPPED)[0], step_id=5, name="Polish it")
    killed = replace(CARDS["killed"], steps=(*CARDS["killed"].steps, dropped))

    shown = text_of(details_view(killed, now=NOW))

    assert "⏸️ Write the limiter" in shown
    assert "⏭️ Polish it" in shown
    assert "1 of 5 done" in shown


@pytest.mark.parametrize("words", AWKWARD_TEXTS)
def test_no_text_breaks_details(words: str) -> None:
    # Longer than every limit; redaction of 80 longer texts would take long.
    words = words[:400]
    steps = tuple(
        replace(step, name=words, error=words) for step in make_steps(*[StepStatus.FAILED] * 30)
    )
    run = make_run(
        task_input=words, session_name=words, last_activity=words, error_message=words,
        ai_model=words, tools_used=(words,) * 20,
    )  # fmt: skip

    snapshot = make_snapshot(run, steps=steps)

    assert_view_fits(details_view(snapshot, now=NOW))
    assert detail_blocks(snapshot, now=NOW)


def test_details_list_the_checkpoints() -> None:
    taken = checkpoint(2, CheckpointReason.STEP_ENDED, step=1)
    snapshot = replace(
        make_snapshot(), checkpoints=(replace(taken, step_name="Write <it> & test", turns=3),)
    )

    view = details_view(snapshot, now=NOW)

    assert_view_fits(view)
    assert "*Checkpoints* · 1" in text_of(view)
    assert "`@2` after Write &lt;it&gt; &amp; test · 3 turns" in text_of(view)
