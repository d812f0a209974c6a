"""Deliveries to mutate: one of every kind as the sandbox makes them, and recorded ones of Slack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.sandbox.slack import people
from bot.sandbox.slack.delivery import events, payloads
from bot.sandbox.slack.organisation import Organisation
from bot.sandbox.slack.people import ADA, APP_ID, BOT_USER_ID, BUILDS, TEAM_ID
from bot.slack import ids

Document = dict[str, Any]
TS = "1767225600.000100"


@dataclass(frozen=True)
class Seed:
    """A delivery that Slack could send, and its kind: events_api, interactive or slash_commands."""

    name: str
    kind: str
    payload: Document


def seeds(recorded: Path | None) -> list[Seed]:
    """All seeds.

    Args:
        recorded: A folder with recorded payloads; `None` without one.
    """
    own = list(_own())
    organisations = (Organisation(), Organisation(is_org_wide=True))
    own += [
        Seed(
            f"{seed.name}, organisation", seed.kind, organisation.delivery(seed.kind, seed.payload)
        )
        for organisation in organisations
        for seed in own
    ]
    return own + (list(_recorded(recorded)) if recorded is not None else [])


def _own() -> Iterator[Seed]:
    everybody = people.seed_people("signalbox")
    ada = next(one for one in everybody if one.id == ADA)
    builds = next(one for one in people.seed_channels(everybody) if one.id == BUILDS)
    url, trigger = "https://hooks.slack.com/commands/x", "1.2.abc"
    for text in ("run builder --turns 5 Add a button", "status", "kill --all mine", "help"):
        yield Seed(
            f"command {text.split()[0]}",
            "slash_commands",
            payloads.slash_command(
                person=ada, channel=builds, command="/workflow", text=text,
                response_url=url, trigger_id=trigger,
            ),
        )  # fmt: skip
    message = {"type": "message", "user": ADA, "ts": TS, "text": "do it", "team": TEAM_ID}
    view = {
        "id": "V0FUZZ", "team_id": TEAM_ID, "type": "modal", "hash": "1.abc",
        "callback_id": ids.RUN_FORM, "private_metadata": json.dumps({"channel_id": BUILDS}),
        "blocks": [{"type": "input", "block_id": ids.FIELD_TASK}], "app_installed_team_id": TEAM_ID,
        "state": {"values": {
            ids.FIELD_WORKFLOW: {ids.VALUE: {"type": "static_select",
                                             "selected_option": {"value": "builder"}}},
            ids.FIELD_TASK: {ids.VALUE: {"type": "plain_text_input", "value": "Add a button"}},
            ids.FIELD_TURNS: {ids.VALUE: {"type": "number_input", "value": "5"}},
        }},
    }  # fmt: skip
    action = {"action_id": ids.KILL, "block_id": "b", "type": "button", "action_ts": TS,
              "value": "run_0a1b2c3d4e5f"}  # fmt: skip
    interactions = {
        "button": payloads.message_actions(
            person=ada, channel=builds, message=message, is_ephemeral=False, actions=[action],
            state={}, response_url=url, trigger_id=trigger,
        ),
        "form": payloads.view_submission(person=ada, view=view, trigger_id=trigger),
        "continue form": payloads.view_submission(
            person=ada, trigger_id=trigger, view=view | {"callback_id": ids.CONTINUE_FORM}
        ),
        "kill form": payloads.view_submission(
            person=ada, trigger_id=trigger, view=view | {
                "callback_id": ids.KILL_MANY_FORM,
                "private_metadata": json.dumps({"runs": "0a1b2c3d4e5f", "force": False}),
            },
        ),
        "closed form": payloads.view_closed(person=ada, view=view, is_cleared=True),
        "shortcut": payloads.message_action(
            person=ada, channel=builds, message=message, callback_id=ids.RUN_ON_MESSAGE,
            action_ts=TS, response_url=url, trigger_id=trigger,
        ),
        "global shortcut": payloads.global_shortcut(
            person=ada, callback_id="x", action_ts=TS, trigger_id=trigger
        ),
    }  # fmt: skip
    for name, payload in interactions.items():
        yield Seed(name, "interactive", payload)
    mention = message | {"text": f"<@{BOT_USER_ID}> run builder Add a button"}
    happened = {
        "message": events.message_event(mention, builds),
        "mention": events.app_mention_event(mention, builds),
        "reply": events.message_event(message | {"thread_ts": TS}, builds),
        "edit": events.message_changed_event(mention, message, builds, ts=TS),
        "home": events.app_home_opened_event(
            user=ADA, channel=builds, tab="home", view=None, ts=TS
        ),
        "join": events.member_joined_event(user=ADA, channel=builds, inviter=ADA, ts=TS),
    }
    for name, event in happened.items():
        body = events.event_callback(event, event_id="Ev0FUZZ", event_time=1, channel=builds)
        yield Seed(name, "events_api", body)


def _recorded(folder: Path) -> Iterator[Seed]:
    """Payloads in files of other projects, made deliveries for this app and workspace."""
    for path in sorted(folder.rglob("*.json")):
        if "." in path.stem:
            # Answers of methods such as `chat.update`, up to 2 MB.
            continue
        for found in _deliveries_in(json.loads(path.read_text(encoding="utf-8"))):
            kind = "interactive"
            if "command" in found:
                kind = "slash_commands"
            elif "event" in found:
                kind = "events_api"
            named = found | {"api_app_id": APP_ID}
            if "team_id" in named:
                named["team_id"] = TEAM_ID
            yield Seed(f"recorded {path.stem}", kind, named)


def _deliveries_in(value: Any) -> Iterator[Document]:
    if isinstance(value, dict):
        if "api_app_id" in value and ("command" in value or "type" in value):
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _deliveries_in(item)
