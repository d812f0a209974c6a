"""The flags of `/workflow run`, read from text that people typed into Slack.

`bot.slack.commands.words` undoes what Slack's clients make of them.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from bot.slack.commands.words import WordReader
from bot.words.texts import clean
from bot.words.times import parse_time_limit
from core.domain.errors import BadRequest
from core.domain.runs.request import MAX_MODEL_CHARS, MIN_PROGRESS, PRIORITY_RANGE
from core.domain.sessions.names import MAX_SESSION_NAME_CHARS, clean_session_name
from core.domain.workflow import MAX_BUDGET_USD, MAX_TURNS_LIMIT


class BadCommand(BadRequest):
    """The text of a command is not valid."""

    code = "bad_command"

    def __init__(self, user_message: str) -> None:
        super().__init__("command not understood", user_message=user_message)


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One flag of `run`.

    Attributes:
        field: The field of `StartRequest` that it sets.
        parse: Returns the value, or `None` if the text is not valid.
        expected: A description of valid values, to complete "needs …".
        example: The flag with a value, as people type it.
    """

    name: str
    field: str
    parse: Callable[[str], object | None]
    expected: str
    example: str
    help_text: str


def parse_turns(text: str) -> int | None:
    """Read a whole number of turns, from 1 to the limit; a leading plus is allowed."""
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 6):
        return None
    return int(digits) if 1 <= int(digits) <= MAX_TURNS_LIMIT else None


def parse_budget(text: str) -> Decimal | None:
    """Read an amount of US dollars, with or without `$` or `USD`."""
    digits = text.strip().removeprefix("$").removesuffix("USD").removesuffix("usd").strip()
    if not re.fullmatch(r"\d{1,7}(?:\.\d{1,4})?|\.\d{1,4}", digits, re.ASCII):
        return None
    try:
        amount = Decimal(digits)
    except InvalidOperation:
        return None
    return amount if 0 < amount <= MAX_BUDGET_USD else None


def _parse_word(text: str) -> str | None:
    word = text.strip()
    return word if word and not any(mark.isspace() for mark in word) else None


def _parse_model(text: str) -> str | None:
    word = _parse_word(text)
    return word if word is not None and len(word) <= MAX_MODEL_CHARS else None


def _parse_repository(text: str) -> str | None:
    """Read an address or a path; a path may contain spaces, which needs quotes in a command."""
    address = text.strip()
    has_other_space = any(mark.isspace() and mark != " " for mark in address)
    return address if address and not has_other_space else None


def _parse_priority(text: str) -> int | None:
    if not re.fullmatch(r"[+-]?\d{1,4}", text, re.ASCII) or int(text) not in PRIORITY_RANGE:
        return None
    return int(text)


def _parse_progress(text: str) -> timedelta | None:
    every = parse_time_limit(text)
    return every if every is not None and every >= MIN_PROGRESS else None


def parse_session_name(text: str) -> str | None:
    """Read the name of a session."""
    try:
        return clean_session_name(text)
    except BadRequest:
        return None


