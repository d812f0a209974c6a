import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bot.slack import ids

ROOT = Path(__file__).parents[2]
# Slack's own schema and the scopes of its methods, if available.
SLACK_DATA = ROOT.parent / "shared" / "slack-data"

# The scopes of the Web API methods that the bot calls, and what each is for.
NEEDED = {
    "chat:write": "cards, replies, private answers",
    "commands": "the command and the shortcut",
    "files:write": "long reports",
    "users:read": "who is a guest",
    "reactions:write": "marks on mentions",
    "usergroups:read": "roles of groups",
    "channels:read": "whether a channel is shared",
    "groups:read": "the same of private ones",
    "im:read": "the same of direct messages",
    "im:write": "telling an owner what a channel cannot",
    "app_mentions:read": "the event app_mention",
    "channels:history": "the event message.channels",
    "groups:history": "the event message.groups",
    "im:history": "the event message.im",
}


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "manifest.yml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_slacks_schema_accepts_the_manifest(manifest: dict[str, Any]) -> None:
    schemas = sorted(SLACK_DATA.glob("manifest-schema/manifest.schema.?.?.?.json"))
    if not schemas:
        pytest.skip("Slack's schemas are not available")
    for path in schemas:
        schema = json.loads(path.read_text(encoding="utf-8"))
        validator = jsonschema.validators.validator_for(schema)(schema)

        problems = [
            f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)
        ]
        assert problems == [], path.name


def test_the_manifest_has_exactly_the_used_scopes(manifest: dict[str, Any]) -> None:
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == set(NEEDED)


def test_every_event_has_its_scope(manifest: dict[str, Any]) -> None:
    events = manifest["settings"]["event_subscriptions"]["bot_events"]

    assert events == sorted(set(events))
    for event in events:
        if event.startswith("message."):
            kind = event.removeprefix("message.")
            assert f"{kind}:history" in manifest["oauth_config"]["scopes"]["bot"]


def test_the_bot_listens_to_the_manifests_command_and_shortcut(
    manifest: dict[str, Any],
) -> None:
    features = manifest["features"]

    assert [one["command"] for one in features["slash_commands"]] == [ids.COMMAND]
    assert features["slash_commands"][0]["should_escape"] is True
    assert [one["callback_id"] for one in features["shortcuts"]] == [ids.RUN_ON_MESSAGE]
    assert features["bot_user"]["display_name"] == "signalbox"


def test_the_manifest_works_without_a_public_address(manifest: dict[str, Any]) -> None:
    settings = manifest["settings"]

    assert settings["socket_mode_enabled"] is True
    assert settings["interactivity"] == {"is_enabled": True}
    assert "request_url" not in settings["event_subscriptions"]
    assert "url" not in manifest["features"]["slash_commands"][0]


def test_ids_are_unique_and_short_enough() -> None:
    names = {
        key: value for key, value in vars(ids).items() if key.isupper() and isinstance(value, str)
    }

    assert len(set(names.values())) == len(names)
    assert all(0 < len(value) <= 255 for value in names.values())
