"""What a silent run waits for, in words: now, and afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words.markup import Markup
from core.domain.runs.activity.awaited import AwaitedKind

_NAME_LIMIT = 120

# By kind in the present and in the past; `{call}` is the tool call.
AWAITED_WORDS: Mapping[AwaitedKind, tuple[str, str]] = MappingProxyType(
    {
        AwaitedKind.WORKSPACE: (
            "its workspace is being prepared",
            "its workspace was being prepared",
        ),
        AwaitedKind.PROGRAM: ("the agent program is starting", "the agent program was starting"),
        AwaitedKind.MODEL: ("the model has not answered yet", "the model had not answered"),
        AwaitedKind.RETRY: (
            "the model is asked again after an error",
            "the model was asked again after an error",
        ),
        AwaitedKind.TOOL: ("{call} is still running", "{call} was running"),
    }
)


def awaited_phrase(
    kind: AwaitedKind, name: str | None, markup: Markup, *, is_over: bool = False
) -> str:
    """What is waited for, without a capital letter and a full stop.

    Args:
        kind: What is waited for.
        name: The tool call, or the reason of a retry; `None` if it is not known.
        markup: The surface's markup.
        is_over: Whether it is told in the past.
    """
    words = AWAITED_WORDS[kind][is_over]
    if kind is AwaitedKind.TOOL:
        call = "a tool call" if name is None else call_words(name, markup)
        return words.format(call=call)
    if kind is AwaitedKind.RETRY and name is not None:
        return f"{words} ({markup.inline(name, _NAME_LIMIT)})"
    return words


def call_words(name: str, markup: Markup) -> str:
    """A tool call: of `Bash: make test` the command, of others the name of the tool too."""
    return markup.code(name.removeprefix("Bash: ") or name, _NAME_LIMIT)