_ALL_FLAGS = (
    Flag(
        name="repo",
        field="repo",
        parse=_parse_repository,
        expected="the address or path of a git repository",
        example="--repo https://github.com/acme/api",
        help_text="repository to clone; without it the agent starts in an empty one. A path with "
        "a space stands in quotes",
    ),
    Flag(
        name="branch",
        field="branch",
        parse=_parse_word,
        expected="the name of a branch",
        example="--branch main",
        help_text="branch to start from",
    ),
    Flag(
        name="model",
        field="model",
        parse=_parse_model,
        expected="the name of a model",
        example="--model sonnet",
        help_text="model for this run",
    ),
    Flag(
        name="turns",
        field="max_turns",
        parse=parse_turns,
        expected=f"a whole number from 1 to {MAX_TURNS_LIMIT}",
        example="--turns 30",
        help_text="turn limit",
    ),
    Flag(
        name="budget",
        field="budget_usd",
        parse=parse_budget,
        expected=f"US dollars, more than 0 and at most {MAX_BUDGET_USD:,}",
        example="--budget 2.50",
        help_text="cost limit in US dollars",
    ),
    Flag(
        name="timeout",
        field="timeout",
        parse=parse_time_limit,
        expected="a duration with its unit, from 10s to 24h",
        example="--timeout 30m",
        help_text="time limit: `90s`, `30m`, `1h30m`",
    ),
    Flag(
        name="session",
        field="session_name",
        parse=parse_session_name,
        expected=f"a name of 1 to {MAX_SESSION_NAME_CHARS} characters, unlike an id or a flag",
        example='--session "rate limits"',
        help_text="a name for the conversation, to continue it by",
    ),
    Flag(
        name="new-session",
        field="new_session_name",
        parse=parse_session_name,
        expected="a name as for `--session`",
        example='--new-session "rate limits"',
        help_text="the same for a new conversation, also if an open one has the name: it moves",
    ),
    Flag(
        name="priority",
        field="priority",
        parse=_parse_priority,
        expected=f"a whole number from {PRIORITY_RANGE[0]} to {PRIORITY_RANGE[-1]}",
        example="--priority 10",
        help_text="position in the queue: higher starts earlier, 0 is normal",
    ),
    Flag(
        name="progress",
        field="progress_every",
        parse=_parse_progress,
        expected="a duration with its unit, from 1m to 24h",
        example="--progress 10m",
        help_text="post the progress in the thread this often, in one message that is updated",
    ),
)
FLAGS: Mapping[str, Flag] = MappingProxyType({flag.name: flag for flag in _ALL_FLAGS})


def closest_match(word: str, known: Collection[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that is probably meant.

    A word with the same letters comes first: swapped letters are the most common typing error.

    Args:
        word: What was typed.
        known: The words that could be meant.
        cutoff: How alike they must be, from 0 to 1 (equal).
    """
    letters = sorted(word.lower())
    swapped = next((one for one in sorted(known) if sorted(one) == letters), None)
    if swapped is not None:
        return swapped
    matches = get_close_matches(word.lower(), sorted(known), n=1, cutoff=cutoff)
    return matches[0] if matches else None


def excerpt(text: str, limit: int = 40) -> str:
    """A person's text shortened to one line, without characters that would break our sentence."""
    given = " ".join(clean(text).replace("`", "'").split())
    return given if len(given) <= limit else given[: limit - 1] + "…"


def read_flag(words: WordReader, given: Mapping[str, Any]) -> tuple[str, object] | None:
    """Take one flag from `words`: the field it sets and its value; `None` if none is next.

    Raises:
        BadCommand: If the flag is unknown or repeated, or its value is not valid.
    """
    taken = words.take_flag()
    if taken is None:
        return None
    name, has_equals = taken
    flag = FLAGS.get(name)
    if flag is None:
        raise _unknown_flag_error(name)
    if flag.field in given:
        raise BadCommand(f"`--{name}` is there twice. Give it once: `{flag.example}`.")
    is_bare = words.is_at_space if has_equals else words.is_at_flag
    value = "" if is_bare else words.take()
    if not value:
        raise BadCommand(f"`--{name}` needs {flag.expected}, for example `{flag.example}`.")
    read = flag.parse(value)
    if read is None:
        raise BadCommand(
            f"`--{name}` needs {flag.expected}, not `{excerpt(value)}`. For example "
            f"`{flag.example}`."
        )
    return flag.field, read


def _unknown_flag_error(name: str) -> BadCommand:
    suggestion = closest_match(name, FLAGS)
    hint = f" Did you mean `--{suggestion}`?" if suggestion else ""
    known = ", ".join(f"`--{known}`" for known in FLAGS)
    return BadCommand(
        f"There is no flag `--{excerpt(name)}`.{hint} Flags are {known}. "
        "If it belongs to the task, put ` -- ` before the task."
    )
