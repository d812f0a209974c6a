"""What is said about wrong settings: no raw words of a library, no name twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.config.problems import unknown_variables
from bot.assembly.settings import AGENT_VARIABLES, load_settings
from core.agent.options import SCRATCH_VARIABLE
from core.agent.process.process_tree import ATTEMPT_MARKER, INSTALLATION_MARKER, RUN_MARKER

A_LIST = 'must be a list like ["…"]'


def refusal(**variables: object) -> str:
    with pytest.raises(BadSetting) as refused:
        load_settings(**variables)
    return refused.value.user_message


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[worker]\nslots = "many"', "worker.slots: must be a whole number from 1 to 256"),
        ("[worker]\nslots = 1000", "worker.slots: must be a whole number from 1 to 256"),
        ("[limits]\nlive = 0", "limits.live: must be a whole number of at least 1"),
        ("[agent]\napi_retries = -1", "agent.api_retries: must be a whole number from 0 to 100"),
        ('[worker]\non_lost = "retry"', "worker.on_lost: must be one of 'resume', 'fail'"),
        (
            '[agent]\nshare_proxy_password = "si"',
            "agent.share_proxy_password: must be true or false",
        ),
        ('[roles]\nadmin = "U1"', f"roles.admin: {A_LIST}"),
        ('[channels]\nallow = "C1"', f"channels.allow: {A_LIST}"),
        ("[channels]\nallow = [3]", 'channels.allow.0: must be text between quotes, like "…"'),
        ("worker = 3", "worker: must be a table: write [worker] above its keys"),
        ('[roles]\nadmn = ["U1"]', "roles.admn: is not known; did you mean admin?"),
        ("[wroker]\nslots = 3", "wroker: is not known; did you mean worker?"),
        ("x = 1", "x: is not known; remove it or check the spelling"),
        ("[worker]\ndrain = 'soon'", "worker.drain: must be seconds from 0 to 86400, like 3"),
    ],
)
def test_a_wrong_line_of_the_file_is_named_once_in_plain_words(
    tmp_path: Path, table: str, said: str
) -> None:
    (tmp_path / "signalbox.toml").write_text(table)

    assert refusal(SIGNALBOX_HOME=tmp_path) == f"signalbox.toml, {said}"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SIGNALBOX_PORT", "seventy", "must be a whole number from 0 to 65535"),
        ("SIGNALBOX_PORT", "99999", "must be a whole number from 0 to 65535"),
        ("SIGNALBOX_DATABASE_WAIT", "soon", "must be a number from 0 to 3600"),
        ("SIGNALBOX_WORKER_SLOTS", "0", "must be a whole number from 1 to 256"),
        ("SIGNALBOX_PUBLIC_URL", "example.com", "must be an http(s) URL like https://signalbox."),
        ("ANTHROPIC_BASE_URL", "proxy:80", "must be an http(s) URL like https://api.anthropic.com"),
        ("SLACK_API_URL", "http://", "must be an http(s) URL like https://slack.com/api/"),
    ],
)
def test_a_wrong_variable_is_named_once_in_plain_words(name: str, value: str, said: str) -> None:
    assert refusal(**{name: value}).startswith(f"{name}: {said}")


def test_an_unknown_variable_is_warned_of_with_the_nearest_that_exists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIGNALBOX_PROT", "3")
    monkeypatch.setenv("SIGNALBOX_WORKERS_SLOT", "3")
    monkeypatch.setenv("signalbox_log", "json")
    monkeypatch.setenv("SIGNALBOX_RUN_ID", "run_1")

    warnings = load_settings(SIGNALBOX_HOME=tmp_path).unknown_variables

    assert warnings == tuple(
        f"{name} is not known and has no effect; did you mean {nearest}?"
        for name, nearest in (
            ("SIGNALBOX_PROT", "SIGNALBOX_PORT"),
            ("SIGNALBOX_WORKERS_SLOT", "SIGNALBOX_WORKER_SLOTS"),
        )
    )


def test_a_name_like_no_other_is_not_guessed_at() -> None:
    (warning,) = unknown_variables(["SIGNALBOX_QQ", "HOME"], ["SIGNALBOX_PORT", "PATH"])

    assert warning == "SIGNALBOX_QQ is not known and has no effect; remove it or check the spelling"


def test_what_agents_are_given_is_known() -> None:
    assert {RUN_MARKER, ATTEMPT_MARKER, INSTALLATION_MARKER, SCRATCH_VARIABLE} == AGENT_VARIABLES
