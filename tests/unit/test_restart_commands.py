"""`restart` as people type it, and the form that says the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cli.client.errors import BadArgument
from bot.cli.client.start_body import restart_body
from bot.slack import ids
from bot.slack.commands.command import AskRestart, CommandContext
from bot.slack.commands.flags import BadCommand
from bot.slack.commands.forms import BadForm, read_restart_form
from bot.slack.commands.parser import parse_mention, parse_slash
from bot.slack.commands.restart_parser import restart_command_text
from core.domain.runs.request import Place
from core.domain.runs.restarts.request import (
    DefinitionChoice,
    NoCheckpointForFiles,
    RestartMode,
    RestartRequest,
)

PLACE = Place(team_id="T0ACME", channel_id="C0BUILDS")
CHANNEL = CommandContext(request_key="k1", place=PLACE)
THREAD = CommandContext(
    request_key="k1", place=PLACE, thread_run_id="run_aaaaaaaaaaaa", has_forms=False
)
RUN = "run_0a1b2c3d4e5f"


def restart(text: str, context: CommandContext = CHANNEL) -> AskRestart:
    command = parse_slash(text, context)
    assert isinstance(command, AskRestart)
    return command


@pytest.mark.parametrize("point", ["@2", "#2", "2"])
def test_a_run_and_a_checkpoint_are_read(point: str) -> None:
    assert restart(f"restart {RUN} {point}") == AskRestart(target=RUN, checkpoint=2, is_chosen=True)


def test_without_a_point_the_form_asks() -> None:
    assert restart(f"restart {RUN}") == AskRestart(target=RUN)
    assert restart(f"restart {RUN} start") == AskRestart(target=RUN, is_chosen=True)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("restart", AskRestart(target="run_aaaaaaaaaaaa")),
        ("restart @3", AskRestart(target="run_aaaaaaaaaaaa", checkpoint=3, is_chosen=True)),
        (
            "restart @3 try the other way",
            AskRestart(
                target="run_aaaaaaaaaaaa",
                checkpoint=3,
                is_chosen=True,
                message="try the other way",
            ),
        ),
        (f"restart {RUN} @3", AskRestart(target=RUN, checkpoint=3, is_chosen=True)),
    ],
)
def test_in_a_thread_the_run_may_be_left_out(typed: str, expected: AskRestart) -> None:
    assert parse_mention(f"<@UBOT> {typed}", THREAD, bot_user_id="UBOT") == expected


@pytest.mark.parametrize("text", [f"restart {RUN} @2 --files", f"rollback --files {RUN} @2"])
def test_only_the_files_can_be_put_back(text: str) -> None:
    assert restart(text) == AskRestart(
        target=RUN, checkpoint=2, is_chosen=True, mode=RestartMode.FILES
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("restart", "Which run"),
        (f"restart {RUN} @0x", "I don't understand"),
        (f"restart {RUN} @00000000", "no checkpoint"),
        (f"restart {RUN} again please", "Give a checkpoint"),
        (f"restart {RUN} start --files", "not to the start"),
        (f"restart {RUN} @2 --turns 5", "has no flag"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, told: str) -> None:
    with pytest.raises(BadCommand) as caught:
        parse_slash(text, CHANNEL)

    assert told in caught.value.user_message


@given(
    number=st.integers(1, 999_999) | st.none(),
    mode=st.sampled_from(RestartMode),
    message=st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=40),
)
def test_a_button_says_the_same_command_again(
    number: int | None, mode: RestartMode, message: str
) -> None:
    command = AskRestart(
        target=RUN,
        checkpoint=number,
        is_chosen=True,
        mode=RestartMode.FORK if number is None else mode,
        message=message or None if number is not None else None,
    )

    assert restart(restart_command_text(command) or "") == command


def form(
    point: str, *, mode: str | None = None, message: str = "", run_id: str = RUN
) -> dict[str, Any]:
    choices: dict[str, Any] = {ids.RESTART_POINT: {"selected_option": {"value": point}}}
    if mode is not None:
        choices[ids.RESTART_MODE] = {"selected_option": {"value": mode}}
    return {
        "private_metadata": f'{{"run_id": "{run_id}"}}' if run_id else "{}",
        "state": {
            "values": {
                ids.RESTART_CHOICES: choices,
                ids.FIELD_MESSAGE: {ids.VALUE: {"value": message}},
                ids.FIELD_DEFINITION: {ids.VALUE: {"selected_option": {"value": "stored"}}},
            }
        },
    }


def test_the_form_is_read_as_it_was_filled() -> None:
    read = read_restart_form(form("@3", mode="files", message=" Go. "), request_key="k")

    assert read == RestartRequest(
        target=RUN,
        request_key="k",
        checkpoint=3,
        mode=RestartMode.FILES,
        message="Go.",
        definition=DefinitionChoice.STORED,
    )


def test_what_was_not_chosen_is_as_the_form_was_drawn() -> None:
    metadata = f'{{"run_id": "{RUN}", "checkpoint": 4, "mode": "files"}}'

    read = read_restart_form({"private_metadata": metadata}, request_key="k")

    assert (read.checkpoint, read.mode) == (4, RestartMode.FILES)


def test_from_the_start_nothing_but_everything_goes_back() -> None:
    read = read_restart_form(form("start", mode="files"), request_key="k")

    assert (read.checkpoint, read.mode) == (None, RestartMode.FORK)


def test_a_form_without_its_run_is_refused() -> None:
    with pytest.raises(BadForm):
        read_restart_form(form("@3", run_id=""), request_key="k")


def test_files_need_a_checkpoint_to_go_back_to() -> None:
    request = RestartRequest(target=RUN, request_key="k", mode=RestartMode.FILES)

    with pytest.raises(NoCheckpointForFiles):
        request.check()


def test_the_program_reads_the_same_words() -> None:
    given: dict[str, Any] = {"files": False, "stored": False, "turns": None, "budget": None}

    assert restart_body(point="@2", message="Go", **given) == {"checkpoint": 2, "message": "Go"}
    assert restart_body(point=None, message=None, **given) == {}
    for point, message in (("@x", None), (None, "Go")):
        with pytest.raises(BadArgument):
            restart_body(point=point, message=message, **given)
    with pytest.raises(BadArgument):
        restart_body(point=None, message=None, **{**given, "files": True})
