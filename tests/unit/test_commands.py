"""`/workflow run`: its task and its flags, as people type them and as Slack changes them."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.commands.command import OpenRunForm
from bot.slack.commands.flags import FLAGS, BadCommand, Flag
from bot.slack.commands.misplaced import flags_at_end, without_flags_at_end
from bot.slack.commands.parser import parse_slash
from bot.slack.commands.words import trim
from core.domain.runs.request import StartRequest
from tests.unit.command_helpers import CHANNEL, PLACE, THREAD, parse_mentioned, refused, run


def test_a_workflow_and_a_task_are_enough() -> None:
    assert run("run builder Add rate limiting to the API") == StartRequest(
        workflow="builder",
        task="Add rate limiting to the API",
        request_key="k1",
        place=PLACE,
    )


def test_every_flag_is_read() -> None:
    command = run(
        "run builder --repo https://github.com/acme/api --branch main --model sonnet --turns 40 "
        '--budget $2.50 --timeout 1h30m --session "rate limits" --priority -5 Do it'
    )

    assert command == StartRequest(
        workflow="builder",
        task="Do it",
        request_key="k1",
        place=PLACE,
        repo="https://github.com/acme/api",
        branch="main",
        model="sonnet",
        max_turns=40,
        budget_usd=Decimal("2.50"),
        timeout=timedelta(hours=1, minutes=30),
        session_name="rate limits",
        priority=-5,
    )


def test_flags_may_precede_the_workflow() -> None:
    command = run("run --turns 5 builder do")

    assert (command.workflow, command.max_turns, command.task) == ("builder", 5, "do")


def test_the_task_stays_unchanged() -> None:
    task = (
        "Add limits:\n\n  - per key   and\tper “user”\n  - --turns 5 is not a flag here — no\nend"
    )

    assert run(f"run builder --turns 9 {task}").task == task


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: trim(text) == text))
def test_any_task_survives_slacks_escaping(task: str) -> None:
    carried = task.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    assert run(f"run builder -- {carried}").task == task


@settings(deadline=None)
@given(st.text())
def test_any_text_is_parsed_or_refused_with_a_message(text: str) -> None:
    answers: list[str] = []

    for context in (CHANNEL, THREAD):
        for typed in (text, f"run {text}", f"kill {text}", f"continue {text}", f"list {text}"):
            try:
                parse_slash(typed, context)
            except BadCommand as refusal:
                answers.append(refusal.user_message)

    assert all(0 < len(answer) < 600 for answer in answers)


@pytest.mark.parametrize("dash", ["--", "—", "–"])
def test_dashes_changed_by_slack_still_mark_flags(dash: str) -> None:
    assert run(f"run builder {dash}turns 5 {dash}branch=main do").branch == "main"


@pytest.mark.parametrize("quoted", ['"my one"', "“my one”", "'my one'", "‘my one’", "«my one»"])
def test_quotes_of_every_kind_delimit_a_value(quoted: str) -> None:
    command = run(f"run builder --session {quoted} do")

    assert (command.session_name, command.task) == ("my one", "do")


@pytest.mark.parametrize(
    ("carried", "repo"),
    [
        ("<https://github.com/acme/api>", "https://github.com/acme/api"),
        ("<http://github.com/acme/api|github.com/acme/api>", "http://github.com/acme/api"),
        ("<mailto:git@github.com|git@github.com>:acme/api.git", "git@github.com:acme/api.git"),
        ("<ssh://git@host/a.git>", "ssh://git@host/a.git"),
        ("/srv/git/a&amp;b.git", "/srv/git/a&b.git"),
    ],
)
def test_addresses_lose_slacks_brackets(carried: str, repo: str) -> None:
    assert run(f"run builder --repo {carried} do").repo == repo


def test_people_and_channels_in_a_task_are_named() -> None:
    task = run("run builder Tell <@U0ADA|ada> in <#C0BUILDS|builds>").task

    assert task == "Tell @ada in #builds"


def test_a_lone_dash_ends_the_flags() -> None:
    assert run("run builder --turns 3 -- --branch is broken").task == "--branch is broken"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("run builder --turns x do", ("`--turns`", "`x`", "1 to 1000", "`--turns 30`")),
        ("run builder --turns 0 do", ("`--turns`", "`0`")),
        ("run builder --turns", ("`--turns` needs", "`--turns 30`")),
        ("run builder --turns --branch main do", ("`--turns` needs",)),
        ("run builder --budget lots do", ("`--budget`", "`lots`", "`--budget 2.50`")),
        ("run builder --budget 0 do", ("`--budget`", "more than 0")),
        ("run builder --timeout 30 do", ("`--timeout`", "unit", "`--timeout 30m`")),
        ("run builder --timeout 25h do", ("`--timeout`", "24h")),
        ("run builder --priority 101 do", ("`--priority`", "-100 to 100")),
        ("run builder --session=  do it", ("`--session`",)),
        ("run builder --trns 4 do", ("no flag `--trns`", "Did you mean `--turns`?")),
        ("run builder --turns 4 --turns 5 do", ("twice",)),
        ("run builder", ("Say what `builder` is to do",)),
        ("run builder --turns 5", ("Say what `builder` is to do",)),
    ],
)
def test_an_invalid_flag_is_reported_with_its_name_value_and_an_example(
    text: str, parts: tuple[str, ...]
) -> None:
    words = refused(text)

    for part in parts:
        assert part in words


def test_run_alone_opens_the_form_where_forms_are_possible() -> None:
    assert parse_slash(" run ", CHANNEL) == OpenRunForm()
    assert "which workflow" in refused("run", THREAD)


def test_a_mention_can_start_a_run_over_several_lines() -> None:
    command = parse_mentioned("run builder\nFirst this.\nThen that.")

    assert isinstance(command, StartRequest)
    assert command.task == "First this.\nThen that."


@pytest.mark.parametrize("flag", FLAGS.values(), ids=lambda flag: flag.name)
def test_every_flags_example_is_accepted(flag: Flag) -> None:
    assert run(f"run builder {flag.example} do it").task == "do it"


@pytest.mark.parametrize("quoted", ['"/srv/my repo"', "“/srv/my repo”", "'/srv/my repo'"])
@pytest.mark.parametrize("equals", [" ", "="])
def test_a_quoted_path_with_a_space_is_a_repository(quoted: str, equals: str) -> None:
    command = run(f"run builder --repo{equals}{quoted} Add x")

    assert (command.repo, command.task) == ("/srv/my repo", "Add x")


def test_a_repository_has_no_line_break_and_a_branch_no_space() -> None:
    assert "`--repo` needs" in refused('run builder --repo "/srv/a\nb" x')
    assert "`--branch` needs" in refused('run builder --branch "my branch" x')


@pytest.mark.parametrize(
    ("task", "flags", "rest"),
    [
        ("Add x --turns 5", ["--turns 5"], "Add x"),
        ("Add x —turns=5", ["--turns 5"], "Add x"),
        ("Add x --turns 5 --budget $2 ", ["--turns 5", "--budget $2"], "Add x"),
        ('Add x --session "my work"', ['--session "my work"'], "Add x"),
        ("Add x\n--repo https://a.b/c", ["--repo https://a.b/c"], "Add x"),
        ("Add x --turns many", [], "Add x --turns many"),
        ("Add a flag --verbose 5", [], "Add a flag --verbose 5"),
        ("--turns 5 is too few", [], "--turns 5 is too few"),
        ("Explain `--turns 5`", [], "Explain `--turns 5`"),
        ("Add x --turns", [], "Add x --turns"),
    ],
)
def test_known_flags_at_the_end_of_a_task_are_found(task: str, flags: list[str], rest: str) -> None:
    assert flags_at_end(task) == flags
    assert without_flags_at_end(task) == rest
    assert run(f"run builder -- {task}").task == task.strip()
