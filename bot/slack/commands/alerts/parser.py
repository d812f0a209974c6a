"""The parser of `alerts`.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bot.slack.commands.alerts.kinds import kind_named, kinds_named
from bot.slack.commands.alerts.settings import setting_named
from bot.slack.commands.alerts.subscribe_parser import parse_subscribe, unknown_kind_error
from bot.slack.commands.alerts.values import (
    AlertCommand,
    EditAlerts,
    ListAlerts,
    MuteAlerts,
    OpenAlertForm,
    ShowExampleAlert,
    UnsubscribeAlerts,
)
from bot.slack.commands.flags import BadCommand, closest_match, excerpt
from bot.slack.commands.words import WordReader
from bot.slack.text import from_slack
from bot.words.times import parse_duration

_END_OF_MUTE = frozenset({"off", "end", "none", "0", "no", "stop"})
_MAX_NUMBER_CHARS = 4
_VERBS: Mapping[str, str] = MappingProxyType(
    {
        "subscribe": "subscribe",
        "sub": "subscribe",
        "add": "subscribe",
        "on": "subscribe",
        "list": "list",
        "ls": "list",
        "show": "list",
        "edit": "edit",
        "change": "edit",
        "mute": "mute",
        "silence": "mute",
        "pause": "mute",
        "unmute": "unmute",
        "resume": "unmute",
        "unsubscribe": "unsubscribe",
        "unsub": "unsubscribe",
        "remove": "unsubscribe",
        "delete": "unsubscribe",
        "rm": "unsubscribe",
        "off": "unsubscribe",
        "test": "test",
        "example": "test",
        "try": "test",
    }
)


def parse_alerts(words: WordReader, *, has_forms: bool) -> AlertCommand:
    """Parse what follows `alerts`.

    Args:
        words: The text.
        has_forms: Whether a form can be opened from here.

    Raises:
        BadCommand: If it is not valid.
    """
    if not words.rest:
        return ListAlerts(opens_form=True)
    given = words.take()
    verb = _VERBS.get(given.lower())
    if verb is None:
        raise _unknown_verb_error(given)
    if verb == "subscribe" and not words.rest:
        if has_forms:
            return OpenAlertForm()
        raise BadCommand(
            "Say what to subscribe to: `@signalbox alerts subscribe usual` takes all that a "
            "person should act on, `@signalbox alerts subscribe failed stalled` only these. Where "
            "a form can open, `/workflow alerts subscribe` asks."
        )
    return _PARSERS[verb](words)


def _unknown_verb_error(given: str) -> BadCommand:
    if kinds_named(given) is not None or setting_named(given.partition("=")[0]) is not None:
        word = excerpt(given)
        return BadCommand(
            f"To subscribe this channel: `/workflow alerts subscribe {word}`. To see what it looks "
            f"like: `/workflow alerts test {word}`."
        )
    suggestion = closest_match(given, _VERBS)
    hint = f" Did you mean `{_VERBS[suggestion]}`?" if suggestion else ""
    known = ", ".join(f"`{verb}`" for verb in dict.fromkeys(_VERBS.values()))
    return BadCommand(
        f"`alerts` can't `{excerpt(given)}`.{hint} It takes {known}. "
        "`/workflow help alerts` explains them."
    )


def _list(_words: WordReader) -> ListAlerts:
    return ListAlerts()


def _edit(words: WordReader) -> EditAlerts:
    return EditAlerts(number=_take_number(words, "edit"))


def _mute(words: WordReader) -> MuteAlerts:
    given = from_slack(words.rest)
    told = given.lower().removeprefix("for ").strip()
    if told in _END_OF_MUTE:
        return MuteAlerts()
    duration = parse_duration(told)
    if duration is None:
        what = f", not `{excerpt(given)}`" if given else ""
        raise BadCommand(
            f"`mute` needs a time with its unit{what}: `/workflow alerts mute 2h`. "
            "`/workflow alerts mute off` ends it."
        )
    return MuteAlerts(duration=duration)


def _unmute(_words: WordReader) -> MuteAlerts:
    return MuteAlerts()


def _unsubscribe(words: WordReader) -> UnsubscribeAlerts:
    if words.peek().lower() in {"all", "everything"}:
        return UnsubscribeAlerts(is_all=True)
    return UnsubscribeAlerts(number=_take_number(words, "unsubscribe"))


def _test(words: WordReader) -> ShowExampleAlert:
    given = from_slack(words.rest).strip()
    kind = kind_named(given)
    if given and kind is None:
        raise unknown_kind_error(given)
    return ShowExampleAlert(kind=kind)


def _take_number(words: WordReader, verb: str) -> int | None:
    """Take the number of a subscription, as the list shows it."""
    given = words.take().removeprefix("#")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= _MAX_NUMBER_CHARS):
        also = " or `all`" if verb == "unsubscribe" else ""
        raise BadCommand(
            f"`{verb}` needs the number of a subscription{also}, not `{excerpt(given)}`. "
            "`/workflow alerts list` shows the numbers."
        )
    return int(given)


_PARSERS: Mapping[str, Callable[[WordReader], AlertCommand]] = MappingProxyType(
    {
        "subscribe": parse_subscribe,
        "list": _list,
        "edit": _edit,
        "mute": _mute,
        "unmute": _unmute,
        "unsubscribe": _unsubscribe,
        "test": _test,
    }
)
