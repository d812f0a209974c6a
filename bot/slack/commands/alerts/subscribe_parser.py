"""The parser of `alerts subscribe`: kinds and settings in any order.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack.commands.alerts.kinds import (
    EVERY_KIND,
    KIND_SYNONYMS,
    USUAL,
    kind_named,
    kinds_named,
)
from bot.slack.commands.alerts.readers import Given, parse_cost, parse_switch
from bot.slack.commands.alerts.settings import SETTINGS, Setting, setting_named
from bot.slack.commands.alerts.values import AlertWishes, SubscribeAlerts
from bot.slack.commands.flags import BadCommand, closest_match, excerpt
from bot.slack.commands.words import WordReader
from bot.slack.text import from_slack
from core.domain.alerts.channels.subscription import AlertFilter
from core.domain.alerts.kinds import AlertKind

# Words without a meaning of their own: `subscribe to failed and stalled alerts`.
_FILLERS = frozenset({"to", "and", "alerts", "alert", "kinds", "kind", "with", "when", "&", "+"})
_DASHES = frozenset({"-", "–", "—", "to"})


def parse_subscribe(words: WordReader) -> SubscribeAlerts:
    """Parse what follows `alerts subscribe`.

    Raises:
        BadCommand: If it is not valid.
    """
    kinds: set[AlertKind] = set()
    values: dict[str, Any] = {}
    while words.rest:
        setting = _take_setting(words)
        if setting is None:
            kinds |= _take_kinds(words)
            continue
        name, value = setting
        if name in values:
            raise BadCommand(f"`{name}` is there twice. Give it once: `{SETTINGS[name].example}`.")
        values[name] = value
    if "at" in values and "digest" not in values:
        raise BadCommand("`at` is the hour of a digest: add `digest=daily` or `digest=weekly`.")
    return SubscribeAlerts(wishes=wishes_of(frozenset(kinds), values))


def wishes_of(kinds: frozenset[AlertKind], values: Mapping[str, Any]) -> AlertWishes:
    """The wishes that kinds and the values of settings, by their names, make."""
    return AlertWishes(
        kinds=kinds,
        filter=AlertFilter(
            workflow=values.get("workflow"),
            repository=values.get("repo"),
            owner=values.get("owner"),
            least_severity=values.get("severity"),
            least_cost_usd=values.get("cost"),
        ),
        pending_for=values.get("for"),
        mention=values.get("mention"),
        broadcasts=values.get("broadcast", False),
        quiet_hours=values.get("quiet"),
        time_zone=values.get("tz"),
        digest=values.get("digest"),
        digest_hour=values.get("at", 9),
        progress_every=values.get("progress"),
    )


def _take_setting(words: WordReader) -> tuple[str, Any] | None:
    """Take a setting with its value: `for=15m`, `for 15m`, `--for 15m`; `None` if none is next."""
    flag = words.take_flag()
    if flag is not None:
        name, operator = flag[0], "="
    else:
        taken = words.take_setting()
        if taken is None:
            return _take_spaced_setting(words)
        name, operator = taken
    if name in {"kind", "kinds"}:
        return None
    setting = setting_named(name)
    if setting is None:
        raise _unknown_setting_error(name)
    if operator not in setting.operators:
        raise BadCommand(
            f"`{setting.name}` can't be compared like that: `{setting.example}` is {_is(setting)}."
        )
    return setting.name, _take_value(words, setting, operator)


def _take_spaced_setting(words: WordReader) -> tuple[str, Any] | None:
    """Take `for 15m`, without a sign between name and value, and `broadcast` alone."""
    name = from_slack(words.peek()).lower()
    setting = setting_named(name)
    if setting is None:
        return None
    after = WordReader(words.rest)
    after.take()
    follows = after.take()
    if setting.name == "cost" and parse_cost(Given(text=follows)) is None:
        # Then it is the kind.
        return None
    words.take()
    if setting.name == "broadcast" and parse_switch(Given(text=follows)) is None:
        return setting.name, True
    return setting.name, _take_value(words, setting, "=")


def _take_value(words: WordReader, setting: Setting, operator: str) -> Any:
    # A comma may stand between settings.
    raw, text = words.peek().rstrip(",;"), words.take().rstrip(",;")
    if setting.name == "quiet":
        text += _take_rest_of_hours(words, text)
    if not text:
        raise BadCommand(
            f"`{setting.name}` needs {setting.expected}, for example `{setting.example}`."
        )
    value = setting.parse(Given(text=text, raw=raw, operator=operator))
    if value is None:
        sign = operator if operator != "=" else ""
        raise BadCommand(
            f"`{setting.name}` needs {setting.expected}, not `{sign}{excerpt(text)}`. For example "
            f"`{setting.example}`."
        )
    return value


def _take_rest_of_hours(words: WordReader, text: str) -> str:
    """Take `- 07:00` behind `22:00`: people put spaces around the dash."""
    has_dash = text[-1:] in _DASHES
    if not has_dash and words.peek().lower() not in _DASHES:
        return ""
    if not has_dash:
        words.take()
    return ("" if has_dash else "-") + words.take()


def _take_kinds(words: WordReader) -> frozenset[AlertKind]:
    """Take one word, or two that are one kind (`long running`), or several with commas."""
    first = words.take()
    after = WordReader(words.rest)
    both = kind_named(f"{first} {after.take()}".strip(" ,.;"))
    if both is not None:
        words.take()
        return frozenset({both})
    found: frozenset[AlertKind] = frozenset()
    for part in first.replace(";", ",").split(","):
        word = part.strip(" .")
        if not word or word.lower() in _FILLERS:
            continue
        named = kinds_named(word)
        if named is None:
            raise unknown_kind_error(word)
        found |= named
    return found


def unknown_kind_error(word: str) -> BadCommand:
    """The answer to a word that is no kind, with the nearest one that is."""
    name = word.lower().replace("-", "_").replace(" ", "_")
    known = {*AlertKind, *KIND_SYNONYMS, *SETTINGS, *EVERY_KIND, *USUAL}
    suggestion = closest_match(name, known)
    named = None if suggestion is None else KIND_SYNONYMS.get(suggestion, suggestion)
    hint = f" Did you mean `{named}`?" if named else ""
    kinds = ", ".join(f"`{kind}`" for kind in AlertKind)
    return BadCommand(
        f"There is no kind of alert `{excerpt(word)}`.{hint} Kinds are {kinds}, or `all`."
    )


def _unknown_setting_error(name: str) -> BadCommand:
    suggestion = closest_match(name, SETTINGS)
    hint = f" Did you mean `{suggestion}`?" if suggestion else ""
    known = ", ".join(f"`{one}`" for one in SETTINGS)
    return BadCommand(
        f"There is no setting `{excerpt(name)}` of alerts.{hint} Settings are {known}. "
        "For example `/workflow alerts subscribe failed workflow=implement for=15m`."
    )


def _is(setting: Setting) -> str:
    return setting.help_text.split(";")[0]
