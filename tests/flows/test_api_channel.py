"""`[api] channel`: what it may be, and what the doctor says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.assembly.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from bot.sandbox.slack.people import BUILDS, RANDOM
from bot.sandbox.slack.server import Sandbox
from bot.slack.doctor import check_workspace
from bot.slack.setup import SlackCredentials
from tests.sandbox import sandbox

__all__ = ["sandbox"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[api]\nchannel = "builds"', 'must be the id of a channel, like "C0123ABCD"'),
        ('[api]\nchanel = "C0123ABCD"', "did you mean channel?"),
        (
            '[channels]\nallow = ["C0OTHER"]\n[api]\nchannel = "C0123ABCD"',
            "[api] channel C0123ABCD is not in [channels] allow; add it there",
        ),
    ],
)
def test_a_wrong_channel_stops_the_start(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "signalbox.toml").write_text(table)

    with pytest.raises(BadSetting) as refusal:
        load_settings(SIGNALBOX_HOME=tmp_path)

    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("channel", "is_ok", "words"),
    [
        (BUILDS, True, "runs of the API are shown in #builds"),
        (RANDOM, False, "/invite @signalbox in #random first"),
        ("C0NOWHERE", False, "Slack does not show it to the bot (channel_not_found)"),
    ],
)
async def test_the_doctor_checks_the_channel(
    sandbox: Sandbox, channel: str, is_ok: bool, words: str
) -> None:
    credentials = SlackCredentials(
        bot_token=sandbox.bot_token, signing_secret="s", api_url=sandbox.api_url
    )

    *_, last = [
        check
        async for check in check_workspace(
            credentials, needed_scopes=("chat:write",), api_channel=channel
        )
    ]

    assert (last.is_ok, last.prevents_start) == (is_ok, False)
    assert words in last.message
