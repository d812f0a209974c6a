"""The parser of `sessions …`: a list, one of them, and changes of their names.  Pure."""

from __future__ import annotations

from bot.slack.commands.command import (
    ChangeSession,
    CommandContext,
    ListSessions,
    SessionCommand,
    ShowSession,
)
from bot.slack.commands.flags import BadCommand, excerpt, parse_session_name
from bot.slack.commands.words import WordReader
from bot.slack.text import from_slack

_FILTERS = frozenset({"mine", "open", "closed", "all"})
_CHANGES = frozenset({"close", "reopen", "rename"})


def parse_sessions(words: WordReader, _context: CommandContext) -> SessionCommand:
    """Parse what follows `sessions`.

    Raises:
        BadCommand: If a change does not say of which session, or to which name.
    """
    first = words.peek().lower()
    if first in _CHANGES:
        words.take()
        return _change(first, words)
    if words.rest and first not in _FILTERS:
        return ShowSession(target=whole_name(words))
    given: set[str] = set()
    while word := words.take():
        if word.lower() not in _FILTERS:
            raise BadCommand(
                f"`sessions` can't filter by `{excerpt(word)}`. It takes `mine`, `open`, `closed` "
                "and `all`, or the name or id of a session."
            )
        given.add(word.lower())
    is_open = None if "all" in given or {"open", "closed"} <= given else "closed" not in given
    return ListSessions(is_mine="mine" in given, is_open=is_open)


def whole_name(words: WordReader) -> str:
    """The rest as the name or id of one session; a name with spaces needs no quotes."""
    rest = from_slack(words.rest, prefer_links=True).strip()
    first = words.take()
    return rest if words.rest else first or rest


def _change(act: str, words: WordReader) -> ChangeSession:
    if not words.rest:
        raise BadCommand(
            f"Which session shall I {act}? Give its name or id: `/workflow sessions {act} "
            f'"rate limits"{" limits of the API" if act == "rename" else ""}`.'
        )
    if act != "rename":
        return ChangeSession(target=whole_name(words), is_open=act == "reopen")
    target = words.take()
    if not words.rest:
        raise BadCommand(
            'Say how the session is to be called: `/workflow sessions rename "rate limits" limits '
            "of the API`. A name with spaces stands in quotes in the first place."
        )
    wanted = whole_name(words)
    name = parse_session_name(wanted)
    if name is None:
        raise BadCommand(
            f"A session cannot be called `{excerpt(wanted)}`: a name has 1 to 80 characters, "
            "begins with no sign of a flag, and looks like no id."
        )
    return ChangeSession(target=target, name=name)
