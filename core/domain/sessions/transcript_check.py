"""Whether a stored conversation is whole, so that an agent can be given all of it again.  Pure.

The agent program goes back from the last message of a transcript, from each entry to its parent.
If a parent is missing it goes on with what is left, and says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class TranscriptState(StrEnum):
    """What can be done with a stored conversation."""

    NONE = "none"
    WHOLE = "whole"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class TranscriptLink:
    """An entry of a transcript, and the one that it follows.

    Attributes:
        parent: `None` for the first entry, and after the program has shortened the conversation.
        is_message: Whether it is a message of the main conversation.
    """

    uuid: str
    parent: str | None
    is_message: bool


def state_of_transcript(
    links: Sequence[TranscriptLink], known: Collection[str] = ()
) -> TranscriptState:
    """The state of a conversation.

    Args:
        links: All entries with an id, in their order.
        known: Of these ids at least one must be there, if any are given: those of the prompts that
            the newest run with an answer has sent.
    """
    last = next((link for link in reversed(links) if link.is_message), None)
    if last is None:
        return TranscriptState.NONE
    parents = {link.uuid: link.parent for link in links}
    if known and not any(uuid in parents for uuid in known):
        return TranscriptState.DAMAGED
    seen: set[str] = set()
    at: str | None = last.uuid
    while at is not None and at not in seen:
        if at not in parents:
            return TranscriptState.DAMAGED
        seen.add(at)
        at = parents[at]
    return TranscriptState.WHOLE
