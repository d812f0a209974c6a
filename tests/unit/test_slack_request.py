"""Parsed deliveries: recorded ones and arbitrary ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.slack.inbound.request import RequestKind, parse_request

BOT = "U0BOT"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "event",
                    "user",
                    "id",
                    "actions",
                    "view",
                    "channel",
                    "ts",
                    "text",
                    "team",
                    "container",
                    "message",
                    "private_metadata",
                    "command",
                    "subtype",
                    "trigger_id",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
KINDS = ["event_callback", "block_actions", "view_submission", "message_action", "shortcut"]


def message_event(text: str, **event: Any) -> Mapping[str, Any]:
    return {
        "type": "event_callback",
        "event_id": "Ev1",
        "team_id": "T1",
        "event": {
            "type": "message",
            "user": "U1",
            "text": text,
            "channel": "C1",
            "ts": "1.2",
            **event,
        },
    }


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4), st.sampled_from(KINDS))
def test_any_delivery_is_parsed_without_an_error(body: dict[str, Any], kind: str) -> None:
    for odd in (body, {**body, "type": kind}, {**body, "type": kind, "event": {"type": "message"}}):
        request = parse_request(odd, bot_user_id=BOT)

        assert request.user_id is None or isinstance(request.user_id, str)


def test_both_events_of_a_mention_have_the_same_key() -> None:
    as_message = parse_request(message_event(f"<@{BOT}> help"), bot_user_id=BOT)
    as_mention = parse_request(message_event(f"<@{BOT}> help", type="app_mention"), bot_user_id=BOT)

    assert as_message.key == as_mention.key == "message:C1:1.2"
    assert as_message.mentions_bot
    assert as_mention.mentions_bot


def test_messages_between_people_are_not_stored() -> None:
    for body in (
        message_event("lunch?"),
        message_event("typo", subtype="message_changed", thread_ts="1.1"),
        message_event("beep", bot_id="B1", thread_ts="1.1"),
        message_event("mine", user=BOT, thread_ts="1.1"),
        message_event("joined", subtype="channel_join"),
    ):
        request = parse_request(body, bot_user_id=BOT)

        assert (request.kind, request.key) == (RequestKind.OTHER, None)


def test_a_reply_and_a_direct_message_are_handled() -> None:
    assert (
        parse_request(message_event("go on", thread_ts="1.1"), bot_user_id=BOT).kind
        is RequestKind.MESSAGE
    )
    assert (
        parse_request(message_event("help", channel="D1", channel_type="im"), bot_user_id=BOT).kind
        is RequestKind.MESSAGE
    )


def test_every_team_in_a_message_is_found() -> None:
    request = parse_request(
        message_event("hi", thread_ts="1.1", user_team="T2", team="T1"), bot_user_id=BOT
    )

    assert request.origin.home_ids == {"T1", "T2"}
    assert request.origin.team_ids == {"T1"}


def test_each_click_has_its_own_key() -> None:
    def click(at: str) -> Mapping[str, Any]:
        return {
            "type": "block_actions",
            "user": {"id": "U1", "team_id": "T1"},
            "container": {"message_ts": "1.2", "channel_id": "C1", "thread_ts": "1.2"},
            "channel": {"id": "C1"},
            "actions": [{"action_id": "run_kill", "value": "run_1", "action_ts": at}],
        }

    first, again, second = (
        parse_request(click(at), bot_user_id=BOT) for at in ("5.1", "5.1", "5.2")
    )

    assert first.key == again.key != second.key
    assert (first.value, first.channel_id) == ("run_1", "C1")
    # A click on the card in the channel: the answer belongs in the channel, not in the thread.
    assert first.thread_ts is None


def test_a_form_has_its_channel_and_its_own_key() -> None:
    body = {
        "type": "view_submission",
        "user": {"id": "U1", "team_id": "T1"},
        "team": None,
        "trigger_id": "1.2.3",
        "view": {
            "id": "V1",
            "private_metadata": json.dumps({"channel_id": "C9"}),
            "app_installed_team_id": "T1",
        },
    }

    request = parse_request(body, bot_user_id=BOT)

    assert (request.channel_id, request.key, request.origin.team_ids) == (
        "C9",
        "view:V1:1.2.3",
        frozenset({"T1"}),
    )
