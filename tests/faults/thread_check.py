"""Checks that a thread in Slack shows what the rows contain, and shows it once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.sandbox.slack.server import Sandbox
from tests.card import COMPLETED_WORDS
from tests.faults.results import Violation, ViolationKind
from tests.faults.rows import Row

_CHANNEL = "#builds"
# One of these is in the title of a run with this end.  Where the title names the cause, only its
# icon is the same for all.
WORDS: Mapping[str, tuple[str, ...]] = {
    "success": COMPLETED_WORDS,
    "max_turns": ("Stopped at its turn limit",),
    "killed": ("Killed",),
    "agent_error": ("agent program",),
    "no_result": ("Ended without a result",),
    "worker_lost": ("Stopped: its worker was lost",),
    "workspace_error": ("❌",),
    "setup_error": ("❌",),
    "api_error": ("❌",),
}

MessageDocument = Mapping[str, Any]


def thread(sandbox: Sandbox, card: MessageDocument) -> list[MessageDocument]:
    """The card and its replies."""
    return list(sandbox.human.thread(_CHANNEL, str(card["ts"])))


def slot_of(message: MessageDocument) -> str | None:
    """The message's slot, from the metadata that the bot sets."""
    found = (message.get("metadata") or {}).get("event_payload", {}).get("slot")
    return str(found) if found else None


def is_drawn(sandbox: Sandbox, runs: Sequence[Row]) -> bool:
    """Whether the thread of these runs shows their end."""
    return not list(check_thread(sandbox, runs))


def check_thread(sandbox: Sandbox, runs: Sequence[Row]) -> Iterator[Violation]:
    """Check the thread of one start: its card, its results, no duplicates."""
    thread_key = str(runs[0]["thread_key"])
    found = [card for card in all_cards(sandbox) if thread_of(card) == thread_key]
    if len(found) != 1:
        wrong = ViolationKind.DUPLICATED if found else ViolationKind.WRONG_THREAD
        yield Violation(wrong, thread_key, f"has {len(found)} cards")
        return
    messages = thread(sandbox, found[0])
    yield from _check_card(sandbox, messages[0], runs[-1])
    slots = Counter(slot for message in messages if (slot := slot_of(message)))
    for slot, times in slots.items():
        if times > 1:
            yield Violation(ViolationKind.DUPLICATED, thread_key, f"{slot} is shown {times} times")
    for run in runs:
        result = next((m for m in messages if slot_of(m) == f"result:{run['run_id']}"), None)
        if result is None:
            yield Violation(
                ViolationKind.WRONG_THREAD, thread_key, f"has no result of {run['run_id']}"
            )
        elif not _has_words(run, str(result.get("text", ""))):
            yield Violation(
                ViolationKind.WRONG_THREAD,
                thread_key,
                f"the result of {run['run_id']} says another end",
            )
    # Two runs may have the same text, each about itself.
    texts = Counter(
        ((slot_of(m) or "").partition(":")[2], sandbox.human.text(m))
        for m in messages[1:]
        if m.get("bot_id")
    )
    for (_, text), times in texts.items():
        if times > 1 and text.strip():
            yield Violation(
                ViolationKind.DUPLICATED, thread_key, f"shows {times} times: {text[:80]!r}"
            )


def result_delays(sandbox: Sandbox, runs: Sequence[Row]) -> list[float]:
    """Seconds from the end of each run in its row to its result in the thread."""
    posted_at = {
        slot_of(message): float(message["ts"])
        for card in all_cards(sandbox)
        if thread_of(card) == str(runs[0]["thread_key"])
        for message in thread(sandbox, card)
    }
    return [
        round(posted_at[f"result:{run['run_id']}"] - run["completed_at"].timestamp(), 1)
        for run in runs
        if run["completed_at"] is not None and f"result:{run['run_id']}" in posted_at
    ]


def _check_card(sandbox: Sandbox, card: MessageDocument, run: Row) -> Iterator[Violation]:
    name, text = str(run["thread_key"]), sandbox.human.text(card)
    if not _has_words(run, text):
        yield Violation(
            ViolationKind.WRONG_THREAD,
            name,
            f"the card does not say {run['stop_reason']} but {text.splitlines()[:1]}",
        )
    if run["status"] in ("completed", "failed", "killed"):
        wrong = {"Kill", "Force kill"} & set(sandbox.human.labels(card))
        if wrong:
            yield Violation(
                ViolationKind.WRONG_THREAD, name, f"the card of an ended run offers {wrong}"
            )


def _has_words(run: Row, text: str) -> bool:
    reason = str(run["stop_reason"])
    return any(words in text for words in WORDS.get(reason, (reason,)))


def all_cards(sandbox: Sandbox) -> list[MessageDocument]:
    """The bot's messages in the channel, without replies."""
    return [m for m in sandbox.human.messages(_CHANNEL) if m.get("bot_id")]


def thread_of(message: MessageDocument) -> str | None:
    """The card's thread key, from the metadata that the bot sets."""
    payload = (message.get("metadata") or {}).get("event_payload", {})
    return str(payload.get("thread_key")) if payload.get("slot") == "card" else None


def as_text(sandbox: Sandbox, runs: Sequence[Row]) -> str:
    """A thread as readable text, with slots and times."""
    thread_key = str(runs[0]["thread_key"])
    lines = []
    for card in all_cards(sandbox):
        if thread_of(card) == thread_key:
            for message in thread(sandbox, card):
                lines += [f"--- {message['ts']} {slot_of(message)}", sandbox.human.text(message)]
    return "\n".join(lines)
