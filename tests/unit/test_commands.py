from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.commands.command import (
    SYNONYMS,
    Command,
    CommandContext,
    ListRuns,
    OfferKill,
    OpenRunForm,
    ShowHelp,
    ShowStatus,
    ShowWorkflows,
    Subcommand,
)
from bot.slack.commands.flags import FLAGS, BadCommand, Flag
from bot.slack.commands.misplaced import flags_at_end, turns_at_end, without_flags_at_end
from bot.slack.commands.parser import parse_mention, parse_slash
from bot.slack.commands.words import trim
from core.domain.kills.bulk_kill import KillSelection
from core.domain.runs.request import ContinueRequest, KillRequest, Place, RunFilter, StartRequest

PLACE = Place(team_id="T0ACME", channel_id="C0BUILDS")
CHANNEL = CommandContext(request_key="k1", place=PLACE, workflow_names=("implement", "builder"))
THREAD = CommandContext(
    request_key="k1", place=PLACE, thread_run_id="run_aaaaaaaaaaaa", has_forms=False
)


def run(text: str) -> StartRequest:
    command = parse_slash(text, CHANNEL)
    assert isinstance(command, StartRequest)
    return command


def refused(text: str, context: CommandContext = CHANNEL) -> str:
    with pytest.raises(BadCommand) as caught:
        parse_slash(text, context)
    return caught.value.user_message


def parse_mentioned(text: str) -> Command:
    return parse_mention(f"<@UBOT> {text}", THREAD, bot_user_id="UBOT")


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


@pytest.mark.parametrize("text", ["", "help", "?", "--help", "HELP"])
def test_many_words_show_the_help(text: str) -> None:
    assert parse_slash(text, CHANNEL) == ShowHelp()


@pytest.mark.parametrize("subcommand", list(Subcommand))
def test_each_subcommand_has_help(subcommand: Subcommand) -> None:
    assert parse_slash(f"help {subcommand}", CHANNEL) == ShowHelp(topic=subcommand)
    assert parse_slash(f"{subcommand} --help", CHANNEL) == ShowHelp(topic=subcommand)


def test_an_unknown_subcommand_gets_the_nearest_one() -> None:
    assert "Did you mean `status`?" in refused("stauts run_1")


def test_a_missing_run_subcommand_is_noticed() -> None:
    assert "`/workflow run builder" in refused("builder fix it")


@pytest.mark.parametrize(("word", "meant"), list(SYNONYMS.items()))
def test_synonyms_do_the_same(word: str, meant: Subcommand) -> None:
    assert parse_slash(f"help {word}", CHANNEL) == ShowHelp(topic=meant)


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


def test_a_mention_can_start_a_run_over_several_lines() -> None:
    command = parse_mentioned("run builder\nFirst this.\nThen that.")

    assert isinstance(command, StartRequest)
    assert command.task == "First this.\nThen that."


def test_the_manual_names_every_subcommand_flag_and_synonym() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")

    for subcommand in Subcommand:
        assert f"`/workflow {subcommand}" in manual
    for flag in FLAGS.values():
        assert f"`{flag.example}`" in manual
    for word in SYNONYMS:
        assert f"`{word}`" in manual


@pytest.mark.parametrize("flag", FLAGS.values(), ids=lambda flag: flag.name)
def test_every_flags_example_is_accepted(flag: Flag) -> None:
    assert run(f"run builder {flag.example} do it").task == "do it"


@pytest.mark.parametrize("mark", ["\u200b", "\ufeff", "\u2060", "\u200d\u200e", "\u00ad"])
def test_invisible_characters_around_words_are_ignored(mark: str) -> None:
    words = ("run", "builder", "--turns", "40", "--", "Do it")
    told = " ".join(f"{mark}{word}{mark}" for word in words)

    typed, mentioned = run(told), parse_mentioned(told)

    assert isinstance(mentioned, StartRequest)
    assert {(one.workflow, one.max_turns, one.task) for one in (typed, mentioned)} == {
        ("builder", 40, "Do it")
    }
    assert run(f'run builder --session "a b"{mark} x').session_name == "a b"
    assert run(f"run builder --session={mark}a x").session_name == "a"
    assert parse_slash(f"{mark}run{mark}", CHANNEL) == OpenRunForm()
    assert parse_slash(mark, CHANNEL) == ShowHelp()


def test_an_invisible_character_inside_the_task_stays() -> None:
    # A family emoji is joined by it.
    assert run("run builder draw 👩\u200d👧 twice").task == "draw 👩\u200d👧 twice"


@pytest.mark.parametrize(
    "text",
    [
        "can you add a cache?",
        "will you look at this",
        "still failing on main",
        "please fix the flaky test",
    ],
)
def test_prose_is_no_typing_error_of_a_command(text: str) -> None:
    with pytest.raises(BadCommand) as caught:
        parse_mentioned(text)

    words = caught.value.user_message
    assert "Did you mean" not in words
    assert f"`@signalbox run implement {text}`" in words


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("kil run_0a1b", "kill"),
        ("contine run_0a1b", "continue"),
        ("lst mine failed", "list"),
        ("rum builder add a cache", "run"),
        ("hlep", "help"),
    ],
)
def test_a_typing_error_of_a_command_still_gets_the_nearest_one(text: str, meant: str) -> None:
    assert f"Did you mean `{meant}`?" in refused(text)


def test_a_forgotten_run_is_answered_with_the_whole_command() -> None:
    assert "`/workflow run builder fix the login`" in refused("builder fix the login")


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
    assert "takes more turns as `+20`" in refused("continue run_0a1b --turns 20 go on")
    command = parse_slash("continue run_0a1b --verbose is missing", CHANNEL)
    assert isinstance(command, ContinueRequest)
    assert command.message == "--verbose is missing"


def test_help_all_shows_everything() -> None:
    assert parse_slash("help all", CHANNEL) == ShowHelp(is_complete=True)
