"""Whether a thread in Slack says what the rows say, and says it once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.sandbox.slack.server import Sandbox
from tests.faults.results import Violation, ViolationKind
from tests.faults.rows import Row

_CHANNEL = "#builds"
# What a person reads on the card of a run that ended so.
WORDS = {
    "success": "Completed",
    "max_turns": "Stopped at its turn limit",
    "killed": "Killed",
    "agent_error": "Stopped: the agent program failed",
    "no_result": "Ended without a result",
    "worker_lost": "Stopped: its worker was lost",
    "workspace_error": "Not done: its workspace could not be made ready",
    "setup_error": "Not started: it could not be set up",
    "api_error": "Stopped: the model's API failed",
}

MessageDocument = Mapping[str, Any]


def thread(sandbox: Sandbox, card: MessageDocument) -> list[MessageDocument]:
    """The card and what is below it."""
    return list(sandbox.human.thread(_CHANNEL, str(card["ts"])))


def slot_of(message: MessageDocument) -> str | None:
    """What the message is, by the mark that the bot puts on it."""
    found = (message.get("metadata") or {}).get("event_payload", {}).get("slot")
    return str(found) if found else None


def is_drawn(sandbox: Sandbox, legs: Sequence[Row]) -> bool:
    """Whether the thread of these legs shows their end."""
    return not list(check_thread(sandbox, legs))


def check_thread(sandbox: Sandbox, legs: Sequence[Row]) -> Iterator[Violation]:
    """The thread of one start: its card, its results, nothing twice."""
    thread_key = str(legs[0]["thread_key"])
    found = [card for card in all_cards(sandbox) if thread_of(card) == thread_key]
    if len(found) != 1:
        wrong = ViolationKind.DUPLICATED if found else ViolationKind.WRONG_THREAD
        yield Violation(wrong, thread_key, f"has {len(found)} cards")
        return
    messages = thread(sandbox, found[0])
    yield from _check_card(sandbox, messages[0], legs[-1])
    slots = Counter(slot for message in messages if (slot := slot_of(message)))
    for slot, times in slots.items():
        if times > 1:
            yield Violation(ViolationKind.DUPLICATED, thread_key, f"{slot} is said {times} times")
    for leg in legs:
        result = next((m for m in messages if slot_of(m) == f"result:{leg['run_id']}"), None)
        if result is None:
            yield Violation(
                ViolationKind.WRONG_THREAD, thread_key, f"has no result of {leg['run_id']}"
            )
        elif WORDS.get(str(leg["stop_reason"]), "") not in sandbox.human.text(result):
            yield Violation(
                ViolationKind.WRONG_THREAD,
                thread_key,
                f"the result of {leg['run_id']} says another end",
            )
    # Two legs may well have the same to say, each of itself.
    texts = Counter(
        ((slot_of(m) or "").partition(":")[2], sandbox.human.text(m))
        for m in messages[1:]
        if m.get("bot_id")
    )
    for (_, text), times in texts.items():
        if times > 1 and text.strip():
            yield Violation(
                ViolationKind.DUPLICATED, thread_key, f"says {times} times: {text[:80]!r}"
            )


def result_delays(sandbox: Sandbox, legs: Sequence[Row]) -> list[float]:
    """Seconds from the end of each leg in its row to its result in the thread."""
    posted_at = {
        slot_of(message): float(message["ts"])
        for card in all_cards(sandbox)
        if thread_of(card) == str(legs[0]["thread_key"])
        for message in thread(sandbox, card)
    }
    return [
        round(posted_at[f"result:{leg['run_id']}"] - leg["completed_at"].timestamp(), 1)
        for leg in legs
        if leg["completed_at"] is not None and f"result:{leg['run_id']}" in posted_at
    ]


def _check_card(sandbox: Sandbox, card: MessageDocument, leg: Row) -> Iterator[Violation]:
    name, text = str(leg["thread_key"]), sandbox.human.text(card)
    words = WORDS.get(str(leg["stop_reason"]), str(leg["stop_reason"]))
    if words not in text:
        yield Violation(
            ViolationKind.WRONG_THREAD,
            name,
            f"the card does not say {words!r} but {text.splitlines()[:1]}",
        )
    if leg["status"] in ("completed", "failed", "killed"):
        wrong = {"Kill", "Force kill"} & set(sandbox.human.labels(card))
        if wrong:
            yield Violation(
                ViolationKind.WRONG_THREAD, name, f"the card of an ended run offers {wrong}"
            )


def all_cards(sandbox: Sandbox) -> list[MessageDocument]:
    """What the bot wrote into the channel itself."""
    return [m for m in sandbox.human.messages(_CHANNEL) if m.get("bot_id")]


def thread_of(message: MessageDocument) -> str | None:
    """Whose card it is, by the mark that the bot puts on it."""
    payload = (message.get("metadata") or {}).get("event_payload", {})
    return str(payload.get("thread_key")) if payload.get("slot") == "card" else None


def as_text(sandbox: Sandbox, legs: Sequence[Row]) -> str:
    """A thread for people to read, marks and times included."""
    thread_key = str(legs[0]["thread_key"])
    lines = []
    for card in all_cards(sandbox):
        if thread_of(card) == thread_key:
            for message in thread(sandbox, card):
                lines += [f"--- {message['ts']} {slot_of(message)}", sandbox.human.text(message)]
    return "\n".join(lines)
