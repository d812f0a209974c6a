"""What of the settings and the environment counts as a secret of this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.assembly.own_secrets import secrets_in_address, secrets_in_environment
from bot.assembly.settings import load_settings


def secrets_of(home: Path, **variables: object) -> set[str]:
    settings = load_settings(SIGNALBOX_HOME=home, **variables)
    return {secret.get_secret_value() for secret in settings.secrets}


def test_each_credential_of_the_settings_is_a_secret(tmp_path: Path) -> None:
    found = secrets_of(
        tmp_path,
        SLACK_BOT_TOKEN="xoxb-1-abc",
        SLACK_APP_TOKEN="xapp-1-abc",
        SLACK_SIGNING_SECRET="8f742231b10e8888",
        ANTHROPIC_API_KEY="key-of-the-model",
        CLAUDE_CODE_OAUTH_TOKEN="oauth-of-the-model",
        DATABASE_URL="postgresql://signalbox:p%40ss@db.example/signalbox",
        ANTHROPIC_BASE_URL="https://me:gateway@models.example/v1",
    )

    assert found == {
        "xoxb-1-abc",
        "xapp-1-abc",
        "8f742231b10e8888",
        "key-of-the-model",
        "oauth-of-the-model",
        "postgresql://signalbox:p%40ss@db.example/signalbox",
        "p%40ss",
        "p@ss",
        "https://me:gateway@models.example/v1",
        "gateway",
    }


def test_an_address_without_a_password_is_no_secret(tmp_path: Path) -> None:
    assert secrets_of(tmp_path, DATABASE_URL="postgresql://signalbox@db.example/signalbox") == set()


def test_secrets_of_other_programs_are_found_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "token-of-deploy")
    monkeypatch.setenv("DEPLOY_REGION", "eu-west-1")

    assert secrets_of(tmp_path) == {"token-of-deploy"}


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("GITHUB_TOKEN", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("NPM_AUTH", True),
        ("PGPASSWORD", True),
        ("DB_PWD", True),
        ("PWD", False),
        ("OLDPWD", False),
        ("SSH_AUTH_SOCK", False),
        ("KEYBOARD", False),
        ("TOKENIZERS_PARALLELISM", False),
        ("PATH", False),
    ],
)
def test_a_variable_is_judged_by_its_name(name: str, is_secret: bool) -> None:
    assert secrets_in_environment({name: "value"}) == (("value",) if is_secret else ())


def test_an_address_is_secret_with_what_is_secret_in_it() -> None:
    in_query = "https://host.example/?region=eu&api_key=abc"
    encoded = "https://me:a%2Fb@host.example/"

    assert secrets_in_address(in_query) == (in_query, "abc", "abc")
    assert secrets_in_address(encoded) == (encoded, "a%2Fb", "a/b")
    # It cannot be told from its password.
    assert secrets_in_address("https://[broken") == ("https://[broken",)
    assert secrets_in_address("https://host.example/path?region=eu") == ()
