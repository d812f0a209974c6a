"""The sandbox's tables and payloads, compared with Slack's reference and with recordings."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.slack.api.gate import APP_MISTAKES, HANDLERS
from bot.sandbox.slack.api.methods import METHODS
from bot.sandbox.slack.api.rate_limits import RateLimits
from bot.sandbox.slack.delivery import events, payloads
from bot.sandbox.slack.delivery.request_url import body_of, sign
from bot.sandbox.slack.faults import Faults
from bot.sandbox.slack.inspector import redact
from bot.sandbox.slack.manifest import (
    DEFAULT_MANIFEST,
    find_manifest,
    parse_manifest,
    read_manifest,
)
from bot.sandbox.slack.people import ADA, BUILDS, seed_channels, seed_people
from bot.sandbox.slack.text import (
    encode_text,
    escape,
    mentions,
    rich_text,
    slash_text,
    unescape,
    visible_text,
)
from tests.sandbox import SLACK_DATA

Document = dict[str, Any]

PEOPLE = {each.id: each for each in seed_people("signalbox")}
CHANNELS = {each.id: each for each in seed_channels(list(PEOPLE.values()))}


def reference(method: str) -> Document:
    path = SLACK_DATA / "api-ref" / f"{method}.json"
    if not path.is_file():
        pytest.skip("Slack's reference is not available")
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def test_every_method_has_a_handler() -> None:
    assert set(METHODS) - set(HANDLERS) == {"apps.connections.open"}
    assert set(HANDLERS) <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_the_tier_and_scopes_of_the_reference(name: str) -> None:
    written = reference(name)

    assert METHODS[name].tier == int(written["rate_limits"][1])
    # bots of today ask for :manage where older apps had channels:write
    assert METHODS[name].scopes == set(written["scope"].get("bot", ())) - {"channels:write"}


@pytest.mark.parametrize("name", METHODS)
def test_a_methods_required_arguments_match_the_reference(name: str) -> None:
    required = set(reference(name)["args"].get("required") or ()) - {"token"}

    allowed_extra = {
        "assistant.threads.setSuggestedPrompts": {"channel_id", "prompts"},
        "chat.postMessage": {"channel"},
        "reactions.remove": {"name"},
    }.get(name, set())
    # Chunks may replace the text, so the handler decides.
    optional = {"markdown_text"}
    assert set(METHODS[name].required) - required <= allowed_extra
    assert required - set(METHODS[name].required) <= optional


# Errors of every method, which the reference lists on a separate page, and the sandbox's own
# errors where the reference leaves a choice.
SHARED = {
    "ratelimited",
    "invalid_arguments",
    "invalid_auth",
    "invalid_json",
    "json_not_object",
    "missing_scope",
    "not_allowed_token_type",
    "not_authed",
    "unknown_method",
    "internal_error",
}
RESPONSE_URL = {"invalid_payload", "invalid_response_action", "invalid_response_action_errors"}


def _raised() -> Iterator[tuple[str, str]]:
    folder = Path(__file__).resolve().parents[2] / "bot" / "sandbox" / "slack"
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("WebApiError", "invalid")
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                yield path.name, str(node.args[0].value)


def test_every_error_of_the_sandbox_is_one_of_slacks() -> None:
    known = set(SHARED) | RESPONSE_URL
    for path in (SLACK_DATA / "api-ref").glob("*.*.json"):
        known |= set(json.loads(path.read_text(encoding="utf-8")).get("errors", {}))
    if len(known) == len(SHARED | RESPONSE_URL):
        pytest.skip("Slack's reference is not available")

    assert {(file, error) for file, error in _raised() if error not in known} == set()
    assert known >= APP_MISTAKES


def recordings() -> Iterator[tuple[str, Document]]:
    for path in sorted((SLACK_DATA / "payloads-recorded").glob("*.json")):
        for name, payload in json.loads(path.read_text(encoding="utf-8")).items():
            if isinstance(payload, dict) and "api_app_id" in payload:
                yield f"{path.stem}:{name}", payload


def sandbox_payload(kind: str, payload: Document) -> Document:
    """The sandbox's payload of the same type."""
    person, channel = PEOPLE[ADA], CHANNELS[BUILDS]
    root = {"ts": "1.000001", "user": ADA, "type": "message", "text": "x"}
    if kind == "command":
        return dict(
            payloads.slash_command(
                person=person,
                channel=channel,
                command="/x",
                text="",
                response_url="u",
                trigger_id="t",
            )
        )
    if kind == "view_submission":
        view = dict.fromkeys(payload["view"])
        return payloads.view_submission(person=person, view=view, trigger_id="t")
    if kind == "block_actions":
        message = root | {"thread_ts": "1.000001"}
        return payloads.message_actions(
            person=person,
            channel=channel,
            message=message,
            is_ephemeral=payload["container"]["is_ephemeral"],
            actions=[],
            state={},
            response_url="u",
            trigger_id="t",
        )
    event = {
        "app_mention": events.app_mention_event(root, channel),
        "message": events.message_event(root, channel),
        "member_joined_channel": events.member_joined_event(
            user=ADA, channel=channel, inviter=ADA, ts="1"
        ),
        "reaction_added": events.reaction_event(
            added=True, user=ADA, reaction="eyes", channel=channel, message=root, ts="1"
        ),
    }[kind]
    return events.event_callback(event, event_id="Ev1", event_time=1, channel=channel)


