"""Commands about runs that there are: status, lists, kills and continuations, also in threads."""

import pytest

from bot.slack.commands.command import ListRuns, OfferKill, ShowStatus, ShowWorkflows
from bot.slack.commands.misplaced import turns_at_end
from bot.slack.commands.parser import parse_mention, parse_slash
from core.domain.kills.bulk_kill import KillSelection
from core.domain.runs.request import ContinueRequest, KillRequest, RunFilter
from tests.unit.command_helpers import CHANNEL, THREAD, parse_mentioned, refused


def test_status_takes_a_run_or_none() -> None:
    assert parse_slash("status", CHANNEL) == ShowStatus()
    assert parse_slash("status run_0a1b", CHANNEL) == ShowStatus(target="run_0a1b")
    assert parse_mentioned("status") == ShowStatus(target="run_aaaaaaaaaaaa")


def test_list_combines_its_filters() -> None:
    command = parse_slash("list mine failed workflow=Builder", CHANNEL)

    assert command == ListRuns(run_filter=RunFilter(mine=True, failed=True, workflow="builder"))
    assert parse_slash("list", CHANNEL) == ListRuns(run_filter=RunFilter())
    assert parse_slash("list all", CHANNEL) == ListRuns(run_filter=RunFilter())


def test_an_unknown_filter_gets_the_nearest_one() -> None:
    assert "Did you mean `mine`?" in refused("list min")


def test_workflows_takes_no_argument() -> None:
    assert parse_slash("workflows", CHANNEL) == ShowWorkflows()


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("kill run_0a1b", KillRequest(target="run_0a1b")),
        ("kill run_0a1b --force", KillRequest(target="run_0a1b", force=True)),
        ("kill —force run_0a1b", KillRequest(target="run_0a1b", force=True)),
        (
            "stop run_0a1b --force it&apos;s stuck &amp; loud",
            KillRequest(target="run_0a1b", force=True, reason="it&apos;s stuck & loud"),
        ),
    ],
)
def test_kill_accepts_force_and_a_reason(text: str, command: KillRequest) -> None:
    assert parse_slash(text, CHANNEL) == command


def test_kill_without_a_run_offers_the_persons_own() -> None:
    assert parse_slash("kill", CHANNEL) == OfferKill()
    assert parse_slash("stop --force", CHANNEL) == OfferKill(force=True)
    assert parse_mentioned("kill") == KillRequest(target="run_aaaaaaaaaaaa")


def test_kill_has_no_other_flag() -> None:
    assert "no flag `--now`" in refused("kill run_1 --now")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("kill", KillRequest(target="run_aaaaaaaaaaaa")),
        (
            "kill it runs in circles",
            KillRequest(target="run_aaaaaaaaaaaa", reason="it runs in circles"),
        ),
        ("stop --force", KillRequest(target="run_aaaaaaaaaaaa", force=True)),
        ("kill run_bbbb now", KillRequest(target="run_bbbb", reason="now")),
        ("kill a1b2c3d4", KillRequest(target="a1b2c3d4")),
        ("kill 3f2a", KillRequest(target="3f2a")),
        ("kill 3F2A wrong branch", KillRequest(target="3F2A", reason="wrong branch")),
        ("kill 123456", KillRequest(target="123456")),
        ("kill 3f2", KillRequest(target="run_aaaaaaaaaaaa", reason="3f2")),
        ("kill 4040 answers", KillRequest(target="run_aaaaaaaaaaaa", reason="4040 answers")),
        ("kill dead end", KillRequest(target="run_aaaaaaaaaaaa", reason="dead end")),
        ("kill 3f2a0b1c2d3e4", KillRequest(target="run_aaaaaaaaaaaa", reason="3f2a0b1c2d3e4")),
        ("kill facade is wrong", KillRequest(target="run_aaaaaaaaaaaa", reason="facade is wrong")),
    ],
)
def test_kill_in_a_thread_targets_the_threads_run(text: str, command: KillRequest) -> None:
    assert parse_mentioned(text) == command


@pytest.mark.parametrize(
    ("text", "turns", "message"),
    [
        ("continue", None, None),
        ("continue 20", 20, None),
        ("continue +20", 20, None),
        ("continue + 20", 20, None),
        ("continue 20 more turns", 20, None),
        ("continue 20 turns: fix the docs", 20, "fix the docs"),
        ("continue +20 fix\nthe docs", 20, "fix\nthe docs"),
        ("continue 3 tests still fail", None, "3 tests still fail"),
        ("continue 2nd try", None, "2nd try"),
        ("resume fix the docs", None, "fix the docs"),
    ],
)
def test_continue_in_a_thread(text: str, turns: int | None, message: str | None) -> None:
    assert parse_mentioned(text) == ContinueRequest(
        target="run_aaaaaaaaaaaa", request_key="k1", additional_turns=turns, message=message
    )


@pytest.mark.parametrize(
    ("text", "named", "turns", "message"),
    [
        ("continue run_0a1b +20 go on", "run_0a1b", 20, "go on"),
        ('continue "rate limits" +5', "rate limits", 5, None),
        ("continue run_0a1b", "run_0a1b", None, None),
        ("continue run_0a1b 20", "run_0a1b", 20, None),
    ],
)
def test_continue_names_a_run_or_a_session(
    text: str, named: str, turns: int | None, message: str | None
) -> None:
    assert parse_slash(text, CHANNEL) == ContinueRequest(
        target=named, request_key="k1", additional_turns=turns, message=message
    )


def test_too_many_turns_are_refused() -> None:
    assert "1 to 1000" in refused("continue run_0a1b +99999")
    assert "Which run" in refused("continue")


@pytest.mark.parametrize(
    "text", ["<@UBOT> kill", "hey <@UBOT|signalbox>: kill", "<@UBOT>\nkill", "<@UBOT>,  kill"]
)
def test_the_text_after_a_mention_is_the_command(text: str) -> None:
    command = parse_mention(text, THREAD, bot_user_id="UBOT")

    assert command == KillRequest(target="run_aaaaaaaaaaaa")


def test_turns_at_the_end_of_a_message_are_found() -> None:
    assert turns_at_end("and update the docs +20") == "+20"
    assert turns_at_end("go on + 20 turns ") == "+ 20 turns"
    assert turns_at_end("2+20") is None
    assert turns_at_end("add 20 tests") is None


def test_force_after_the_reason_is_force() -> None:
    assert parse_slash("kill run_0a1b wrong branch --force", CHANNEL) == KillRequest(
        target="run_0a1b", force=True, reason="wrong branch"
    )
    selection = parse_slash("kill --all mine too many —force", CHANNEL)
    assert isinstance(selection, KillSelection)
    assert (selection.force, selection.reason) == (True, "too many")


def test_a_flag_of_run_is_no_message_to_continue_with() -> None:
    assert "`continue` has no flag `--repo`" in refused("continue run_0a1b --repo /srv/a go on")
    command = parse_slash("continue run_0a1b --verbose is missing", CHANNEL)
    assert isinstance(command, ContinueRequest)
    assert command.message == "--verbose is missing"
