"""Help, synonyms, typing errors, and characters that nobody sees."""

from pathlib import Path

import pytest

from bot.slack.commands.command import SYNONYMS, OpenRunForm, ShowHelp, Subcommand
from bot.slack.commands.flags import FLAGS, BadCommand
from bot.slack.commands.parser import parse_slash
from core.domain.runs.request import StartRequest
from tests.unit.command_helpers import CHANNEL, parse_mentioned, refused, run


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


def test_the_manual_names_every_subcommand_flag_and_synonym() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")

    for subcommand in Subcommand:
        assert f"`/workflow {subcommand}" in manual
    for flag in FLAGS.values():
        assert f"`{flag.example}`" in manual
    for word in SYNONYMS:
        assert f"`{word}`" in manual


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


def test_help_all_shows_everything() -> None:
    assert parse_slash("help all", CHANNEL) == ShowHelp(is_complete=True)
