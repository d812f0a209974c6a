"""The parser of `kill`.  Pure."""

from __future__ import annotations

import re

from bot.slack.commands.command import CommandContext, OfferKill, Subcommand
from bot.slack.commands.flags import BadCommand, excerpt
from bot.slack.commands.targets import take_run
from bot.slack.commands.words import WordReader
from bot.slack.text import from_slack
from core.domain.kills.bulk_kill import KillSelection
from core.domain.runs.request import KillRequest, RunFilter

# As typed, or with the dash that a client made of `--`.
_ALL_SPELLINGS = frozenset({"--all", "—all", "–all", "-all"})
_FORCE_SPELLINGS = frozenset({"--force", "—force", "–force", "-f"})
_FORCE_AT_END = re.compile(r"(?:\A|\s)(?:--|[—–])force\Z", re.IGNORECASE)


def parse_kill(
    words: WordReader, context: CommandContext
) -> KillRequest | KillSelection | OfferKill:
    """Parse what follows `kill`.

    Raises:
        BadCommand: If it is not valid.
    """
    is_forced = _take_force(words)
    if words.peek().lower() in _ALL_SPELLINGS:
        words.take()
        return _parse_all(words, is_forced=is_forced)
    if context.thread_run_id is None and not words.rest:
        return OfferKill(force=is_forced)
    if context.thread_run_id is None and words.peek().lower() in {"all", "mine"}:
        raise BadCommand(
            "To stop several runs put two dashes before `all`: `/workflow kill --all mine`. It "
            "lists them and asks before it stops anything."
        )
    target = take_run(
        words, context, verb=Subcommand.KILL, example="/workflow kill run_0a1b2c3d4e5f"
    )
    is_forced = _take_force(words) or is_forced
    reason, is_forced_last = _take_reason(words)
    return KillRequest(target=target, force=is_forced or is_forced_last, reason=reason)


def _take_force(words: WordReader) -> bool:
    taken = words.peek().lower() in _FORCE_SPELLINGS
    if taken:
        words.take()
    return taken


def _take_reason(words: WordReader) -> tuple[str | None, bool]:
    """Take the rest as the reason, and whether `--force` stands behind it.

    An unknown flag is refused: it must not become a reason.
    """
    flag = words.peek()
    if flag.startswith(("--", "—")) and flag[1:].strip("-—"):
        raise BadCommand(
            f"`kill` has no flag `{excerpt(from_slack(flag))}`, only `--force` (skips the "
            "grace) and "
            "`--all` (many runs). The rest is the reason: `/workflow kill run_0a1b2c3d4e5f --force "
            "wrong branch`."
        )
    reason = from_slack(words.rest)
    at_end = _FORCE_AT_END.search(reason)
    if at_end is not None:
        reason = reason[: at_end.start()].rstrip()
    return reason or None, at_end is not None


def _parse_all(words: WordReader, *, is_forced: bool) -> KillSelection:
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
    reason, is_forced_last = _take_reason(words)
    return KillSelection(
        run_filter=RunFilter(live=True, mine=mine, workflow=workflow),
        force=is_forced or is_forced_last,
        reason=reason,
    )
