"""Values that the agent program reports, each checked before it is used.

Code of the repository runs beside the program and can write to its output.  So no value is
certain to have its type, to be finite, or to fit its column.  A reader returns `None` for a value
that cannot be true.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from claude_agent_sdk import ToolUseBlock

from core.domain.price import has_price, plausible_usd
from core.domain.runs.event import TurnUsage
from core.domain.runs.run import Usage

log = logging.getLogger(__name__)

# Called with the name of a value that cannot be true.
OnImplausible = Callable[[str], None]

# The most that is believed of one answer: over a thousand times a model's context.
_MAX_ANSWER_TOKENS = 10**9
# Of all answers of an attempt; a million attempts together still fit into 64 bits.
_MAX_ATTEMPT_TOKENS = 10**12
_MAX_RETRIES = 1_000
# A day; the program waits for minutes.
_MAX_DELAY_MS = 86_400_000
_MAX_MOMENT = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
# Ids are UUIDs, or a prefix and some 30 characters.
_MAX_ID_CHARS = 200
_MAX_TOOL_NAME_CHARS = 200
_MAX_BLOCKS = 200
_MAX_WORD_CHARS = 100
# As many as the column holds.
_MAX_MODEL_CHARS = 100
# More than one run uses.
_MAX_MODELS = 100
_ANSWER_COUNTS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_creation_tokens": "cache_creation_input_tokens",
}
_MODEL_COUNTS = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_tokens": "cacheReadInputTokens",
    "cache_creation_tokens": "cacheCreationInputTokens",
}
# How the program marks a cost that it computed with the price of another model.
_UNKNOWN_PRICE = "unknown"


class Rejections:
    """Logs that the program of an attempt reported what cannot be true, once for each value."""

    def __init__(self, run_id: str, attempt: int) -> None:
        self._run_id = run_id
        self._attempt = attempt
        self._names: set[str] = set()

    def add(self, name: str) -> None:
        """Log the name of a value; further values of that name are not logged."""
        if name in self._names:
            return
        self._names.add(name)
        log.warning(
            "%s: the agent program reported a %s that cannot be true; it counts as unknown",
            self._run_id,
            name,
            extra={
                "event": "program_value.rejected",
                "run_id": self._run_id,
                "attempt": self._attempt,
                "value_name": name,
            },
        )


def word(value: Any, *, max_chars: int = _MAX_WORD_CHARS) -> str | None:
    """Read a short text, without the end of a longer one and what Postgres cannot store."""
    if not isinstance(value, str) or not value:
        return None
    return value[:max_chars].replace("\x00", "\ufffd").encode(errors="replace").decode()


def identifier(value: Any) -> str | None:
    """Read an id, which is never cut: two ids must not become one."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID_CHARS:
        return None
    return word(value, max_chars=_MAX_ID_CHARS)


def identifiers(value: Any) -> tuple[str, ...]:
    """Read a list of ids, without elements that are none."""
    given = value if isinstance(value, list | tuple) else ()
    return tuple(id_ for one in given if (id_ := identifier(one)) is not None)


def model_name(value: Any) -> str | None:
    """Read the name of a model."""
    return word(value, max_chars=_MAX_MODEL_CHARS)


def retries(value: Any) -> int | None:
    """Read a number of attempts to call the model."""
    return _count(value, most=_MAX_RETRIES)


def http_status(value: Any) -> int | None:
    """Read the status of an HTTP answer."""
    status = _count(value, most=999)
    return status or None


def milliseconds(value: Any) -> int | None:
    """Read a duration of at most a day."""
    return round(value) if _is_number(value) and 0 <= value <= _MAX_DELAY_MS else None


def cost_usd(value: Any) -> Decimal | None:
    """Read a cost in US dollars, rounded to the seven decimals of the column.

    The rest is noise of binary fractions.
    """
    # `str` is not called on a number of any size.
    if not _is_number(value) or not 0 <= value < 10**7:
        return None
    return plausible_usd(round(Decimal(str(value)), 7))


def moment(value: Any) -> datetime | None:
    """Read a Unix time in seconds, before the year 2100."""
    is_plausible = _is_number(value) and 0 < value < _MAX_MOMENT
    return datetime.fromtimestamp(value, UTC) if is_plausible else None


def blocks(content: Any) -> list[Any]:
    """Read the first blocks of a message; the program sends most blocks as separate messages."""
    return content[:_MAX_BLOCKS] if isinstance(content, list) else []


