"""The answer to `help`: the commands, with an example of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bot.slack import text
from bot.slack.commands.command import Subcommand
from bot.slack.commands.flags import FLAGS
from bot.slack.views import blocks
from bot.slack.views.alerts.help import alert_help_blocks
from bot.slack.views.message import Block, Message


@dataclass(frozen=True, kw_only=True)
class HelpEntry:
    """The help of one subcommand, not yet escaped."""

    usage: str
    description: str
    example: str


HELP_ENTRIES: Mapping[Subcommand, HelpEntry] = MappingProxyType(
    {
        Subcommand.RUN: HelpEntry(
            usage="run <workflow> [flags] <task>",
            description="starts a workflow; alone it opens a form. All after the flags is the "
            "task, "
            "word for word, over several lines if you like.",
            example="run implement --repo https://github.com/acme/api Add rate limiting",
        ),
        Subcommand.STATUS: HelpEntry(
            usage="status [run or session]",
            description="shows a run, or a session with its legs, or all that is live.",
            example="status run_0a1b2c3d4e5f",
        ),
        Subcommand.LIST: HelpEntry(
            usage="list [mine] [live] [failed] [workflow=<name>]",
            description="lists recent runs.",
            example="list mine failed",
        ),
        Subcommand.KILL: HelpEntry(
            usage="kill <run> [--force] [reason]",
            description="stops a run within seconds and proves that nothing is left of it; alone "
            "it offers your live runs. Of an id at least four characters are needed. "
            "`--force` "
            "gives it no time to finish what it is writing. `--all mine`, `--all workflow=<name>` "
            "or (operators) `--all live` in the place of `<run>` lists many, and asks first.",
            example="kill run_0a1b2c3d4e5f wrong branch",
        ),
        Subcommand.CONTINUE: HelpEntry(
            usage="continue <run or session> [+turns] [message]",
            description="continues an ended run from its newest leg: same conversation, same "
            "workspace, with the turns that it had left and `+turns` more.",
            example="continue run_0a1b2c3d4e5f +20 and update the docs",
        ),
        Subcommand.RESTART: HelpEntry(
            usage="restart <run> [@N] [--files] [message]",
            description="shows what a restart of an ended run from its start or from checkpoint N "
            "would do, and restarts it as a new run if you agree; the old one stays. `--files` "
            "puts only the files back and continues the same conversation.",
            example="restart run_0a1b2c3d4e5f @2",
        ),
        Subcommand.SESSIONS: HelpEntry(
            usage="sessions [mine|closed|all] [<session>]",
            description="lists conversations, or shows one with its legs and what each cost. "
            "`close <session>` frees its name for another one, `rename <session> <name>` gives it "
            "another, `reopen <session>` takes a closed one back.",
            example="sessions rate limits",
        ),
        Subcommand.ALERTS: HelpEntry(
            usage="alerts [subscribe|list|edit|mute|unsubscribe|test]",
            description="tells this channel of what goes wrong; alone it lists its subscriptions, "
            "or opens a form if there are none.",
            example="alerts subscribe failed stalled workflow=implement mention=@oncall "
            "quiet=22:00-07:00",
        ),
        Subcommand.STATS: HelpEntry(
            usage="stats [24h|7d|30d]",
            description="adds up runs, spend and kills of a period, 7 days unless you say "
            "otherwise.",
            example="stats 24h",
        ),
        Subcommand.WORKERS: HelpEntry(
            usage="workers",
            description="shows the workers: nodes, slots, and the time since their last heartbeat.",
            example="workers",
        ),
        Subcommand.WORKSPACES: HelpEntry(
            usage="workspaces",
            description="shows workers' workspaces: size, age, and why each one stays.",
            example="workspaces",
        ),
        Subcommand.WORKFLOWS: HelpEntry(
            usage="workflows", description="lists the workflows there are.", example="workflows"
        ),
        Subcommand.DASHBOARD: HelpEntry(
            usage="dashboard",
            description="answers, only to you, with a link that signs your browser in to the "
            "dashboard: once, within ten minutes.",
            example="dashboard",
        ),
        Subcommand.HELP: HelpEntry(
            usage="help [command|all]",
            description="shows the four commands for every day, more of one, or all.",
            example="help run",
        ),
    }
)

# The four that most people need, in a few words each.
_EVERY_DAY: Mapping[Subcommand, str] = MappingProxyType(
    {
        Subcommand.RUN: "starts a workflow; alone it opens a form.",
        Subcommand.STATUS: "shows a run, or all that is live.",
        Subcommand.KILL: "stops a run; alone it offers yours.",
        Subcommand.CONTINUE: "goes on with an ended run.",
    }
)

_THREAD_HELP = (
    "*In a run's thread* Slack takes no slash commands: mention me instead, no run id needed. "
    "`@signalbox kill`, `@signalbox continue 20`, `@signalbox status`."
)
_RUN_ID_HELP = (
    "A run id is `run_` and 12 characters; the first few are enough while only one run begins so. "
    "In a thread write `run_` before a shortened id; other words are the reason or the message."
)


def help_message(topic: Subcommand | None = None, *, is_complete: bool = False) -> Message:
    """Explain one subcommand in full, all of them briefly, or the four for every day."""
    if topic is not None:
        return _topic_message(topic)
    return _complete_message() if is_complete else _short_message()


def _short_message() -> Message:
    lines = [
        text.escape(f"`/workflow {HELP_ENTRIES[one].usage}` {words}")
        for one, words in _EVERY_DAY.items()
    ]
    return Message(
        text="The commands for every day",
        blocks=(
            *blocks.paragraphs(["*The commands for every day*", *lines]),
            blocks.section(_THREAD_HELP),
            blocks.context(
                "`/workflow help all` shows all commands, `/workflow help run` the flags of one."
            ),
        ),
    )


def _complete_message() -> Message:
    lines = [_usage_line(subcommand) for subcommand in Subcommand]
    return Message(
        text="What you can type after /workflow",
        blocks=(
            *blocks.paragraphs(["*What you can type*", *lines]),
            blocks.section(_THREAD_HELP),
            blocks.context(_RUN_ID_HELP),
        ),
    )


def _usage_line(subcommand: Subcommand) -> str:
    entry = HELP_ENTRIES[subcommand]
    return text.escape(f"`/workflow {entry.usage}` {entry.description}")


def _topic_message(subcommand: Subcommand) -> Message:
    entry = HELP_ENTRIES[subcommand]
    drawn: list[Block] = [
        blocks.section(_usage_line(subcommand)),
        blocks.section(text.escape(f"For example: `/workflow {entry.example}`")),
    ]
    if subcommand is Subcommand.RUN:
        drawn += blocks.paragraphs(["*Flags*, before the task", *_flag_lines()])
        drawn.append(
            blocks.context(
                "Put values with spaces in quotes. If the task itself begins with `--`, put a "
                "lone `--` before it."
            )
        )
    if subcommand is Subcommand.ALERTS:
        drawn += alert_help_blocks()
    drawn.append(blocks.context(_THREAD_HELP))
    return Message(text=f"Help on /workflow {subcommand}", blocks=tuple(drawn))


def _flag_lines() -> list[str]:
    return [text.escape(f"`{flag.example}` {flag.help_text}") for flag in FLAGS.values()]
