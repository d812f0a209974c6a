"""The commands about sessions, and the flags of `continue`."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bot.slack.commands.command import (
    ChangeSession,
    ListSessions,
    ShowSession,
    ShowStatus,
)
from bot.slack.commands.parser import parse_slash
from bot.slack.commands.reply_command import reply_command_text
from core.domain.runs.request import ContinueRequest
from tests.unit.command_helpers import CHANNEL, refused, run


def test_a_continuation_takes_its_own_model_budget_and_turns() -> None:
    command = parse_slash("continue run_0a1b —model opus --budget 2.50 +20 go on", CHANNEL)
    other = parse_slash("continue auth --turns 5 --recover", CHANNEL)

    assert command == ContinueRequest(
        target="run_0a1b",
        request_key=CHANNEL.request_key,
        additional_turns=20,
        model="opus",
        budget_usd=Decimal("2.50"),
        message="go on",
    )
    assert isinstance(other, ContinueRequest)
    assert (other.additional_turns, other.recovers, other.message) == (5, True, None)
    assert "Give the turns once" in refused("continue run_0a1b --turns 5 +20 go on")


def test_a_message_that_begins_like_a_flag_stands_after_a_lone_dash() -> None:
    command = parse_slash("continue run_0a1b -- --model is what fails", CHANNEL)

    assert isinstance(command, ContinueRequest)
    assert (command.message, command.model) == ("--model is what fails", None)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("sessions", ListSessions()),
        ("sessions mine", ListSessions(is_mine=True)),
        ("sessions all", ListSessions(is_open=None)),
        ("sessions closed mine", ListSessions(is_mine=True, is_open=False)),
        ("session rate limits", ShowSession(target="rate limits")),
        ("sessions “rate limits”", ShowSession(target="rate limits")),
        ("sessions close rate limits", ChangeSession(target="rate limits", is_open=False)),
        ("sessions reopen 8b99235a", ChangeSession(target="8b99235a")),
        (
            'sessions rename "rate limits" limits of the API',
            ChangeSession(target="rate limits", name="limits of the API"),
        ),
        ("status rate limits", ShowStatus(target="rate limits")),
    ],
)
def test_sessions_are_listed_shown_and_changed(typed: str, expected: object) -> None:
    assert parse_slash(typed, CHANNEL) == expected


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("sessions close", "Which session shall I close?"),
        ("sessions rename auth", "how the session is to be called"),
        ("sessions rename auth --force", "cannot be called"),
        ("sessions mine failed", "can't filter by `failed`"),
    ],
)
def test_a_change_of_a_session_says_what_is_missing(typed: str, words: str) -> None:
    assert words in refused(typed)


def test_a_name_moves_to_a_new_session_by_its_own_flag() -> None:
    command = run('run fix --new-session "rate limits" do it')

    assert (command.session_name, command.new_session) == ("rate limits", True)
    assert "Give one of" in refused("run fix --session a --new-session b do it")


@pytest.mark.parametrize("message", ["go on", "--model is what fails", "— no", "+20 please"])
@pytest.mark.parametrize("recovers", [True, False])
def test_a_reply_becomes_a_command_with_the_same_message(message: str, recovers: bool) -> None:
    text = reply_command_text("run_0a1b", message, recovers=recovers)

    assert text is not None
    command = parse_slash(text, CHANNEL)
    assert isinstance(command, ContinueRequest)
    assert (command.target, command.recovers) == ("run_0a1b", recovers)
    turns = "" if command.additional_turns is None else f"+{command.additional_turns} "
    assert f"{turns}{command.message}" == message