def tool_call(block: Any) -> ToolUseBlock | None:
    """Read a block of an answer as a tool call; `None` if it is none, or has no id or name."""
    if not isinstance(block, ToolUseBlock):
        return None
    call_id, name = identifier(block.id), word(block.name, max_chars=_MAX_TOOL_NAME_CHARS)
    if call_id is None or name is None:
        return None
    given: Any = block.input
    return ToolUseBlock(id=call_id, name=name, input=given if isinstance(given, dict) else {})


def result_text(content: Any) -> str:
    """Read the texts of a tool's result; other parts are named by their type."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    return "\n".join(_text_of_part(part) for part in content if isinstance(part, Mapping))


def retry_error(fields: Mapping[str, Any]) -> str:
    """Read why a call to the model failed."""
    status, error = http_status(fields.get("error_status")), fields.get("error")
    text = error if isinstance(error, str) and error else "the call failed"
    return text if status is None else f"{text} (HTTP {status})"


def answer_usage(value: Any, *, on_implausible: OnImplausible) -> Usage | None:
    """Read the usage of one answer; `None` if there is none, or a count that cannot be true."""
    if not value:
        return None
    usage = _usage(value, _ANSWER_COUNTS, most=_MAX_ANSWER_TOKENS)
    if usage is None:
        on_implausible("usage")
    return usage


def attempt_usage(value: Any, *, on_implausible: OnImplausible) -> tuple[Usage | None, bool]:
    """Read the usage by model since the program started, subagents included.

    Returns:
        The sum, `None` if it is unknown, zero or cannot be true; and whether the program knows the
        price of each model.
    """
    if not value:
        return None, True
    models = dict(islice(value.items(), _MAX_MODELS)) if isinstance(value, Mapping) else {}
    usages = [_usage(one, _MODEL_COUNTS, most=_MAX_ATTEMPT_TOKENS) for one in models.values()]
    known = [usage for usage in usages if usage is not None]
    if not known or len(known) < len(usages):
        on_implausible("usage")
        return None, False
    total = sum(known, Usage())
    has_prices = all(_has_known_price(name, one) for name, one in models.items())
    return (None if total == Usage() else total), has_prices


def usage_of_entry(
    entry: Any, *, on_implausible: OnImplausible = lambda _name: None
) -> TurnUsage | None:
    """Return the answer that a transcript entry records; `None` if it is no model's answer."""
    if not isinstance(entry, Mapping) or entry.get("type") != "assistant":
        return None
    message = entry.get("message")
    if not isinstance(message, Mapping):
        return None
    message_id, model = identifier(message.get("id")), model_name(message.get("model"))
    if message_id is None or model == "<synthetic>":
        return None
    return TurnUsage(
        message_id=message_id,
        usage=answer_usage(message.get("usage"), on_implausible=on_implausible),
        model=model,
        is_subagent=bool(entry.get("isSidechain")),
        is_final=True,
        calls=tuple(_recorded_calls(message.get("content"))),
    )


def _count(value: Any, *, most: int) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 0 <= value <= most else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _usage(value: Any, keys: Mapping[str, str], *, most: int) -> Usage | None:
    """The counts under these keys, 0 for a missing one; `None` if one cannot be true."""
    if not isinstance(value, Mapping):
        return None
    counts = {
        name: 0 if value.get(key) is None else _count(value[key], most=most)
        for name, key in keys.items()
    }
    known = {name: number for name, number in counts.items() if number is not None}
    return Usage(**known) if len(known) == len(counts) else None


def _has_known_price(model: Any, fields: Any) -> bool:
    basis = fields.get("costBasis")
    # Older programs do not say.
    return has_price(model_name(model)) if basis is None else basis != _UNKNOWN_PRICE


def _recorded_calls(content: Any) -> Iterator[tuple[str, str]]:
    for block in blocks(content):
        if isinstance(block, Mapping) and block.get("type") == "tool_use":
            call_id = identifier(block.get("id"))
            name = word(block.get("name"), max_chars=_MAX_TOOL_NAME_CHARS)
            if call_id is not None and name is not None:
                yield call_id, name


def _text_of_part(part: Mapping[str, Any]) -> str:
    if part.get("type") != "text":
        return f"[{word(part.get('type'))}]"
    text = part.get("text")
    return text if isinstance(text, str) else ""
