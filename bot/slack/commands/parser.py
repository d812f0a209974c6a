"""The parser of typed commands: `/workflow …` and `@signalbox …`.  Pure."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from bot.slack.commands.alerts.parser import parse_alerts
from bot.slack.commands.alerts.values import AlertCommand
from bot.slack.commands.command import (
    ALL_HELP,
    SYNONYMS,
    Command,
    CommandContext,
    ListRuns,
    OpenRunForm,
    ShowDashboard,
    ShowHelp,
    ShowStats,
    ShowStatus,
    ShowWorkers,
    ShowWorkflows,
    ShowWorkspaces,
    Subcommand,
)
from bot.slack.commands.continue_flags import take_continue_flags
from bot.slack.commands.flags import (
    BadCommand,
    closest_match,
    excerpt,
    parse_turns,
    read_flag,
)
from bot.slack.commands.kill_parser import parse_kill
from bot.slack.commands.restart_parser import parse_restart
from bot.slack.commands.session_parser import parse_sessions, whole_name
from bot.slack.commands.targets import RUN_ID, take_run
from bot.slack.commands.words import INVISIBLE, WordReader
from bot.slack.text import from_slack
from core.domain.runs.request import ContinueRequest, RunFilter, StartRequest
from core.domain.runs.stats import Period

_MORE_TURNS = re.compile(
    r"(?:\+\s?(?P<plus>\d+)|(?P<bare>\d+))(?P<noun>(?:\s+more)?(?:\s+turns?)?\b)[:,.]?(?=\s|\Z)",
    re.IGNORECASE,
)
# A first word that is less like a command is not taken for a typing error ("can" for `cancel`).
_LIKENESS = 0.8
# Words after an unknown first one from which a text reads as prose.
_PROSE_WORDS = 2
# The most characters of it that an answer repeats.
_QUOTED_CHARS = 200
_USUAL_WORKFLOW = "implement"
_MENTION = "<@{user}(?:\\|[^<>]*)?>"
_AFTER_MENTION = " \t,:" + "".join(sorted(INVISIBLE))


def parse_slash(text: str, context: CommandContext) -> Command:
    """Parse the text after `/workflow`.

    Raises:
        BadCommand: If it is not valid; the message says what is wrong and shows an example.
    """
    words = WordReader(text)
    first = words.take()
    if not first:
        return ShowHelp()
    subcommand = _subcommand(first)
    if subcommand is None:
        raise _unknown_subcommand_error(first, words, context)
    if words.peek().lower() in {"--help", "—help", "-h"}:
        return ShowHelp(topic=subcommand)
    return _PARSERS[subcommand](words, context)


def parse_mention(text: str, context: CommandContext, *, bot_user_id: str) -> Command:
    """Parse the text after the first mention of the bot in a message.

    Raises:
        BadCommand: As `parse_slash`.
    """
    parts = re.split(_MENTION.format(user=re.escape(bot_user_id)), text, maxsplit=1)
    return parse_slash(parts[-1].lstrip(_AFTER_MENTION), context)


def _subcommand(name: str) -> Subcommand | None:
    name = name.lower()
    return SYNONYMS.get(name) or next((known for known in Subcommand if known == name), None)


def _unknown_subcommand_error(first: str, words: WordReader, context: CommandContext) -> BadCommand:
    rest = excerpt(from_slack(words.rest), _QUOTED_CHARS)
    if first.lower() in context.workflow_names:
        return BadCommand(
            f"`{excerpt(first)}` is a workflow. To start it: "
            f"`/workflow run {excerpt(first)} {rest or '<what is to be done>'}`."
        )
    is_run = words.peek().lower() in context.workflow_names
    known = {*Subcommand, *SYNONYMS}
    suggestion = Subcommand.RUN if is_run else closest_match(first, known, cutoff=_LIKENESS)
    if suggestion is None and len(rest.split()) >= _PROSE_WORDS:
        return _prose_error(f"{excerpt(first)} {rest}", context)
    hint = f" Did you mean `{suggestion}`?" if suggestion else ""
    listed = ", ".join(f"`{subcommand}`" for subcommand in Subcommand)
    return BadCommand(
        f"I don't know `{excerpt(first)}`.{hint} I know {listed}. `/workflow help` explains them."
    )


def _prose_error(words: str, context: CommandContext) -> BadCommand:
    """The answer to somebody who writes to the bot as to a colleague."""
    names = sorted(context.workflow_names)
    workflow = _USUAL_WORKFLOW if _USUAL_WORKFLOW in names or not names else names[0]
    typed = "/workflow" if context.has_forms else "@signalbox"
    command = f"{typed} run {workflow} {excerpt(words, _QUOTED_CHARS)}"
    return BadCommand(
        "I take commands, and this begins with none. To have it done by an agent: "
        f"`{command}`. `{typed} help` shows the commands."
    )


def _status(words: WordReader, context: CommandContext) -> ShowStatus:
    if context.thread_run_id and not RUN_ID.fullmatch(words.peek()):
        return ShowStatus(target=context.thread_run_id)
    return ShowStatus(target=whole_name(words) or None)


def _workflows(_words: WordReader, _context: CommandContext) -> ShowWorkflows:
    return ShowWorkflows()


def _help(words: WordReader, _context: CommandContext) -> ShowHelp:
    name = words.take()
    return ShowHelp(topic=_subcommand(name), is_complete=name.lower() in ALL_HELP)


def _run(words: WordReader, context: CommandContext) -> StartRequest | OpenRunForm:
    if not words.rest and context.has_forms:
        return OpenRunForm()
    values: dict[str, object] = {}
    workflow = ""
    while not words.take_end_of_flags():
        read = read_flag(words, values)
        if read is not None:
            values[read[0]] = read[1]
        elif workflow:
            break
        else:
            workflow = words.take()
            if not workflow:
                break
    if not workflow:
        # After a lone `--` the next word is still the workflow's name.
        workflow = words.take()
    if not workflow:
        raise BadCommand(
            "Say which workflow and what is to be done: "
            "`/workflow run implement Add rate limiting to the API`. "
            "`/workflow workflows` lists them."
        )
    task = from_slack(words.rest)
    if not task:
        raise BadCommand(
            f"Say what `{excerpt(workflow)}` is to do: "
            f"`/workflow run {excerpt(workflow)} Add rate limiting to the API`."
        )
    _move_name(values)
    return StartRequest(
        workflow=workflow.lower(),
        task=task,
        request_key=context.request_key,
        place=context.place,
        **values,  # type: ignore[arg-type]  # each flag reads the type of its field
    )


def _move_name(values: dict[str, object]) -> None:
    """Read `--new-session` as a name that moves to a new session."""
    moved = values.pop("new_session_name", None)
    if moved is None:
        return
    if "session_name" in values:
        raise BadCommand(
            "Give one of `--session` and `--new-session`: the first goes on with a session of that "
            "name if there is one, the second makes a new one."
        )
    values |= {"session_name": moved, "new_session": True}


def _list(words: WordReader, _context: CommandContext) -> ListRuns:
    flags = {"mine": False, "live": False, "failed": False}
    workflow: str | None = None
    while word := words.take():
        name, _, value = word.partition("=")
        name = name.lower()
        if name == "workflow" and value:
            workflow = value.lower()
        elif name in flags and not value:
            flags[name] = True
        elif name != "all" or value:
            suggestion = closest_match(name, {*flags, "workflow"})
            hint = f" Did you mean `{suggestion}`?" if suggestion else ""
            raise BadCommand(
                f"`list` can't filter by `{excerpt(word)}`.{hint} It takes `mine`, `live`, "
                "`failed` and `workflow=<name>`, for example `/workflow list mine failed`."
            )
    return ListRuns(run_filter=RunFilter(workflow=workflow, **flags))


def _alerts(words: WordReader, context: CommandContext) -> AlertCommand | ShowHelp:
    if words.peek().lower() in {"help", "?"}:
        return ShowHelp(topic=Subcommand.ALERTS)
    return parse_alerts(words, has_forms=context.has_forms)


def _stats(words: WordReader, _context: CommandContext) -> ShowStats:
    given = words.take()
    period = next((one for one in Period if one == given.lower()), None)
    if given and (period is None or words.rest):
        known = ", ".join(f"`{one}`" for one in Period)
        raise BadCommand(
            f"`stats` looks back over {known}, not `{excerpt(f'{given} {words.rest}'.strip())}`. "
            "For example `/workflow stats 24h`; without a period it is 7 days."
        )
    return ShowStats(period=period or Period.WEEK)


def _workers(_words: WordReader, _context: CommandContext) -> ShowWorkers:
    return ShowWorkers()


def _dashboard(_words: WordReader, _context: CommandContext) -> ShowDashboard:
    return ShowDashboard()


def _workspaces(_words: WordReader, _context: CommandContext) -> ShowWorkspaces:
    return ShowWorkspaces()


def _continue(words: WordReader, context: CommandContext) -> ContinueRequest:
    bare_turns = _MORE_TURNS.match(words.rest) if context.thread_run_id else None
    target = (
        context.thread_run_id
        if context.thread_run_id and bare_turns
        else take_run(
            words,
            context,
            verb=Subcommand.CONTINUE,
            example="/workflow continue run_0a1b2c3d4e5f +20",
        )
    )
    values = take_continue_flags(words)
    additional, message = _take_turns(words.rest)
    given = values.pop("additional_turns", None)
    if given is not None and additional is not None:
        raise BadCommand("Give the turns once: `+20`, or `--turns 20`.")
    return ContinueRequest(
        target=target,
        request_key=context.request_key,
        additional_turns=additional if given is None else given,
        message=from_slack(message) or None,
        **values,
    )


def _take_turns(text: str) -> tuple[int | None, str]:
    """Split `+20`, `20 turns` or a lone `20` from the start of a message.

    A bare number followed by words is part of the message ("3 tests still fail").
    """
    found = _MORE_TURNS.match(text)
    if found is None:
        return None, text
    rest = text[found.end() :].strip()
    if found["plus"] is None and not found["noun"].strip() and rest:
        return None, text
    digits = found["plus"] or found["bare"]
    wanted = parse_turns(digits)
    if wanted is None:
        raise BadCommand(
            f"`+{excerpt(digits)}` turns is out of bounds: give a whole number from 1 to 1000, "
            "for example `+20`."
        )
    return wanted, rest


_PARSERS: Mapping[Subcommand, Callable[[WordReader, CommandContext], Command]] = MappingProxyType(
    {
        Subcommand.RUN: _run,
        Subcommand.STATUS: _status,
        Subcommand.LIST: _list,
        Subcommand.KILL: parse_kill,
        Subcommand.CONTINUE: _continue,
        Subcommand.RESTART: parse_restart,
        Subcommand.SESSIONS: parse_sessions,
        Subcommand.ALERTS: _alerts,
        Subcommand.STATS: _stats,
        Subcommand.WORKERS: _workers,
        Subcommand.WORKSPACES: _workspaces,
        Subcommand.WORKFLOWS: _workflows,
        Subcommand.DASHBOARD: _dashboard,
        Subcommand.HELP: _help,
    }
)
