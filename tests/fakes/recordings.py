"""Recorded output of the real agent program, line by line, as the SDK reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from claude_agent_sdk import Message
from claude_agent_sdk._internal.message_parser import parse_message

from core.agent.translate import Translator
from core.domain.runs.event import AgentEvent

_FOLDER = Path(__file__).parents[1] / "unit" / "recorded"
RECORDINGS = (
    "api_error",
    "api_retry",
    "interrupted",
    "max_turns",
    "steered",
    "subagent",
    "tasks",
    "todo",
    "tool_errors",
    "usage_limit",
    "usage_limit_oauth",
)
# Uuids of the prompt and of the message sent during the run, in every recording.
PROMPT_UUID = "00000000-0000-0000-0000-000000000001"
STEERING_UUID = "00000000-0000-0000-0000-000000000002"


def load_recording(name: str) -> list[Message]:
    """The messages of a recording."""
    parsed = [parse_message(line) for line in read_lines(name)]
    return [message for message in parsed if message is not None]


def read_lines(name: str) -> list[Any]:
    """The lines of a recording, as the program wrote them."""
    lines = (_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def translate_recording(
    name: str, translator: Translator | None = None, *, secrets: Sequence[str] = ()
) -> list[AgentEvent]:
    """The events of a recording."""
    translator = translator or Translator(cwd="/workspace", secrets=secrets)
    translator.pending_message_ids |= {PROMPT_UUID, STEERING_UUID}
    return [event for message in load_recording(name) for event in translator.translate(message)]