def kind_of(payload: Document) -> str:
    if payload.get("type") == "event_callback":
        return str(payload["event"]["type"])
    return str(payload.get("type", "command"))


# Fields that depend on the workspace, and those that recordings omit or mix.
MAY_LACK = {
    "authorizations",
    "context_enterprise_id",
    "context_team_id",
    "enterprise",
    "event_context",
    "event_id",
    "event_time",
    "is_enterprise_install",
    "is_ext_shared_channel",
    "response_url",
    "state",
}
MAY_HAVE = {"enterprise_id"}


def test_payloads_have_the_recorded_keys() -> None:
    seen = dict(recordings())
    if not seen:
        pytest.skip("the recordings of Slack are not available")
    wrong = {}
    for name, payload in seen.items():
        ours = set(sandbox_payload(kind_of(payload), payload))
        theirs = set(payload)
        if extra := (theirs - ours - MAY_HAVE) | (ours - theirs - MAY_LACK):
            wrong[name] = extra

    assert wrong == {}
    assert len({kind_of(payload) for payload in seen.values()}) >= 6


def test_events_have_the_recorded_keys() -> None:
    seen = {name: each["event"] for name, each in recordings() if "event" in each}
    if not seen:
        pytest.skip("the recordings of Slack are not available")
    in_recordings = {
        "blocks",
        "client_msg_id",
        "parent_user_id",
        "team",
        "text",
        "thread_ts",
        "user",
    }
    of_others = {
        "app_id",
        "assistant_thread",
        "attachments",
        "bot_id",
        "bot_profile",
        "display_as_bot",
        "enterprise",
        "files",
        "upload",
    }
    wrong = {}
    for name, event in seen.items():
        if event.get("subtype"):
            continue
        ours = set(sandbox_payload(event["type"], {})["event"])
        if extra := set(event) - ours - in_recordings - of_others:
            wrong[name] = extra

    assert wrong == {}


def test_three_messages_may_be_posted_at_once_and_then_one_a_second() -> None:
    limits = RateLimits(enabled=True)
    took = [limits.retry_after("chat.postMessage", 5, "C1", 100.0) for _ in range(4)]

    assert took == [0, 0, 0, 1]
    assert limits.retry_after("chat.postMessage", 5, "C2", 100.0) == 0
    assert limits.retry_after("chat.postMessage", 5, "C1", 101.0) == 0


