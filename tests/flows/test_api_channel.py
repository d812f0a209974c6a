"""`[api] channel`: what it may be, and what the doctor says of it."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from bot.sandbox.slack.people import BUILDS, RANDOM
from bot.sandbox.slack.server import Sandbox
from bot.slack.doctor import check_workspace
from bot.slack.setup import SlackCredentials
from bot.web.route import API_ROOT
from core.domain.actor import SYSTEM, Role
from core.domain.token import NewToken
from core.store.database.engine import Database
from tests.api import CONSOLE
from tests.harness import CONFIG, open_harness
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


async def test_until_slack_answers_no_run_is_started_without_its_thread(
    database: Database, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    config = f'{CONFIG}\n[api]\nchannel = "{BUILDS}"\n'
    async with open_harness(database, home, transport="socket", config=config) as harness:
        request = NewToken(name="ci", role=Role.RUNNER)
        _, token = await harness.backend.tokens.create(request, by=SYSTEM)
        harness.sandbox.faults.add("auth.test", "reset", times=1000)
        async with (
            harness.serving(runs_worker=False, waits_until_ready=False) as running,
            aiohttp.ClientSession(base_url=running.url) as http,
            http.post(
                f"{API_ROOT}{CONSOLE}/run/fix",
                json={"message": "x"},
                headers={"x-api-key": token},
            ) as response,
        ):
            body = await response.json()
        runs = await harness.runs()

    assert (response.status, body["error"]) == (503, "slack_unavailable")
    assert runs == []
