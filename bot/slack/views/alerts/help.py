"""The help on `alerts`: its subcommands, the kinds and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.slack import text
from bot.slack.commands.alerts.settings import SETTINGS
from bot.slack.views import blocks
from bot.slack.views.message import Block
from core.domain.alerts.kinds import KIND_RULES, USUAL_KINDS, AlertKind

# The subcommands as people type them, and what each does.
_SUBCOMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "alerts subscribe [kinds] [settings]": "subscribes this channel; alone it opens a form. "
        "Without kinds it takes those marked • below, with `all` every one.",
        "alerts list": "lists the subscriptions of this channel.",
        "alerts edit [number]": "opens the form for a subscription.",
        "alerts mute 2h": "tells nobody here for two hours; `mute off` ends it.",
        "alerts unsubscribe [number|all]": "ends a subscription.",
        "alerts test [kind]": "shows you what comes.",
    }
)


def alert_help_blocks() -> list[Block]:
    """The help in full."""
    subcommands = [
        text.escape(f"`/workflow {usage}` {words}") for usage, words in _SUBCOMMANDS.items()
    ]
    kinds = [
        f"{'•' if kind in USUAL_KINDS else '◦'} `{kind}`: {text.escape(KIND_RULES[kind].meaning)}"
        for kind in AlertKind
    ]
    settings = [text.escape(f"`{one.example}`: {one.help_text}") for one in SETTINGS.values()]
    return [
        *blocks.paragraphs(subcommands),
        *blocks.paragraphs(["*Kinds*", *kinds]),
        *blocks.paragraphs(["*Settings*, in any order", *settings]),
    ]