def test_a_tier_three_method_may_be_called_fifty_times_in_a_minute() -> None:
    limits = RateLimits(enabled=True)
    took = [limits.retry_after("chat.update", 3, "C1", 100.0 + n) for n in range(51)]

    assert took[:50] == [0] * 50
    assert took[50] == 10
    assert limits.retry_after("chat.update", 3, "C2", 160.0) == 0


def test_limits_can_be_switched_off() -> None:
    limits = RateLimits(enabled=False)

    assert {limits.retry_after("chat.update", 3, "C1", 1.0) for _ in range(200)} == {0}


def test_a_fault_applies_to_a_number_of_calls_of_one_method() -> None:
    faults = Faults()
    faults.add("chat.update", "429", times=2, retry_after=7)
    faults.add("*", "500")

    assert [getattr(faults.take("chat.update"), "kind", None) for _ in range(4)] == [
        "429",
        "429",
        "500",
        None,
    ]


@given(st.text())
def test_escaping_and_unescaping_restores_the_text(text: str) -> None:
    assert unescape(escape(text)) == text


def test_names_become_mentions_and_everything_else_is_escaped() -> None:
    written = encode_text(
        "@ben: <b> & #builds, mail a@ben.example, <@U9> @nobody https://x.example/?a=1&b=2",
        people={"ben": "U1"},
        channels={"builds": "C1"},
    )

    assert written == (
        "<@U1>: &lt;b&gt; &amp; <#C1>, mail a@ben.example, <@U9> @nobody "
        "<https://x.example/?a=1&amp;b=2>"
    )
    assert mentions(written) == {"U1", "U9"}
    kinds = [each["type"] for each in rich_text(written, "b")["elements"][0]["elements"]]
    assert kinds == ["user", "text", "channel", "text", "user", "text", "link"]


def test_a_command_has_ids_of_names_only_on_request() -> None:
    names: dict[str, dict[str, str]] = {
        "people": {"ben": "U1"},
        "channels": {},
        "groups": {"oncall": "S1"},
    }

    with_ids = slash_text("to @ben & @oncall", **names, should_escape=True)
    plain = slash_text("to @ben & @oncall", **names, should_escape=False)

    assert with_ids == "to <@U1|ben> &amp; <!subteam^S1|@oncall>"
    assert plain == "to @ben &amp; @oncall"


def test_the_visible_text_comes_from_blocks_or_else_the_text() -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*seen*"}}]

    assert visible_text({"text": "hidden", "blocks": blocks}) == "*seen*"
    assert visible_text({"text": "seen"}) == "seen"


def test_tokens_are_not_in_the_log() -> None:
    seen = redact({"token": "xoxb-1-2-abc", "text": ["xapp-1-A-2-ff and more"], "n": 1})

    assert "abc" not in str(seen)
    assert "ff and" not in str(seen)
    assert seen["n"] == 1


def test_deliveries_are_signed_over_their_exact_bytes() -> None:
    body, content_type = body_of("interactive", {"type": "block_actions"})

    assert content_type == "application/x-www-form-urlencoded"
    assert body == b"payload=%7B%22type%22%3A%22block_actions%22%7D"
    # The example of Slack's own documentation.
    example = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id="
        b"G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command="
        b"%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2"
        b"JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803"
        b"a0bc887a14d10d2c447fce8b6703c"
    )
    assert sign("8f742231b10e8888abcd99yyyzzz85a5", "1531420618", example) == (
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    )


def test_the_projects_manifest_is_parsed() -> None:
    path = find_manifest()

    assert path is not None
    manifest = read_manifest(path)
    assert [each.command for each in manifest.commands] == ["/workflow"]
    assert manifest.scopes >= {"chat:write", "commands"}
    assert DEFAULT_MANIFEST.bot_name == manifest.bot_name


def test_a_minimal_manifest_is_parsed() -> None:
    manifest = parse_manifest({"display_information": {"name": "My App"}})

    assert manifest.bot_name == "my-app"
    assert not manifest.scopes
