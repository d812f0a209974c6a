"""Secrets of the environment are read once, and not passed on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_CHILD = """
import subprocess
from bot.assembly.settings import load_settings, remove_secrets_from_environment

before = load_settings()
remove_secrets_from_environment()
print(subprocess.check_output(["env"], text=True))
print(before.slack.bot_token.get_secret_value() == "xoxb-1", before.database.url is not None)
"""
SECRETS = {
    "DATABASE_URL": "postgresql://user:pass@host/name",
    "SLACK_BOT_TOKEN": "xoxb-1",
    # Settings are found in any case.
    "slack_app_token": "xapp-1",
    "SLACK_SIGNING_SECRET": "signing-1",
    "ANTHROPIC_API_KEY": "key-1",
    "CLAUDE_CODE_OAUTH_TOKEN": "oauth-1",
}


def test_child_processes_inherit_no_secret_of_the_settings(tmp_path: Path) -> None:
    given = {**SECRETS, "HTTPS_PROXY": "http://proxy:3128", "SIGNALBOX_HOME": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        env={"PATH": os.defpath, **given},
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    inherited = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert not set(SECRETS) & set(inherited)
    assert not set(SECRETS.values()) & set(inherited.values())
    assert inherited["HTTPS_PROXY"] == "http://proxy:3128"
    assert "True True" in done.stdout
