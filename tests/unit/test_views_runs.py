"""Lists, Home, help, refusals, and the buttons that continue runs."""

from dataclasses import replace
from uuid import UUID

import pytest

from bot.slack.commands.command import Subcommand
from bot.slack.views.errors import error_message
from bot.slack.views.help import help_message
from bot.slack.views.home import home_view
from bot.slack.views.lists import Reader, kill_offer, overview_message, run_list_message
from bot.slack.views.message import Message
from bot.slack.views.receipts import continued
from bot.slack.views.runs.continue_buttons import continue_buttons
from bot.slack.views.runs.continue_form import continue_form
from bot.slack.views.runs.links import ThreadLinks
from bot.slack.views.runs.misplaced import flags_in_task
from bot.slack.views.runs.refusals import request_to_operators
from bot.slack.views.runs.reply_question import reply_question
from core.agent.definitions.catalog import load_catalog
from core.domain.actor import Action, Actor, Origin, Role
from core.domain.runs.request import RunFilter, StartResult
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.snapshot import CardPlace
from core.domain.workflow import UnknownWorkflow
from core.services.context import NotAllowed
from tests.unit.view_helpers import (
    ADA,
    NOW,
    assert_fits,
    assert_view_fits,
    buttons_of,
    make_ended_run,
    make_run,
    make_snapshot,
    text_of,
)

CARD = CardPlace(channel_id="C0BUILDS", message_ts="1769220155.940449")
LINKS = ThreadLinks(archive_url="https://acme.slack.com/archives")
EVERY_END = [make_snapshot(make_ended_run(reason)) for reason in StopReason]
LIVE = [
    make_snapshot(card=CARD),
    make_snapshot(make_run(status=RunStatus.PENDING), queue_position=2, leg=2, about="Add a cache"),
]
RUNNER = Actor(role=Role.RUNNER, origin=Origin.SLACK, user_id=ADA.id, name="ada")
READER = Reader(actor=RUNNER, links=LINKS)


def test_a_list_has_one_line_a_run_with_the_task_first_as_a_link() -> None:
    shown = text_of(run_list_message(LIVE, run_filter=RunFilter(), reader=READER, now=NOW))

    address = "https://acme.slack.com/archives/C0BUILDS/p1769220155940449"
    assert f"▶️ <{address}|Add rate limiting to the API> · implement" in shown
    assert "⏳ Add a cache · leg 2 · Queued" in shown
    assert shown.count("run_0a1b2c3d4e5f") == len(LIVE)


def test_only_live_rows_that_the_reader_may_stop_have_a_button() -> None:
    foreign = make_snapshot(make_run(user_id=UUID(int=99)))
    stopping = make_snapshot(make_run(kill_requested_at=NOW))
    rows = [*LIVE, *EVERY_END, foreign, stopping]
    operator = Reader(actor=replace(RUNNER, role=Role.OPERATOR), links=LINKS)
    viewer = Reader(actor=replace(RUNNER, role=Role.VIEWER), links=LINKS)

    def buttons(reader: Reader) -> list[str]:
        return buttons_of(overview_message(rows, EVERY_END, reader=reader, now=NOW))

    assert buttons(READER) == ["Kill", "Kill"]
    assert buttons(viewer) == []
    drawn = run_list_message([foreign], run_filter=RunFilter(), reader=operator, now=NOW)
    assert buttons_of(drawn) == ["Kill…"]


def test_a_kill_without_a_run_offers_each_live_run_with_its_command() -> None:
    drawn = kill_offer(LIVE, force=False, reader=READER, now=NOW)
    forced = kill_offer(LIVE[:1], force=True, reader=READER, now=NOW)

    assert_fits(drawn)
    assert buttons_of(drawn) == ["Kill", "Kill"]
    assert "Which run" in drawn.text
    assert "kill --force run_0a1b2c3d4e5f" in str(forced.blocks)
    assert "no live run" in kill_offer([], force=False, reader=READER, now=NOW).text


def test_the_home_tab_has_a_run_button_and_stops_live_runs() -> None:
    foreign = make_snapshot(make_run(id=UUID(int=5), user_id=UUID(int=99)))
    view = home_view(mine=LIVE[:1], live=[foreign, LIVE[0]], now=NOW, links=LINKS)

    assert_view_fits(view)
    buttons = buttons_of(Message(text="home", blocks=tuple(view["blocks"])))
    assert buttons == ["Run a workflow…", "Kill…", "Kill"]


def test_the_help_shows_four_commands_and_how_to_see_all() -> None:
    shown = text_of(help_message())

    assert shown.count("`/workflow run") + shown.count("`/workflow status") >= 2
    assert sum(f"`/workflow {one}" in shown for one in Subcommand) == 5, "four, and help"
    assert "`/workflow help all`" in shown


