"""Whether what a leg is said to have used is what its part of the transcript says."""

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

# The longest first answer of the suite's scripts, with some room.
_FIRST_ANSWER_TOKENS = 150
_COLUMNS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_creation_tokens": "cache_creation_input_tokens",
}
# What the agent program takes a million tokens of the scripted model for; not on our list, as
# its own figure replaces our estimate as soon as there is one.
_PROGRAM_MODEL = "claude-opus-5-5"
_PROGRAM_USD = {
    "input_tokens": Decimal(4),
    "output_tokens": Decimal(20),
    "cache_read_tokens": Decimal("0.2"),
    "cache_creation_tokens": Decimal(5),
}
_MILLION = Decimal(1_000_000)
# The column has seven digits, and each attempt's part is rounded.
_ROUNDED_USD = Decimal("0.000001")

# When Postgres was away.
Outage = tuple[datetime, datetime]


@dataclass(frozen=True)
class Answer:
    """One answer of the model, as the transcript has it.

    Attributes:
        tokens: By the run's columns.
    """

    at: datetime
    tokens: Mapping[str, int]


@dataclass
class Attempt:
    """One attempt at a leg, and what of the transcript was written in its time.

    Attributes:
        ended: When the session's next attempt began; `None`: it is the last.
        text_uuids: Ids of what the agent said, by the events.
        has_account: Whether the agent program gave an account of its own; that one counts.
        may_be_behind: Whether whoever executed it may have died over it.
    """

    began: datetime
    ended: datetime | None = None
    text_uuids: set[str] = field(default_factory=set)
    has_agent_result: bool = False
    may_undercount: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)

    def max_uncounted_answers(self, known: set[str], outages: Sequence[Outage]) -> int:
        """How many answers may have been counted that never came into the transcript."""
        if self.has_agent_result:
            return 0
        unknown = len(self.text_uuids - known)
        was_away = any(
            ended >= self.began and (self.ended is None or began < self.ended)
            for began, ended in outages
        )
        return unknown if self.may_undercount and was_away else min(unknown, 1)


def check_cost(
    legs: Sequence[Row],
    transcript: Sequence[Row],
    events: Sequence[Row],
    outages: Sequence[Outage] = (),
) -> Iterator[Violation]:
    """All attempts of a leg together used what the transcript's answers did, and cost that.

    Args:
        legs: Of one session, oldest first.
        transcript: Its lines.
        events: Of all the legs.
        outages: When Postgres was away.
    """
    attempts = attempts_of(legs, transcript, events)
    known = {str(line["entry"].get("uuid")) for line in transcript}
    sizes = [
        answer.tokens["output_tokens"]
        for leg_attempts in attempts.values()
        for attempt in leg_attempts
        for answer in attempt.answers.values()
    ]
    largest = max([_FIRST_ANSWER_TOKENS, *sizes])
    for leg in legs:
        leg_attempts = attempts[leg["id"]]
        exceeding = sum(attempt.max_uncounted_answers(known, outages) for attempt in leg_attempts)
        yield from _tokens(leg, leg_attempts, exceeding * largest)
        yield from _usd(leg)


def attempts_of(
    legs: Sequence[Row], transcript: Sequence[Row], events: Sequence[Row]
) -> dict[Any, list[Attempt]]:
    """The attempts by the id of their leg, each with its part of the transcript."""
    found: dict[Any, list[Attempt]] = {leg["id"]: [] for leg in legs}
    for leg in legs:
        of_leg = [event for event in events if event["run_id"] == leg["id"]]
        found[leg["id"]] = [
            _attempt(leg, event, of_leg) for event in of_leg if event["kind"] == "run_started"
        ]
    in_order = sorted(
        (attempt for leg_attempts in found.values() for attempt in leg_attempts),
        key=lambda one: one.began,
    )
    for attempt, after in pairwise(in_order):
        attempt.ended = after.began
    for name, answer in _answers(transcript).items():
        began = [attempt for attempt in in_order if attempt.began <= answer.at]
        if began:
            began[-1].answers[name] = answer
    return found


def _attempt(leg: Row, started: Row, events: Sequence[Row]) -> Attempt:
    number = started["attempt"]
    mine = [event for event in events if event["attempt"] == number]
    is_last = number == leg["attempt"]
    was_lost = any(
        # Told by the next attempt, unless there is none.
        event["kind"] == "worker_lost" and event["attempt"] == (number if is_last else number + 1)
        for event in events
    )
    return Attempt(
        began=started["at"],
        text_uuids={str(one["data"]["uuid"]) for one in mine if one["kind"] == "agent_text"},
        has_agent_result=any(event["kind"] == "agent_result" for event in mine),
        # Who finishes the kill of a worker that died in it does not say so.
        may_undercount=was_lost or (is_last and leg["stop_reason"] == "killed"),
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
        # An answer has a line for each of its blocks; of one cut short the usage is of its begin.
        if name not in found or found[name].tokens["output_tokens"] <= tokens["output_tokens"]:
            at = datetime.fromisoformat(str(entry["timestamp"])).astimezone(UTC)
            found[name] = Answer(at, tokens)
    return found


def _tokens(leg: Row, leg_attempts: Sequence[Attempt], allowed_excess: int) -> Iterator[Violation]:
    answers = [answer for attempt in leg_attempts for answer in attempt.answers.values()]
    found = []
    for column in _COLUMNS:
        recorded_tokens = sum(answer.tokens[column] for answer in answers)
        counted = int(leg[column])
        if counted < recorded_tokens:
            found.append(f"only {counted} {column} of the transcript's {recorded_tokens}")
        # Of what was begun and is nowhere, only the output is bounded.
        most = recorded_tokens + allowed_excess if column == "output_tokens" else None
        if counted > recorded_tokens and (
            not allowed_excess or (most is not None and counted > most)
        ):
            found.append(
                f"{counted} {column} where the transcript has {recorded_tokens}, at most "
                f"{recorded_tokens + allowed_excess}"
            )
    if found:
        yield _violation(leg, f"counts {'; '.join(found)}")


def _usd(leg: Row) -> Iterator[Violation]:
    """The dollars fit the tokens, by the prices of whom they are from."""
    tokens = {column: int(leg[column]) for column in _COLUMNS}
    listed = estimate_usd(leg["ai_model"], Usage(**tokens))
    if leg["cost_estimate"] is None:
        if any(tokens.values()) and listed is not None:
            yield _violation(leg, f"used {tokens} of {leg['ai_model']}, at an unknown cost")
        return
    cost = Decimal(str(leg["cost_estimate"]))
    if listed is None or leg["ai_model"] != _PROGRAM_MODEL:
        return
    program = sum((_PROGRAM_USD[name] * n for name, n in tokens.items()), Decimal(0)) / _MILLION
    prices = {program, listed}
    if leg["cost_source"] == "reported":
        prices = {program}
    elif leg["attempt"] == 1:
        prices = {listed}
    rounded = _ROUNDED_USD * int(leg["attempt"])
    if not min(prices) - rounded <= cost <= max(prices) + rounded:
        wanted = " to ".join(str(price) for price in sorted(prices))
        yield _violation(leg, f"costs {cost} ({leg['cost_source']}), its tokens {wanted}")


def _violation(leg: Row, text: str) -> Violation:
    return Violation(ViolationKind.COST, str(leg["run_id"]), text)
