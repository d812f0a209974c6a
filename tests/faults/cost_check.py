"""Checks that a run's recorded usage matches its part of the transcript."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from core.domain.price import estimate_usd
from core.domain.runs.run import Usage
from tests.faults.results import Violation, ViolationKind
from tests.faults.rows import Row

# The longest first answer of the suite's scripts, with some margin.
_FIRST_ANSWER_TOKENS = 150
_COLUMNS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_creation_tokens": "cache_creation_input_tokens",
}
# The agent program's prices in USD for a million tokens of the scripted model; not in our price
# list, because its own cost replaces our estimate as soon as it is known.
_PROGRAM_MODEL = "claude-opus-5-5"
_PROGRAM_USD = {
    "input_tokens": Decimal(4),
    "output_tokens": Decimal(20),
    "cache_read_tokens": Decimal("0.2"),
    "cache_creation_tokens": Decimal(5),
}
_MILLION = Decimal(1_000_000)
# The column has seven digits, and the part of each attempt is rounded.
_ROUNDED_USD = Decimal("0.000001")

# A time in which Postgres was unreachable.
Outage = tuple[datetime, datetime]


@dataclass(frozen=True)
class Answer:
    """One answer of the model, from the transcript.

    Attributes:
        tokens: Tokens by the run's columns.
    """

    at: datetime
    tokens: Mapping[str, int]


@dataclass
class Attempt:
    """One attempt of a run, and the part of the transcript written during it.

    Attributes:
        ended: Start of the session's next attempt; `None` for the last one.
        text_uuids: Ids of the agent's texts, from the events.
        has_agent_result: Whether the agent program reported its own usage, which then counts.
        may_undercount: Whether its worker may have died before it counted everything.
    """

    began: datetime
    ended: datetime | None = None
    text_uuids: set[str] = field(default_factory=set)
    has_agent_result: bool = False
    may_undercount: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)

    def max_uncounted_answers(self, known: set[str], outages: Sequence[Outage]) -> int:
        """The most answers that may be counted without being in the transcript."""
        if self.has_agent_result:
            return 0
        unknown = len(self.text_uuids - known)
        was_away = any(
            ended >= self.began and (self.ended is None or began < self.ended)
            for began, ended in outages
        )
        return unknown if self.may_undercount and was_away else min(unknown, 1)


def check_cost(
    runs: Sequence[Row],
    transcript: Sequence[Row],
    events: Sequence[Row],
    outages: Sequence[Outage] = (),
) -> Iterator[Violation]:
    """Check that a run's attempts together have the usage of the transcript's answers.

    Args:
        runs: The runs of one session, oldest first.
        transcript: The session's lines.
        events: The events of all these runs.
        outages: Times in which Postgres was unreachable.
    """
    attempts = attempts_of(runs, transcript, events)
    known = {str(line["entry"].get("uuid")) for line in transcript}
    sizes = [
        answer.tokens["output_tokens"]
        for run_attempts in attempts.values()
        for attempt in run_attempts
        for answer in attempt.answers.values()
    ]
    largest = max([_FIRST_ANSWER_TOKENS, *sizes])
    for run in runs:
        run_attempts = attempts[run["id"]]
        exceeding = sum(attempt.max_uncounted_answers(known, outages) for attempt in run_attempts)
        yield from _tokens(run, run_attempts, exceeding * largest)
        yield from _usd(run)


def attempts_of(
    runs: Sequence[Row], transcript: Sequence[Row], events: Sequence[Row]
) -> dict[Any, list[Attempt]]:
    """The attempts by the id of their run, each with its part of the transcript."""
    found: dict[Any, list[Attempt]] = {run["id"]: [] for run in runs}
    for run in runs:
        of_run = [event for event in events if event["run_id"] == run["id"]]
        found[run["id"]] = [
            _attempt(run, event, of_run) for event in of_run if event["kind"] == "run_started"
        ]
    in_order = sorted(
        (attempt for run_attempts in found.values() for attempt in run_attempts),
        key=lambda one: one.began,
    )
    for attempt, after in pairwise(in_order):
        attempt.ended = after.began
    for name, answer in _answers(transcript).items():
        began = [attempt for attempt in in_order if attempt.began <= answer.at]
        if began:
            began[-1].answers[name] = answer
    return found


def _attempt(run: Row, started: Row, events: Sequence[Row]) -> Attempt:
    number = started["attempt"]
    mine = [event for event in events if event["attempt"] == number]
    is_last = number == run["attempt"]
    was_lost = any(
        # The next attempt ends it, if there is one.
        event["kind"] == "worker_lost" and event["attempt"] == (number if is_last else number + 1)
        for event in events
    )
    return Attempt(
        began=started["at"],
        text_uuids={str(one["data"]["uuid"]) for one in mine if one["kind"] == "agent_text"},
        has_agent_result=any(event["kind"] == "agent_result" for event in mine),
        # A kill finished for a dead worker has no event of its own.
        may_undercount=was_lost or (is_last and run["stop_reason"] == "killed"),
    )


def _answers(transcript: Sequence[Row]) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    for line in transcript:
        entry = line["entry"]
        message: Any = entry.get("message")
        if entry.get("type") != "assistant" or not isinstance(message, dict):
            continue
        if message.get("model") == "<synthetic>":
            continue
        usage = message.get("usage") or {}
        tokens = {column: int(usage.get(name) or 0) for column, name in _COLUMNS.items()}
        name = str(message.get("id"))
        # An answer has a line for each of its blocks; a cut one has the usage of its start.
        if name not in found or found[name].tokens["output_tokens"] <= tokens["output_tokens"]:
            at = datetime.fromisoformat(str(entry["timestamp"])).astimezone(UTC)
            found[name] = Answer(at, tokens)
    return found


def _tokens(run: Row, run_attempts: Sequence[Attempt], allowed_excess: int) -> Iterator[Violation]:
    answers = [answer for attempt in run_attempts for answer in attempt.answers.values()]
    found = []
    for column in _COLUMNS:
        recorded_tokens = sum(answer.tokens[column] for answer in answers)
        counted = int(run[column])
        if counted < recorded_tokens:
            found.append(f"only {counted} {column} of the transcript's {recorded_tokens}")
        # Of an answer that was begun and is not stored, only the output is bounded.
        most = recorded_tokens + allowed_excess if column == "output_tokens" else None
        if counted > recorded_tokens and (
            not allowed_excess or (most is not None and counted > most)
        ):
            found.append(
                f"{counted} {column} where the transcript has {recorded_tokens}, at most "
                f"{recorded_tokens + allowed_excess}"
            )
    if found:
        yield _violation(run, f"counts {'; '.join(found)}")


def _usd(run: Row) -> Iterator[Violation]:
    """Check that the cost matches the tokens, by the price list of the cost's source."""
    tokens = {column: int(run[column]) for column in _COLUMNS}
    listed = estimate_usd(run["ai_model"], Usage(**tokens))
    if run["cost_estimate"] is None:
        if any(tokens.values()) and listed is not None:
            yield _violation(run, f"used {tokens} of {run['ai_model']}, at an unknown cost")
        return
    cost = Decimal(str(run["cost_estimate"]))
    if listed is None or run["ai_model"] != _PROGRAM_MODEL:
        return
    program = sum((_PROGRAM_USD[name] * n for name, n in tokens.items()), Decimal(0)) / _MILLION
    prices = {program, listed}
    if run["cost_source"] == "reported":
        prices = {program}
    elif run["attempt"] == 1:
        prices = {listed}
    rounded = _ROUNDED_USD * int(run["attempt"])
    if not min(prices) - rounded <= cost <= max(prices) + rounded:
        wanted = " to ".join(str(price) for price in sorted(prices))
        yield _violation(run, f"costs {cost} ({run['cost_source']}), its tokens {wanted}")


def _violation(run: Row, text: str) -> Violation:
    return Violation(ViolationKind.COST, str(run["run_id"]), text)
