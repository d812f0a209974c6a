"""The flags of `continue`: some of those of `run`, and `--recover`.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bot.slack.commands.flags import FLAGS, BadCommand, read_flag
from bot.slack.commands.words import WordReader

_RECOVER = "recover"
# The field of `StartRequest` that a flag of `run` sets → that of `ContinueRequest`.
_FIELDS: Mapping[str, str] = MappingProxyType(
    {"max_turns": "additional_turns", "budget_usd": "budget_usd", "model": "model"}
)
_FLAG = re.compile(r"(?:--|[—–―])([A-Za-z][A-Za-z_-]*)")


def take_continue_flags(words: WordReader) -> dict[str, Any]:
    """Take the flags before the message: fields of `ContinueRequest` with their values.

    Raises:
        BadCommand: If a value is not valid, or a flag of `run` does not apply to `continue`: it
            must not become a message to the agent.
    """
    given: dict[str, Any] = {}
    values: dict[str, Any] = {}
    while not words.take_end_of_flags():
        found = _FLAG.match(words.peek())
        name = found[1].lower().replace("_", "-") if found else ""
        if name == _RECOVER:
            words.take()
            values["recovers"] = True
            continue
        if name not in FLAGS:
            break
        if FLAGS[name].field not in _FIELDS:
            raise BadCommand(
                f"`continue` has no flag `--{name}`: a continuation keeps the settings of its run. "
                "It takes `--model`, `--budget` and more turns as `+20`, for example `/workflow "
                "continue run_0a1b2c3d4e5f +20 and update the docs`."
            )
        read = read_flag(words, given)
        if read is not None:
            given[read[0]] = read[1]
            values[_FIELDS[read[0]]] = read[1]
    return values