@pytest.mark.parametrize(
    ("reason", "labels"),
    [
        (StopReason.MAX_TURNS, ["+10 turns", "+20 turns", "+50 turns", "Continue…"]),
        (StopReason.KILLED, ["Continue (57 turns left)", "Continue…"]),
        (StopReason.AGENT_ERROR, ["Continue (57 turns left)", "Continue…"]),
        (StopReason.BUDGET, ["Continue (+$1.50, 57 turns left)", "Continue…"]),
        (StopReason.USAGE_LIMIT, ["Continue (57 turns left)", "Continue…"]),
        (StopReason.WORKER_LOST, ["Continue (57 turns left)", "Continue…"]),
        (StopReason.SUCCESS, ["Continue…"]),
    ],
)
def test_more_turns_are_offered_only_where_the_limit_ended_the_run(
    reason: StopReason, labels: list[str]
) -> None:
    run = make_ended_run(reason, turns=3, max_turns=60)

    assert [button["text"]["text"] for button in continue_buttons(run)] == labels


def test_the_form_of_a_run_with_turns_left_asks_for_more_on_top_of_them() -> None:
    stopped = make_ended_run(StopReason.KILLED, turns=3, max_turns=60)
    killed = continue_form(make_snapshot(stopped), channel_id="C0BUILDS")
    ended = make_ended_run(StopReason.MAX_TURNS)
    limited = continue_form(make_snapshot(ended), channel_id="C0BUILDS")

    assert "On top of the 57 that it has left" in str(killed)
    assert "initial_value" not in str(killed)
    assert "'initial_value': '20'" in str(limited)


@pytest.mark.parametrize(
    ("message", "label"),
    [("thanks", "Continue with it (57 turns left)"), ("&" * 600, "Continue…")],
)
def test_a_reply_that_starts_nothing_is_asked_about(message: str, label: str) -> None:
    run = make_ended_run(StopReason.KILLED, turns=3, max_turns=60)

    drawn = reply_question(run, message)

    assert_fits(drawn)
    assert buttons_of(drawn) == [label]
    assert "started nothing" in drawn.text


def test_the_answer_to_a_late_click_has_a_way_on() -> None:
    newest = make_ended_run(StopReason.KILLED, turns=3, max_turns=60)

    drawn = continued(StartResult(run=newest, is_new=False))

    assert_fits(drawn)
    assert "It was continued before" in drawn.text
    assert buttons_of(drawn) == ["Continue (57 turns left)", "Continue…"]


def test_a_refusal_says_who_can_and_offers_to_ask_them() -> None:
    stranger = replace(RUNNER, user_id=UUID(int=99), name="ben", external_id="U0BEN")
    refusal = NotAllowed(stranger, Action.KILL, make_run())
    refusal.name_owner(ADA)

    drawn = error_message(refusal)

    assert_fits(drawn)
    assert drawn.text.startswith("Only <@U0ADA> or an operator can stop this.")
    assert refusal.user_message.startswith("Only @Ada Lovelace or an operator can stop this")
    assert buttons_of(drawn) == ["Ask an operator"]


def test_a_role_that_is_too_low_is_named_with_the_one_that_is_needed() -> None:
    viewer = replace(RUNNER, role=Role.VIEWER)

    drawn = error_message(NotAllowed(viewer, Action.START, None))

    assert "Only people with the role runner can start runs; yours is viewer." in drawn.text
    assert buttons_of(drawn) == []


def test_operators_are_called_with_a_button_to_do_it() -> None:
    asker = replace(RUNNER, external_id="U0BEN", name="ben")
    drawn = request_to_operators(
        make_snapshot(), Action.KILL, by=asker, operators=("U0OPS", "S0614TZR7", "*", "U0ADA")
    )

    called = "<@U0ADA>, <@U0OPS>, <!subteam^S0614TZR7>"
    assert drawn.text == f"{called}: <@U0BEN> may not stop this and asks you to do it."
    assert buttons_of(drawn) == ["Kill…"]


def test_every_known_workflow_is_listed_with_its_aliases() -> None:
    with pytest.raises(UnknownWorkflow) as caught:
        load_catalog().get("nonsense-zzz")

    assert "implement (or builder" in caught.value.user_message


def test_flags_at_the_end_of_a_task_are_pointed_out_with_the_right_command() -> None:
    drawn = flags_in_task(make_run(), ["--turns 5"], "Add x")

    assert_fits(drawn)
    assert "`/workflow run implement --turns 5 Add x`" in drawn.text
    assert buttons_of(drawn) == ["Kill"]
