"""The parser of typed commands: `/workflow …` and `@signalbox …`.  Pure."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from bot.slack.commands.command import (
    SYNONYMS,
    Command,
    CommandContext,
    ListRuns,
    OpenRunForm,
    ShowHelp,
    ShowStats,
    ShowStatus,
    ShowWorkers,
    ShowWorkflows,
    Subcommand,
)
from bot.slack.commands.flags import (
    BadCommand,
    closest_match,
    excerpt,
    parse_turns,
    read_flag,
)
from bot.slack.commands.words import INVISIBLE, WordReader
from bot.slack.text import from_slack
from core.domain.kills.bulk_kill import KillSelection
from core.domain.runs.request import ContinueRequest, KillRequest, RunFilter, StartRequest
from core.domain.runs.stats import Period

# `run_` and up to 12 hexadecimal digits.  Without `run_`: at least 4 with a letter and a digit
# among them (not a word such as "facade"), or at least 6 digits (not a number such as "404").
_RUN_ID = re.compile(
    r"run_[0-9a-f]{1,12}|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{4,12}|\d{6,12}", re.IGNORECASE
)
_MORE_TURNS = re.compile(
    r"(?:\+\s?(?P<plus>\d+)|(?P<bare>\d+))(?P<noun>(?:\s+more)?(?:\s+turns?)?\b)[:,.]?(?=\s|\Z)",
    re.IGNORECASE,
)
# As typed, or with the dash that a client made of `--`.
_ALL_SPELLINGS = frozenset({"--all", "—all", "–all", "-all"})
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
        raise _unknown_subcommand_error(first, context)
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


def _unknown_subcommand_error(first: str, context: CommandContext) -> BadCommand:
    if first.lower() in context.workflow_names:
        return BadCommand(
            f"`{excerpt(first)}` is a workflow. To start it: "
            f"`/workflow run {excerpt(first)} <what is to be done>`."
        )
    suggestion = closest_match(first, {*Subcommand, *SYNONYMS})
    hint = f" Did you mean `{suggestion}`?" if suggestion else ""
    known = ", ".join(f"`{subcommand}`" for subcommand in Subcommand)
    return BadCommand(
        f"I don't know `{excerpt(first)}`.{hint} I know {known}. `/workflow help` explains them."
    )


def _status(words: WordReader, context: CommandContext) -> ShowStatus:
    if context.thread_run_id and not _RUN_ID.fullmatch(words.peek()):
        return ShowStatus(target=context.thread_run_id)
    return ShowStatus(target=words.take() or None)


def _workflows(_words: WordReader, _context: CommandContext) -> ShowWorkflows:
    return ShowWorkflows()


def _help(words: WordReader, _context: CommandContext) -> ShowHelp:
    return ShowHelp(topic=_subcommand(words.take()))


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
    return StartRequest(
        workflow=workflow.lower(),
        task=task,
        request_key=context.request_key,
        place=context.place,
        **values,  # type: ignore[arg-type]  # each flag reads the type of its field
    )


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


def _take_run(words: WordReader, context: CommandContext, *, verb: Subcommand, example: str) -> str:
    """Take the run that is meant: the named one, otherwise that of the thread."""
    in_thread = context.thread_run_id is not None
    if words.peek() and (not in_thread or _RUN_ID.fullmatch(words.peek())):
        return words.take()
    if context.thread_run_id is not None:
        return context.thread_run_id
    raise BadCommand(
        f"Which run shall I {verb}? Give its id: `{example}`. `/workflow list` shows the "
        "recent ones; in a run's own thread no id is needed."
    )


def _take_force(words: WordReader) -> bool:
    taken = words.peek().lower() in {"--force", "—force", "–force", "-f"}
    if taken:
        words.take()
    return taken


def _kill(words: WordReader, context: CommandContext) -> KillRequest | KillSelection:
    is_forced = _take_force(words)
    if words.peek().lower() in _ALL_SPELLINGS:
        words.take()
        return _kill_all(words, is_forced=is_forced)
    if context.thread_run_id is None and words.peek().lower() in {"all", "mine"}:
        raise BadCommand(
            "To stop several runs put two dashes before `all`: `/workflow kill --all mine`. It "
            "lists them and asks before it stops anything."
        )
    target = _take_run(
        words, context, verb=Subcommand.KILL, example="/workflow kill run_0a1b2c3d4e5f"
    )
    is_forced = _take_force(words) or is_forced
    return KillRequest(target=target, force=is_forced, reason=_reason(words))


def _reason(words: WordReader) -> str | None:
    """Take the rest as the reason; refuse an unknown flag, which must not become a reason."""
    flag = words.peek()
    if flag.startswith(("--", "—")) and flag[1:].strip("-—"):
        raise BadCommand(
            f"`kill` has no flag `{excerpt(from_slack(flag))}`, only `--force` (skips the "
            "grace) and "
            "`--all` (many runs). The rest is the reason: `/workflow kill run_0a1b2c3d4e5f --force "
            "wrong branch`."
        )
    return from_slack(words.rest) or None


def _kill_all(words: WordReader, *, is_forced: bool) -> KillSelection:
    """Read which runs are meant, then the reason.  `--all` alone is refused."""
    is_forced = _take_force(words) or is_forced
    mine, is_everybodys, workflow = False, False, None
    while not is_everybodys:
        name, _, value = words.peek().partition("=")
        if name.lower() == "mine" and not value and not mine:
            mine = True
        elif name.lower() == "live" and not value and not mine and workflow is None:
            is_everybodys = True
        elif name.lower() == "workflow" and value and workflow is None:
            workflow = from_slack(value, prefer_links=True).lower()
        else:
            break
        words.take()
    if not (mine or is_everybodys or workflow):
        given = excerpt(from_slack(words.peek()))
        what = f", not `{given}`" if given else ""
        raise BadCommand(
            f"`kill --all` needs to know which runs{what}: `--all mine` for yours, `--all "
            "workflow=<name>` for those of one workflow, `--all live` for everybody's "
            "(operators). It lists them and asks before it stops anything."
        )
    is_forced = _take_force(words) or is_forced
    return KillSelection(
        run_filter=RunFilter(live=True, mine=mine, workflow=workflow),
        force=is_forced,
        reason=_reason(words),
    )


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


def _continue(words: WordReader, context: CommandContext) -> ContinueRequest:
    bare_turns = _MORE_TURNS.match(words.rest) if context.thread_run_id else None
    target = (
        context.thread_run_id
        if context.thread_run_id and bare_turns
        else _take_run(
            words,
            context,
            verb=Subcommand.CONTINUE,
            example="/workflow continue run_0a1b2c3d4e5f +20",
        )
    )
    additional, message = _take_turns(words.rest)
    return ContinueRequest(
        target=target,
        request_key=context.request_key,
        additional_turns=additional,
        message=from_slack(message) or None,
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
        Subcommand.KILL: _kill,
        Subcommand.CONTINUE: _continue,
        Subcommand.STATS: _stats,
        Subcommand.WORKERS: _workers,
        Subcommand.WORKFLOWS: _workflows,
        Subcommand.HELP: _help,
    }
)
