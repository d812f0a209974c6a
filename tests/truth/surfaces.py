"""The figures that people read on the card and in the list, found in the drawn text.

Only this module knows where a surface shows a figure.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import datetime

from bot.slack.views.details import detail_blocks
from bot.slack.views.runs.links import NO_LINKS
from bot.slack.views.runs.rows import run_line
from bot.slack.views.thread.card import run_card
from bot.slack.views.thread.result import result_message
from core.domain.runs.snapshot import RunSnapshot

# "3 of 60" or "3/60".
_TURNS = re.compile(r"\b(\d+)(?: of |/)(\d+)\b")
_DOLLARS = re.compile(r"\$[\d.,]*\d")


def card_text(snapshot: RunSnapshot, *, now: datetime) -> str:
    """All words of a run's card."""
    return _text(asdict(run_card(snapshot, now=now)))


def details_text(snapshot: RunSnapshot, *, now: datetime) -> str:
    """All words of a run's details, which `status` shows too."""
    return _text(detail_blocks(snapshot, now=now))


def list_text(snapshot: RunSnapshot, *, now: datetime) -> str:
    """A run in a list."""
    return run_line(snapshot, now=now, links=NO_LINKS)


def result_text(snapshot: RunSnapshot) -> str:
    """The reply about the end of a run."""
    message = result_message(snapshot)
    return "" if message is None else _text(asdict(message))


def turns_in(text: str, limit: int) -> set[int]:
    """The turns that a text tells beside their limit."""
    return {int(turns) for turns, found in _TURNS.findall(text) if int(found) == limit}


def dollars_in(text: str) -> set[str]:
    """All amounts of money in a text."""
    return set(_DOLLARS.findall(text))


def _text(drawn: object) -> str:
    return json.dumps(drawn, ensure_ascii=False, default=list).replace("\\n", "\n")
