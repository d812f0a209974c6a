"""The Messages API's own shapes: a turn as one JSON answer or as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from bot.sandbox.model.conversation import call_id
from bot.sandbox.model.script import Conversation, Failure, Turn

# About four characters a token, as for English prose and code.
_CHARS_PER_TOKEN = 4
_TEXT_CHUNK = 2_000
_INPUT_CHUNK = 8_000


def message(
    turn: Turn, conversation: Conversation, *, model: str, request_chars: int, new_chars: int
) -> dict[str, Any]:
    """The whole answer.  Each call makes new ids.

    Args:
        turn: The turn to encode.
        conversation: The script's position.
        model: The model's name, as in the request.
        request_chars: Size of the whole request in characters.
        new_chars: Characters that no earlier request contained, so not yet cached.
    """
    content: list[dict[str, Any]] = []
    if turn.text:
        content.append({"type": "text", "text": turn.text})
    content += [
        {
            "type": "tool_use",
            "id": call_id(conversation.position),
            "name": call.name,
            "input": dict(call.input),
        }
        for call in turn.calls
    ]
    output_chars = len(turn.text) + sum(len(json.dumps(dict(call.input))) for call in turn.calls)
    tokens = turn.tokens
    created = new_chars // _CHARS_PER_TOKEN
    usage = {
        "input_tokens": 4 if tokens.input is None else tokens.input,
        "cache_creation_input_tokens": (
            created if tokens.cache_creation is None else tokens.cache_creation
        ),
        "cache_read_input_tokens": (
            max(request_chars // _CHARS_PER_TOKEN - created, 0)
            if tokens.cache_read is None
            else tokens.cache_read
        ),
        "output_tokens": (
            output_chars // _CHARS_PER_TOKEN + 12 if tokens.output is None else tokens.output
        ),
        "service_tier": "standard",
    }
    return {
        "id": f"msg_01{uuid4().hex[:22]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": turn.stop_reason or ("tool_use" if turn.calls else "end_turn"),
        "stop_sequence": None,
        "usage": usage,
    }


def events(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The stream that adds up to `answer`."""
    usage = dict(answer["usage"])
    opening = {**answer, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": opening}
    for index, block in enumerate(answer["content"]):
        if block["type"] == "text":
            empty: dict[str, Any] = {"type": "text", "text": ""}
            deltas = [
                {"type": "text_delta", "text": chunk}
                for chunk in _chunks(block["text"], _TEXT_CHUNK)
            ]
        else:
            empty = {**block, "input": {}}
            deltas = [
                {"type": "input_json_delta", "partial_json": chunk}
                for chunk in _chunks(json.dumps(block["input"]), _INPUT_CHUNK)
            ]
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": answer["stop_reason"], "stop_sequence": None},
        "usage": usage,
    }
    yield {"type": "message_stop"}


def encode(event: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def error(failure: Failure) -> dict[str, Any]:
    """The body of a refused call."""
    return {
        "type": "error",
        "error": {"type": failure.error_type, "message": failure.message},
        "request_id": f"req_01{uuid4().hex[:22]}",
    }


def _chunks(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]
